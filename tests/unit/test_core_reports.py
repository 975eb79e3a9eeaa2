"""The DAG that Nextflow leaves as text, drawn here; and pages that can't be closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.nextflow import reports

ROAST = """flowchart TB
    subgraph " "
    v0["beans"]
    end
    subgraph CAFE
    subgraph MORNING
    v1([GRIND])
    v2(( ))
    end
    v3([BREW])
    end
    v0 --> v1
    v1 --> v2
    v2 --> v3
"""


def test_processes_are_drawn_with_their_workflows(tmp_path: Path) -> None:
    (tmp_path / reports.MERMAID).write_text(ROAST)
    reports.finish(tmp_path, title="Processes of cafe")
    picture = (tmp_path / reports.PICTURE).read_text()
    assert picture.startswith("<svg") and picture.count("<rect") == 2
    for text in ("Processes of cafe", ">GRIND<", ">MORNING<", ">BREW<", "CAFE:BREW"):
        assert text in picture
    assert "<script" not in picture and "beans" not in picture


def test_processes_of_one_name_are_drawn_apart(tmp_path: Path) -> None:
    (tmp_path / reports.MERMAID).write_text(ROAST.replace("BREW", "GRIND"))
    assert reports.draw(tmp_path / reports.MERMAID, tmp_path / "p.svg", title="")
    picture = (tmp_path / "p.svg").read_text()
    assert picture.count(">GRIND<") == 2 and picture.count(">MORNING<") == 1
    assert "<title>CAFE:MORNING:GRIND<" in picture and "<title>CAFE:GRIND<" in picture


def test_without_a_dag_nothing_is_drawn(tmp_path: Path) -> None:
    assert not reports.draw(tmp_path / "none.mmd", tmp_path / "p.svg", title="")
    assert not (tmp_path / "p.svg").exists()


def test_a_page_that_cannot_be_closed_is_told_and_left(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd, link = tmp_path / "timeline.html", tmp_path / "report.html"
    odd.write_text("<p>no head</p>")
    link.symlink_to(odd)
    reports.close([link, odd, tmp_path / "absent.html"])
    assert odd.read_text() == "<p>no head</p>" and link.is_symlink()
    assert caplog.text.count("may ask for something by network") == 2
