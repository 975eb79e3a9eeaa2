"""The report of a release: what it says, signed and beside it in the store, and on the other side.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import time
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tasks.commands import offline_report as offline
from tasks.commands.release_report import ReportSpec, report
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import HostError, IntegrityError
from tasks.core.schema import check
from tasks.core.store.folder import FolderStore
from tasks.core.store.store import open_store
from tasks.core.trust import promotions, signature
from tasks.core.trust.promotions import Subject
from tasks.offline_host import at_work, take, taken
from tasks.offline_host.fetch import fetch
from tasks.release import approve, prune_survey
from tests.kit import carrying
from tests.kit.faults import flip
from tests.kit.release_pairs import HOSTILE, change_all, edit, hostile, two
from tests.kit.releases import IMAGE, Staged, stage


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A staged pipeline of which nothing was pushed yet; its trust folder is ready."""
    monkeypatch.chdir(tmp_path)
    return dataclasses.replace(stage(), trust=tmp_path / "trust")


def page_of(ready: Staged) -> Path:
    return ready.layout.report.with_suffix(".html")


def spec(staged: Staged, asked: str | None = None, **changes: Any) -> ReportSpec:
    return dataclasses.replace(ReportSpec(
        pipeline="hello", layout=staged.layout, store=staged.store, signing=staged.signing,
        trust=staged.trust, asked=asked), **changes)


def made(staged: Staged, asked: str | None = None, **changes: Any) -> dict[str, Any]:
    """The report, as it lies on this side."""
    report(spec(staged, asked, **changes))
    content: dict[str, Any] = json.loads(staged.layout.report.read_bytes())
    return content


def reports(name: str) -> list[Path]:
    """The folders of a release's reports in the store."""
    return sorted(Path(f"store/releases/hello/{name}/reports").glob("*"))


class Texts(HTMLParser):
    """A page's elements, attributes and text, and that of the commands which it shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text, self._inside = "", False
        self.commands: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if ("class", "check") in attrs:
            self._inside = True
            self.commands.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.commands[-1] += data


def test_it_says_what_the_release_says_and_lies_signed_beside_it(ready: Staged) -> None:
    first, second = two(ready)
    content = made(ready)
    release = json.loads((ready.layout.release / "release.json").read_bytes())
    assert (content["id"], content["state"], content["files"]) == (
        second, "current", release["files"])
    assert content["bytes"] == sum({file["sha256"]: file["size"]
                                    for file in release["files"]}.values())
    assert sum(row["files"] for row in content["kinds"]) == len(release["files"])
    assert content["about"]["nextflow"] == release["nextflow"]
    assert content["reach"] == release["reach"]["findings"]
    assert [promotion["number"] for promotion in content["promotions"]] == [2]
    assert content["promotions"][0]["by"] == "airlock"
    assert content["proof"]["smoke"]["run"] == "stub"
    assert content["changes"]["from"] == first
    titles = {part["name"]: part["summary"] for part in content["changes"]["parts"]}
    assert titles["plugins"] == "nf-hello 1.0.0 → 1.1.0"
    page = page_of(ready).read_text()
    for text in (second, first, "nf-hello", "https://data.example.org/other.fq",
                 content["promotions"][0]["key"]):
        assert text in page
    (folder,) = reports(second)
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == {
        "report.html", "report.html.sig", "report.json", "report.json.sig"}
    assert (folder / "report.html").read_bytes() == page_of(ready).read_bytes()


def test_images_are_told_with_what_they_share(ready: Staged) -> None:
    two(ready)
    rows = {image["source"]: image for image in made(ready)["images"]}
    tool, other = rows["quay.io/airlock/tool:1"], rows["quay.io/airlock/tool:other"]
    assert (tool["size"], tool["layers"], tool["shared"], tool["processes"]) == (3, 1, 0, ["TOOL"])
    assert other["digest"] == IMAGE
    assert other["carried"] == "10.0.0.1:5443/quay.io/airlock/tool"
    assert (other["licences"], other["base"]) == (None, None)
    assert "base unknown" in page_of(ready).read_text()


def test_what_it_shows_to_type_checks_it_by_hand(ready: Staged) -> None:
    """Each command that the page shows is typed in the store's folder; then bytes are changed."""
    name = ready.publish()
    ready.trust_key()
    report(spec(ready))
    commands = Texts(page_of(ready).read_text()).commands
    assert len(commands) == 6

    def failing() -> list[int]:
        return [place for place, command in enumerate(commands) if subprocess.run(
            ["sh", "-c", command], cwd="store/releases/hello", capture_output=True,
            check=False).returncode]

    assert failing() == []
    flip(reports(name)[0] / "report.html")
    flip(Path(f"store/releases/hello/{name}/SHA256SUMS"))
    assert failing() == [0, 5]


def test_it_is_pushed_anew_only_where_it_says_anything_new(ready: Staged) -> None:
    name = ready.publish()
    report(spec(ready))
    first = ready.layout.report.read_bytes()
    assert report(spec(ready)).endswith("the one in the store says the same")
    assert ready.layout.report.read_bytes() == first
    change_all(ready)
    ready.publish()
    report(spec(ready, name))
    assert len(reports(name)) == 2
    assert json.loads(ready.layout.report.read_bytes())["state"] == "before"
    assert json.loads((reports(name)[0] / "report.json").read_bytes())["state"] == "current"


def test_a_report_that_no_trusted_key_has_signed_as_one_is_not_believed(
        ready: Staged, caplog: pytest.LogCaptureFixture) -> None:
    name = ready.publish()
    report(spec(ready))
    (folder,) = reports(name)
    data = (folder / "report.json").read_bytes()
    (folder / "report.json.sig").write_bytes(signature.sign(
        ready.signing.key, data, namespace=signature.PROOF))
    time.sleep(1)  # a report's folder is named by its second
    assert "signed, and in store" in report(spec(ready))
    assert "report.json can't be used: the signature does not belong" in caplog.text
    assert len(reports(name)) == 2


def test_a_proposed_release_and_its_approval_are_told(ready: Staged) -> None:
    signature.ready(Path("keys/bert"), create=True, identity="bert")
    signing = dataclasses.replace(ready.signing, approvers={
        "bert": signature.public_key(Path("keys/bert"))})
    asks = dataclasses.replace(ready, signing=signing)
    asks.publish()
    assert made(asks)["state"] == "proposed"
    bert = dataclasses.replace(signing, key=Path("keys/bert"), colleagues={
        "ann": signature.public_key(signing.key)})
    approve.approve_release(approve.ApproveSpec(
        pipeline="hello", layout=asks.layout, store=asks.store, name=None, signing=bert))
    said = report(spec(asks, signing=bert))
    assert "not pushed: keys/bert approves and doesn't sign" in said
    content = made(asks)
    assert (content["state"], content["promotions"][0]["approved"]) == ("current", "bert")


def test_nothing_to_tell_of_is_said(ready: Staged) -> None:
    with pytest.raises(HostError, match="nothing was promoted yet"):
        report(spec(ready))
    ready.publish()
    with pytest.raises(HostError, match="no releases begin with 'other'"):
        report(spec(ready, "other"))


def test_hostile_names_are_text_and_no_elements(ready: Staged) -> None:
    ready.publish()
    hostile(ready)
    ready.publish()
    report(spec(ready))
    page = page_of(ready).read_text()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e]", page)
    read = Texts(page)
    assert not {"img", "iframe", "link", "object", "base"} & read.tags
    assert not {name for name in read.attributes if name.startswith("on")} and (
        "style" not in read.attributes)
    assert page.count("<script>") == page.count("</script>") == 1
    assert HOSTILE[:25] in read.text and "49}" not in page


def test_the_policy_names_the_only_style_and_script_by_digest(ready: Staged) -> None:
    ready.publish()
    report(spec(ready))
    page = page_of(ready).read_text()
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert len(policy) == 1
    assert re.fullmatch(
        r"default-src 'none'; base-uri 'none'; form-action 'none'; "
        r"style-src( 'sha256-[^']{44}'){2}; script-src 'sha256-[^']{44}'", policy[0])


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


def test_the_store_s_releases_are_listed_once(ready: Staged,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is named, too, which is compared with the one before it."""
    _, second = two(ready)
    listed: list[str] = []
    plain = FolderStore.list

    def counted(self: FolderStore, prefix: str) -> Any:
        listed.append(prefix)
        return plain(self, prefix)

    monkeypatch.setattr(FolderStore, "list", counted)
    assert made(ready, second)["changes"]
    assert listed.count("releases/hello/") == 1


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


def test_a_prune_takes_reports_with_their_release(ready: Staged) -> None:
    first, second = two(ready)
    report(spec(ready, first))
    report(spec(ready, second))
    survey = prune_survey.survey(open_store(ready.store))
    stays = [held for held in survey.held if held.id == second]
    gone = survey.unnamed(stays)
    assert {key.rpartition("/")[2] for key in gone if f"{first}/reports/" in key} == {
        "report.html", "report.html.sig", "report.json", "report.json.sig"}
    assert not [key for key in gone if second in key]


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


def test_a_report_is_made_after_the_one_before(ready: Staged) -> None:
    """By a clock that has gone back, too: each has a folder of its own."""
    ready.publish()
    content = made(ready)
    ahead = datetime.now(timezone.utc) + timedelta(days=1)
    edit(ready.layout.report, lambda value: value.update(
        made=ahead.strftime(promotions.TIME_FORMAT), state="before"))
    key = Path(f"store/releases/hello/{content['id']}/reports") / ahead.strftime("%Y%m%dT%H%M%SZ")
    files.write_bytes(key / "report.json", ready.layout.report.read_bytes())
    files.write_bytes(key / "report.json.sig", signature.sign(
        ready.signing.key, ready.layout.report.read_bytes(), namespace=signature.REPORT))
    assert promotions.time(made(ready)["made"]) > ahead.replace(microsecond=0)
    assert Subject(pipeline="hello").place == "releases/hello"
