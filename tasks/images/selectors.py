"""Selectors for offline.config: for every process and alias the image that it would take.

A selector that matches the qualified name, in the last config, beats all that a pipeline sets
(layers.py); so that is folded into ours. A process without an image gets a selector too: one that
stops the run, or, where it is to run without, one that says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tasks.core.source.directives import Directive
from tasks.core.source.groovy.values import Default
from tasks.images.given import Given, names_of
from tasks.images.layers import layers
from tasks.images.processes import Process
from tasks.images.rules import Rule
from tasks.images.uses import Resolver, Selector
from tasks.images.without import is_bare, reason

Folded = tuple[tuple[tuple[str, str], ...], str | None]
"""Images by the names that the sources give them, and the choice among them."""


def selectors(processes: Iterable[Process], rules: Sequence[Rule], given: Mapping[str, Given],
              resolver: Resolver) -> list[Selector]:
    """All selectors, in the order in which they must stand: the more special ones last."""
    by_name: defaultdict[str, list[Process]] = defaultdict(list)
    for process in processes:
        by_name[process.name].append(process)
    chosen: list[Selector] = []
    for name, same in sorted(by_name.items()):
        named: dict[tuple[Folded, str | None], list[str]] = {}
        special: list[Selector] = []
        for alias in sorted({name, *(alias for process in same for alias in process.aliases)}):
            containers = [layers(process, alias, rules) for process in same]
            by_hand = given.get(alias, given.get(name))
            if by_hand is not None:
                folded = _by_hand(by_hand, containers, resolver)
            else:
                folded = _folded(containers, resolver)
                special += _special(same, alias, rules, resolver)
            runs_without = by_hand is not None and not by_hand.images
            stops = None if folded[0] or runs_without else _stops(same, alias, containers)
            if folded[0] or runs_without or stops:
                named.setdefault((folded, stops), []).append(alias)
        chosen += [Selector(pattern=f"(.*:)?({'|'.join(aliases)})", images=images, choice=choice,
                            stops=stops) for ((images, choice), stops), aliases in named.items()]
        chosen += special
    return chosen


def _by_hand(given: Given, results: Sequence[Sequence[Directive]], resolver: Resolver) -> Folded:
    """One image, or several with the process's own choice among them.

    Nothing where that choice can't be made outside of the pipeline's files: then the process
    keeps its own setting.
    """
    if len(given.images) < 2:
        return _choice([given.directive()], resolver)
    texts = {_text(_deciding(containers)) for containers in results}
    choice = texts.pop() if len(texts) == 1 else None
    named = {(name, image) for _, by_hand, image in resolver.images(given.directive())
             for name in names_of(by_hand, image, resolver.registry)}
    return (tuple(sorted(named)), choice) if choice else ((), None)


def _stops(same: Sequence[Process], alias: str, results: Sequence[Sequence[Directive]],
           ) -> str | None:
    """Why a run must stop at a process that has no image; None where it has, or needs none."""
    bare = [containers for process, containers in zip(same, results, strict=True)
            if not process.is_native and is_bare(containers)]
    return f"{alias} has no image: {reason(same, bare[0])}" if bare else None


def _special(same: Sequence[Process], alias: str, rules: Sequence[Rule],
             resolver: Resolver) -> list[Selector]:
    """The selectors of rules that match this alias's qualified name alone."""
    patterns: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.kind == "withName" and not rule.matches(alias) and rule.fits(alias):
            patterns.setdefault(rule.pattern, []).append(rule)
    special = []
    for pattern, fitting in patterns.items():
        results = [[*layers(process, alias, rules), *map(process.set_by, fitting)]
                   for process in same]
        images, choice = _folded(results, resolver)
        if len(patterns) > 1 and all(rule.container.guards for rule in fitting):
            choice = None  # where its condition fails, another of these patterns may hold
            images = images if len(images) > 1 else (*images, *images)
        stops = None if images else _stops(same, alias, results)
        if images or stops:
            special.append(Selector(pattern=f"(?=(?:{pattern})$)(.*:)?({alias})", images=images,
                                    choice=choice, stops=stops))
    return special


def _folded(results: Sequence[Sequence[Directive]], resolver: Resolver) -> Folded:
    """Images and choice of one name; several processes of that name must agree."""
    folded = {_choice(containers, resolver) for containers in results}
    if len(folded) == 1:
        return folded.pop()
    images = {image for result in folded for image in result[0]}
    return tuple(sorted(images)), None


def _choice(containers: Sequence[Directive], resolver: Resolver) -> Folded:
    """The strongest layer's image, or an expression over those down to the first sure one."""
    deciding = _deciding(containers)
    images = {raw: image for container in deciding
              for _, raw, image in resolver.images(container)}
    fixed = all(not container.guards and len(container.values) == 1 and not any(
        isinstance(value, Default) for value in container.values) for container in deciding)
    listed = tuple(sorted(images.items()))
    return listed, None if fixed or not listed else _text(deciding)


def _deciding(containers: Sequence[Directive]) -> list[Directive]:
    """Those that can decide, the strongest first: down to the first that surely holds."""
    deciding: list[Directive] = []
    for container in reversed(containers):
        deciding.append(container)
        if not container.guards:
            break
    return deciding


def _text(deciding: Sequence[Directive]) -> str | None:
    """Groovy that makes the choice; None where it hangs on names that only its file knows."""
    choice = "null"
    for container in reversed(deciding):
        if container.text is None or None in container.guards:
            return None
        choice = (f"({' && '.join(filter(None, container.guards))} ? {container.text} : {choice})"
                  if container.guards else container.text)
    return choice if deciding else None
