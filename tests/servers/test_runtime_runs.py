"""Runtimes from each source run a pipeline, and one with a known fault says which."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.errors import CommandError, SourceError
from tasks.core.nextflow import known_faults, launch, queries
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import install
from tasks.core.parallel import run_all
from tasks.runtime import build as runtimes
from tasks.runtime.dist import Dist
from tests.kit.failing import FAILING, cause_of
from tests.kit.locks import lock_at
from tests.kit.project import MAVEN

MAIN = """
process WITHOUT_STUB {
    output: path 'out.txt'
    script: "echo done > out.txt"
}
workflow { WITHOUT_STUB() }
"""
MERGED = ("META-INF/services/", "META-INF/groovy/")
"""Lists of classes, of which each jar has its own."""


def run(archive: Path, folder: Path, *words: str, text: str = MAIN,
        within: launch.Confinement | None = None) -> str:
    """Run a pipeline of one process, which has no stub block; what Nextflow said."""
    files.write_text(folder / "code/main.nf", text)
    files.write_text(folder / "code/nextflow.config", "profiles { test {}\n offline {} }\n")
    files.write_json(folder / "params.json", {})
    ready = launch.Launch(
        nextflow=install(archive, folder / "runtime", home=folder / "home",
                         inherited=Inherited.of(os.environ)),
        code=folder / "code", tree=folder / "configs", configs=(), params=folder / "params.json",
        host_params=folder / "host.params.json", folder=folder)
    launch.run(ready, profile="test", log=folder / "run.log", options=[], words=words,
               within=within)
    return (folder / "run.log").read_text()


def from_maven(folder: Path, version: str) -> runtimes.Runtime:
    spec = runtimes.Runtime(
        pipeline="p", version=version, archive=folder / f"nextflow-{version}.tar",
        coordinates=tuple(f"io.nextflow:{name}:{version}"
                          for name in ("nextflow", "nf-commons", "nf-httpfs")),
        sums=folder / "sums", jars=folder / "jars.json",
        lock=lock_at(folder / "locks", "runtime"), log=folder / "maven.log", relock=False,
        repository=MAVEN, environment=os.environ)
    runtimes.build(spec)
    return spec


def test_the_stub_fault_of_24_10_0_is_foreseen_and_explained(tmp_path: Path) -> None:
    faulty = from_maven(tmp_path, "24.10.0").archive
    fault, = known_faults.foreseen("24.10.0")
    with pytest.raises(CommandError) as caught:
        run(faulty, tmp_path / "stub", "-stub-run")
    assert str(fault) in str(caught.value)
    assert "process > WITHOUT_STUB" in run(faulty, tmp_path / "whole"), "only stub runs have it"


def test_the_runtime_from_maven_runs_stubs(runtime: runtimes.Runtime, tmp_path: Path) -> None:
    assert "process > WITHOUT_STUB" in run(runtime.archive, tmp_path, "-stub-run")


@pytest.mark.parametrize(("text", "said"), [
    ("workflow { while (true) { println 'x' * 100_000 } }", "wrote more than 1.0 MB"),
    ("workflow { while (true) { sleep 100 } }", "took longer than 15 s")])
def test_a_confined_run_without_an_end_is_ended(
        runtime: runtimes.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        text: str, said: str) -> None:
    monkeypatch.setattr(queries, "MAX_LOG", 1_000_000)
    (tmp_path / "room").mkdir()
    with pytest.raises(SourceError, match=f"the run {said}, and was ended"):
        run(runtime.archive, tmp_path, text=text,
            within=launch.Confinement(folder=tmp_path / "room", timeout=15))


@pytest.mark.parametrize("name", FAILING)
def test_a_failed_run_says_its_cause(runtime: runtimes.Runtime, tmp_path: Path,
                                     name: str) -> None:
    said = cause_of(FAILING[name], runtime.archive, tmp_path)
    assert all(part in said for part in FAILING[name].said), said


def test_what_a_run_was_doing_when_it_was_ended_is_said(
        runtime: runtimes.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was confined; both wait at the same time."""
    monkeypatch.setattr(launch.run, "__kwdefaults__",
                        {**(launch.run.__kwdefaults__ or {}), "limit": 30.0})

    def see(name: str) -> None:
        room = tmp_path / name / "room"
        room.mkdir(parents=True)
        within = launch.Confinement(folder=room, timeout=30) if name == "confined" else None
        with pytest.raises(launch.TooLong, match=r"the stub run took longer than 30 s") as caught:
            run(runtime.archive, tmp_path / name, "-stub-run", within=within,
                text="println 'reading the sheet'\nsleep 600_000\nworkflow {}\n")
        assert "last: reading the sheet" in str(caught.value)

    run_all(see, ["confined", "free"])


def as_dist(archive: Path, target: Path) -> None:
    """Pack a runtime's jars as Nextflow's own `-dist` file is: a launcher, then one jar of all."""
    unpacking.unpack_tar(archive, target.with_suffix(".unpacked"), allowed=limits.RUNTIME)
    lists, seen = defaultdict[str, bytes](bytes), set[str]()
    whole = target.with_suffix(".jar")
    with zipfile.ZipFile(whole, "w") as fat:
        for path in sorted(target.with_suffix(".unpacked").glob("*/lib/*.jar")):
            with zipfile.ZipFile(path) as jar:
                for name in jar.namelist():
                    if name.startswith(MERGED) and not name.endswith("/"):
                        lists[name] += jar.read(name) + b"\n"
                    elif name not in seen and not name.endswith((".SF", ".RSA", ".DSA")):
                        seen.add(name)
                        fat.writestr(name, jar.read(name))
        for name, content in lists.items():
            fat.writestr(name, joined(content))
    target.write_bytes(b"#!/usr/bin/env bash\nNXF_PACK=dist\nexit 1\n" + whole.read_bytes())


def joined(content: bytes) -> bytes:
    """Groovy's lists are properties, whose values are joined; Java's are lines."""
    values: dict[str, list[str]] = {}
    for line in content.decode().splitlines():
        key, mark, value = line.partition("=")
        if mark:
            values.setdefault(key.strip(), []).append(value.strip())
    return "".join(f"{key}={','.join(filter(None, value))}\n"
                   for key, value in values.items()).encode() or content


def test_a_runtime_from_a_dist_file_runs(runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """Packed here: the real file can't be had where these tests run."""
    packed = tmp_path / f"nextflow-{runtime.version}-dist"
    as_dist(runtime.archive, packed)
    spec = runtimes.Runtime(
        pipeline="p", version=runtime.version, coordinates=(),
        archive=tmp_path / f"nextflow-{runtime.version}.tar", sums=tmp_path / "sums",
        jars=tmp_path / "jars.json", lock=lock_at(tmp_path / "locks", "runtime"),
        log=tmp_path / "log", relock=False, repository=MAVEN,
        dist=Dist(place=str(packed), reached_at=str(packed), sha256=files.sha256(packed)))
    runtimes.build(spec)
    assert "process > WITHOUT_STUB" in run(spec.archive, tmp_path / "run")
