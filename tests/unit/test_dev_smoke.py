"""A smoke run's preview: where there can be none, and what is shown for a picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from tasks.core.nextflow import launch, reports
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import Nextflow
from tasks.dev import smoke

OUTPUTS = """\
workflow {
    main: x()
    publish: all = x.out
}
output {
    all { path 'a' }
}
"""


@dataclasses.dataclass
class Spec:
    """As much of the spec as the preview reads."""

    output: Path
    pipeline: str = "p"
    profile: str = "test"


@pytest.mark.parametrize(("version", "sources", "hangs"), [
    ("26.04.6", {"main.nf": OUTPUTS}, True),
    ("26.04.0", {"main.nf": "workflow {}\n", "more/other.nf": OUTPUTS}, True),
    ("25.10.4", {"main.nf": OUTPUTS}, False),
    ("26.04.6", {"main.nf": "process A {\n    output:\n    path 'x'\n    script: ''\n}\n"}, False),
    ("26.04.6", {"main.nf": "workflow {}\n", "docs/usage.md": OUTPUTS}, False),
])
def test_a_preview_that_would_never_end_is_known(tmp_path: Path, version: str,
                                                 sources: dict[str, str], hangs: bool) -> None:
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert smoke.preview_hangs(version, tmp_path) is hangs


@pytest.mark.parametrize("version", ["25.10.4", "26.04.6"])
def test_without_a_preview_the_stub_run_draws_and_that_is_said(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        version: str) -> None:
    """26.04.6 isn't even asked; any other may hang, and is ended."""
    (tmp_path / "main.nf").write_text(OUTPUTS)
    started: list[float] = []

    def run(*_: Any, within: launch.Confinement, **__: Any) -> None:
        started.append(within.timeout)
        raise launch.TooLong("the preview took longer than 900 s, and was ended", where="log")

    monkeypatch.setattr(launch, "run", run)
    ready = launch.Launch(
        nextflow=Nextflow(launcher=Path(f"/r/nextflow-{version}/nextflow"), java=Path("/java"),
                          home=Path("/home"), inherited=Inherited()),
        code=tmp_path, tree=tmp_path, configs=(), params=tmp_path, host_params=tmp_path,
        folder=tmp_path)
    within = launch.Confinement(folder=tmp_path)
    assert not smoke._preview(cast(smoke.SmokeSpec, Spec(output=tmp_path)), ready, within,
                              tmp_path, [])
    assert started == ([] if version == "26.04.6" else [smoke.PREVIEW_LIMIT])
    assert "that of the stub run" in caplog.text


def test_where_nothing_was_drawn_the_picture_says_so(tmp_path: Path) -> None:
    said = smoke._picture(cast(smoke.SmokeSpec, Spec(output=tmp_path)))
    assert "no picture" in said
    assert "<svg" in (tmp_path / "DAG.svg").read_text()


def test_the_picture_is_drawn_from_what_nextflow_wrote(tmp_path: Path) -> None:
    """Without Graphviz, and so that it opens without a network."""
    (tmp_path / reports.MERMAID).write_text(
        "flowchart TB\n    v0([KNEAD])\n    v1([BAKE])\n    v0 --> v1\n")
    said = smoke._picture(cast(smoke.SmokeSpec, Spec(output=tmp_path, pipeline="bread")))
    assert said == str(tmp_path / "DAG.svg")
    assert "KNEAD" in (tmp_path / "DAG.svg").read_text()
