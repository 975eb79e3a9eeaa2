"""Groovy's tokens, as far as Nextflow scripts and configs need them.

Comments, all kinds of strings with their nested expressions, names, numbers and operators, after
the Groovy language documentation, "Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tasks.core.errors import ImageError
from tasks.core.source.groovy.depth import too_deep

NAME, NUMBER, STRING, GSTRING, OP, NEWLINE = "name", "number", "string", "gstring", "op", "newline"
OPERATORS = sorted(
    ("<=>", "==~", "===", "!==", "...", "..<", "**=", ">>>", "?.", "?:", "*.", ".&", "::", "->",
     "==", "!=", "=~", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "<<",
     ">>", "..", "**", "?="), key=len, reverse=True)
CLOSING = {"(": ")", "[": "]", "{": "}"}
PIECE = re.compile(
    r"(?:[ \t\r\f\ufeff]+|//[^\n]*)*(?:"
    r"(?P<name>[^\W\d]\w*|\$\w[\w$]*)"
    r"|(?P<newline>\n)"
    r"|(?P<bracket>[(){}\[\]])"
    r"|(?P<plain>'(?!'')[^'\\\n]*'|\"(?!\"\")[^\"\\\n$]*\")"
    r"|(?P<quote>\"\"\"|'{3}|\"|')"
    r"|(?P<comment>/\*)"
    r"|(?P<slash>\$?/)"
    r"|(?P<number>\d\w*(?:\.\d\w*)?)"
    r"|(?P<continued>\\\r?\n)"
    r"|(?P<end>\Z)"
    rf"|(?P<op>{'|'.join(map(re.escape, OPERATORS))}|.))", re.DOTALL)
"""One token, with the blanks and the comments of a line before it."""
KINDS = ["", *PIECE.groupindex]
DIVIDES = re.compile(r"/=?")
CHUNKS = {"'": re.compile(r"[^'\\\n]+"), '"': re.compile(r'[^"\\\n$]+'),
          "'''": re.compile(r"[^'\\]+"), '"""': re.compile(r'[^"\\$]+'),
          "/": re.compile(r"[^/\\$]+"), "/$": re.compile(r"[^/$]+")}
"""What may stand in a string, by its end, without meaning anything but itself."""
UNICODE = re.compile(r"\\u+([0-9a-fA-F]{4})")
MAX_NESTED = 100
"""Brackets that may stand in each other, those in strings among them; pipelines have up to 20."""
DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "s": " "}


class Token(NamedTuple):
    """One token; `text` is a string's value, and `parts` what a GString is made of."""

    kind: str
    text: str
    line: int
    parts: tuple[str | tuple[Token, ...], ...] = ()

    def is_op(self, *texts: str) -> bool:
        """Whether this is one of these operators or brackets."""
        return self.kind == OP and self.text in texts

    def is_name(self, *texts: str) -> bool:
        """Whether this is one of these names."""
        return self.kind == NAME and self.text in texts


_token: Callable[[tuple[str, str, int, tuple[()]]], Token] = partial(tuple.__new__, Token)
"""A token as `Token` makes it, in half the time."""
PLAIN = frozenset([NAME, NUMBER, NEWLINE, OP])
"""Kinds of pieces that are tokens as they stand."""


def tokenize(text: str, file: str) -> list[Token]:
    """Tokens of a whole file; ImageError with file and line if a string or comment never ends."""
    return _Tokenizer(text, file).tokens()


def closing(tokens: Sequence[Token], start: int) -> int:
    """Index of the bracket that closes the one at `start`, or the end of the tokens."""
    depth = 0
    for index in range(start, len(tokens)):
        if tokens[index].kind == OP:
            text = tokens[index].text
            if text in CLOSING:
                depth += 1
            elif text in ")]}":
                depth -= 1
                if depth == 0:
                    return index
    return len(tokens)


class _Tokenizer:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.at, self.line = 0, 1
        self.nested, self.line_end = 0, -1
        if text.startswith("#!"):
            self.at = self._line_end()

    def tokens(self, *, nested: bool = False) -> list[Token]:
        """Read to the end, or in a string's `${…}` to its closing brace."""
        found: list[Token] = []
        text, at, line = self.text, self.at, self.line
        depth = braces = 0
        while match := PIECE.match(text, at):
            index = match.lastindex or 0
            kind, word, at = KINDS[index], match[index], match.end()
            if kind in PLAIN:
                found.append(_token((kind, word, line, ())))
                line += kind == NEWLINE
            elif kind == "bracket":
                depth = depth + 1 if word in CLOSING else max(depth - 1, 0)
                braces += (word == "{") - (word == "}")
                if nested and braces < 0:
                    break
                if self.nested + depth > MAX_NESTED:
                    raise too_deep(f"{self.file}:{line}")
                found.append(_token((OP, word, line, ())))
            elif kind == "plain":
                found.append(_token((STRING, word[1:-1], line, ())))
            elif kind == "continued":
                line += 1
            elif kind == "end":
                break
            else:
                self.at, self.line, self.nested = match.start(index), line, self.nested + depth
                found += self._special(kind, word, found)
                at, line, self.nested = self.at, self.line, self.nested - depth
        self.at, self.line = at, line
        if nested and braces >= 0:
            raise self._unfinished("an expression in a string", line)
        return found

    def _special(self, kind: str, word: str, found: list[Token]) -> list[Token]:
        """A comment of several lines, which is no token, a string, or a division."""
        line = self.line
        if kind == "comment":
            end = self.text.find("*/", self.at + 2)
            if end < 0:
                raise self._unfinished("a comment", line)
            self._advance(end + 2)
            return []
        if kind == "slash" and not self._starts_slashy(word, found):
            operator = (DIVIDES.match(self.text, self.at) or word)[0]
            self.at += len(operator)
            return [Token(OP, operator, line)]
        self.at += len(word)
        return [self._string({"$/": "/$"}.get(word, word), interpolated=word[0] != "'", line=line)]

    def _line_end(self) -> int:
        """The index at which the line ends that is being read."""
        if self.line_end < self.at:
            end = self.text.find("\n", self.at)
            self.line_end = len(self.text) if end < 0 else end
        return self.line_end

    def _starts_slashy(self, word: str, found: list[Token]) -> bool:
        """Whether a slash begins a string: not after an operand, where it divides.

        After a name it is the argument of a command (`split /,/`) when only the name's side has
        a blank and the line closes it.
        """
        if not _ends_operand(found) or word == "$/":
            return not _ends_operand(found)
        return (found[-1].kind == NAME and self.text[self.at - 1] in " \t"
                and self.text[self.at + 1:self.at + 2] not in ("", " ", "\t", "=", "\n")
                and self.text.find("/", self.at + 1, self._line_end()) >= 0)

    def _string(self, end: str, *, interpolated: bool, line: int) -> Token:
        """A string whose opening quote has been read, up to and with its `end`."""
        parts: list[str | tuple[Token, ...]] = []
        literal: list[str] = []
        chunk = CHUNKS[end]
        while True:
            plain = chunk.match(self.text, self.at)
            if plain:
                literal.append(plain[0])
                self._advance(plain.end())
            if self.text.startswith(end, self.at):
                break
            if self.at >= len(self.text) or (end in ("'", '"') and self.text[self.at] == "\n"):
                raise self._unfinished("a string", line)
            nested = self._interpolation() if interpolated else None
            if nested is None:
                literal.append(self._character(end))
            else:
                parts += [_paired("".join(literal)), nested]
                literal = []
        self._advance(self.at + len(end))
        value = _paired("".join(literal))
        if not parts:
            return Token(STRING, value, line)
        return Token(GSTRING, "", line, tuple(part for part in [*parts, value] if part != ""))

    def _interpolation(self) -> tuple[Token, ...] | None:
        """The tokens of `${…}` or `$name.name` at this place, or None where there is none."""
        if self.text.startswith("${", self.at):
            self._advance(self.at + 2)
            self.nested += 1
            inner = tuple(self.tokens(nested=True))
            self.nested -= 1
            return inner
        if not self.text.startswith("$", self.at):
            return None
        dotted = DOTTED.match(self.text, self.at + 1)
        if not dotted:
            return None
        self._advance(dotted.end())
        words = dotted[0].split(".")
        found = [Token(NAME, words[0], self.line)]
        for word in words[1:]:
            found += [Token(OP, ".", self.line), Token(NAME, word, self.line)]
        return tuple(found)

    def _character(self, end: str) -> str:
        """One character of a string, its escapes undone."""
        text, at = self.text, self.at
        if end == "/$":
            escaped = text.startswith(("$$", "$/"), at)
            self._advance(at + 1 + escaped)
            return text[at + escaped]
        if text[at] != "\\" or (end == "/" and not text.startswith("\\/", at)):
            self._advance(at + 1)
            return text[at]
        following = text[at + 1:at + 2]
        code = UNICODE.match(text, at)
        if code:
            self._advance(code.end())
            return chr(int(code[1], 16))
        self._advance(at + 2)
        return "" if following == "\n" else ESCAPES.get(following, following)

    def _advance(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = min(to, len(self.text))

    def _unfinished(self, what: str, line: int) -> ImageError:
        return ImageError(f"{what} never ends", where=f"{self.file}:{line}",
                          todo="the file is no valid Groovy from there on; correct the source")


def _paired(text: str) -> str:
    """Text whose escapes may name half a surrogate pair each; half a pair alone is no character."""
    if not any("\ud800" <= each <= "\udfff" for each in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _ends_operand(found: list[Token]) -> bool:
    """Whether the last token can be the left side of a division."""
    if not found:
        return False
    last = found[-1]
    if last.kind == NAME:
        return last.text not in ("return", "in", "case", "assert", "else")
    return last.kind in (NUMBER, STRING, GSTRING) or last.is_op(")", "]", "}")
