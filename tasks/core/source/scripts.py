"""The scripts of a pipeline: their processes, workflows and functions, and what each includes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tasks.core.errors import AirlockError, ImageError
from tasks.core.source.definitions import (
    COMMANDS,
    LOOSE,
    PROCESS,
    WORKFLOW,
    Definition,
    definition,
)
from tasks.core.source.files import Sources
from tasks.core.source.functions import FileLibrary
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.library import LIBRARY
from tasks.core.source.groovy.syntax import (
    arguments,
    assignment,
    begins_statement,
    skip_statement,
)
from tasks.core.source.groovy.tokens import NAME, NEWLINE, Token, closing
from tasks.core.source.groovy.values import (
    PROJECT,
    Names,
    Unset,
    Values,
    defaults,
    lookup,
    set_name,
    unwrapped,
)
from tasks.core.source.include_statement import included_by, is_include, script_of
from tasks.core.source.params import Given, declared, param_set

__all__ = ["COMMANDS", "LOOSE", "PROCESS", "WORKFLOW", "Definition", "Include", "Script",
           "Scripts", "arguments"]
MAX_READS = 10
"""How often one file is read again because another includes it with other params."""


@dataclass(frozen=True, kw_only=True)
class Include:
    """`include { name as alias }` from another `file` of the code."""

    name: str
    alias: str
    file: str


@dataclass(kw_only=True)
class Script:
    """One file: its definitions, and what the names that it includes mean elsewhere.

    Branches can include different things by one name. `handed_on` are the params that other files
    get from it, `fields` those of its classes, by `Class.field`.
    """

    file: str
    definitions: dict[str, Definition] = field(default_factory=dict)
    includes: list[Include] = field(default_factory=list)
    handed_on: list[tuple[str, Given]] = field(default_factory=list)
    fields: dict[str, Values] = field(default_factory=dict)


class Scripts:
    """All files that the main script reaches, and the classes of `lib`, by their name.

    `names` are the values that hold in every script: the engine's, and the params. `broken` are
    files that can't be read, `lost` says by file and line which includes can't be followed.
    """

    def __init__(self, sources: Sources, names: Names) -> None:
        self.sources, self.names = sources, names
        self.files: dict[str, Script] = {}
        self.classes: dict[str, Script] = {}
        self.broken: dict[str, AirlockError] = {}
        self.lost: dict[tuple[str, int], ImageError] = {}
        self.calls = 0
        self._given: dict[str, list[Given]] = {}

    def follow(self, *paths: str) -> None:
        """Read these scripts, and all that they include, directly or not."""
        waiting = [(path, Given()) for path in paths]
        while waiting:
            path, given = waiting.pop()
            before = self._given.setdefault(path, [])
            if given in before or len(before) >= MAX_READS:
                continue
            if before:
                given = given.joined(before[-1])
            before.append(given)
            script = self.files[path] = Script(file=path)
            _Reader(self, script, given).read(self._tokens(path))
            waiting += script.handed_on

    def libraries(self) -> None:
        """Read the classes of `lib`, which all scripts know."""
        for name in self._libraries:
            self._library(name)

    @cached_property
    def _libraries(self) -> dict[str, str]:
        """The files of `lib`, by the name of the class that each holds."""
        return {path.rpartition("/")[2].removesuffix(".groovy"): path
                for path in self.sources.below("lib/") if path.endswith(".groovy")}

    def _library(self, name: str) -> Script | None:
        if name not in self.classes and name in self._libraries:
            script = self.classes[name] = Script(file=self._libraries[name])
            _Reader(self, script, Given()).read(self._tokens(script.file))
        return self.classes.get(name)

    def members(self, name: str,
                file: str) -> tuple[Mapping[str, Definition], Mapping[str, Values]]:
        """The methods and the fields of a class of `lib`, or of the file itself."""
        script = self._library(name) or self._script(file)
        if script is None:
            return {}, {}
        start = f"{name}."
        return script.definitions if name in self.classes else {}, {
            field[len(start):]: values for field, values in script.fields.items()
            if field.startswith(start)}

    def _script(self, file: str) -> Script | None:
        return self.files.get(file) or next(
            (script for script in self.classes.values() if script.file == file), None)

    def meant(self, file: str, name: str) -> list[Definition]:
        """The definitions that a name can mean in a file: its own, or those that it includes."""
        definitions: dict[int, Definition] = {}
        waiting, visited = [(file, name)], set()
        while waiting:
            at = waiting.pop()
            script = self._script(at[0])
            if at in visited or script is None:
                continue
            visited.add(at)
            own = script.definitions.get(at[1])
            if own is not None:
                definitions[id(own)] = own
            else:
                waiting += [(include.file, include.name) for include in reversed(script.includes)
                            if include.alias == at[1]]
        return list(definitions.values())

    def all(self) -> Iterator[Definition]:
        """Every definition, by file."""
        for script in [*self.files.values(), *self.classes.values()]:
            yield from script.definitions.values()

    def _tokens(self, path: str) -> Sequence[Token]:
        try:
            return self.sources.tokens(path)
        except AirlockError as error:
            self.broken[path] = error
            return ()


class _Reader:
    """Notes the definitions of one file or class, its includes, and the loose code between."""

    def __init__(self, scripts: Scripts, script: Script, given: Given) -> None:
        self.scripts, self.script, self.given = scripts, script, given
        folder = posixpath.dirname(script.file)
        self.names: dict[str, Values] = {
            **given.names(scripts.names),
            "moduleDir": frozenset([f"{PROJECT}/{folder}" if folder else PROJECT]),
            LIBRARY: frozenset([FileLibrary(scripts, script.file)])}
        self.params: dict[str, Values] = {}
        self.assigned: dict[str, Values] = {}
        self._shared = False

    def read(self, tokens: Sequence[Token]) -> None:
        loose: list[Token] = []
        at = depth = 0
        while at < len(tokens):
            token = tokens[at]
            end = at + 1
            if token.kind != NAME:
                depth += token.is_op("{") - token.is_op("}")
                if token.is_op("(", "["):
                    end = closing(tokens, at) + 1
            elif is_include(tokens, at):
                end = self._include(tokens, at)
            elif _is_class(tokens, at):
                at = self._class(tokens, at)
                continue
            elif begins_statement(tokens, at):
                defined = self._define(tokens, at)
                if defined is not None:
                    at = defined
                    continue
                end = self._assign(tokens, at, sure=depth == 0)
            loose += tokens[at:end]
            at = max(end, at + 1)
        if any(token.kind != NEWLINE for token in loose):
            self._loose(loose)

    def _loose(self, loose: Sequence[Token]) -> None:
        before = self.script.definitions.get(f"<{LOOSE}>")
        body = [*(before.body if before else ()), *loose]
        self.script.definitions[f"<{LOOSE}>"] = Definition(
            kind=LOOSE, name="", file=self.script.file, line=body[0].line, body=body)

    def _class(self, tokens: Sequence[Token], at: int) -> int:
        """Note a class's methods and fields; the index behind it."""
        brace = at
        while not tokens[brace].is_op("{", ";") and brace + 1 < len(tokens):
            brace += 1
        end = closing(tokens, brace) if tokens[brace].is_op("{") else brace
        inner = _Reader(self.scripts, self.script, self.given)
        inner.read(tokens[brace + 1:end])
        self.script.fields.update((f"{tokens[at + 1].text}.{name}", values)
                                  for name, values in inner.assigned.items())
        return end + 1

    def _define(self, tokens: Sequence[Token], at: int) -> int | None:
        """Note the definition that begins at `at`; the index behind it, if there is one."""
        defined = definition(self.script.file, tokens, at)
        if defined is None:
            return None
        noted, end = defined
        noted.names, self._shared = self.names, True
        self.script.definitions[noted.name or f"<{WORKFLOW}>"] = noted
        if noted.kind == WORKFLOW:  # the first releases of DSL 2 include in its body
            for index in range(len(noted.body)):
                if is_include(noted.body, index):
                    self._include(noted.body, index)
        return end

    def _assign(self, tokens: Sequence[Token], at: int, *, sure: bool) -> int:
        """Note a variable's or param's value; within braces, which a run may pass over, what it had
        before can hold too.
        """
        if tokens[at].is_name("params") and tokens[at + 1:at + 2] and tokens[at + 1].is_op("{"):
            for name, default in declared(tokens, at + 1):
                self._param((name,), evaluate(default, 0, self.names)[0], sure=sure)
            return closing(tokens, at + 1) + 1
        param = param_set(tokens, at)
        if param is not None:
            self._param(param[0], evaluate(tokens, param[1], self.names)[0], sure=sure)
            return skip_statement(tokens, param[1])
        value = assignment(tokens, at)
        if value is None:
            return at + 1
        name, start = value
        values, _ = evaluate(tokens, start, self.names)
        before = frozenset() if sure else self.names.get(name, frozenset())
        self._own_names()[name] = self.assigned[name] = values | before
        return skip_statement(tokens, start)

    def _own_names(self) -> dict[str, Values]:
        """The names, to be changed: those of the definitions before this line stay."""
        if self._shared:
            self.names, self._shared = dict(self.names), False
        return self.names

    def _param(self, path: tuple[str, ...], values: Values, *, sure: bool) -> None:
        """Set a param where nothing has set it yet, or a member of one that is a map."""
        name, top = ".".join(("params", *path)), f"params.{path[0]}"
        values = defaults(values, name)  # where it may be null or not, a run gives what it needs
        values = frozenset(value for value in values if unwrapped(value) is not None) or values
        if len(path) == 1:
            absent = Unset(top) in self.given.params.get(top, ())
            if name in self.params:
                values = self.params[name] if sure else self.params[name] | values
            elif absent:
                values |= self.names.get(name, frozenset())
            elif lookup(self.names, top) is not None:
                return
        set_name(self._own_names(), name, values)
        self.params[name] = values

    def _include(self, tokens: Sequence[Token], at: int) -> int:
        """Note what the `include` at `at` names; the index behind it."""
        file = self.script.file
        included, values, options, end = included_by(tokens, at, self.names)
        for value in map(unwrapped, values):
            if str(value).startswith("plugin/"):
                continue
            try:
                path = script_of(self.scripts.sources, value, file, tokens[at].line)
            except ImageError as error:
                self.scripts.lost[file, tokens[at].line] = error
            else:
                self.script.includes += [Include(name=name, alias=alias, file=path)
                                         for name, alias in included]
                self.script.handed_on.append(
                    (path, self.given.handed_on(self.params, options, self.names)))
        return end


def _is_class(tokens: Sequence[Token], at: int) -> bool:
    """Whether `class NAME …` stands here; a record has types alone."""
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    return (following is not None and following.kind == NAME
            and tokens[at].is_name("class", "enum", "interface", "trait", "record")
            and any(token.is_op("{") for token in tokens[at + 2:at + 12]))
