"""What of a resolved config is the same whenever it is resolved.

Pipelines put the present moment into their configs: nf-core's params.trace_report_suffix, and the
names of report files made of it. A second resolution, in which every date, hour and second is
another one, shows where.
"""

from __future__ import annotations

import re
from typing import Any

TIME_ZONES = ("Etc/GMT+12", "Etc/GMT-14")
"""26 hours apart: never the same day."""

CHANGING = "changes-with-time"
"""Stands in resolved.json for a part of a text that changes, and for any other value that does."""

_PART = re.compile(r"([^/\\\s'\"]+)")
"""What a text is compared by: a file's name as a whole, so that no half of a date is left."""


def same_in_both(first: Any, second: Any) -> Any:
    """Return the first of two resolved configs, with what the second has otherwise as CHANGING.

    What only one of them has is left out.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: same_in_both(value, second[key])
                for key, value in first.items() if key in second}
    if isinstance(first, list) and isinstance(second, list):
        return [same_in_both(one, other) for one, other in zip(first, second, strict=False)]
    if isinstance(first, str) and isinstance(second, str):
        return _same_text(first, second)
    return first if first == second else CHANGING


def _same_text(first: str, second: str) -> str:
    parts, others = _PART.split(first), _PART.split(second)
    if len(parts) != len(others):
        return CHANGING
    return "".join(part if part == other else CHANGING
                   for part, other in zip(parts, others, strict=True))
