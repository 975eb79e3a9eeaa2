"""Institutional configs: what a pipeline includes from `params.custom_config_base`.

By default that is a place on the internet. Offline it is a folder with the staged tree, or, where
none is carried, with an empty file for each one that the code asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.source.configs import MAIN, Include, Reader
from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.tokens import STRING, Token

BASE = "custom_config_base"


@dataclass(frozen=True, kw_only=True)
class Includes:
    """Paths below the base that the code includes, in its order.

    `skipped` are those that it passes over when NXF_OFFLINE is set, wherever the base is: so does
    nf-core's template of 3.0 to 3.2.
    """

    named: tuple[str, ...]
    skipped: tuple[str, ...]


def includes(code: Path) -> Includes:
    """What nextflow.config in the folder `code`, and all that it reads, include from the base."""
    skipped: dict[str, bool] = {}
    with bounded(code), opened(code) as sources:
        for statement in Reader(sources, {}).read() if sources.has(MAIN) else ():
            if isinstance(statement, Include):
                for path in named(statement):
                    skipped.setdefault(path, _skips(statement.expression))
    return Includes(named=tuple(skipped), skipped=tuple(filter(skipped.get, skipped)))


def named(include: Include) -> list[str]:
    """The paths below the base that an `includeConfig` names."""
    return [*filter(None, map(_below, include.expression))]


def answer(folder: Path, named: Sequence[str]) -> None:
    """Write an empty file for each of the paths `named` that the folder lacks."""
    for path in named:
        place = files.inside(folder, path)
        if not place.is_file():
            files.write_text(place, "")


def _below(token: Token) -> str | None:
    """The path of a string "${params.custom_config_base}/PATH"."""
    base, *rest = token.parts or ("",)
    if isinstance(base, str) or [part.text for part in base] != ["params", ".", BASE]:
        return None
    path = "".join(part for part in rest if isinstance(part, str))
    whole = all(isinstance(part, str) for part in rest) and path.startswith("/")
    return path.strip("/") if whole else None


def _skips(words: Sequence[Token]) -> bool:
    """Whether the condition is `!System.getenv('NXF_OFFLINE') && …`, with nothing beside it.

    From 3.3 on the template's is `(!System.getenv('NXF_OFFLINE') || …)`.
    """
    for at, word in enumerate(words):
        if word.kind == STRING and word.text == "NXF_OFFLINE":
            behind = next((token for token in words[at + 1:] if not token.is_op(")")), None)
            negated = at > 4 and words[at - 5].is_op("!")
            return negated and behind is not None and behind.is_op("&&")
    return False
