"""`task.ext`: what a pipeline's config and its processes set for their own use.

It is set in the order of precedence of all settings (layers.py), key by key; a closure is asked
when a task is made, and knows the other keys. A text counts as it stands, but what is true or
false is a switch, which the config of a run can turn: a condition on it goes both ways.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.syntax import begins_statement, skip_statement
from tasks.core.source.groovy.tokens import OP, Token
from tasks.core.source.groovy.values import Default, Names, Record, Values, set_name
from tasks.core.source.scripts import Definition
from tasks.images.rules import Rule, Settings

TASK_EXT = "task.ext"


def extensions(process: Definition, labels: Collection[str], called: Iterable[str],
               settings: Settings) -> list[dict[str, Values]]:
    """The names `task.ext.KEY` with their values, once for each way in which a process is called.

    `called` are the names by which it is called, qualified ones among them.
    """
    keys = asked(next(process.sections())[1])
    for rule in settings.rules:
        keys |= asked(rule.closure.tokens) if rule.closure else set()
    needed = _needed(settings.extensions, keys)
    results: list[dict[str, Values]] = []
    for name in sorted(called):
        names = _of_call(process, _layers(process, labels, name, needed), settings.own)
        if names not in results:
            results.append(names)
    return results or [{}]


def _needed(rules: Mapping[str, Sequence[Rule]], keys: set[str]) -> list[Rule]:
    """The rules for these keys, and for those that their closures ask for; most set arguments of
    programs, which no image hangs on. An empty key among `keys` stands for all.
    """
    needed: dict[str, Sequence[Rule]] = {}
    waiting = [*keys]
    while waiting:
        key = waiting.pop()
        if key in needed:
            continue
        needed[key] = rules.get(key, ())
        waiting += [] if key else [*rules]
        waiting += [other for rule in needed[key] if rule.closure is not None
                    for other in asked(rule.closure.tokens)]
    return [rule for fitting in needed.values() for rule in fitting]


def asked(tokens: Sequence[Token]) -> set[str]:
    """The keys of `task.ext` that tokens ask for; an empty one where that isn't plain."""
    keys: set[str] = set()
    for at, token in enumerate(tokens):
        for part in token.parts:
            keys |= asked(part) if not isinstance(part, str) else set()
        if token.is_name("ext") and at >= 2 and tokens[at - 2].is_name("task"):
            following = tokens[at + 1:at + 3]
            plain = (len(following) == 2 and following[0].is_op(".", "?.")
                     and tokens[at + 3:at + 4] != [Token(OP, "(", following[1].line)])
            keys.add(following[1].text if plain else "")
    return keys


def _layers(process: Definition, labels: Collection[str], name: str,
            rules: Sequence[Rule]) -> Iterator[Rule | Record]:
    """What sets keys, the strongest last: rules, and the process's own directives."""
    yield from (rule for rule in rules if not rule.kind)
    yield from own_directives(process)
    for label in (rule for rule in rules if rule.kind == "withLabel"):
        if any(label.matches(text) for text in labels):
            yield label
    for plain in dict.fromkeys([process.name, name.rpartition(":")[2], name]):
        yield from (rule for rule in rules if rule.kind == "withName" and rule.matches(plain))


def own_directives(process: Definition) -> Iterator[Record]:
    """The process's own `ext KEY: value, …`."""
    _, tokens = next(process.sections())
    for at, token in enumerate(tokens):
        if not token.is_name("ext") or not begins_statement(tokens, at):
            continue
        end = skip_statement(tokens, at)
        words = [word for word in tokens[at + 1:end] if not word.is_op("=")]
        if words and words[0].is_op("(", "["):
            words = words[1:-1]
        listed = [Token(OP, "[", token.line), *words, Token(OP, "]", token.line)]
        for value in evaluate(listed, 0, process.names)[0]:
            if isinstance(value, Record):
                yield value


def _of_call(process: Definition, layers: Iterable[Rule | Record],
             own: Names) -> dict[str, Values]:
    names: dict[str, Values] = {}
    closures: dict[str, list[Rule]] = {}
    for layer in layers:
        if isinstance(layer, Record):
            for key, values in layer.items:
                set_name(names, f"{TASK_EXT}.{key}", values)
                closures.pop(f"{TASK_EXT}.{key}", None)
            continue
        name = f"{TASK_EXT}.{layer.container.word}"
        is_sure = not layer.container.guards
        if is_sure:
            closures.pop(name, None)
        if layer.closure is not None:
            closures.setdefault(name, []).append(layer)
            names[name] = frozenset() if is_sure else names.get(name, frozenset())
        else:
            before = frozenset() if is_sure else names.get(name, frozenset())
            set_name(names, name, layer.container.values | before)
    for name, rules in _in_order(closures):
        for rule in rules:
            if rule.closure is not None:
                known = {**own, **process.names, **rule.closure.names, **names}
                names[name] = names[name] | evaluate(rule.closure.tokens, 0, known)[0]
    return {name: frozenset(Default(value, name) if isinstance(value, bool) else value
                            for value in values) for name, values in names.items()}


def _in_order(closures: dict[str, list[Rule]]) -> Iterator[tuple[str, list[Rule]]]:
    """Closures that ask for no other closure's key first."""
    waiting = dict(closures)
    while waiting:
        ready = [name for name, rules in waiting.items() if not any(
            f"{TASK_EXT}.{key}" in waiting for rule in rules if rule.closure is not None
            for key in asked(rule.closure.tokens) if f"{TASK_EXT}.{key}" != name)]
        for name in ready or [*waiting]:
            yield name, waiting.pop(name)
