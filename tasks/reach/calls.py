"""Under which conditions the code of a pipeline is come to, as its workflows call it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.core.errors import ImageError
from tasks.core.source import patterns
from tasks.core.source.groovy.expression import block, branches, evaluate, merged
from tasks.core.source.groovy.syntax import assignment, groovy
from tasks.core.source.groovy.tokens import NAME, NEWLINE, Token, tokenize
from tasks.core.source.groovy.values import Unknown, Values, truths
from tasks.core.source.scripts import LOOSE, PROCESS, WORKFLOW, Definition, Scripts, arguments
from tasks.reach.text import flattened, params_of

VISITS = 20_000
"""Bounds the ways that are followed, which multiply where workflows call workflows."""
LONGEST = 80


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A condition, the params that it hangs on, and where it stands."""

    text: str
    params: tuple[str, ...]
    place: str

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return self.place.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to a place: the conditions that must hold, and the first that surely doesn't."""

    guards: tuple[Guard, ...] = ()
    cut: Guard | None = None
    name: str = ""

    def under(self, guard: Guard, *, open_: bool) -> Way:
        """The way behind a condition, which can hold where it is `open_`."""
        return Way(guards=(*self.guards, guard), name=self.name,
                   cut=self.cut or (None if open_ else guard))


@dataclass(kw_only=True)
class Known:
    """What names stand for at a place: their values, and the params that these come from."""

    values: dict[str, Values]
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def params(self, tokens: Sequence[Token]) -> tuple[str, ...]:
        """The params that an expression hangs on, by themselves or through names."""
        found = dict.fromkeys(params_of(tokens))
        for at, token in enumerate(tokens):
            if token.kind == NAME and not (at and tokens[at - 1].is_op(".", "?.")):
                found |= dict.fromkeys(self.origins.get(token.text, ()))
        return tuple(found)

    def copy(self) -> Known:
        """Another, which can be changed by itself."""
        return Known(values=dict(self.values), origins=dict(self.origins))


class Walk:
    """From the main script through all calls; `ways` has those to definitions and tokens.

    Both are found by their identity: `id(definition)`, and `id(token)` of the tokens `wanted`.
    `unresolved` are names of methods that are called on what isn't known.
    `processes` is the resolved config's part of that name, for its `ext.when`.
    """

    def __init__(self, scripts: Scripts, values: Mapping[str, Values],
                 processes: Mapping[str, Any], wanted: Collection[int]) -> None:
        self.scripts, self.base, self.wanted = scripts, dict(values), wanted
        self.when = _conditions(processes)
        self.ways: dict[int, list[Way]] = {}
        self.unresolved: set[str] = set()
        self._seen: set[tuple[object, ...]] = set()
        self._stack: list[Definition] = []
        self._leading: dict[int, bool] = {}

    def surely_uncalled(self, definition: Definition | None) -> bool:
        """Whether no way to a definition can have been missed; None is what nothing names."""
        return len(self._seen) < VISITS and not (
            definition and definition.name in self.unresolved)

    def run(self, main: str) -> None:
        """Follow every call, from the loose code of all files and the entry workflow."""
        for script in self.scripts.files.values():
            for name, definition in script.definitions.items():
                if definition.kind == LOOSE or (name == f"<{WORKFLOW}>" and script.file == main):
                    self._visit(definition, Known(values=dict(self.base)), Way())

    def _visit(self, definition: Definition, known: Known, way: Way) -> None:
        key = (id(definition), way.cut, way.name, tuple(guard for guard in way.guards),
               frozenset((name, known.values.get(name)) for name in definition.takes))
        if definition in self._stack or key in self._seen or len(self._seen) >= VISITS:
            return
        self._seen.add(key)
        if definition.kind == PROCESS:
            way = self._asked(definition, way, known)
        self.ways.setdefault(id(definition), []).append(way)
        if definition.kind == PROCESS and not self._leads(definition):
            return
        self._stack.append(definition)
        self._statements(definition.body, definition, known, way)
        self._stack.pop()

    def _leads(self, process: Definition) -> bool:
        """Whether anything in a process is wanted, or calls something; most have neither."""
        if id(process) not in self._leading:
            self._leading[id(process)] = any(
                id(token) in self.wanted or (
                    token.kind == NAME and self.scripts.meant(process.file, token.text))
                for token in flattened(process.body))
        return self._leading[id(process)]

    def _statements(self, tokens: Sequence[Token], where: Definition, known: Known,
                    way: Way) -> None:
        at = depth = 0
        while at < len(tokens):
            token = tokens[at]
            depth += token.is_op("{") - token.is_op("}")
            if (token.is_name("if") and at + 1 < len(tokens) and tokens[at + 1].is_op("(")):
                at = self._if(tokens, at, where, known, way)
                continue
            if not at or tokens[at - 1].kind == NEWLINE or tokens[at - 1].is_op(";", "{", ":"):
                self._assign(tokens, at, known, sure=depth == 0)
            self._token(tokens, at, where, known, way)
            at += 1

    def _if(self, tokens: Sequence[Token], at: int, where: Definition, known: Known,
            way: Way) -> int:
        branch = branches(tokens, at, known.values)
        self._statements(branch.condition, where, known, way)
        params = known.params(branch.condition)
        text = groovy([each for each in branch.condition if each.kind != NEWLINE])
        outcomes = []
        for goes, body in ((True, branch.then), (False, branch.otherwise)):
            guard = Guard(text=_short(text if goes else f"!({text})"), params=params,
                          place=f"{where.file}:{tokens[at].line}")
            inner = known.copy()
            self._statements(body, where, inner, way.under(guard, open_=goes in branch.ways))
            if goes in branch.ways:
                outcomes.append(inner)
            known.origins |= {name: tuple(dict.fromkeys([*inner.origins.get(name, ()), *params]))
                              for name in inner.values
                              if inner.values[name] != known.values.get(name)}
        known.values.update(merged([each.values for each in outcomes]))
        return max(branch.end, at + 1)

    def _assign(self, tokens: Sequence[Token], at: int, known: Known, *, sure: bool) -> None:
        """Note a variable's value; within a closure or loop, what it had before can hold too."""
        named = assignment(tokens, at)
        if named is None:
            return
        values, end = evaluate(tokens, named[1], known.values)
        if end < len(tokens) and tokens[end].kind != NEWLINE and not tokens[end].is_op(";", "}"):
            values = frozenset([Unknown(named[0])])
        known.origins[named[0]] = known.params(tokens[named[1]:end])
        before = frozenset() if sure else known.values.get(named[0], frozenset())
        known.values[named[0]] = values | before

    def _token(self, tokens: Sequence[Token], at: int, where: Definition, known: Known,
               way: Way) -> None:
        token = tokens[at]
        if id(token) in self.wanted:
            self.ways.setdefault(id(token), []).append(way)
        for part in token.parts:
            if not isinstance(part, str):
                self._statements(part, where, known, way)
        if token.kind != NAME:
            return
        called = at + 1 < len(tokens) and tokens[at + 1].is_op("(")
        piped = (at > 0 and tokens[at - 1].is_op("|", "&")) or (
            at + 1 < len(tokens) and tokens[at + 1].is_op("&"))
        callees = self._callees(tokens, at, where) if called or piped else []
        given = arguments(tokens, at + 1) if called and callees else []
        for callee in callees:
            self._visit(callee, self._bound(callee, given, known),
                        Way(guards=way.guards, cut=way.cut, name=_below(way, token, callee)))

    def _callees(self, tokens: Sequence[Token], at: int, where: Definition) -> list[Definition]:
        name = tokens[at].text
        if at > 1 and tokens[at - 1].is_op("."):
            script = self.scripts.classes.get(tokens[at - 2].text)
            if script is None:
                self.unresolved.add(name)
        elif where.file in self.scripts.files:
            return self.scripts.meant(where.file, name)
        else:
            script = next((each for each in self.scripts.classes.values()
                           if each.file == where.file), None)
        own = script.definitions.get(name) if script else None
        return [own] if own else []

    def _bound(self, callee: Definition, given: Sequence[Sequence[Token]],
               known: Known) -> Known:
        """What the callee knows: what all code knows, and its arguments."""
        bound = Known(values=dict(self.base))
        for name, tokens in zip(callee.takes, given, strict=False):
            bound.values[name], _ = evaluate(tokens, 0, known.values)
            bound.origins[name] = known.params(tokens)
        return bound

    def _asked(self, process: Definition, way: Way, known: Known) -> Way:
        """The way on, where the config gives the process an `ext.when` that it asks for."""
        best, rule = 0, None
        if not any(section == "when" for section, _ in process.sections()):
            return way
        for pattern, text in self.when:
            for rank, name in enumerate((process.name, way.name.rpartition(":")[2], way.name), 1):
                if rank >= best and _fits(pattern, name):
                    best, rule = rank, (pattern, text)
        if rule is None:
            return way
        try:
            tokens = tokenize(rule[1].strip().removeprefix("{").removesuffix("}"), "ext.when")
        except ImageError:
            return way
        guard = Guard(text=_short(groovy([each for each in tokens if each.kind != NEWLINE])),
                      params=known.params(tokens), place=f"ext.when of withName: '{rule[0]}'")
        return way.under(guard, open_=True in truths(block(tokens, known.values)))


def _conditions(processes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The `ext.when` of each withName selector, as Groovy."""
    return [(key.partition(":")[2].strip(), str(value["ext"]["when"]))
            for key, value in processes.items()
            if key.startswith("withName") and isinstance(value, dict)
            and isinstance(value.get("ext"), dict) and "when" in value["ext"]]


def _fits(pattern: str, name: str) -> bool:
    try:
        return patterns.fullmatch(pattern, name)
    except re.error:
        return False


def _below(way: Way, token: Token, callee: Definition) -> str:
    """The qualified name of what is called; functions don't count."""
    if callee.kind not in (PROCESS, WORKFLOW):
        return way.name
    return f"{way.name}:{token.text}".lstrip(":")


def _short(text: str) -> str:
    shown = re.sub(r"\s+", " ", text).strip()
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST - 1]}…"
