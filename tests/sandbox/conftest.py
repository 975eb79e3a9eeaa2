"""What several of these tests need: a web server, and the real Nextflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tasks.runtime import build as runtimes
from tests.sandbox.project import ROOT
from tests.sandbox.web import Web, serving


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server of the test's own."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> runtimes.Runtime:
    """hello's runtime, built once by the real step with the real Maven."""
    folder = tmp_path_factory.mktemp("runtime")
    raw = yaml.safe_load((ROOT / "config/pipelines/hello.yml").read_text())["nextflow"]
    spec = runtimes.Runtime(
        pipeline="hello", version=raw["version"], coordinates=tuple(raw["coordinates"]),
        archive=folder / f"nextflow-{raw['version']}.tar", sums=folder / "sums",
        lock=Path(folder / "runtime.json"), log=folder / "maven.log", relock=False)
    runtimes.build(spec)
    return spec
