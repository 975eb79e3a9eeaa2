"""Apptainer and Singularity for tests: a stand-in on the PATH, the real one, and image files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.machine_names import architecture
from tasks.core.sif.layers import Layer
from tasks.core.sif.make import make

PROGRAMS = ("bash", "cat", "ls", "true", "wc", "ps", "grep", "head", "tail", "date", "sleep",
            "touch", "rm", "mkdir", "mktemp", "tee", "sed", "awk", "tr", "cut", "sort", "env",
            "uname", "mkfifo", "ln", "cp")
"""What an image has of this machine's programs: the task's own, and those of Nextflow's wrapper."""
STANDIN = """\
#!{python}
import hashlib, json, os, subprocess, sys
from pathlib import Path

words, call = sys.argv[1:], {{}}
here = Path(__file__).resolve().parent


def end(text):
    print(f"INFO:    a word besides\\n\\x1b[31mFATAL:  \\x1b[0m {{text}}", file=sys.stderr)
    sys.exit(255)


if words == ["--version"]:
    print("{said}")
    sys.exit(0)
given = dict(os.environ)
given.pop("LC_CTYPE", None)  # Python's own
strange = [name for name in given if name not in ("PATH", "PWD", "SHLVL", "_")
           and not name.startswith("{prefix}ENV_")]
options = []
if words[0] == "exec":
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        options.append(rest.pop(0))
        if options[-1] == "-B":
            options.append(rest.pop(0))
    image, command = Path(rest[0]), rest[1:]
else:
    image, command = Path(), []
with (here / "calls").open("a") as stream:
    stream.write(json.dumps({{"verb": words[0], "options": options, "image": str(image),
                              "command": command, "strange": strange}}) + "\\n")
if words[0] != "exec":
    end("no network")
for option in {needs}:
    if option not in options:
        end(f"it needs {{option}}")
if not image.is_file():
    end(f"could not open image {{image}}: no such file or directory")
if not image.read_bytes()[:40].startswith(b"#!/usr/bin/env run-singularity"):
    end(f"could not open image {{image}}: image format not recognized")
inner = {{name.removeprefix("{prefix}ENV_"): value for name, value in given.items()
         if name.startswith("{prefix}ENV_")}}
sys.exit(subprocess.run(command, env={{"PATH": given["PATH"], **inner}}).returncode)
"""


@dataclass(frozen=True, kw_only=True)
class Standin:
    """A program that checks what it is asked, notes it, and runs commands on this machine."""

    folder: Path

    @property
    def path(self) -> str:
        """A PATH on which it is the first."""
        return f"{self.folder}:{os.environ['PATH']}"

    def calls(self) -> list[dict[str, Any]]:
        """What it was asked to do, but for its version."""
        noted = self.folder / "calls"
        return [json.loads(line) for line in noted.read_text().splitlines()] if (
            noted.is_file()) else []


def standin(folder: Path, kind: str = "apptainer", *, said: str | None = None,
            needs: Sequence[str] = ()) -> Standin:
    """Put one there that calls itself `said`, and runs no image without the options it `needs`."""
    files.write_text(folder / kind, STANDIN.format(
        python=sys.executable, said=said or f"{kind} version 3.11.4", prefix=kind.upper(),
        needs=list(needs)), mode=0o755)
    return Standin(folder=folder)


def real() -> Path:
    """The real program, or a skip."""
    named = os.environ.get("AIRLOCK_TEST_APPTAINER")
    place = named or shutil.which("apptainer") or shutil.which("singularity")
    if place is None:
        pytest.skip("no Apptainer: none is on the PATH, and AIRLOCK_TEST_APPTAINER names none")
    return Path(place)


def kind_of(program: Path) -> str:
    """The kind of engine that a real program is, by its name."""
    return "singularity" if program.name.startswith("singularity") else "apptainer"


def path_without() -> str:
    """This machine's PATH, less the folders that have either program."""
    return ":".join(folder for folder in os.environ["PATH"].split(":") if not any(
        Path(folder, name).exists() for name in ("apptainer", "singularity")))


def image(path: Path) -> Path:
    """A real image file with a shell and a few programs of this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_made(), path)
    return path


@cache
def _made() -> Path:
    import tempfile
    folder = Path(tempfile.mkdtemp(prefix="airlock-image-"))
    layer = folder / "layer"
    with tarfile.open(layer, "w") as tar:
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for place, source in sorted(_files().items()):
            member = tarfile.TarInfo(place.lstrip("/"))
            member.mode, data = 0o755, source.read_bytes()
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    digest = f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    make([Layer(digest=digest, path=layer)], {
        "architecture": architecture(), "config": {"Env": ["PATH=/usr/bin"]}},
        digest=digest, output=folder / "image.sif")
    return folder / "image.sif"


def _files() -> dict[str, Path]:
    """The programs and the libraries that they load, by their places in the image."""
    found: dict[str, Path] = {}
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None, name
        found[f"/usr/bin/{name}"] = Path(program).resolve()
        listed = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
        for library in re.findall(r"(/\S+)", listed.stdout):
            place = library if library.startswith("/usr/") else f"/usr{library}"
            found[place] = Path(library).resolve()
    found["/usr/bin/sh"] = found["/usr/bin/bash"]
    return found
