"""A pipeline whose main script is named by our configuration: resolved, and run by that name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import CommandError
from tasks.core.nextflow import launch
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import install
from tasks.core.source import resolved_config
from tasks.resolve.resolve import ResolveSpec, resolve
from tasks.runtime import build as runtimes

SOURCES = {
    "WES.nf": "process A {\n    output: path 'out.txt'\n    script: 'echo done > out.txt'\n}\n"
              "workflow { A() }\n",
    "Other.nf": "workflow { error 'the wrong script' }\n",
    "nextflow.config": "profiles { test { params.kind = 'exomes' } }\n"}


def test_the_config_of_the_named_script_is_resolved(
        tmp_path: Path, runtime: runtimes.Runtime) -> None:
    files.write_tar(tmp_path / "code.tar", Path(), [], extra={
        name: text.encode() for name, text in SOURCES.items()})
    resolve(ResolveSpec(pipeline="p", profile="test", given={}, code=tmp_path / "code.tar",
                        script="WES.nf", runtime=runtime.archive, log=tmp_path / "log",
                        output=tmp_path / "resolved.json"))
    config = resolved_config.config(tmp_path / "resolved.json")
    assert config["manifest"]["mainScript"] == "WES.nf"
    assert config["params"]["kind"] == "exomes"


@pytest.mark.parametrize("main", ["manifest.mainScript = 'WES.nf'\n", ""])
def test_a_run_takes_the_script_that_offline_config_names(
        tmp_path: Path, runtime: runtimes.Runtime, main: str) -> None:
    for name, text in SOURCES.items():
        files.write_text(tmp_path / "code" / name.replace("Other", "main"), text)
    files.write_text(tmp_path / "offline.config", "profiles { offline {} }\n" + main)
    files.write_json(tmp_path / "params.json", {})
    ready = launch.Launch(
        nextflow=install(runtime.archive, tmp_path / "runtime", home=tmp_path / "home",
                         inherited=Inherited.of(os.environ)),
        code=tmp_path / "code", tree=tmp_path / "configs", configs=(tmp_path / "offline.config",),
        params=tmp_path / "params.json", host_params=tmp_path / "host.json", folder=tmp_path)
    log = tmp_path / "run.log"
    if main:
        launch.run(ready, profile="test", log=log, options=[])
        assert "process > A" in log.read_text()
    else:
        with pytest.raises(CommandError):
            launch.run(ready, profile="test", log=log, options=[])
        assert "the wrong script" in log.read_text()
