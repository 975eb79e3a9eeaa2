"""docs/terminal.py draws what a person sees at the end of a run that draws over itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.project import ROOT

LIVE = """
from rich.live import Live
from rich.console import Console
console = Console()
with Live("weighing 1 of 2\\nwaits: carry", console=console, auto_refresh=False) as live:
    live.update("weighing 2 of 2\\nwaits: carry", refresh=True)
    console.print("[green]weighed[/green] the stone")
    live.update("[bold red]all done[/bold red]", refresh=True)
"""


def test_the_picture_is_the_last_state_with_its_colours_and_asks_for_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    svg = tmp_path / "terminal.svg"
    subprocess.run([sys.executable, ROOT / "docs/terminal.py", "--out", svg,
                    "--title", "weigh", "--",
                    sys.executable, "-c", LIVE], check=True, capture_output=True)
    text = svg.read_text()
    words = " ".join(re.findall(r">([^<>]+)</text>", text)).replace("&#160;", " ")
    assert "weighed" in words
    assert "all done" in words
    assert "waits: carry" not in words
    assert "1 of 2" not in words
    assert len(set(re.findall(r"fill: (#[0-9a-f]{6})", text))) >= 3
    assert "url(http" not in text
    assert "font-face" not in text
