"""The report of a release on an offline host: made there, with the runs that it has had there."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.commands import offline_report as offline
from tasks.commands.release_report import report
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import IntegrityError
from tasks.core.schema import check
from tasks.core.trust import signature
from tasks.offline_host import at_work, take, taken
from tasks.offline_host.fetch import fetch
from tests.kit import carrying
from tests.kit.release_pairs import two
from tests.kit.releases import Staged, stage
from tests.servers.test_report import made, page_of, reports, spec


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A staged pipeline of which nothing was pushed yet; its trust folder is ready."""
    monkeypatch.chdir(tmp_path)
    return dataclasses.replace(stage(), trust=tmp_path / "trust")


def here(staged: Staged) -> offline.OfflineReportSpec:
    return offline.OfflineReportSpec(
        pipeline="hello", layout=staged.prod, store=staged.store, trust=staged.trust,
        identity="airlock", runs=Path("runs"))


def test_the_offline_host_makes_it_of_what_is_in_place(ready: Staged) -> None:
    two(ready)
    ready.trust_key()
    fetch(ready.fetch_spec())
    before = made(ready)
    offline.report(here(ready))
    assert json.loads(ready.prod.report.read_bytes()) == before
    assert "It has not run here yet." in ready.prod.report_page.read_text()
    assert without_runs(ready.prod.report_page) == page_of(ready).read_text()


def without_runs(page: Path) -> str:
    """The page as it is where nothing runs."""
    text = page.read_text().replace('<a href="#runs">Runs</a> · ', "")
    return re.sub('\n<h2 id="runs">.*?(?=\n<h2)', "", text, flags=re.DOTALL)


def ran(name: str, run: str, state: str, **changes: Any) -> Path:
    """The folder of a run of the release `name`, with a page."""
    status = {"success": 0, "failed": 1}.get(state)
    folder = Path("runs/hello") / run
    record: dict[str, Any] = {
        "kind": "run", "name": run, "pipeline": "hello", "run": "own", "profile": "offline",
        "site": "there", "tool": None, "release": {"id": name, "promotion": None},
        "inputs": {"sheet": None, "params": None}, "params": "0" * 64, "command": {},
        "configs": [], "images": [], "tasks": [],
        "versions": {"nextflow": "24.10.5", "java": None, "docker": None},
        "host": {"name": at_work.this_host(), "system": "Linux", "cpus": 1, "memory": 1},
        "user": {"name": "mira", "id": 7}, "started": "2026-01-01T10:00:00.000Z",
        "ended": None if state == "running" else "2026-01-01T10:02:05.000Z",
        "process": at_work.this_process(), "session": None, "continues": None, "work": "/w",
        "outdir": None, "results": None, "unlisted": [],
        "outcome": {"state": state, "status": status,
                    "process": "LAB:WEIGH" if state == "failed" else None}}
    files.write_json(folder / "run.json", check({**record, **changes}, "run", where=run))
    files.write_text(folder / "report.html", run)
    return folder


def test_on_the_offline_host_it_lists_the_release_s_own_runs(ready: Staged) -> None:
    name = ready.publish()
    ready.trust_key()
    fetch(ready.fetch_spec())
    ran(name, "20260101T100000Z-first", "success")
    ran(name, "20260101T110000Z-sad", "failed", started="2026-01-01T11:00:00.000Z",
        ended="2026-01-01T11:00:09.000Z")
    ran(name, "20260101T120000Z-here", "running", started="2026-01-01T12:00:00.000Z")
    killed = ran(name, "20260101T130000Z-killed", "running", started="2026-01-01T13:00:00.000Z",
                 process={**at_work.this_process(), "started": 1})
    (killed / "report.html").unlink()  # as older tools left it
    ran("other-0123456789ab", "20260101T140000Z-other", "success")
    offline.report(here(ready))
    page = ready.prod.report_page
    rows = re.findall("<tr>.*?</tr>", page.read_text().partition('id="runs"')[2].partition(
        "</table>")[0], re.DOTALL)[1:]
    links = [re.search('href="([^"]+)"', row) for row in rows]
    assert [(page.parent / link[1]).read_text() if link else None for link in links] == [
        None, "20260101T120000Z-here", "20260101T110000Z-sad", "20260101T100000Z-first"]
    for row, words in zip(rows, (
            ("Z-killed", "interrupted", "13:00:00 UTC"), ("under way", "12:00:00 UTC"),
            ("failed", "LAB:WEIGH", "9 s"), ("ended well", "2026-01-01 10:00:00 UTC", "2 min 5 s",
                                             f"mira@{at_work.this_host()}")), strict=True):
        assert all(word in row for word in words), row
    assert page.read_text().count('data-search="runs"') == 1


def test_the_page_of_a_killed_run_says_so_unless_its_next_run_or_its_user_has_to(
        ready: Staged) -> None:
    name = ready.publish()
    ready.trust_key()
    fetch(ready.fetch_spec())
    gone: dict[str, Any] = {"process": {**at_work.this_process(), "started": 1}}
    own = {"name": "me", "id": os.geteuid()}
    left = {"mine": ran(name, "20260101T100000Z-mine", "running", user=own, **gone),
            "theirs": ran(name, "20260101T110000Z-theirs", "running", **gone),
            "followed": ran(name, "20260101T120000Z-followed", "running", user=own, **gone),
            "next": ran(name, "20260101T130000Z-next", "running", user=own,
                        continues="20260101T120000Z-followed")}
    offline.report(here(ready))
    pages = {which: (folder / "report.html").read_text() for which, folder in left.items()}
    assert "It was interrupted before its end" in pages.pop("mine")
    assert pages == {which: left[which].name for which in pages}


@pytest.mark.parametrize("trouble", ["none", "namespace", "store"])
def test_without_a_report_to_trust_it_says_what_the_host_knows(
        ready: Staged, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """A host whose allowed_signers names namespaces goes on, and so does one without a store."""
    name = ready.publish()
    ready.trust_key()
    fetch(ready.fetch_spec())
    if trouble != "none":
        report(spec(ready))
    if trouble == "namespace":
        files.write_text(ready.trust / "allowed_signers", (
            'airlock,airlock/* namespaces="airlock-release,airlock-promotion" '
            f"{signature.public_key(ready.signing.key)}\n"))
    if trouble == "store":
        Path("store").rename("elsewhere")
    said = offline.report(here(ready))
    assert "no report beside it in the store could be verified" in said
    assert ("can't be used" in caplog.text) == (trouble == "namespace")
    content = json.loads(ready.prod.report.read_bytes())
    assert (content["id"], content["state"]) == (name, "current")
    assert [(row["number"], row["by"]) for row in content["promotions"]] == [(1, None)]
    assert "How it was tried isn’t known here." in ready.prod.report_page.read_text()
    fetch(ready.fetch_spec())


def test_a_changed_file_in_place_makes_no_report(ready: Staged) -> None:
    name = ready.publish()
    ready.trust_key()
    fetch(ready.fetch_spec())
    place = ready.prod.release(name) / "images.lock.json"
    content = place.read_bytes()
    place.unlink()
    place.write_bytes(content + b"\n")
    with pytest.raises(IntegrityError, match="is not what was signed"):
        offline.report(here(ready))


def test_a_folder_that_is_carried_by_disk_has_the_report(ready: Staged) -> None:
    name = ready.publish()
    report(spec(ready))
    carrying.push_tool(ready)
    ready.trust_key()
    carrying.carry(ready, "stick")
    (folder,) = reports(name)
    carried = Path("stick") / folder.relative_to("store")
    assert (carried / "report.html").read_bytes() == (folder / "report.html").read_bytes()
    at, into = taken.source("stick", StoreAt(url="there"), Path("together"))
    take.take(take.TakeSpec(carried="stick", store=StoreAt(url="there"), into=into,
                            host=carrying.host(ready), back=False))
    fetch(dataclasses.replace(ready.fetch_spec(), store=at))
    assert "could be verified" not in offline.report(dataclasses.replace(
        here(ready), store=StoreAt(url="stick")))
