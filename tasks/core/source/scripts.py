"""The scripts of a pipeline: their processes, workflows and functions, and what each includes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tasks.core.errors import AirlockError, ImageError
from tasks.core.source.files import Sources
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.syntax import (
    arguments,
    assignment,
    begins_statement,
    skip_newlines,
    skip_statement,
)
from tasks.core.source.groovy.tokens import NAME, NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import Names, unwrapped
from tasks.core.source.include_statement import included_by, is_include, script_of

PROCESS, WORKFLOW, FUNCTION, LOOSE = "process", "workflow", "function", "loose"
SECTIONS = ("take", "main", "emit", "publish", "onComplete", "onError")
PROCESS_SECTIONS = ("input", "output", "when", "script", "shell", "exec", "stub", "topic")
COMMANDS = ("script", "shell", "exec", "stub")
NO_TYPES = ("assert", "case", "else", "new", "return", "throw")
"""Keywords that a call may follow; another name before one makes it a function's definition."""


@dataclass(eq=False, kw_only=True)
class Definition:
    """Something that can be called; `takes` are the names that a call's arguments get.

    Loose code is what a file runs by itself; it has no name. `names` are the values of names where
    it stands.
    """

    kind: str
    name: str
    file: str
    line: int
    body: Sequence[Token]
    takes: tuple[str, ...] = ()
    names: Names = field(default_factory=dict)

    def sections(self) -> Iterator[tuple[str, Sequence[Token]]]:
        """A process's directives, by an empty name, and its sections."""
        name, start = "", 0
        for at, token in enumerate(self.body):
            following = self.body[at + 1] if at + 1 < len(self.body) else None
            if (token.is_name(*PROCESS_SECTIONS) and following is not None
                    and following.is_op(":") and begins_statement(self.body, at)):
                yield name, self.body[start:at]
                name, start = token.text, at + 2
        yield name, self.body[start:]


@dataclass(frozen=True, kw_only=True)
class Include:
    """`include { name as alias }` from another `file` of the code."""

    name: str
    alias: str
    file: str


@dataclass(kw_only=True)
class Script:
    """One file: its definitions, and what the names that it includes mean elsewhere.

    Branches can include different things by one name.
    """

    file: str
    definitions: dict[str, Definition] = field(default_factory=dict)
    includes: list[Include] = field(default_factory=list)


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

    def follow(self, *paths: str) -> None:
        """Read these scripts, and all that they include, directly or not."""
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            if path not in self.files:
                script = self.files[path] = Script(file=path)
                _Reader(self, script).read(self._tokens(path))
                waiting += [include.file for include in script.includes]

    def libraries(self) -> None:
        """Read the classes of `lib`, which all scripts know."""
        for path in self.sources.below("lib/"):
            if path.endswith(".groovy"):
                script = Script(file=path)
                _Reader(self, script).read(self._tokens(path))
                self.classes[path.rpartition("/")[2].removesuffix(".groovy")] = script

    def meant(self, file: str, name: str) -> list[Definition]:
        """The definitions that a name can mean in a file: its own, or those that it includes."""
        definitions: dict[int, Definition] = {}
        waiting, visited = [(file, name)], set()
        while waiting:
            at = waiting.pop()
            if at in visited or at[0] not in self.files:
                continue
            visited.add(at)
            script = self.files[at[0]]
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

    def __init__(self, scripts: Scripts, script: Script) -> None:
        self.scripts, self.script = scripts, script
        self.names = dict(scripts.names)
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

    def _define(self, tokens: Sequence[Token], at: int) -> int | None:
        """Note the definition that begins at `at`; the index behind it, if there is one."""
        if tokens[at].is_name("class", "enum", "interface") and tokens[at + 1:at + 2]:
            brace = at
            while not tokens[brace].is_op("{", ";") and brace + 1 < len(tokens):
                brace += 1
            end = closing(tokens, brace) if tokens[brace].is_op("{") else brace
            _Reader(self.scripts, self.script).read(tokens[brace + 1:end])
            return end + 1
        defined = _definition(self.script.file, tokens, at)
        if defined is None:
            return None
        definition, end = defined
        definition.names, self._shared = self.names, True
        self.script.definitions[definition.name or f"<{WORKFLOW}>"] = definition
        if definition.kind == WORKFLOW:  # the first releases of DSL 2 include in its body
            for index in range(len(definition.body)):
                if is_include(definition.body, index):
                    self._include(definition.body, index)
        return end

    def _assign(self, tokens: Sequence[Token], at: int, *, sure: bool) -> int:
        """Note a variable's value; within braces, which a run may pass over, what it had before
        can hold too.
        """
        value = assignment(tokens, at)
        if value is None:
            return at + 1
        name, start = value
        values, _ = evaluate(tokens, start, self.names)
        before = frozenset() if sure else self.names.get(name, frozenset())
        if self._shared:  # by the definitions before this line
            self.names, self._shared = dict(self.names), False
        self.names[name] = values | before
        return skip_statement(tokens, start)

    def _include(self, tokens: Sequence[Token], at: int) -> int:
        """Note what the `include` at `at` names; the index behind it."""
        file = self.script.file
        included, values, end = included_by(tokens, at, self.names)
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
        return end


def _definition(file: str, tokens: Sequence[Token], at: int) -> tuple[Definition, int] | None:
    """A process, workflow or function that begins at `at`, and the index behind it."""
    kind = tokens[at].text if tokens[at].is_name(PROCESS, WORKFLOW) else FUNCTION
    name, bracket, brace = (_function_head if kind == FUNCTION else _head)(tokens, at)
    if brace >= len(tokens) or not tokens[brace].is_op("{") or not (name or kind == WORKFLOW):
        return None
    end = closing(tokens, brace)
    body = tokens[brace + 1:end]
    takes: tuple[str, ...] = ()
    if kind == WORKFLOW:
        takes = _takes(body)
    elif kind == FUNCTION:
        takes = tuple(map(_last_name, arguments(tokens, bracket)))
    return Definition(kind=kind, name=name, file=file, line=tokens[at].line, body=body,
                      takes=takes), end + 1


def _head(tokens: Sequence[Token], at: int) -> tuple[str, int, int]:
    """The name behind `process` or `workflow`, and twice the index at which its brace must be."""
    name, brace = "", skip_newlines(tokens, at + 1)
    if brace < len(tokens) and tokens[brace].kind in (NAME, STRING):
        name, brace = tokens[brace].text, skip_newlines(tokens, brace + 1)
    return name, brace, brace


def _function_head(tokens: Sequence[Token], at: int) -> tuple[str, int, int]:
    """`def NAME(…)` or `Type NAME(…)`: the name, and the indexes of its bracket and brace.

    The name is empty where no function begins.
    """
    bracket = at
    while bracket < len(tokens) and (tokens[bracket].kind == NAME or tokens[bracket].is_op(
            "<", ">", "[", "]", ".", "?")):
        bracket += 1
    if (bracket - at < 2 or bracket >= len(tokens) or not tokens[bracket].is_op("(")
            or tokens[at].is_name(*NO_TYPES)):
        return "", bracket, bracket
    return (tokens[bracket - 1].text, bracket,
            skip_newlines(tokens, closing(tokens, bracket) + 1))


def _takes(body: Sequence[Token]) -> tuple[str, ...]:
    """The names below `take:`, one a line."""
    names: list[str] = []
    inside = False
    for at, token in enumerate(body):
        if token.kind != NAME or not begins_statement(body, at):
            continue
        if token.text in SECTIONS and at + 1 < len(body) and body[at + 1].is_op(":"):
            inside = token.text == "take"
            if inside:  # the first may stand on the same line
                following = skip_newlines(body, at + 2)
                if following == at + 2 and following < len(body):
                    names.append(body[following].text)
        elif inside:
            names.append(token.text)
    return tuple(names)


def _last_name(tokens: Sequence[Token]) -> str:
    """The name of a parameter, which its type stands before and its default behind."""
    names = []
    for token in tokens:
        if token.is_op("="):
            break
        names += [token.text] if token.kind == NAME else []
    return names[-1] if names else ""
