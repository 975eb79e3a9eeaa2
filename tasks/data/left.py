"""What stays as it is though it looks like data: told by row and column, never passed over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.net import urls

logger = logging.getLogger(__name__)

SHOWN, TOLD = 10, 50
"""Texts that a notice lists, and lines that a step's last words have of them."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """An address or path that stays as it is: where it stands, and why."""

    place: str
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {urls.redact(self.text)}: {self.why}"


def tell(left: Sequence[Left], step: str) -> str:
    """Log what stays as it is, and return the lines that say where it stands, and why."""
    if not left:
        return ""
    texts = [*dict.fromkeys(urls.redact(one.text) for one in left)]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    logger.warning("%s  left as they are: %s%s", step, ", ".join(texts[:SHOWN]), more)
    return f"\n{len(left)} not carried:\n{lines(left)}"


def lines(left: Sequence[Left]) -> str:
    """A line for each of the first that are left, and how many more there are."""
    more = [f"    and {len(left) - TOLD} more"] if len(left) > TOLD else []
    return "\n".join([*(f"    {one}" for one in left[:TOLD]), *more])
