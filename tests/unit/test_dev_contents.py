"""The table of what pipelines carry: from their files, and a dash for what isn't built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.paths import PipelinePaths
from tasks.dev.contents import ContentsSpec, contents
from tests.kit import releases as staged


def test_a_row_says_what_is_built_and_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    here = staged.stage().layout
    here.plugins_list.write_text("nf-a@1.0.0\nnf-b@2.0.0\n")
    contents(ContentsSpec(layouts=(here, PipelinePaths(site="here", pipeline="none")),
                          runtimes=("24.10.5", "25.10.4")))
    *_, hello, none = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in hello.strip("|").split("|")]
    assert cells[:3] == ["hello", "dev", "24.10.5"]
    assert cells[3].startswith("1, ")
    assert cells[4:] == ["nf-a@1.0.0, nf-b@2.0.0", "2 files, 30 B", "0 of 0"]
    assert none == "| none | – | 25.10.4 | – | – | – | – |"
