"""The runtime from the real Maven: it starts, it is the same twice, its lock holds."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from tasks.core import files, nextflow
from tasks.core.errors import CommandError, HostError, SourceError
from tasks.runtime import build as runtimes


def beside(spec: runtimes.Runtime, folder: Path, **changes: object) -> runtimes.Runtime:
    """The same step with its outputs in another folder, and a copy of the lock."""
    (folder / "runtime.json").write_bytes(spec.lock.read_bytes())
    return dataclasses.replace(
        spec, archive=folder / spec.archive.name, sums=folder / "sums",
        lock=folder / "runtime.json", log=folder / "maven.log",
        **changes)  # type: ignore[arg-type]


def test_the_archive_starts_nextflow_from_any_folder(runtime: runtimes.Runtime,
                                                     tmp_path: Path) -> None:
    installed = nextflow.install(runtime.archive, tmp_path / "a folder", home=tmp_path / "home")
    told = subprocess.run(installed.command("-version"), env=installed.environment(), check=True,
                          cwd=tmp_path, capture_output=True, text=True).stdout
    assert f"version {runtime.version}" in told


def test_a_changed_jar_is_refused_with_both_digests_until_relock(
        runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """Relocked, it is the same again, byte for byte."""
    again = beside(runtime, tmp_path)
    lock = json.loads(again.lock.read_text())
    true, lock["jars"][0]["sha256"] = lock["jars"][0]["sha256"], "0" * 64
    dropped = lock["jars"].pop(1)["name"]
    files.write_json(again.lock, lock)
    with pytest.raises(SourceError) as caught:
        runtimes.build(again)
    assert all(each in str(caught.value) for each in (true, "0" * 64, dropped, "relock=1"))
    assert not again.archive.exists()
    runtimes.build(dataclasses.replace(again, relock=True))
    assert again.lock.read_bytes() == runtime.lock.read_bytes()
    assert again.archive.read_bytes() == runtime.archive.read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "sums"], cwd=tmp_path, check=True)


def test_a_coordinate_that_does_not_exist_names_the_log(runtime: runtimes.Runtime,
                                                        tmp_path: Path) -> None:
    wrong = beside(runtime, tmp_path, coordinates=("io.nextflow:nextflow:0.0.0-none",))
    with pytest.raises(CommandError) as caught:
        runtimes.build(wrong)
    assert str(wrong.log) in str(caught.value)
    assert "settings.xml" in str(caught.value)


def test_without_maven_it_says_what_to_install(runtime: runtimes.Runtime, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="mvn") as caught:
        runtimes.build(beside(runtime, tmp_path))
    assert "apt-get install maven" in str(caught.value)
