"""Groovy's tokens, as far as Nextflow scripts and configs need them.

Comments, all kinds of strings with their nested expressions, names, numbers and operators, after
the Groovy language documentation, "Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    r"(?P<blank>(?:[ \t\r\f\ufeff]|\\\r?\n)+|//[^\n]*)"
    r"|(?P<newline>\n)"
    r"|(?P<name>[^\W\d]\w*|\$\w[\w$]*)"
    r"|(?P<plain>'(?!'')[^'\\\n]*'|\"(?!\"\")[^\"\\\n$]*\")"
    r"|(?P<quote>\"\"\"|'''|\"|')"
    r"|(?P<comment>/\*)"
    r"|(?P<slash>\$?/)"
    r"|(?P<number>\d\w*(?:\.\d\w*)?)"
    r"|(?P<op>.)", re.DOTALL)
OPERATOR = re.compile("|".join(map(re.escape, OPERATORS)) + "|.", re.DOTALL)
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
        depth = 0
        while match := PIECE.match(self.text, self.at):
            kind, word = match.lastgroup, match[0]
            if kind == "blank":
                self.line += word.count("\n") if "\\" in word else 0
                self.at = match.end()
            elif kind == "newline":
                found.append(Token(NEWLINE, "\n", self.line))
                self.line += 1
                self.at = match.end()
            elif kind in (NAME, NUMBER):
                found.append(Token(kind, word, self.line))
                self.at = match.end()
            elif kind == "plain":
                found.append(Token(STRING, word[1:-1], self.line))
                self.at = match.end()
            elif kind == "comment":
                self._comment()
            elif kind == "quote" or (kind == "slash" and self._starts_slashy(word, found)):
                line = self.line
                self.at = match.end()
                found.append(self._string({"$/": "/$"}.get(word, word),
                                          interpolated=word[0] != "'", line=line))
            else:
                operator = (OPERATOR.match(self.text, self.at) or match)[0]
                self.at += len(operator)
                self._count(operator)
                if nested and operator == "}" and depth == 0:
                    return found
                depth += (operator == "{") - (operator == "}")
                found.append(Token(OP, operator, self.line))
        if nested:
            raise self._unfinished("an expression in a string", self.line)
        return found

    def _count(self, operator: str) -> None:
        """Refuse brackets that stand too deep in each other: readers go through every level."""
        if operator in CLOSING:
            self.nested += 1
            if self.nested > MAX_NESTED:
                raise too_deep(f"{self.file}:{self.line}")
        elif operator in (")", "]", "}"):
            self.nested = max(self.nested - 1, 0)

    def _line_end(self) -> int:
        """The index at which the line ends that is being read."""
        if self.line_end < self.at:
            end = self.text.find("\n", self.at)
            self.line_end = len(self.text) if end < 0 else end
        return self.line_end

    def _comment(self) -> None:
        end = self.text.find("*/", self.at + 2)
        if end < 0:
            raise self._unfinished("a comment", self.line)
        self._advance(end + 2)

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
            self._count("{")
            return tuple(self.tokens(nested=True))
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
