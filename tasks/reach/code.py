"""What the code of processes, functions and programs of their own reaches out to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.core.source.files import Sources
from tasks.core.source.groovy.syntax import ends_statement
from tasks.core.source.groovy.tokens import NAME, Token
from tasks.core.source.scripts import COMMANDS, PROCESS, Definition
from tasks.reach.commands import fetches, is_shell, uncommented
from tasks.reach.links import NO_DATA, links
from tasks.reach.text import CONTEXT_LENGTH, flat, is_shown, mentions, printable, spoken, strings

SightKind = Literal["download", "url", "service", "container", "shown"]
"""Kinds of findings, or what is only counted: images, and what is shown to people."""
CONNECTING_CALLS = ("openConnection", "openStream", "toURL", "HttpURLConnection", "HttpClient",
            "HttpRequest", "Socket", "fromSRA")
"""What Groovy code connects by."""
MAIL_COMMANDS = ("sendmail", "mail", "mailx", "mutt")


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One place that reaches out, or that only shows an address.

    `anchor` is the token by which a walk knows the ways to it; a program has none, and the ways
    to whoever runs it count.
    """

    kind: SightKind
    what: str
    file: str
    line: int
    anchor: Token | None = None


def in_definition(sources: Sources, definition: Definition) -> Iterator[Sight]:
    """The sights of a process, workflow or function, or of loose code."""
    if definition.kind == PROCESS:
        for section, tokens in definition.sections():
            yield from _of_process(sources, definition, section, tokens)
    else:
        yield from _of_code(sources, definition)


def _of_process(sources: Sources, process: Definition, section: str,
                tokens: Sequence[Token]) -> Iterator[Sight]:
    if section in COMMANDS:
        for token, is_spoken in spoken(tokens, prose=False):
            text = flat(token)
            for kind, what, start in commands(text):
                yield _sight(sources, process, "shown" if is_spoken else kind, what, token, text,
                             start)
        return
    for word, token in _directives(tokens):
        text = flat(token)
        image = word in ("container", "conda")
        for mention in mentions(text):
            used: SightKind = "container" if image else "url" if mention.whole else "shown"
            yield _sight(sources, process, used, mention.url, token, text, mention.start)


def _directives(tokens: Sequence[Token]) -> Iterator[tuple[str, Token]]:
    """Each string, with the first word of the directive that it belongs to."""
    word, begins = "", True
    for at, token in enumerate(tokens):
        if begins and token.kind == NAME:
            word = token.text
        for string in strings([token]):
            yield word, string
        begins = ends_statement(tokens, at) or token.is_op("{")


def commands(text: str) -> Iterator[tuple[SightKind, str, int]]:
    """Kind, text and place of what a task's script fetches and names."""
    fetched = fetches(text)
    for fetch in fetched:
        yield "download", fetch.command, fetch.start
    bare = uncommented(text)
    for mention in mentions(bare):
        if not any(fetch.first <= mention.start <= fetch.last for fetch in fetched):
            is_said = not mention.whole and (is_shown(bare, mention.start)
                                          or _is_prose(bare, mention.start, len(mention.url)))
            yield "shown" if is_said else "url", mention.url, mention.start


def _is_prose(text: str, start: int, length: int) -> bool:
    """Whether an address stands amid a quoted sentence, not as a word of its own."""
    end = start + length
    before = text[max(text.rfind("\n", 0, start) + 1, start - CONTEXT_LENGTH):start]
    after = text[end:end + CONTEXT_LENGTH].partition("\n")[0]
    quoted = re.search(r"(['\"])[^'\"]*\s[^'\"]*$", before)
    return ((quoted is not None and before.count(quoted[1]) % 2 == 1)
            or after.lstrip()[:1] in (">", "<"))


def _of_code(sources: Sources, code: Definition) -> Iterator[Sight]:
    linked = links(code.body)
    executes = any(token.is_name("execute") for token in code.body)
    for token, is_spoken in spoken(code.body):
        text = flat(token)
        fetched = fetches(text) if executes else []
        if fetched or (executes and token.text in MAIL_COMMANDS):
            yield _sight(sources, code, "download" if fetched else "service",
                         fetched[0].command if fetched else token.text, token, text, 0)
            continue
        for mention in mentions(text):
            shown = (is_spoken or not mention.whole or id(token) in linked
                     or NO_DATA.match(mention.url) is not None)
            kind: SightKind = "shown" if shown else "url"
            yield _sight(sources, code, kind, mention.url, token, text, mention.start)
    lines = set()
    for at, token in enumerate(code.body):
        made = at and code.body[at - 1].is_name("new")
        if token.line not in lines and (token.is_name(*CONNECTING_CALLS) or (
                made and token.is_name("URL"))):
            lines.add(token.line)
            yield Sight(kind="service", what=sources.lines(code.file)[token.line - 1].strip(),
                        file=code.file, line=token.line, anchor=token)


def in_program(sources: Sources, path: str) -> list[Sight]:
    """The sights of a file in bin/ or templates/."""
    text = printable(sources, path)
    bare = _without_docs(text) if path.endswith(".py") or "python" in text[:80] else text
    shell = is_shell(text)
    return [Sight(kind="shown" if kind == "url" and not shell and not _is_quoted(bare, start, what)
                  else kind, what=what, file=path, line=bare.count("\n", 0, start) + 1)
            for kind, what, start in commands(bare)]


def _is_quoted(text: str, start: int, url: str) -> bool:
    """Whether an address is all that stands between two quotes."""
    end = start + len(url)
    return text[start - 1:start] in ("'", '"') and text[end:end + 1] in ("'", '"')


def _without_docs(text: str) -> str:
    """A Python program with its docstrings blanked; as it is where it can't be read."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    lines = text.split("\n")
    for node in ast.walk(module):
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(lines)


def _sight(sources: Sources, where: Definition, kind: SightKind, what: str, token: Token, text: str,
           start: int) -> Sight:
    near = token.line + text.count("\n", 0, start)
    needle = what.partition("$")[0].split(" ")[0] if kind == "download" else what.partition("$")[0]
    return Sight(kind=kind, what=what, file=where.file,
                 line=sources.line(where.file, near, needle),
                 anchor=token)
