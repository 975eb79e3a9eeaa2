"""Runs of one offline host at once, by the real Nextflow: of two releases, killed and gone on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.core import files, in_place
from tasks.core.trust import signature
from tasks.runtime import build as runtimes
from tests.kit import offline
from tests.kit.offline import SITE, Host, until
from tests.kit.project import ROOT, copy
from tests.kit.releases import Staged, stage


@pytest.fixture
def staged(tmp_path: Path, runtime: runtimes.Runtime, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A pipeline with the real runtime, in the current folder."""
    (tmp_path / "online").mkdir()
    monkeypatch.chdir(tmp_path / "online")
    staged = stage()
    archive = staged.layout.runtime("24.10.5")
    shutil.copy(runtime.archive, archive)
    files.write_text(staged.layout.runtime_sums("24.10.5"),
                     f"{files.sha256(archive)}  {archive.name}\n")
    return staged


@pytest.fixture
def host(tmp_path: Path, staged: Staged) -> Host:
    (tmp_path / "there").mkdir()
    made = Host(project=copy(tmp_path / "there", number=7), store=tmp_path / "online/store")
    signature.ready(staged.signing.key, create=True, identity="airlock")
    staged.trust_key()
    made.configure(tmp_path / "online/trust", ["hello"])
    return made


def given(host: Host, name: str) -> tuple[str, Path]:
    """A params file for a run, and its gate."""
    params, gate = host.root.parent / f"{name}.yml", host.root.parent / f"{name}.gate"
    files.write_text(params, f"gate: {gate}\n")
    return f"params={params}", gate


def said(host: Host, name: str) -> str:
    """What the last run of that name has published."""
    found = [path for path in host.root.glob("runs/**/said.txt") if name in str(path)]
    return max(found, key=lambda path: path.stat().st_mtime).read_text()


def javas(host: Host, release: str = "") -> list[int]:
    """The Nextflows that run for this host, or out of one of its releases."""
    lines = subprocess.run(["pgrep", "-af", f"{host.root}.*{release}"], text=True, check=False,
                           capture_output=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "nextflow.cli.Launcher" in line]


@pytest.fixture
def ended(host: Host) -> Iterator[None]:
    """Nothing that a test has killed goes on after it."""
    yield
    for pid in javas(host):
        os.killpg(pid, signal.SIGKILL)


@contextmanager
def within(host: Host) -> Iterator[None]:
    """In its folder, from which its paths are told."""
    before = Path.cwd()
    os.chdir(host.root)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.usefixtures("ended")
def test_two_runs_of_two_releases_and_one_that_is_killed(host: Host, staged: Staged) -> None:
    old, new = offline.without_images(staged, "old"), offline.without_images(staged, "new")
    params, gate = given(host, "first")
    first = host.start("pipeline=hello", f"release={old}", params)
    first.says("submitted: WAIT")
    second = host.start("pipeline=hello", (given(host, "second")[0]))
    second.says("submitted: WAIT")
    assert first.process.poll() is None, first.said
    at = host.at()
    with within(host):
        assert in_place.in_use(at, old) and in_place.in_use(at, new)
    assert "prod:run:hello" in host.run("list")  # which waits for nobody

    first.process.kill()
    first.process.wait()
    with within(host):  # its Nextflow goes on, and so does its hold on the release
        assert in_place.in_use(at, old)
        [java] = javas(host, old)
        os.killpg(java, signal.SIGKILL)
        until(lambda: not in_place.in_use(at, old))
        assert in_place.in_use(at, new)

    (host.root.parent / "second.gate").touch()
    second.ends()
    assert said(host, "second") == "new\n"
    gate.touch()
    host.run("pipeline=hello", f"release={old}", params)
    assert said(host, "first") == "old\n"


def test_who_places_is_waited_for_and_a_killed_one_is_not(host: Host, staged: Staged) -> None:
    offline.without_images(staged, "new")
    code = (f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
            "from tasks.core import in_place; from tasks.core.paths import SitePaths\n"
            f"with in_place.placing(SitePaths(site={SITE!r}), 'prod:fetch:sarek'):\n"
            "    print('held', flush=True); time.sleep(600)\n")
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=host.root, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    waiting = host.start("pipeline=hello", "prod:fetch:hello")
    waiting.says(f"waits for process {holder.pid}, prod:fetch:sarek since ")
    time.sleep(1)
    assert waiting.process.poll() is None
    holder.kill()
    holder.communicate()
    assert "is in place" in waiting.ends()
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=host.root, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    try:  # what is in place waits for nobody
        assert "waits" not in host.run("pipeline=hello", "prod:fetch:hello")
    finally:
        holder.kill()
        holder.communicate()


def test_what_is_in_place_runs_without_store_registry_and_what_was_removed(
        host: Host, staged: Staged) -> None:
    """Java is another one after the first run, and a file of the code and a jar are gone."""
    name = offline.without_images(staged, "new")
    params, gate = given(host, "run")
    gate.touch()
    host.run("pipeline=hello", params)
    host.store.rename(host.store.with_name("aside"))
    place = host.root / host.at().launch / name
    (place / "code/main.nf").unlink()
    next(place.rglob("nextflow-24.10.5.jar")).unlink()
    shutil.rmtree(host.root / host.at().release(name))
    printed = host.run("pipeline=hello", params)
    assert printed.count("STORE NOT REACHED: the store's folder is missing") == 1
    assert f"{name}, which is in place, runs" in printed
    assert said(host, "run") == "new\n"
    printed = host.run("pipeline=hello", "release=dev-000000000000", params, status=1)
    assert "the store's folder is missing, and dev-000000000000 isn't whole in place" in printed
    assert f"in place: {name}" in printed


@pytest.mark.usefixtures("ended")
def test_two_runs_of_one_release_at_once_go_on_by_themselves(host: Host, staged: Staged) -> None:
    offline.without_images(staged, "new")
    runs = {}
    for name in ("first", "second"):
        params, gate = given(host, name)
        runs[name] = (host.start("pipeline=hello", params), gate)
    for started, _ in runs.values():
        started.says("submitted: WAIT")
    for name, (started, gate) in reversed(runs.items()):
        gate.touch()
        started.ends()
        assert said(host, name) == "new\n"
