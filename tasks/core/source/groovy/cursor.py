"""A place in a row of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.core.source.groovy.syntax import skip_newlines
from tasks.core.source.groovy.tokens import Token


class Cursor:
    """`at` is the index of the token that comes next."""

    def __init__(self, tokens: Sequence[Token], at: int) -> None:
        self.tokens, self.at = tokens, at

    def _peek(self) -> Token | None:
        """The next token that isn't a line end: an operator may stand on the next line."""
        at = skip_newlines(self.tokens, self.at)
        return self.tokens[at] if at < len(self.tokens) else None

    def _here(self, *operators: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].is_op(*operators)

    def _take(self, *operators: str) -> bool:
        following = self._peek()
        if following is None or not following.is_op(*operators):
            return False
        self._skip_newlines()
        self.at += 1
        return True

    def _skip_newlines(self) -> None:
        self.at = skip_newlines(self.tokens, self.at)
