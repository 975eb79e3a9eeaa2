"""The directives of processes: what each can be, and under which conditions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tasks.core.source.groovy.expression import branches, evaluate, merged
from tasks.core.source.groovy.portable import guard, portable
from tasks.core.source.groovy.syntax import assignment, begins_statement, skip_statement
from tasks.core.source.groovy.tokens import NEWLINE, Token
from tasks.core.source.groovy.values import Names, Unknown, Values
from tasks.core.source.scripts import Definition


@dataclass(frozen=True, kw_only=True)
class Directive:
    """The possible values of one directive, in a process or a config, and where it stands.

    `guards` are the conditions that must hold for it to count, and `text` the expression itself,
    as Groovy for another config; None where it hangs on names that only its file knows.
    """

    word: str
    values: Values
    file: str
    line: int
    guards: tuple[str | None, ...] = ()
    text: str | None = None


def directives(process: Definition, words: Collection[str],
               local: Collection[str] = ()) -> list[Directive]:
    """The directives of these names, in their order.

    Nextflow asks for a directive's value when a task is made, after the script has set the
    variables that the directive may name; `local` are other variables that a task knows.
    """
    _, tokens = next(process.sections())
    reader = _Reader(process.file, words, {*local})
    reader.read(tokens, dict(process.names), ())
    if any(isinstance(value, Unknown) for directive in reader.directives
           for value in directive.values):
        variables = _variables(process.body, process.names)
        reader = _Reader(process.file, words, {*local, *variables})
        reader.read(tokens, {**process.names, **variables}, ())
    return reader.directives


def _variables(body: Sequence[Token], names: Names) -> dict[str, Values]:
    """What any line of a process's body sets its variables to."""
    known = dict(names)
    variables: dict[str, Values] = {}
    for at in range(len(body)):
        if begins_statement(body, at) and (value := assignment(body, at)):
            name = value[0]
            variables[name] = (variables.get(name, frozenset())
                               | evaluate(body, value[1], known)[0])
            known[name] = variables[name]
    return variables


class _Reader:
    """`local` are the variables that a task knows, as its script sets them."""

    def __init__(self, file: str, words: Collection[str], local: set[str]) -> None:
        self.file, self.words, self.local = file, words, local
        self.directives: list[Directive] = []

    def read(self, tokens: Sequence[Token], names: dict[str, Values],
             guards: tuple[str | None, ...]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            following = tokens[at + 1] if at + 1 < len(tokens) else None
            if token.kind == NEWLINE or token.is_op(";"):
                at += 1
            elif token.is_name("if") and following and following.is_op("("):
                at = self._if(tokens, at, names, guards)
            elif token.is_name(*self.words) and following and not following.is_op(":", "."):
                start = at + 1 + following.is_op("=")
                values, end = evaluate(tokens, start, names)
                self.directives.append(Directive(
                    word=token.text, values=values, file=self.file, line=token.line,
                    guards=guards, text=portable(tokens[start:end], self.local)))
                at = max(skip_statement(tokens, end), at + 1)
            elif value := assignment(tokens, at):
                names[value[0]], end = evaluate(tokens, value[1], names)
                at = skip_statement(tokens, end)
            else:
                at = max(skip_statement(tokens, at), at + 1)

    def _if(self, tokens: Sequence[Token], at: int, names: dict[str, Values],
            guards: tuple[str | None, ...]) -> int:
        branch = branches(tokens, at, names)
        outcomes = []
        for way, body in branch.bodies():
            outcomes.append(dict(names))
            self.read(body, outcomes[-1], (*guards, *guard(branch, way, self.local)))
        names.update(merged(outcomes))
        return branch.end
