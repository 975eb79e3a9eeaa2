"""What is made for Batch and offline, in the grammar of Nextflow's strict config parser.

No Nextflow that has this parser can be had whole from Maven Central, but the parser alone can.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.batch.config import ConfigSpec, render
from tasks.batch.patch import with_profile
from tasks.core import config_places
from tasks.core.config import engines
from tasks.core.nextflow import image_selectors, java
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.image_selectors import Selector
from tasks.offline_config.render import render as render_offline
from tasks.runtime import maven
from tests.kit.project import MAVEN, ROOT

SELECTORS = [
    Selector(pattern="(.*:)?(A)", images={"a:1": "q/a:1"}, choice=None),
    Selector(pattern="(.*:)?(B)", images={"a:1": "q/a:1", "b:1": "q/b:1"},
             choice="(params.c ? 'a:1' : 'b:1')")]
MIRRORED = {"q/a:1": f"n/a@sha256:{'0' * 64}", "q/b:1": f"n/b@sha256:{'1' * 64}"}
PIPELINE = "params.x = 1\nprofiles {\n    test { process.cpus = 1 }\n}\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Asks the parser of 25.04 for what is wrong with a config."""
    folder = tmp_path_factory.mktemp("strict")
    maven.resolve(("io.nextflow:nf-lang:25.04.0",), folder / "jars", log=folder / "maven.log",
                  repository=MAVEN, environment=os.environ)
    program = java.find("25.04.0", Inherited.of(os.environ))

    def ask(path: Path) -> str:
        return subprocess.run(
            [program, "-cp", f"{folder}/jars/*", "groovy.ui.GroovyMain",
             ROOT / "tests/kit/strict_config.groovy", path], check=True, text=True,
            stdout=subprocess.PIPE).stdout.strip()
    return ask


@pytest.mark.parametrize("mode", ["carried-cli", "fusion"])
def test_the_settings_for_batch_are_of_its_grammar(
        strict: Callable[[Path], str], tmp_path: Path, mode: str) -> None:
    here = Path()
    spec = ConfigSpec(
        pipeline="p", profile="aws", mode=mode, queue="q", work="s3://b/w", region="us-west-2",
        code=here, scan=here, config=here, patch=here, endpoint="http://127.0.0.1:1", cpus=4,
        memory=16 * 10**9)
    path = tmp_path / "aws.config"
    path.write_text(render(spec, image_selectors.render(SELECTORS, MIRRORED)))
    assert strict(path) == "errors: 0"
    whole = tmp_path / "nextflow.config"
    whole.write_text(with_profile(PIPELINE, "aws", "aws.config"))
    assert strict(whole) == "errors: 0"


def test_the_offline_config_is_of_its_grammar(strict: Callable[[Path], str],
                                              tmp_path: Path) -> None:
    path = tmp_path / "offline.config"
    toggles = (ROOT / "config/offline.config").read_text()
    for engine in engines.KINDS:
        own = (ROOT / config_places.engine(engine)).read_text()
        path.write_text(render_offline(SELECTORS, MIRRORED, own + toggles, [
            "docker.registry = 'n'"]))
        assert strict(path) == "errors: 0", engine
    path.write_text("def f() { 1 }\n")
    assert not strict(path).endswith("errors: 0"), "what only the old parser takes is an error"
