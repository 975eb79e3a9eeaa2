"""A licence's text from outside, as either format may hold it: an SPDX expression, or a name.

No name is taken for an identifier that it resembles: "Apache 2" stays a name.
"""

from __future__ import annotations

import hashlib
import re

REFERENCE = "LicenseRef-"


def expression(text: str) -> str | None:
    """The text as an SPDX expression of known identifiers, or None where it is none.

    Of an identifier the case doesn't matter (SPDX 2.3, annex D.2).
    """
    from cyclonedx import spdx
    from license_expression import ExpressionError, get_spdx_licensing
    if (known := spdx.fixup_id(text)) is not None:
        return known
    if not spdx.is_expression(text) or REFERENCE in text:
        return None
    try:
        return str(get_spdx_licensing().parse(text, validate=True))
    except ExpressionError:
        return None


def reference(texts: tuple[str, ...]) -> str:
    """An identifier of SPDX for what has none: by its text, so that equal texts have one."""
    text = "\n".join(texts)
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:40].rstrip("-.")
    return f"{REFERENCE}{plain or 'text'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
