"""The configs of the reader's own tests, as the real Nextflow resolves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.source import project
from tasks.resolve.resolve import ResolveSpec, resolve
from tasks.runtime import build as runtimes
from tests.kit.source_configs import CONTAINERS


@pytest.mark.parametrize(("text", "others", "container"), CONTAINERS.values(), ids=CONTAINERS)
def test_nextflow_gives_the_process_this_container(
        tmp_path: Path, runtime: runtimes.Runtime, text: str, others: dict[str, str],
        container: str) -> None:
    profile = "" if "profiles" in text else "profiles { test { } }\n"
    files.write_tar(tmp_path / "code.tar", Path(), [], extra={
        name: content.encode() for name, content in {
            **others, "main.nf": "workflow {}\n", "nextflow.config": text + profile}.items()})
    resolve(ResolveSpec(pipeline="p", profile="test", given={}, code=tmp_path / "code.tar",
                        runtime=runtime.archive, output=tmp_path / "resolved.json",
                        log=tmp_path / "log"))
    process = project.config(tmp_path / "resolved.json")["process"]
    assert process.get("withName:A", process)["container"] == container
