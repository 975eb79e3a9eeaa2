"""Selectors for offline.config: for every process and alias the image that it would take.

Nextflow asks, from the weakest to the strongest: the general `process.container`, the process's
own directive, `withLabel`, `withName` with the process's own name, with its alias, and with its
qualified name (ProcessConfig in its sources); among equals the later one wins. A selector that
matches the qualified name, in the last config, beats them all; so theirs are folded into ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tasks.core.source.directives import Directive
from tasks.core.source.groovy.values import Default
from tasks.images.processes import Process
from tasks.images.rules import Rule
from tasks.images.uses import Resolver, Selector


def selectors(processes: Iterable[Process], rules: Sequence[Rule], given: Mapping[str, str],
              resolver: Resolver) -> list[Selector]:
    """All selectors, in the order in which they must stand: the more special ones last."""
    by_name: defaultdict[str, list[Process]] = defaultdict(list)
    for process in processes:
        by_name[process.name].append(process)
    found: list[Selector] = []
    for name, same in sorted(by_name.items()):
        named: dict[tuple[tuple[tuple[str, str], ...], str | None], list[str]] = {}
        special: list[Selector] = []
        for alias in sorted({name, *(alias for each in same for alias in each.aliases)}):
            if name in given:
                by_hand = Directive(word="container", values=frozenset([given[name]]), file="",
                                    line=0)
                folded = _folded([[by_hand]], resolver)
            else:
                folded = _folded([_layers(each, alias, rules) for each in same], resolver)
                special += _special(same, alias, rules, resolver)
            if folded[0]:
                named.setdefault(folded, []).append(alias)
        found += [Selector(pattern=f"(.*:)?({'|'.join(aliases)})", images=images, choice=choice)
                  for (images, choice), aliases in named.items()]
        found += special
    return found


def _layers(process: Process, alias: str, rules: Sequence[Rule]) -> list[Directive]:
    """What sets the image, the strongest last, but for rules with qualified names."""
    own = process.containers
    general = [rule.container for rule in rules if not rule.kind]
    labels = [rule.container for rule in rules if rule.kind == "withLabel"
              and any(rule.matches(label) for label in process.labels)]
    names = [rule.container for name in dict.fromkeys([process.name, alias]) for rule in rules
             if rule.kind == "withName" and rule.matches(name)]
    return [*([] if any(not each.guards for each in own) else general), *own, *labels, *names]


def _special(same: Sequence[Process], alias: str, rules: Sequence[Rule],
             resolver: Resolver) -> list[Selector]:
    """The selectors of rules that match this alias's qualified name alone."""
    patterns: dict[str, list[Directive]] = {}
    for rule in rules:
        if rule.kind == "withName" and not rule.matches(alias) and rule.fits(alias):
            patterns.setdefault(rule.pattern, []).append(rule.container)
    found = []
    for pattern, containers in patterns.items():
        images, choice = _folded([[*_layers(each, alias, rules), *containers] for each in same],
                                 resolver)
        if len(patterns) > 1 and all(each.guards for each in containers):
            choice = None  # where its condition fails, another of these patterns may hold
            images = images if len(images) > 1 else (*images, *images)
        found.append(Selector(pattern=f"(?=(?:{pattern})$)(.*:)?({alias})", images=images,
                              choice=choice))
    return found


def _folded(layers: Sequence[Sequence[Directive]], resolver: Resolver,
            ) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Images and choice of one name; several processes of that name must agree."""
    results = {_choice(each, resolver) for each in layers}
    if len(results) == 1:
        return results.pop()
    images = {image for result in results for image in result[0]}
    return tuple(sorted(images)), None


def _choice(layers: Sequence[Directive], resolver: Resolver,
            ) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The strongest layer's image, or an expression over those down to the first sure one."""
    images: dict[str, str] = {}
    texts: list[tuple[tuple[str | None, ...], str | None]] = []
    fixed = True
    for container in reversed(layers):
        here = {raw: image for _, raw, image in resolver.images(container)}
        images |= here
        fixed = fixed and not container.guards and len(container.values) == 1 and not any(
            isinstance(value, Default) for value in container.values)
        texts.append((container.guards, container.text))
        if not container.guards:
            break
    listed = tuple(sorted(images.items()))
    if fixed or not listed:
        return listed, None
    choice = "null"
    for guards, text in reversed(texts):
        if text is None or None in guards:
            return listed, None
        choice = f"({' && '.join(filter(None, guards))} ? {text} : {choice})" if guards else text
    return listed, choice
