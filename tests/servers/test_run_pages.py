"""The pages and pictures that a run leaves, opened in a real Chromium: they need no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import CommandError
from tasks.core.nextflow import reports
from tasks.offline_host import run
from tasks.runtime import build as runtimes
from tests.kit import runs
from tests.kit.net_log import asked

GREEDY = b"""<!DOCTYPE html>
<html><head lang="en">
<link rel="icon" type="image/png" href="https://icons.example.org/one.png" />
<link rel="stylesheet" href="http://fonts.example.org/two.css">
</head><body onload="fetch('https://data.example.org/three')">
<img src="https://pictures.example.org/four.png">
<script type="module">import five from 'https://cdn.example.org/five.mjs';</script>
</body></html>
"""


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: runtimes.Runtime) -> Path:
    """The folder of reports of a run by the real Nextflow, which has failed."""
    monkeypatch.chdir(tmp_path)
    runs.with_nextflow(tmp_path, runtime.archive, scale="none")
    with pytest.raises(CommandError):
        run.run_own(runs.own_spec(tmp_path / "mine.csv", tmp_path / "p.json"))
    return runs.folders()[0].reports


def test_no_request_leaves_from_what_a_run_leaves(left: Path, tmp_path: Path) -> None:
    """Of a run that failed as well, where people look first."""
    pages = sorted(path for path in left.iterdir() if path.suffix in (".html", ".svg"))
    assert [page.name for page in pages] == ["dag.svg", "report.html", "timeline.html"]
    for page in pages:
        assert asked(page, tmp_path) == set(), page.name
    picture = (left / "dag.svg").read_text()
    assert "SPLIT" in picture and "WEIGH" in picture and picture.count('class="edge"') == 1
    assert "www.nextflow.io/img" not in (left / "report.html").read_text()


def test_a_page_that_asks_for_all_sorts_of_things_asks_no_more(tmp_path: Path) -> None:
    """Whatever the templates of another Nextflow name; the log would show it."""
    page = tmp_path / "report.html"
    page.write_bytes(GREEDY)
    assert {url.rpartition("/")[2] for url in asked(page, tmp_path)} >= {
        "two.css", "three", "four.png", "five.mjs"}
    reports.close([page])
    assert asked(page, tmp_path) == set()
    once = page.read_bytes()
    reports.close([page])
    assert page.read_bytes() == once
