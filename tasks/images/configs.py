"""What a pipeline's configuration says on containers, in all files that it includes."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.images.expression import (
    ENGINE,
    PROJECT,
    branches,
    evaluate,
    skip_statement,
)
from tasks.images.scripts import Container
from tasks.images.sources import Sources, beside
from tasks.images.tokens import GSTRING, NAME, NEWLINE, STRING, Token, closing
from tasks.images.values import Unknown, Values

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

    def fits(self, name: str) -> bool:
        """Whether a process, alias or label of this plain name can be meant.

        A qualified pattern (`.*:SUB:NAME`) is held against the last part of each alternative:
        which workflows call a process is not known here.
        """
        negated = self.pattern.startswith("!")
        alternatives = [re.split(r":(?![^()]*\))", each)[-1]
                        for each in _alternatives(self.pattern.removeprefix("!"))]
        try:
            found = any(re.fullmatch(each, name) for each in alternatives)
        except re.error:
            return False
        return found != negated


@dataclass(kw_only=True)
class Settings:
    """Everything read from the configuration."""

    rules: list[Rule] = field(default_factory=list)
    params: dict[str, Values] = field(default_factory=dict)
    registry: Container | None = None
    main: str = "main.nf"


def read(sources: Sources, profiles: Collection[str]) -> Settings:
    """Follow `includeConfig` from nextflow.config, into those of its profiles that are used.

    Other profiles count for nothing: nf-core's `arm`, say, sets another platform's images.
    """
    settings = Settings()
    if sources.has(MAIN):
        _Reader(sources, settings, {*profiles, ENGINE}).file(MAIN, ())
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
    def __init__(self, sources: Sources, settings: Settings, profiles: Collection[str]) -> None:
        self.sources, self.settings, self.profiles = sources, settings, profiles
        self.open: list[str] = []

    def file(self, path: str, scope: tuple[str, ...]) -> None:
        """Read one file as if it stood in the blocks `scope`."""
        if path in self.open:
            return
        self.open.append(path)
        self.statements(self.sources.tokens(path), scope)
        self.open.pop()

    @property
    def names(self) -> dict[str, Values]:
        return {f"params.{name}": values for name, values in self.settings.params.items()}

    def statements(self, tokens: Sequence[Token], scope: tuple[str, ...]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.kind == NEWLINE or token.is_op(";", "}"):
                at += 1
            elif token.is_name("includeConfig"):
                at = self._include(tokens, at, scope)
            elif token.is_name("if") and at + 1 < len(tokens) and tokens[at + 1].is_op("("):
                ways, then, otherwise, at = branches(tokens, at, self.names)
                for way, body in ((True, then), (False, otherwise)):
                    if way in ways:
                        self.statements(body, scope)
            elif token.is_name("def", "class", "function"):
                at = max(skip_statement(tokens, at), at + 1)
            else:
                at = self._setting(tokens, at, scope)

    def _setting(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...]) -> int:
        """`a.b = value`, `a { … }` or `withName: 'X' { … }` at `at`."""
        path, end = _path(tokens, at)
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
        if in_profile and path[1] not in self.profiles:
            return
        own = path[2:] if in_profile else path
        if len(own) == 2 and own[0] == "params" and not in_profile:
            self.settings.params[own[1]] = evaluate(tokens, at, self.names)[0]
        elif own == ("docker", "registry"):
            found = self._container(tokens, at, self.names)
            if not in_profile or self.settings.registry is None:
                self.settings.registry = found
        elif own == ("manifest", "mainScript") and not in_profile:
            for value in evaluate(tokens, at, self.names)[0]:
                self.settings.main = value if isinstance(value, str) else self.settings.main
        elif own[:1] == ("process",) and own[-1] == "container":
            selector = next((SELECTOR.fullmatch(each) for each in reversed(own[1:-1])), None)
            self.settings.rules.append(Rule(
                kind=selector[1] if selector else "", pattern=selector[2] if selector else "",
                container=self._container(tokens, at, {})))

    def _container(self, tokens: Sequence[Token], at: int, names: dict[str, Values]) -> Container:
        values, _ = evaluate(tokens, at, names)
        return Container(values=values, file=self.open[-1], line=tokens[at - 1].line)

    def _include(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...]) -> int:
        values, end = evaluate(tokens, at + 1, self.names)
        for value in sorted(values, key=str):
            path = self._local(value, tokens[at].line)
            if path is not None and self.sources.has(path):
                self.file(path, scope)
        return max(skip_statement(tokens, end), at + 1)

    def _local(self, value: Any, line: int) -> str | None:
        """The included file's path in the pipeline; None where it lies elsewhere."""
        if isinstance(value, Unknown):
            sys.stderr.write(f"{self.open[-1]}:{line}: which file is included here hangs on "
                             f"{value.why}; containers that it sets are not listed\n")
        if not isinstance(value, str) or "://" in value:
            return None
        if value.startswith(PROJECT):
            return value[len(PROJECT) + 1:]
        return beside(self.open[-1], value)


def _path(tokens: Sequence[Token], at: int) -> tuple[tuple[str, ...], int]:
    """The name that a setting begins with, in parts, and the index behind it."""
    token = tokens[at]
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    if token.is_name("withName", "withLabel") and following is not None and following.is_op(":"):
        at += 2
        pattern = ""
        while at < len(tokens) and not tokens[at].is_op("{", ";") and tokens[at].kind != NEWLINE:
            pattern += tokens[at].text
            at += 1
        return (f"{token.text}:{pattern}",), _to_brace(tokens, at)
    parts: list[str] = []
    while at < len(tokens) and tokens[at].kind in (NAME, STRING, GSTRING):
        parts.append(tokens[at].text)
        at += 1
        if at < len(tokens) and tokens[at].is_op("."):
            at += 1
            continue
        break
    if parts and parts[0] == "catch" and at < len(tokens) and tokens[at].is_op("("):
        at = closing(tokens, at) + 1
    return tuple(parts), _to_brace(tokens, at)


def _to_brace(tokens: Sequence[Token], at: int) -> int:
    """The index of an opening brace that only line ends keep from `at`, else `at`."""
    end = at
    while end < len(tokens) and tokens[end].kind == NEWLINE:
        end += 1
    return end if end < len(tokens) and tokens[end].is_op("{") else at
