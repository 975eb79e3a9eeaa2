"""The runtime from the real Maven: it starts, it is the same twice, its lock holds."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.bill.parts import RUNTIME, Part
from tasks.core.errors import CommandError, HostError, SourceError
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import install
from tasks.runtime import build as runtimes
from tasks.sbom import archives
from tests.kit import project
from tests.kit.locks import lock_at
from tests.kit.web import Web

JAR = "io/nextflow/nf-commons/24.10.5/nf-commons-24.10.5.jar"


def beside(spec: runtimes.Runtime, folder: Path, **changes: object) -> runtimes.Runtime:
    """The same step with its outputs in another folder, and a copy of the lock."""
    lock = lock_at(folder / "locks", "runtime")
    files.write_bytes(lock.shared, spec.lock.shared.read_bytes())
    return dataclasses.replace(
        spec, archive=folder / spec.archive.name, sums=folder / "sums",
        jars=folder / "jars.json", lock=lock, log=folder / "maven.log",
        **changes)  # type: ignore[arg-type]


def test_the_archive_starts_nextflow_from_any_folder(runtime: runtimes.Runtime,
                                                     tmp_path: Path) -> None:
    installed = install(runtime.archive, tmp_path / "a folder", home=tmp_path / "home",
                        inherited=Inherited.of(os.environ))
    output = subprocess.run(installed.command("-version"), env=installed.environment(), check=True,
                            cwd=tmp_path, capture_output=True, text=True).stdout
    assert f"version {runtime.version}" in output


def parts(runtime: runtimes.Runtime, declared: Path) -> dict[str, Part]:
    """Nextflow itself and its jars as the list of parts has them, by their files' names."""
    return {part.notes["file"].rpartition("/")[2]: part for part in
            archives.runtime(runtime.archive, runtime.version, declared) if "file" in part.notes}


def test_mavens_own_poms_tell_the_licence_of_nearly_every_jar(runtime: runtimes.Runtime,
                                                              tmp_path: Path) -> None:
    """Two have none in their poms either, nor in their parents'."""
    told = json.loads(runtime.jars.read_text())
    without = tmp_path / "jars.json"
    files.write_json(without, {**told, "jars": [
        {**{key: jar[key] for key in ("name", "sha256")}, "licences": []}
        for jar in told["jars"]]})
    before, after = (parts(runtime, path) for path in (without, runtime.jars))
    itself = after.pop(runtime.archive.name)
    assert (itself.kind, itself.licences) == (RUNTIME, ("The Apache License, Version 2.0",))
    assert itself.notes["licence-by"] == f"the pom of io.nextflow:nextflow:{runtime.version}"
    assert not before.pop(runtime.archive.name).licences
    assert len(before) == len(after) == len(told["jars"]) == 54
    assert sum(bool(part.licences) for part in before.values()) == 31
    assert {name for name, part in after.items() if not part.licences} == {
        "jsr166y-1.7.0.jar", "multiverse-core-0.7.0.jar"}
    assert all(part.purl.startswith("pkg:maven/") for part in after.values())
    assert after["slf4j-api-2.0.7.jar"].licences == ("MIT License",)
    assert after["slf4j-api-2.0.7.jar"].notes["licence-by"] == (
        "the pom of org.slf4j:slf4j-parent:2.0.7")
    assert after["checker-qual-3.41.0.jar"].licences == before["checker-qual-3.41.0.jar"].licences


def test_a_changed_jar_is_refused_with_both_digests_until_relock(
        runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """Relocked, it is the same again, byte for byte."""
    again = beside(runtime, tmp_path)
    lock = json.loads(again.lock.shared.read_text())
    true, lock["jars"][0]["sha256"] = lock["jars"][0]["sha256"], "0" * 64
    dropped = lock["jars"].pop(1)["name"]
    files.write_json(again.lock.shared, lock)
    with pytest.raises(SourceError) as caught:
        runtimes.build(again)
    assert all(part in str(caught.value) for part in (true, "0" * 64, dropped, "relock=1"))
    assert not again.archive.exists()
    runtimes.build(dataclasses.replace(again, relock=True))
    assert again.lock.shared.read_bytes() == runtime.lock.shared.read_bytes()
    assert again.archive.read_bytes() == runtime.archive.read_bytes()
    assert again.jars.read_bytes() == runtime.jars.read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "sums"], cwd=tmp_path, check=True)


def test_a_coordinate_that_does_not_exist_names_the_log(runtime: runtimes.Runtime,
                                                        tmp_path: Path) -> None:
    wrong = beside(runtime, tmp_path, coordinates=("io.nextflow:nextflow:0.0.0-none",))
    for _ in ("asked", "noted in Maven's own repository"):
        with pytest.raises(SourceError) as caught:
            runtimes.build(wrong)
        assert str(wrong.log) in str(caught.value)
        assert "io.nextflow:nextflow:0.0.0-none" in caught.value.what
        assert "dist: https://github.com/nextflow-io/nextflow/releases/download/v0.0.0-none/" \
            in str(caught.value)
        assert "mirror" not in str(caught.value)


def test_a_line_that_maven_central_holds_in_part_names_what_it_lacks(runtime: runtimes.Runtime,
                                                                     tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        runtimes.build(beside(runtime, tmp_path, version="25.04.4", coordinates=tuple(
            f"io.nextflow:{name}:25.04.4" for name in ("nextflow", "nf-commons", "nf-httpfs"))))
    assert all(part in str(caught.value) for part in (
        "io.nextflow:nf-lang:25.04.4", "io.seqera:lib-trace:0.1.0", "nextflow-25.04.4-dist"))
    assert "mirror" not in str(caught.value)


def test_a_repository_out_of_reach_names_mavens_settings(copied: runtimes.Runtime,
                                                         home: Path) -> None:
    shutil.rmtree((copied.repository / JAR).parent)
    files.write_text(home / ".m2/settings.xml",
                     "<settings><mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf>"
                     "<url>http://127.0.0.1:9/</url></mirror></mirrors></settings>")
    with pytest.raises(SourceError, match=r"no answer from 127\.0\.0\.1:9, says Maven") as caught:
        runtimes.build(copied)
    assert str(copied.log) in str(caught.value)
    assert "settings.xml" in str(caught.value)


def test_without_maven_it_says_what_to_install(runtime: runtimes.Runtime, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="mvn") as caught:
        runtimes.build(beside(runtime, tmp_path))
    assert "apt-get install maven" in str(caught.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another user's home folder, where Maven's settings lie."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def copied(runtime: runtimes.Runtime, tmp_path: Path) -> runtimes.Runtime:
    """The step with another folder for its outputs, and a copy of the repository that it filled."""
    shutil.copytree(runtime.repository, tmp_path / "repository", copy_function=os.link)
    return beside(runtime, tmp_path, repository=tmp_path / "repository")


@pytest.mark.parametrize("offers", ["a false checksum", "none"])
@pytest.mark.parametrize("name", [JAR, JAR.replace(".jar", ".pom")], ids=["jar", "pom"])
def test_what_a_repository_serves_without_the_right_checksum_is_refused_by_name(
        runtime: runtimes.Runtime, copied: runtimes.Runtime, web: Web, home: Path, name: str,
        offers: str) -> None:
    shutil.rmtree((copied.repository / JAR).parent)
    files.write_text(home / ".m2/settings.xml",
                     "<settings><mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf>"
                     f"<url>{web.url}</url></mirror></mirrors></settings>")
    web.folder = runtime.repository
    if offers == "none":
        web.statuses = {f"/{name}.{kind}": [404] * 9 for kind in ("sha1", "sha256", "md5")}
    else:
        web.files[f"/{name}"] = (runtime.repository / name).read_bytes() + b"\n"
    with pytest.raises(CommandError) as caught:
        runtimes.build(copied)
    assert str(caught.value).startswith("Maven ended with status 1")
    assert "nf-commons:" + name.rpartition(".")[2] in str(caught.value)
    assert "hecksum" in str(caught.value)
    assert web.asked(f"/{name}")
    assert not copied.archive.exists()


def test_a_changed_jar_in_mavens_own_repository_is_caught_by_the_lock(
        copied: runtimes.Runtime) -> None:
    """Maven believes what it downloaded once."""
    jar = copied.repository / JAR
    true = files.sha256(jar)
    changed = jar.read_bytes() + b"\n"
    jar.unlink()
    jar.write_bytes(changed)
    with pytest.raises(SourceError) as caught:
        runtimes.build(copied)
    assert all(part in str(caught.value)
               for part in (jar.name, true, files.sha256(jar), "relock=1"))


def test_the_first_run_in_a_fresh_clone_compares_with_what_was_published(tmp_path: Path) -> None:
    clone = project.copy(tmp_path, number=44)
    site = clone.site()
    del site["sandbox"]  # no servers, no packages: the runtime alone
    clone.write_site(site)
    lock = clone.root / "config/locks/hello/runtime.json"
    text = lock.read_text()
    true = next(jar["sha256"] for jar in json.loads(text)["jars"]
                if jar["name"] == Path(JAR).name)
    false = ("1" if true[0] == "0" else "0") + true[1:]
    lock.write_text(text.replace(true, false))
    done = clone.doit("runtime:hello", check=False)
    assert done.returncode != 0
    assert all(part in done.stdout for part in (Path(JAR).name, true, false, "relock=1"))
    assert not list(clone.root.glob("build/local/hello/nextflow-*"))
    lock.write_text(text)
    clone.doit("runtime:hello")
    assert lock.read_text() == text
