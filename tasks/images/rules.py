"""Which containers a pipeline's configuration sets, and for which processes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from tasks.core.source import patterns
from tasks.core.source.configs import MAIN, Include, Reader, Setting
from tasks.core.source.directives import Directive
from tasks.core.source.files import Sources
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.portable import portable
from tasks.core.source.groovy.tokens import NAME
from tasks.core.source.groovy.values import PROJECT, Names, Unknown, Values, known

SELECTOR = re.compile(r"(withName|withLabel)\s*:\s*(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A container that a selector sets; without a selector it is for all processes that have none.

    `kind` is withName, withLabel or empty, `pattern` the selector's regular expression.
    """

    kind: str
    pattern: str
    container: Directive

    def matches(self, name: str) -> bool:
        """Whether the selector holds for this very name, as Nextflow asks it."""
        try:
            found = patterns.fullmatch(self.pattern.removeprefix("!"), name)
        except re.error:
            return False
        return found != self.pattern.startswith("!")

    def fits(self, name: str) -> bool:
        """Whether a process, alias or label of this plain name can be meant.

        A qualified pattern (`.*:SUB:NAME`) is held against the last part of each alternative:
        which workflows call a process is not known here.
        """
        negated = self.pattern.startswith("!")
        alternatives = [re.split(r":(?![^()]*\))", each)[-1]
                        for each in _alternatives(self.pattern.removeprefix("!"))]
        try:
            found = any(patterns.fullmatch(each, name) for each in alternatives)
        except re.error:
            return False
        return found != negated


@dataclass(kw_only=True)
class Settings:
    """What the configuration says on containers; `names` are the values of dotted names."""

    names: dict[str, Values]
    rules: list[Rule] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    registry: Directive | None = None
    main: str = "main.nf"


def read(sources: Sources, profiles: Collection[str], engine: str) -> Settings:
    """Read nextflow.config and what it includes, with those of its profiles that are used.

    Other profiles count for nothing: nf-core's `arm`, say, sets another platform's images.
    """
    reader = Reader(sources, known(engine), profiles)
    settings = Settings(names=reader.names)
    closures: list[tuple[int, Setting]] = []
    for each in reader.read() if sources.has(MAIN) else ():
        if isinstance(each, Include):
            settings.notices += _notices(each)
        elif each.is_set and _is_container(each.path):
            if each.tokens[0].is_op("{"):
                closures.append((len(settings.rules), each))
            settings.rules.append(_rule(each, reader.known()))
        elif each.is_set:
            _note(settings, each, reader.known(), engine)
    for error in reader.broken.values():
        raise error
    settings.names.update(known(engine))
    for index, closure in closures:  # a run asks them when all is read
        values, _ = evaluate(closure.tokens, 0, {**settings.names, **closure.names})
        rule = settings.rules[index]
        settings.rules[index] = replace(rule, container=replace(rule.container, values=values))
    return settings


def _is_container(path: tuple[str, ...]) -> bool:
    return path[:1] == ("process",) and path[-1] == "container" and "ext" not in path


def _rule(each: Setting, names: Names) -> Rule:
    selector = next(filter(None, map(SELECTOR.fullmatch, reversed(each.path[1:-1]))), None)
    kind, pattern = selector.groups() if selector else ("", "")
    return Rule(kind=kind, pattern=pattern, container=_directive(each, names))


def _note(settings: Settings, each: Setting, names: Names, engine: str) -> None:
    """Note the engine's registry, the main script, and which `task.ext` a run can have."""
    if each.path == (engine, "registry"):
        if each.profile is None or settings.registry is None:
            settings.registry = _directive(each, names)
    elif each.path == ("manifest", "mainScript") and each.profile is None:
        for value in evaluate(each.tokens, 0, names)[0]:
            settings.main = value if isinstance(value, str) else settings.main
    elif each.path[:1] == ("process",) and "ext" in each.path:
        for name in _extensions(each):
            settings.names[f"task.ext.{name}"] = frozenset([Unknown(f"task.ext.{name}")])


def _extensions(each: Setting) -> list[str]:
    """Which `task.ext.NAME` have a value by `ext.NAME = …` or `ext = [NAME: …]`."""
    if each.path[-1] != "ext":
        return [each.path[-1]]
    return [token.text for token in each.tokens if token.kind == NAME]


def _directive(each: Setting, names: Names) -> Directive:
    values, end = evaluate(each.tokens, 0, names)
    return Directive(word=each.path[-1], values=values, file=each.file, line=each.line,
                     guards=each.guards, text=portable(each.tokens[:end]))


def _notices(include: Include) -> Iterator[str]:
    for value in include.missing:
        if value != "/dev/null":
            named = (f"whose path hangs on {value.why}," if isinstance(value, Unknown)
                     else str(value).replace(PROJECT, "$projectDir"))
            yield (f"{include.file}:{include.line}: the config {named} is not in the pipeline's "
                   "code; images that it sets are not listed")


def _alternatives(pattern: str) -> list[str]:
    """A regular expression's alternatives outside of all brackets, with one pair around undone."""
    depth, parts = 0, [""]
    for character in pattern:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    inner = re.fullmatch(r"\((?:\?:)?([^()]*)\)", pattern)
    return _alternatives(inner[1]) if inner else parts
