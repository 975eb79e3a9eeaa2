"""An offline host that takes away what it no longer needs, while others use what it needs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.offline_host import memory, prune, prune_plan
from tasks.offline_host.fetch import fetch
from tasks.offline_host.prune_plan import PruneSpec
from tests.kit.releases import Staged, change_code, stage

DAY = 86400
AT = OfflinePaths(site="there", pipeline="hello")
IMAGE = f"10.0.0.1:5443/quay.io/airlock/tool@sha256:{'a' * 64}"


@dataclass
class Host:
    """A host with releases in place, the last of them the current one."""

    staged: Staged
    ids: list[str] = field(default_factory=list)

    @property
    def spec(self) -> PruneSpec:
        return PruneSpec(layout=SitePaths(site="there"), only=None, seen=Path("seen"),
                         runs=Path("runs"), here=Path().absolute(), recent=30 * DAY,
                         engine=Engine(url="unix:///nowhere"))

    def why(self, **changed: Any) -> list[str]:
        """Why each release stays or goes, in the order of their coming."""
        plan = prune_plan.plan(replace(self.spec, **changed))
        said = {release.id: f"{'stays' if release.stays else 'goes'}: {release.why}"
                for release in plan.releases}
        return [said[name] for name in self.ids]

    def whole(self) -> bool:
        """Whether the current release is in place, and each file of it in the cache."""
        return " 0 of them fetched now" in fetch(self.staged.fetch_spec())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = Host(stage())
    for number in range(3):
        change_code(made.staged, b"workflow { %d }\n" % number)
        made.ids.append(made.staged.publish())
        made.staged.trust_key()
        fetch(made.staged.fetch_spec())
        files.write_text(AT.launch / made.ids[-1] / "code/main.nf", "unpacked")
    return made


def aged(host: Host, days: int = 60) -> None:
    """All that is in place came so long ago."""
    then = time.time() - days * DAY
    for path in AT.release("x").parent.iterdir():
        os.utime(path, (then, then))


def ran(name: str, days: int) -> None:
    begun = datetime.now(timezone.utc) - timedelta(days=days)
    files.write_json(Path(f"runs/hello/{begun:%Y%m%dT%H%M%SZ}-reads/run.json"), {
        "pipeline": "hello", "release": {"id": name},
        "started": f"{begun.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"})


def test_what_came_lately_stays(host: Host) -> None:
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    assert host.why() == [f"stays: came on {today}, and never ran"] * 2 + ["stays: in place"]
    assert "0 releases and 0 files of the cache removed" in prune.apply(host.spec)


def test_old_releases_go_and_what_only_they_name(
        host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    aged(host)
    before = {*AT.blobs.glob("*/*")}
    assert "2 releases to go, with 6 files, " in prune.show_plan(host.spec)
    assert {*AT.blobs.glob("*/*")} == before
    said = capsys.readouterr().out
    assert f"hello  {host.ids[0]}  goes   came on " in said
    assert f"image {IMAGE}" not in said, "the current one names it, too"
    assert "2 releases and 6 files of the cache removed" in prune.apply(host.spec)
    assert [path.name for path in AT.release("x").parent.iterdir()] == [host.ids[2]]
    assert [path.name for path in AT.launch.iterdir()] == [host.ids[2]]
    assert {path.name for path in before - {*AT.blobs.glob("*/*")}} == {
        "code.tar", "manifest.json", "release.json"}
    assert host.whole()


def test_what_a_host_is_held_at_has_run_or_uses_now_stays(host: Host) -> None:
    aged(host)
    memory.hold(Path("seen"), "hello", host.ids[0])
    ran(host.ids[1], 12)
    held, recent, _ = host.why()
    assert held.startswith("stays: this host is held at it since ")
    assert recent.startswith("stays: last ran on ")
    memory.let_go(Path("seen"), "hello")
    shutil.rmtree("runs")
    ran(host.ids[1], 40)
    files.write_text(Path("runs/hello/20200101T000000Z-x/run.json"), "{")
    assert [said.partition(":")[0] for said in host.why()] == ["goes", "goes", "stays"]
    used = InPlace(AT)
    used.use(host.ids[0], "prod:run:hello")
    assert host.why()[0] == "stays: a run or a fetch uses it now"
    prune.apply(host.spec)
    assert AT.release(host.ids[0]).is_dir() and not AT.release(host.ids[1]).exists()
    del used
    prune.apply(host.spec)
    assert not AT.release(host.ids[0]).exists()
    assert host.whole()


def test_one_that_a_run_begins_to_use_between_plan_and_removal_stays(
        host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    aged(host)
    planned = prune_plan.plan
    used = InPlace(AT)

    def plan(spec: PruneSpec) -> prune_plan.Plan:
        made = planned(spec)
        used.use(host.ids[0], "prod:run:hello")
        return made

    monkeypatch.setattr(prune_plan, "plan", plan)
    assert "1 release and " in prune.apply(host.spec)
    assert AT.release(host.ids[0]).is_dir()
    code = json.loads((AT.release(host.ids[0]) / "release.json").read_text())["files"]
    assert all((AT.blobs / file["sha256"] / Path(file["path"]).name).is_file() for file in code)


def test_nothing_of_another_pipeline_goes_that_was_not_asked_about(host: Host) -> None:
    aged(host)
    assert host.why(only="other")[:2] == ["stays: not asked about"] * 2


def test_a_release_that_does_not_tell_its_files_keeps_the_cache(
        host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    aged(host)
    broken = AT.release(host.ids[2]) / "release.json"
    broken.unlink()
    broken.write_text("{}")
    prune.show_plan(host.spec)
    assert "cache: all of it stays: " in capsys.readouterr().out
    assert "0 files of the cache removed" in prune.apply(host.spec)
    assert len([*AT.blobs.glob("*/*")]) == 26


def test_what_a_fetch_that_was_cut_off_has_brought_stays_for_a_day(host: Host) -> None:
    cut = AT.blobs / ("0" * 64) / "reads.fq"
    files.write_text(cut, "half a release")
    prune.apply(host.spec)
    assert cut.exists()
    os.utime(cut, (1, 1))
    prune.apply(host.spec)
    assert not cut.parent.exists()


def test_with_image_files_no_engine_is_asked(host: Host) -> None:
    """They go with their releases; nobody answers at this engine's address."""
    aged(host)
    spec = replace(host.spec, kind="apptainer")
    assert prune_plan.plan(spec).images == []
    assert prune.remove_images(spec) == (
        "apptainer holds no images: their files go with their releases")


def task(number: int, days: int) -> Path:
    """A folder in which a task has worked."""
    folder = (AT.root / f"work/{number:02x}/{number:030x}").absolute()
    files.write_text(folder / ".command.run", "#!/bin/sh\n")
    files.write_text(folder / "said.txt", "a result")
    then = time.time() - days * DAY
    for path in (folder / ".command.run", folder):
        os.utime(path, (then, then))
    return folder


def test_work_folders_go_unless_a_result_is_a_link_into_one(host: Host) -> None:
    old, linked, new = task(1, 60), task(2, 60), task(3, 5)
    files.write_text(old.parents[1] / "conda/env/bin", "not a task's")
    results = Path("runs/hello/20260101T000000Z-reads/results")
    results.mkdir(parents=True)
    (results / "said.txt").symlink_to(linked / "said.txt")
    used = InPlace(AT)
    used.use("1.0-gone", "prod:run:hello")
    assert prune_plan.plan(host.spec).busy == {"hello": "a run of 1.0-gone is at work"}
    prune.apply(host.spec)
    assert old.exists()
    del used
    assert "1 work folder, " in prune.apply(host.spec)
    assert not old.parent.exists() and linked.exists() and new.exists()
    assert (results / "said.txt").read_text() == "a result"
    assert (linked.parents[1] / "conda/env/bin").exists()


def removals(host: Host, number: int) -> bool:
    """Apply in a process that is killed at a file or folder that it removes; whether it was."""
    child = os.fork()
    if not child:
        left = [number]

        def dying(act: Callable[..., Any]) -> Callable[..., Any]:
            def instead(*words: Any, **more: Any) -> Any:
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return act(*words, **more)
            return instead

        for place, name in ((Path, "rename"), (Path, "unlink"), (Path, "rmdir"),
                            (os, "unlink"), (os, "rmdir")):
            setattr(place, name, dying(getattr(place, name)))
        prune.apply(host.spec)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_removal_what_stays_is_whole(host: Host) -> None:
    aged(host)
    killed = 0
    while removals(host, 3):
        killed += 1
        assert host.whole()
        assert killed < 100
    assert killed > 5
    assert [path.name for path in AT.release("x").parent.iterdir()] == [host.ids[2]]
    for blob in AT.blobs.glob("*/*"):  # what the killed ones left is nobody's, and goes in a day
        os.utime(blob, (1, 1))
    prune.apply(host.spec)
    assert len([*AT.blobs.glob("*/*")]) == 20


@dataclass
class Images:
    """An engine's images, as Docker's client has them."""

    held: set[str]
    used: set[str] = field(default_factory=set)

    @property
    def images(self) -> Images:
        return self

    def get(self, name: str) -> str:
        from docker.errors import ImageNotFound
        if name not in self.held:
            raise ImageNotFound(name)
        return name

    def remove(self, name: str) -> None:
        from docker.errors import APIError
        if name in self.used:
            raise APIError("409", explanation="a container uses it")
        self.held.discard(name)


def test_images_go_from_the_engine_only_when_asked(
        host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    old = IMAGE.replace("a" * 64, "b" * 64)
    receipt = AT.release(host.ids[0]) / "images.receipt.json"
    text = receipt.read_text().replace("a" * 64, "b" * 64)
    receipt.unlink()
    receipt.write_text(text)
    aged(host)
    engine = Images({IMAGE, old}, used={old})
    monkeypatch.setattr(daemon, "connect", lambda _: engine)
    prune.apply(host.spec)
    assert f"image {old}: no release that stays names it; `doit" in capsys.readouterr().out
    assert engine.held == {IMAGE, old}
    with pytest.raises(HostError, match="a container uses it"):
        prune.remove_images(host.spec)
    engine.used.clear()
    assert "1 image removed" in prune.remove_images(host.spec), "remembered: its release has gone"
    assert engine.held == {IMAGE}
    assert "0 images removed" in prune.remove_images(host.spec)


def test_other_tools_beside_are_only_listed(
        host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, site in enumerate(("there", "elsewhere")):
        files.write_json(tmp_path.parent / f"old{number}/tool.json", {
            "kind": "tool", "id": f"{number}" * 12, "site": site,
            "wheels": [{"name": "a.whl", "sha256": "0" * 64, "size": 1}]})
    prune.apply(host.spec)
    said = capsys.readouterr().out
    assert f"tool {'0' * 12} lies in {tmp_path.parent / 'old0'}" in said
    assert "1" * 12 not in said
    assert (tmp_path.parent / "old0/tool.json").exists()
    for number in range(2):
        shutil.rmtree(tmp_path.parent / f"old{number}")
