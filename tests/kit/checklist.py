"""What docs/offline-checklist.md lists."""

from __future__ import annotations

import re

from tests.kit.project import ROOT


def lines(side: str) -> set[str]:
    """The names of the doctor's lines for a side, `Online side` or `Offline host`."""
    page = (ROOT / "docs/offline-checklist.md").read_text()
    section = page.partition(f"\n## {side}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_ ]+)` \|", section, re.MULTILINE))
