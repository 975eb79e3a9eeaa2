"""What a script defines: processes, workflows and functions, as its tokens say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tasks.core.source.groovy.syntax import arguments, begins_statement, skip_newlines
from tasks.core.source.groovy.tokens import NAME, STRING, Token, closing
from tasks.core.source.groovy.values import Names

PROCESS, WORKFLOW, FUNCTION, LOOSE = "process", "workflow", "function", "loose"
SECTIONS = ("take", "main", "emit", "publish", "onComplete", "onError")
PROCESS_SECTIONS = ("input", "stage", "output", "when", "script", "shell", "exec", "stub",
                    "topic")
COMMANDS = ("script", "shell", "exec", "stub")
NO_TYPES = ("assert", "case", "else", "new", "return", "throw")
"""Keywords that a call may follow; another name before one makes it a function's definition."""


@dataclass(eq=False, kw_only=True)
class Definition:
    """Something that can be called; `takes` are the names that a call's arguments get.

    `parameters` are a function's, as they stand, with types and defaults. Loose code is what a file
    runs by itself; it has no name. `names` are the values of names where it stands.
    """

    kind: str
    name: str
    file: str
    line: int
    body: Sequence[Token]
    takes: tuple[str, ...] = ()
    parameters: Sequence[Sequence[Token]] = ()
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


def definition(file: str, tokens: Sequence[Token], at: int) -> tuple[Definition, int] | None:
    """A process, workflow or function that begins at `at`, and the index behind it."""
    kind = tokens[at].text if tokens[at].is_name(PROCESS, WORKFLOW) else FUNCTION
    name, bracket, brace = (_function_head if kind == FUNCTION else _head)(tokens, at)
    if brace >= len(tokens) or not tokens[brace].is_op("{") or not (name or kind == WORKFLOW):
        return None
    end = closing(tokens, brace)
    body = tokens[brace + 1:end]
    parameters = _parameters(tokens, bracket) if kind == FUNCTION else []
    takes = _takes(body) if kind == WORKFLOW else tuple(map(_parameter, parameters))
    return Definition(kind=kind, name=name, file=file, line=tokens[at].line, body=body,
                      takes=takes, parameters=parameters), end + 1


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
    brace = skip_newlines(tokens, closing(tokens, bracket) + 1)
    if brace < len(tokens) and tokens[brace].is_op("->"):  # the type of what it returns
        while brace < len(tokens) and not tokens[brace].is_op("{", ";", "="):
            brace += 1
    elif brace < len(tokens) and tokens[brace].is_name("throws"):
        while brace < len(tokens) and (tokens[brace].kind == NAME or tokens[brace].is_op(".", ",")):
            brace += 1
    return tokens[bracket - 1].text, bracket, brace


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
        elif inside and not (at > 1 and body[at - 1].is_op(":")
                             and body[at - 2].text not in SECTIONS):  # that is a type
            names.append(token.text)
    return tuple(names)


def _parameters(tokens: Sequence[Token], bracket: int) -> list[Sequence[Token]]:
    """The parameters in a bracket; a generic type has commas too."""
    parameters: list[list[Token]] = []
    depth = 0
    for part in arguments(tokens, bracket):
        if depth > 0:
            parameters[-1] += part
        else:
            parameters.append([*part])
        depth += sum(token.is_op("<") - token.is_op(">") - 2 * token.is_op(">>")
                     for token in part)
    return [*parameters]


def _parameter(tokens: Sequence[Token]) -> str:
    """The name of a parameter, which its type stands before, or behind a colon."""
    names = []
    for token in tokens:
        if token.is_op("=", ":"):
            break
        names += [token.text] if token.kind == NAME else []
    return names[-1] if names else ""
