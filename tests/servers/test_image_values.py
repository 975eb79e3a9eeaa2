"""The pipelines of the reader's own tests, as the real `nextflow inspect` answers of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.core.nextflow import installed, queries
from tasks.core.nextflow.environment import NOTHING
from tasks.runtime import build as runtimes
from tests.kit.image_values import SURE
from tests.kit.pipelines import write_sources


@pytest.mark.parametrize("name", SURE)
def test_nextflow_names_the_same_images(tmp_path: Path, runtime: runtimes.Runtime,
                                        name: str) -> None:
    sources, wanted = SURE[name]
    code = write_sources(tmp_path / "code", sources)
    nextflow = installed.install(runtime.archive, tmp_path / "runtime", home=tmp_path / "nxf",
                                 inherited=NOTHING)
    answer = queries.ask(nextflow, ["-log", tmp_path / "log", "inspect", "-format", "json", code],
                         scratch=tmp_path)
    listed = json.loads(answer[answer.index("{\n"):])["processes"]
    assert {process["name"]: process["container"] for process in listed} == wanted
