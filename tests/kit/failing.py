"""Pipelines that fail, each in another way, and what must be said of it by any Nextflow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import CommandError
from tasks.core.nextflow import installed, launch
from tasks.core.nextflow.environment import Inherited


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A script with its config, and the parts of what is quoted of its run."""

    script: str
    said: tuple[str, ...]
    config: str = ""


FAILING = {
    "a missing program": Failing(
        script="process A {\n    script:\n    'echo said >&2; nosuchtool'\n}\nworkflow { A() }\n",
        said=("Error executing process > 'A'", "error exit status (127)", "echo said >&2",
              "nosuchtool: command not found")),
    "an image that can't be pulled": Failing(
        script="process A {\n    container 'localhost:9/q/none:1'\n    script:\n    'true'\n}\n"
               "workflow { A() }\n", config="docker.enabled = true\n",
        said=("Error executing process > 'A'", "error exit status (12", "docker",
              "localhost:9/q/none:1")),
    "an output that was not made": Failing(
        script="process A {\n    output:\n    path 'o.txt'\n    script:\n    'true'\n}\n"
               "workflow { A() }\n",
        said=("Error executing process > 'A'", "Missing output file(s) `o.txt`")),
    "a missing file": Failing(
        script="workflow { channel.fromPath('/nosuch/a.txt', checkIfExists: true).view() }\n",
        said=("/nosuch/a.txt",)),
    "a param without a value": Failing(
        script="workflow { channel.fromPath(params.sheet).view() }\n", said=("fromPath",)),
    "an exception": Failing(
        script="workflow { def none = null; println none.size }\n",
        said=("'size' on null object",)),
    "error()": Failing(
        script="workflow { error('look at column 2') }\n", said=("look at column 2",)),
    "a script's syntax": Failing(script="workflow { A( }\n", said=("Unexpected",)),
    "a config's syntax": Failing(
        script="workflow {}\n", config="process { cpus = \n}\n", said=("Unexpected input",)),
}


def cause_of(failing: Failing, archive: Path, folder: Path) -> str:
    """Run it with the runtime in this archive; return what the error quotes, without noise."""
    files.write_text(folder / "code/main.nf", failing.script)
    files.write_text(folder / "code/nextflow.config", failing.config)
    files.write_text(folder / "own.config", "profiles { offline {} }\n")
    files.write_json(folder / "params.json", {})
    nextflow = installed.install(archive, folder / "runtime", home=folder / "home",
                                 inherited=Inherited.of(os.environ))
    ready = launch.Launch(
        nextflow=nextflow, code=folder / "code", tree=folder, folder=folder,
        configs=(folder / "own.config",), params=folder / "params.json",
        host_params=folder / "params.json")
    with pytest.raises(CommandError) as caught:
        launch.run(ready, profile="", log=folder / "run.log", options=[])
    said = "\n".join(caught.value.tail)
    assert "Tip:" not in said
    assert "file for details" not in said
    return said
