"""Institutional configs: what a pipeline includes from `params.custom_config_base`.

By default that is a place on the internet. Offline it is a folder with the staged tree, or, where
none is carried, with an empty file for each one that the code asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import AirlockError
from tasks.core.source.groovy.tokens import GSTRING, NEWLINE, STRING, Token, tokenize

BASE = "custom_config_base"
CONTINUED = ("&&", "||", "?", ":", "?:")


@dataclass(frozen=True, kw_only=True)
class Includes:
    """Paths below the base that the code includes, in its order.

    `skipped` are those that it passes over when NXF_OFFLINE is set, wherever the base is: so does
    nf-core's template of 3.0 to 3.2.
    """

    named: tuple[str, ...]
    skipped: tuple[str, ...]


def includes(code: Path) -> Includes:
    """What the configs in the folder `code` include from the base."""
    found: dict[str, bool] = {}
    for path in (each for each in files.tree(code) if each.suffix == ".config" and each.is_file()):
        try:
            tokens = tokenize(path.read_text(errors="replace"), str(path))
        except AirlockError:  # Nextflow will say so, if it ever reads this file
            continue
        for path_below, skips in _included(tokens):
            found.setdefault(path_below, skips)
    return Includes(named=tuple(found), skipped=tuple(each for each in found if found[each]))


def answer(folder: Path, named: Sequence[str]) -> None:
    """Write an empty file for each of the paths `named` that the folder lacks."""
    for path in named:
        place = files.inside(folder, path)
        if not place.is_file():
            files.write_text(place, "")


def _included(tokens: Sequence[Token]) -> Iterator[tuple[str, bool]]:
    """Each path below the base, and whether NXF_OFFLINE alone keeps it out."""
    for at, token in enumerate(tokens):
        if token.is_name("includeConfig"):
            words = list(_statement(tokens, at + 1))
            for word in words:
                if word.kind == GSTRING and (path := _below(word)):
                    yield path, _skips(words)


def _statement(tokens: Sequence[Token], at: int) -> Iterator[Token]:
    """The tokens of the statement at `at`; a line goes on where an operator ends or begins one."""
    while at < len(tokens) and not tokens[at].is_op("}", ";"):
        if tokens[at].kind == NEWLINE:
            following = next((each for each in tokens[at:] if each.kind != NEWLINE), None)
            if not tokens[at - 1].is_op(*CONTINUED, "(") and not (
                    following and following.is_op(*CONTINUED, ")")):
                return
        else:
            yield tokens[at]
        at += 1


def _below(token: Token) -> str | None:
    """The path of a string "${params.custom_config_base}/PATH"."""
    base, *rest = token.parts
    if isinstance(base, str) or [each.text for each in base] != ["params", ".", BASE]:
        return None
    path = "".join(each for each in rest if isinstance(each, str))
    whole = all(isinstance(each, str) for each in rest) and path.startswith("/")
    return path.strip("/") if whole else None


def _skips(words: Sequence[Token]) -> bool:
    """Whether the condition is `!System.getenv('NXF_OFFLINE') && …`, with nothing beside it.

    From 3.3 on the template's is `(!System.getenv('NXF_OFFLINE') || …)`.
    """
    for at, word in enumerate(words):
        if word.kind == STRING and word.text == "NXF_OFFLINE":
            behind = next((each for each in words[at + 1:] if not each.is_op(")")), None)
            negated = at > 4 and words[at - 5].is_op("!")
            return negated and behind is not None and behind.is_op("&&")
    return False
