"""Which attributes of a genome a pipeline's code reads, and which params get them.

nf-core's templates call `getGenomeAttribute('fasta')`, others read `params.genomes[…].fasta`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import AirlockError
from tasks.core.source.groovy.tokens import NEWLINE, STRING, Token, tokenize

_ASSIGNED = re.compile(r"^\s*params\.(\w+)\s*=(?!=)", re.MULTILINE)
READER = "getGenomeAttribute"
"""The function of nf-core's templates; also called of a class, and of a plugin."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """A genome's attribute that the code reads, and the param that gets it, where one does."""

    attribute: str
    param: str | None


def uses(project: Path) -> list[Use]:
    """The attributes that the code reads by name, each with each param, in the code's order."""
    known: dict[tuple[str, str | None], Use] = {}
    for path in files.tree(project):
        if path.suffix not in (".nf", ".groovy", ".config") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if READER not in text and "params.genomes" not in text:
            continue
        try:
            tokens = [token for token in tokenize(text, str(path)) if token.kind != NEWLINE]
        except AirlockError:  # Nextflow will say so, if it ever reads this file
            continue
        for use in _uses(tokens):
            known.setdefault((use.attribute, use.param), use)
    taken = {use.attribute for use in known.values() if use.param}
    return [use for use in known.values() if use.param or use.attribute not in taken]


def assigned(project: Path) -> set[str]:
    """The names of all params that scripts set: `params.NAME = …`."""
    names: set[str] = set()
    for path in files.tree(project):
        if path.suffix == ".nf" and path.is_file():
            names |= set(_ASSIGNED.findall(path.read_text(errors="replace")))
    return names


def _uses(tokens: Sequence[Token]) -> Iterator[Use]:
    for at, token in enumerate(tokens):
        if token.is_name(READER):
            name = _argument(tokens, at + 1)
        elif token.is_name("genomes") and at + 1 < len(tokens) and tokens[at + 1].is_op("["):
            name = _member(tokens, at + 1)
        else:
            continue
        if name:
            yield Use(attribute=name, param=_taker(tokens, at))


def _argument(tokens: Sequence[Token], at: int) -> str | None:
    """The last argument of a call, where it is a text: the first may be `params`."""
    words = tokens[at:at + 6]
    if not words or not words[0].is_op("("):
        return None
    for place, word in enumerate(words):
        if word.kind == STRING and words[place + 1:place + 2] and words[place + 1].is_op(")"):
            return word.text
        if word.is_op(")"):
            return None
    return None


def _member(tokens: Sequence[Token], at: int) -> str | None:
    """`x` of genomes[…].x, genomes[…]?.x and genomes[…]['x']."""
    depth = 0
    for place in range(at, min(at + 12, len(tokens) - 2)):
        depth += tokens[place].is_op("[") - tokens[place].is_op("]")
        if depth == 0:
            behind, last = tokens[place + 1], tokens[place + 2]
            if behind.is_op(".", "?.") and last.kind in ("name", STRING):
                is_call = tokens[place + 3:place + 4] and tokens[place + 3].is_op("(")
                return None if is_call else last.text
            return last.text if behind.is_op("[") and last.kind == STRING else None
    return None


def _taker(tokens: Sequence[Token], at: int) -> str | None:
    """`x` of the statement `params.x = …` in which the token at `at` stands."""
    line = tokens[at].line
    for place in range(at, 2, -1):
        if tokens[place].line < line:
            return None
        if tokens[place].is_op("=") and tokens[place - 2].is_op(".") \
                and tokens[place - 3].is_name("params"):
            return tokens[place - 1].text
    return None
