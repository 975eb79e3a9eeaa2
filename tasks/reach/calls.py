"""Under which conditions the code of a pipeline runs, as its workflows call it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tasks.core.errors import ImageError
from tasks.core.source import bounded_regex
from tasks.core.source.groovy.expression import block, branches, evaluate, merged
from tasks.core.source.groovy.syntax import assignment, groovy
from tasks.core.source.groovy.tokens import NAME, NEWLINE, Token, tokenize
from tasks.core.source.groovy.values import Unknown, Values, truths
from tasks.core.source.scripts import LOOSE, PROCESS, WORKFLOW, Definition, Scripts, arguments
from tasks.reach.conditions import Frame, Guard, Known, Leaving, Way, short
from tasks.reach.maps import Read
from tasks.reach.text import flattened

MAX_VISITS = 20_000
"""Bounds the ways that are followed, which multiply where workflows call workflows."""


class Walk:
    """From the main script through all calls; `ways` has those to definitions and tokens.

    Both are found by their identity: `id(definition)`, and `id(token)` of the tokens `wanted`; the
    places that take members of maps, `reads` by their anchors, by `(id(token), param)` for each
    param that the map may come from. `unresolved` are names of methods that are called on what
    isn't known. `processes` is the resolved config's part of that name, for its `ext.when`.
    """

    def __init__(self, scripts: Scripts, values: Mapping[str, Values],
                 processes: Mapping[str, Any], wanted: Collection[int],
                 reads: Mapping[int, Read]) -> None:
        self.scripts, self.base, self.reads = scripts, dict(values), reads
        self.wanted = {*wanted, *reads}
        self.when = _conditions(processes)
        self.ways: dict[object, list[Way]] = {}
        self.unresolved: set[str] = set()
        self._seen: set[tuple[object, ...]] = set()
        self._stack: list[Definition] = []
        self._leading: dict[int, bool] = {}

    @property
    def visits(self) -> int:
        """How many definitions were visited, each once for each way and what is known there."""
        return len(self._seen)

    def surely_uncalled(self, definition: Definition | None) -> bool:
        """Whether no way to a definition can have been missed; None is what nothing names."""
        return len(self._seen) < MAX_VISITS and not (
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
        if definition in self._stack or key in self._seen or len(self._seen) >= MAX_VISITS:
            return
        self._seen.add(key)
        if definition.kind == PROCESS:
            way = self._asked(definition, way, known)
        self.ways.setdefault(id(definition), []).append(way)
        if definition.kind == PROCESS and not self._leads(definition):
            return
        self._stack.append(definition)
        for tokens in ([section for _, section in definition.sections()]
                       if definition.kind == PROCESS else [definition.body]):
            self._statements(tokens, definition, known, way)
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
                    way: Way) -> Leaving | None:
        """Follow the statements, those of closures and loops among them; when they are left.

        A `return` ends the block that it stands in, so its condition is one of what follows. What
        ends the whole run (`throw`, `exit`) is none: nobody sets a param to that end.
        """
        at, frames = 0, [Frame(way=way)]
        while at < len(tokens):
            token = tokens[at]
            if token.is_op("{"):
                frames.append(Frame(way=frames[-1].way,
                                    is_try=at > 0 and tokens[at - 1].is_name("try")))
            elif token.is_op("}") and len(frames) > 1:
                inner = frames.pop()
                if inner.is_try and inner.leaving:
                    frames[-1].leave(inner.leaving, f"{where.file}:{token.line}")
            if (token.is_name("if") and at + 1 < len(tokens) and tokens[at + 1].is_op("(")):
                line = token.line
                at, leaving = self._if(tokens, at, where, known, frames[-1].way)
                if leaving:
                    frames[-1].leave(leaving, f"{where.file}:{line}")
                continue
            if not at or tokens[at - 1].kind == NEWLINE or tokens[at - 1].is_op(";", "{", ":"):
                self._assign(tokens, at, known, sure=len(frames) == 1)
                if token.is_name("return"):
                    frames[-1].leave(Leaving(), "")
            self._token(tokens, at, where, known, frames[-1].way)
            at += 1
        return frames[0].leaving

    def _if(self, tokens: Sequence[Token], at: int, where: Definition, known: Known,
            way: Way) -> tuple[int, Leaving | None]:
        """The index behind an `if`, and under which condition it leaves the block around it."""
        branch = branches(tokens, at, known.values)
        self._statements(branch.condition, where, known, way)
        params = known.params(branch.condition)
        text = groovy([token for token in branch.condition if token.kind != NEWLINE])
        outcomes = []
        leaving: Leaving | None = None
        for goes, body in ((True, branch.then), (False, branch.otherwise)):
            condition = text if goes else f"!({text})"
            guard = Guard(text=short(condition), params=params,
                          place=f"{where.file}:{tokens[at].line}")
            inner = known.copy()
            left = self._statements(body, where, inner, way.under(guard, open_=goes in branch.ways))
            if left:
                left = left.within(Leaving(text=condition, params=params, ways=frozenset(
                    taken == goes for taken in branch.ways)))
                leaving = leaving.or_later(left) if leaving else left
            if goes in branch.ways:
                outcomes.append(inner)
            known.origins |= {name: tuple(dict.fromkeys([*inner.origins.get(name, ()), *params]))
                              for name in inner.values
                              if inner.values[name] != known.values.get(name)}
        known.values.update(merged([outcome.values for outcome in outcomes]))
        known.maps |= {name: tuple(dict.fromkeys(held for outcome in outcomes
                                                 for held in outcome.maps.get(name, ())))
                       for outcome in outcomes for name in outcome.maps}
        return max(branch.end, at + 1), leaving

    def _assign(self, tokens: Sequence[Token], at: int, known: Known, *, sure: bool) -> None:
        """Note a variable's value; within a closure or loop, what it had before can hold too."""
        named = assignment(tokens, at)
        if named is None:
            return
        values, end = evaluate(tokens, named[1], known.values)
        if end < len(tokens) and tokens[end].kind != NEWLINE and not tokens[end].is_op(";", "}"):
            values = frozenset([Unknown(named[0])])
        known.origins[named[0]] = known.params(tokens[named[1]:end])
        held = known.held(tokens[named[1]:end])
        known.maps[named[0]] = held if sure else (*known.maps.get(named[0], ()), *held)
        if known.is_params(tokens[named[1]:end]):
            known.call_params(named[0])
        before = frozenset() if sure else known.values.get(named[0], frozenset())
        known.values[named[0]] = values | before

    def _token(self, tokens: Sequence[Token], at: int, where: Definition, known: Known,
               way: Way) -> None:
        token = tokens[at]
        if id(token) in self.reads:
            read = self.reads[id(token)]
            for param in (read.via[:1] if read.root in known.params_names
                          else known.maps.get(read.root, ())):
                self.ways.setdefault((id(token), param), []).append(way)
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
            script = next((script for script in self.scripts.classes.values()
                           if script.file == where.file), None)
        own = script.definitions.get(name) if script else None
        return [own] if own else []

    def _bound(self, callee: Definition, given: Sequence[Sequence[Token]],
               known: Known) -> Known:
        """What the callee knows: what all code knows, and its arguments."""
        bound = Known(values=dict(self.base))
        for name, tokens in zip(callee.takes, given, strict=False):
            bound.values[name], _ = evaluate(tokens, 0, known.values)
            bound.origins[name] = known.params(tokens)
            bound.maps[name] = known.held(tokens)
            if name != "params" and known.is_params(tokens):
                bound.call_params(name)
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
        guard = Guard(text=short(groovy([token for token in tokens if token.kind != NEWLINE])),
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
        return bounded_regex.fullmatch(pattern, name)
    except re.error:
        return False


def _below(way: Way, token: Token, callee: Definition) -> str:
    """The qualified name of what is called; functions don't count."""
    if callee.kind not in (PROCESS, WORKFLOW):
        return way.name
    return f"{way.name}:{token.text}".lstrip(":")

