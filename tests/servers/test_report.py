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

from tasks.commands.release_report import ReportSpec, report
from tasks.core import files
from tasks.core.errors import HostError
from tasks.core.store.folder import FolderStore
from tasks.core.store.store import open_store
from tasks.core.trust import promotions, signature
from tasks.core.trust.promotions import Subject
from tasks.release import approve, prune_survey
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
