"""A runtime from a -dist file: its jar is taken out, and must be what it is said to be."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tasks.core import files, schema
from tasks.core.errors import ConfigError, IntegrityError, SourceError
from tasks.core.nextflow import known_faults
from tasks.runtime.build import Runtime, build
from tasks.runtime.dist import Dist
from tests.kit import jars
from tests.kit.locks import lock_at

JAR = jars.nextflow("25.10.4")


def spec(root: Path, data: bytes, sha256: str | None = None) -> Runtime:
    """A -dist file as Nextflow packs it: a launcher, and the jar after its last byte."""
    path = root / "nextflow-25.10.4-dist"
    path.write_bytes(b"#!/usr/bin/env bash\nNXF_PACK=dist\nexit 0\n" + data)
    (root / "out").mkdir(exist_ok=True)
    return Runtime(
        pipeline="p", version="25.10.4", coordinates=(), archive=root / "out/nextflow-25.10.4.tar",
        sums=root / "out/sums", jars=root / "out/jars.json", relock=False,
        lock=lock_at(root / "locks", "runtime"), log=root / "log", repository=root / "maven",
        dist=Dist(place=str(path), reached_at=str(path), sha256=sha256))


def test_the_jar_is_taken_out_whole_and_locked(tmp_path: Path) -> None:
    made = spec(tmp_path, JAR)
    build(made)
    with tarfile.open(made.archive) as tar:
        member = tar.extractfile("nextflow-25.10.4/lib/nextflow-25.10.4-one.jar")
        assert member is not None
        assert member.read() == JAR
        assert tar.getmember("nextflow-25.10.4/nextflow").mode == 0o755
    lock = schema.read_json(made.lock.shared, "runtime-lock")
    assert lock["dist"]["sha256"] == files.sha256(tmp_path / "nextflow-25.10.4-dist")
    jar, = schema.read_json(made.jars, "runtime-jars")["jars"]
    assert jar == {"name": "nextflow-25.10.4-one.jar", "sha256": files.sha256_bytes(JAR),
                   "licences": []}
    before = made.archive.read_bytes()
    build(made)
    assert made.archive.read_bytes() == before
    with pytest.raises(SourceError, match="relock=1"):
        build(spec(tmp_path, JAR + b"\0"))


@pytest.mark.parametrize(("data", "said"), [
    (jars.nextflow("25.10.2"), "this is Nextflow 25.10.2, and 25.10.4 was asked for"),
    (jars.nextflow("25.10.4", "other/Main.class"), "the jar in this file has no"),
    (b"", "there is no jar")])
def test_what_is_no_runtime_of_that_version_is_refused(tmp_path: Path, data: bytes,
                                                       said: str) -> None:
    with pytest.raises((IntegrityError, SourceError), match=said):
        build(spec(tmp_path, data))
    assert not (tmp_path / "out/nextflow-25.10.4.tar").exists()


def test_a_promised_checksum_must_fit(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="not what was promised"):
        build(spec(tmp_path, JAR, sha256="0" * 64))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = spec(tmp_path, JAR)
    (tmp_path / "nextflow-25.10.4-dist").unlink()
    with pytest.raises(ConfigError, match="no such file"):
        build(made)


def test_the_stub_fault_is_known_of_the_versions_that_have_it() -> None:
    said = ["ERROR ~ Cannot invoke method clone() on null object"]
    found, = known_faults.recognised(said, "24.10.0")
    assert "24.10.5" in str(found)
    assert known_faults.foreseen("24.10.4") == [found]
    assert known_faults.recognised(said, "24.10.5") == known_faults.foreseen("24.10.5") == []
    plugin, = known_faults.recognised(
        ["Plugin with id nf-x not found in any repository"], "25.10.4")
    assert "does not carry" in str(plugin)


@pytest.mark.parametrize(("said", "todo"), [
    ("Error: initializing source docker://nexus:8443/q/drum@sha256:1: pinging container registry",
     "run the same command again"),
    ("Error: OCI runtime error: crun: the requested cgroup controller `cpu` is not available",
     "delegate"),
    ("Error: opening file `memory.max` for writing: Permission denied: OCI permission denied",
     "delegate"),
    ("Error: could not find slirp4netns, the network namespace can't be configured", "netns")])
def test_what_podman_says_of_a_task_is_known(said: str, todo: str) -> None:
    fault, = known_faults.recognised(["Command error:", f"  {said}"], "24.10.5")
    assert todo in str(fault)
