"""What differs between two settings of a step, short enough for a line of `doit list`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 40
"""Characters of a value that is shown; of a longer one it is only said that it changed."""
DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{40,64}")
USER = re.compile(r"(?<=://)[^/@\s]+@")
"""Who a URL names, which may be with a password (RFC 3986, userinfo)."""
ABSENT = object()


def differences(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """Each changed value by its key, as `source.revision 3.5.1 → 3.10.0`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from differences(old.get(name, ABSENT), new.get(name, ABSENT),
                                   f"{key}.{name}" if key else str(name))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(old, new, key)
    elif old != new and not (old in (ABSENT, None) and new in (ABSENT, None)):
        yield _change(key, _short(old), _short(new))


def _of_lists(old: list[Any], new: list[Any], key: str) -> Iterator[str]:
    """What came and what went; of lists in another order, that they changed."""
    came = [_short(value) for value in new if value not in old]
    went = [_short(value) for value in old if value not in new]
    if old == new:
        return
    if len(came) == len(went) == 1:
        yield _change(key, went[0], came[0])
    elif None in (*came, *went) or len(came) + len(went) not in range(1, 4):
        yield f"{key} changed"
    else:
        signs = [*(f"+{value}" for value in came), *(f"-{value}" for value in went)]
        yield f"{key} {' '.join(signs)}"


def _change(key: str, old: str | None, new: str | None) -> str:
    return f"{key} {old} → {new}" if old and new else f"{key} changed"


def _short(value: Any) -> str | None:
    """A value as it is shown, None where it is too long; without a user, who may be a secret."""
    if value is ABSENT or value is None:
        return "unset"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if DIGEST.fullmatch(text):
        return f"{text.removeprefix('sha256:')[:12]}…"
    text = USER.sub("", text) or "''"
    return text if len(text) <= LONGEST and text.isprintable() else None
