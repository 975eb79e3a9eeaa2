"""Which containers a pipeline's configuration sets, and for which processes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.core.source import bounded_regex
from tasks.core.source.configs import Include, Reader, Setting
from tasks.core.source.directives import Directive
from tasks.core.source.files import Sources
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.portable import portable
from tasks.core.source.groovy.values import (
    Names,
    Record,
    Unknown,
    Values,
    known,
    shown,
)
from tasks.images import institutional

SELECTOR = re.compile(r"(withName|withLabel)\s*:\s*(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A container that a selector sets; without a selector it is for all processes that have none.

    `kind` is withName, withLabel or empty, `pattern` the selector's regular expression. A `closure`
    is asked when a task is made, so its values hang on the process.
    """

    kind: str
    pattern: str
    container: Directive
    closure: Setting | None = field(default=None, compare=False)

    def matches(self, name: str) -> bool:
        """Whether the selector holds for this very name, as Nextflow asks it."""
        try:
            matched = bounded_regex.fullmatch(self.pattern.removeprefix("!"), name)
        except re.error:
            return False
        return matched != self.pattern.startswith("!")

    def fits(self, name: str) -> bool:
        """Whether a process, alias or label of this plain name can be meant.

        A qualified pattern (`.*:SUB:NAME`) is held against the last part of each alternative:
        which workflows call a process is not known here.
        """
        negated = self.pattern.startswith("!")
        alternatives = [re.split(r":(?![^()]*\))", part)[-1]
                        for part in _alternatives(self.pattern.removeprefix("!"))]
        try:
            matched = any(bounded_regex.fullmatch(part, name) for part in alternatives)
        except re.error:
            return False
        return matched != negated


@dataclass(kw_only=True)
class Settings:
    """What the configuration says on containers; `names` are the values of dotted names.

    `extensions` are rules of the same form for `task.ext`, by the first part of its keys; `own` the
    names that closures of a config know beside these.
    """

    names: dict[str, Values]
    own: dict[str, Values]
    rules: list[Rule] = field(default_factory=list)
    extensions: dict[str, list[Rule]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    registry: Directive | None = None
    main: str = "main.nf"


def read(sources: Sources, profiles: Collection[str], engine: str,
         configs: Path | None = None) -> Settings:
    """Read nextflow.config and what it includes, with those of its profiles that are used.

    `configs` are institutional ones that are carried, a folder or a tar.

    Other profiles count for nothing: nf-core's `arm`, say, sets another platform's images.
    """
    reader = Reader(sources, known(engine), profiles)
    settings = Settings(names=reader.names, own=reader.settings)
    for statement in institutional.statements(sources, reader, configs):
        if isinstance(statement, Include):
            settings.notices += _notices(statement)
        elif statement.is_set and _is_container(statement.path):
            settings.rules.append(_rule(statement, _directive(statement, reader.known())))
        elif statement.is_set:
            _note(settings, statement, reader.known(), engine)
    for error in reader.broken.values():
        raise error
    settings.names.update(known(engine))
    settings.names.update((f"workflow.{name}", values) for name, values in reader.settings.items()
                          if name.startswith("manifest."))
    return settings


def _is_container(path: tuple[str, ...]) -> bool:
    return path[:1] == ("process",) and path[-1] == "container" and "ext" not in path


def _rule(setting: Setting, container: Directive) -> Rule:
    selector = next(filter(None, map(SELECTOR.fullmatch, reversed(setting.path[1:-1]))), None)
    kind, pattern = selector.groups() if selector else ("", "")
    return Rule(kind=kind, pattern=pattern, container=container,
                closure=setting if setting.tokens[0].is_op("{") else None)


def _note(settings: Settings, setting: Setting, names: Names, engine: str) -> None:
    """Note the engine's registry, the main script, and which `task.ext` a run can have."""
    if setting.path == (engine, "registry"):
        if setting.profile is None or settings.registry is None:
            settings.registry = _directive(setting, names)
    elif setting.path == ("manifest", "mainScript") and setting.profile is None:
        for value in evaluate(setting.tokens, 0, names)[0]:
            settings.main = value if isinstance(value, str) else settings.main
    elif setting.path[:1] == ("process",) and "ext" in setting.path:
        for rule in _extensions(setting, names):
            key = rule.container.word.partition(".")[0]
            settings.extensions.setdefault(key, []).append(rule)


def _extensions(setting: Setting, known: Names) -> Iterator[Rule]:
    """A rule for each `task.ext.NAME` that `ext.NAME = …` or `ext = [NAME: …]` sets.

    `known` are the values of settings, this one's among them.
    """
    at = setting.path.index("ext")
    values = known.get(".".join(setting.path))
    if values is None and not setting.tokens[0].is_op("{"):
        values = evaluate(setting.tokens, 0, known)[0]
    directive = Directive(word=".".join(setting.path[at + 1:]), values=values or frozenset(),
                          file=setting.file, line=setting.line, guards=setting.guards)
    rule = _rule(replace(setting, path=setting.path[:at + 1]), directive)
    if directive.word:
        yield rule
        return
    for value in directive.values:
        for key, item in value.items if isinstance(value, Record) else ():
            yield replace(rule, container=replace(directive, word=str(key), values=item))


def _directive(setting: Setting, names: Names) -> Directive:
    values: Values = frozenset()
    end = len(setting.tokens)
    if not setting.tokens[0].is_op("{"):  # what a closure is hangs on the process
        values, end = evaluate(setting.tokens, 0, names)
    return Directive(word=setting.path[-1], values=values, file=setting.file, line=setting.line,
                     guards=setting.guards, text=portable(setting.tokens[:end]))


def _notices(include: Include) -> Iterator[str]:
    for value in include.missing:
        if value != "/dev/null":
            named = (f"whose path hangs on {value.why}," if isinstance(value, Unknown)
                     else shown(str(value)))
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
