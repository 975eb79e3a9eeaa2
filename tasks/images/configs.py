"""What a pipeline's configuration says on containers, in all files that it includes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.core.source import patterns
from tasks.core.source.groovy.expression import PROJECT, branches, evaluate, known
from tasks.core.source.groovy.statements import local_path, setting
from tasks.core.source.groovy.syntax import skip_statement
from tasks.core.source.groovy.tokens import NAME, NEWLINE, Token, closing
from tasks.core.source.groovy.values import Default, Unknown, Values, unwrapped
from tasks.images.choice import guard, portable
from tasks.images.scripts import Container
from tasks.images.sources import Sources

MAIN = "nextflow.config"
SELECTOR = re.compile(r"(withName|withLabel)\s*:\s*(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A container that a selector sets; without a selector it is for all processes that have none.

    `kind` is withName, withLabel or empty, `pattern` the selector's regular expression.
    """

    kind: str
    pattern: str
    container: Container

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
    """Everything read from the configuration; `names` are the values of dotted names."""

    rules: list[Rule] = field(default_factory=list)
    names: dict[str, Values] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    registry: Container | None = None
    main: str = "main.nf"


def read(sources: Sources, profiles: Collection[str], engine: str) -> Settings:
    """Follow `includeConfig` from nextflow.config, into those of its profiles that are used.

    Other profiles count for nothing: nf-core's `arm`, say, sets another platform's images.
    """
    settings = Settings(names=known(engine))
    if sources.has(MAIN):
        reader = _Reader(sources, settings, profiles, engine)
        reader.file(MAIN, ())
        reader.finish()
    return settings


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


class _Reader:
    def __init__(self, sources: Sources, settings: Settings, profiles: Collection[str],
                 engine: str) -> None:
        self.sources, self.settings, self.profiles = sources, settings, profiles
        self.engine, self.names = engine, settings.names
        self.open: list[str] = []
        self.guards: list[str | None] = []
        self.closures: list[tuple[int, Sequence[Token], int]] = []

    def finish(self) -> None:
        """Ask the closures for their values, as a run does: when all is read."""
        for index, tokens, at in self.closures:
            rule = self.settings.rules[index]
            values = evaluate(tokens, at, self.names)[0]
            self.settings.rules[index] = replace(rule, container=replace(
                rule.container, values=values))

    def file(self, path: str, scope: tuple[str, ...]) -> None:
        """Read one file as if it stood in the blocks `scope`."""
        if path in self.open:
            return
        self.open.append(path)
        self.statements(self.sources.tokens(path), scope)
        self.open.pop()

    @contextmanager
    def guarded(self, guards: tuple[str | None, ...]) -> Iterator[None]:
        """Conditions hold for what is read in the block."""
        before = len(self.guards)
        self.guards += guards
        yield
        del self.guards[before:]

    def statements(self, tokens: Sequence[Token], scope: tuple[str, ...]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.kind == NEWLINE or token.is_op(";", "}"):
                at += 1
            elif token.is_name("includeConfig"):
                at = self._include(tokens, at, scope)
            elif token.is_name("if") and at + 1 < len(tokens) and tokens[at + 1].is_op("("):
                branch = branches(tokens, at, self.names)
                for way, body in branch.bodies():
                    with self.guarded(guard(branch, way)):
                        self.statements(body, scope)
                at = branch.end
            elif token.is_name("def", "class", "function"):
                at = max(skip_statement(tokens, at), at + 1)
            else:
                at = self._setting(tokens, at, scope)

    def _setting(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...]) -> int:
        """`a.b = value`, `a { … }` or `withName: 'X' { … }` at `at`."""
        path, end = setting(tokens, at)
        if not path:
            return max(skip_statement(tokens, at), at + 1)
        if end < len(tokens) and tokens[end].is_op("{"):
            close = closing(tokens, end)
            inner = (*scope, *(() if path[0] in ("try", "finally") else path))
            unused = (len(inner) > 1 and inner[0] == "profiles"
                      and inner[1] not in self.profiles)
            if path[0] != "catch" and not unused:
                self.statements(tokens[end + 1:close], inner)
            return close + 1
        if end < len(tokens) and tokens[end].is_op("="):
            self._assign((*scope, *path), tokens, end + 1)
            return skip_statement(tokens, end + 1)
        return max(skip_statement(tokens, end), at + 1)

    def _assign(self, path: tuple[str, ...], tokens: Sequence[Token], at: int) -> None:
        in_profile = path[0] == "profiles"
        if in_profile and path[1:2] and path[1] not in self.profiles:
            return
        own = path[2:] if in_profile else path
        if len(own) > 1 and own[0] == "params":
            self._param(".".join(own), tokens, at)
        elif own == (self.engine, "registry"):
            found = self._container(tokens, at)
            if not in_profile or self.settings.registry is None:
                self.settings.registry = found
        elif own == ("manifest", "mainScript") and not in_profile:
            for value in evaluate(tokens, at, self.names)[0]:
                self.settings.main = value if isinstance(value, str) else self.settings.main
        elif own[:1] == ("process",) and "ext" in own:
            self._extensions(own, tokens, at)
        elif own[:1] == ("process",) and own[-1] == "container":
            selector = next((SELECTOR.fullmatch(each) for each in reversed(own[1:-1])), None)
            if at < len(tokens) and tokens[at].is_op("{"):
                self.closures.append((len(self.settings.rules), tokens, at))
            self.settings.rules.append(Rule(
                kind=selector[1] if selector else "", pattern=selector[2] if selector else "",
                container=self._container(tokens, at)))

    def _param(self, name: str, tokens: Sequence[Token], at: int) -> None:
        values = evaluate(tokens, at, self.names)[0]
        self.names[name] = frozenset(
            value if isinstance(value, Unknown) else Default(unwrapped(value), name)
            for value in values)

    def _extensions(self, own: tuple[str, ...], tokens: Sequence[Token], at: int) -> None:
        """Remember which `task.ext.NAME` can have a value: `ext.NAME = …` or `ext = [NAME: …]`."""
        names = [own[-1]] if own[-1] != "ext" else [
            each.text for each in tokens[at:skip_statement(tokens, at)] if each.kind == NAME]
        for name in names:
            self.names[f"task.ext.{name}"] = frozenset([Unknown(f"task.ext.{name}")])

    def _container(self, tokens: Sequence[Token], at: int) -> Container:
        values, end = evaluate(tokens, at, self.names)
        return Container(values=values, file=self.open[-1], line=tokens[at - 1].line,
                         guards=tuple(self.guards), text=portable(tokens[at:end]))

    def _include(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...]) -> int:
        values, end = evaluate(tokens, at + 1, self.names)
        place = f"{self.open[-1]}:{tokens[at].line}"
        text = portable(tokens[at + 1:end])
        for value in sorted(map(unwrapped, values), key=str):
            path = self._local(value, place)
            if path is not None:
                with self.guarded(() if len(values) == 1 else (_chosen(text, value),)):
                    self.file(path, scope)
        return max(skip_statement(tokens, end), at + 1)

    def _local(self, value: Any, place: str) -> str | None:
        """The included file's path in the pipeline; None where it lies elsewhere, with a notice."""
        is_local = isinstance(value, str) and (value.startswith(PROJECT) or "://" not in value)
        path = local_path(value, self.open[-1]) if is_local else ""
        if path and self.sources.has(path):
            return path
        if value != "/dev/null":
            named = (f"whose path hangs on {value.why}," if isinstance(value, Unknown)
                     else str(value).replace(PROJECT, "$projectDir"))
            self.settings.notices.append(
                f"{place}: the config {named} is not in the pipeline's code; "
                "images that it sets are not listed")
        return None


def _chosen(text: str | None, value: str) -> str | None:
    """The condition under which the expression `text` names this file."""
    end = value.removeprefix(PROJECT).replace("\\", "\\\\").replace("'", "\\'")
    return None if text is None else f"{text}.toString().endsWith('{end}')"
