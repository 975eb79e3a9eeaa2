"""The files that list parts, for others' programs."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.core.bill import cdx, spdx
from tasks.core.bill.parts import Part, Whole
from tasks.core.paths import SBOM_CYCLONEDX, SBOM_SPDX


def documents(whole: Whole, parts: Sequence[Part]) -> dict[str, bytes]:
    """The bytes of each file, by its name."""
    return {SBOM_SPDX: spdx.document(whole, parts), SBOM_CYCLONEDX: cdx.document(whole, parts)}
