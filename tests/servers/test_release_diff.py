"""Two releases compared, and one with what would be made now: as text, JSON and a page."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.commands.release_diff import diff
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, HostError, IntegrityError
from tasks.core.trust import checksums, promotions, signature
from tasks.release import release
from tests.kit import buckets
from tests.kit.faults import flip
from tests.kit.git import Repository
from tests.kit.release_pairs import (
    ALL,
    HOSTILE,
    change_all,
    current,
    edit,
    now_spec,
    parts,
    report,
    rows_of,
    spec,
    two,
)
from tests.kit.releases import Staged, change_code, stage


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """A staged pipeline of which nothing was pushed yet."""
    monkeypatch.chdir(tmp_path)
    return stage()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreAt]:
    """A bucket as the store, on a real S3 server."""
    for name, value in (("ACCESS_KEY_ID", buckets.ACCESS),
                        ("SECRET_ACCESS_KEY", buckets.SECRET),
                        ("EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with buckets.gateway(tmp_path / "s3") as server:
        (server.root / "carried").mkdir()
        yield StoreAt(url="s3://carried/airlock", endpoint=server.endpoint, region="us-east-1")


def page_of(ready: Staged) -> Path:
    return ready.layout.release_diff.with_suffix(".html")


def test_all_that_differs_between_two_releases_is_told(ready: Staged,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    first, second = two(ready)
    content = report(spec(ready, first, second))
    assert rows_of(content) == ALL
    assert (content["from"]["id"], content["to"]["id"]) == (first, second)
    assert content["equal"] is False
    proof = content["to"]["promoted"].pop("proof")
    assert proof[0].startswith("made by airlock with the key SHA256:")
    assert proof[1:2] == ["validation: 1 subjects, all well; 0 warnings"]
    assert proof[2].startswith("smoke run: stub run, ended well; log ")
    assert content["to"]["promoted"] == {
        "is_current": True, "number": 2, "signed": content["to"]["promoted"]["signed"]}
    assert content["attention"] == [
        "Nothing answers 1 of the places that reach out at run time."]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"from  {first}  (promotion 1 of ")
    assert lines[1].startswith(f"to    {second}  (current, promotion 2 of ")
    assert "~ Plugins              nf-hello 1.0.0 → 1.1.0" in lines
    assert "~ Images               1 with another digest, 1 added; 7 B new" in lines
    assert "= Runtime              Nextflow 24.10.5" in lines
    page = page_of(ready).read_text()
    for name in ("quay.io/airlock/tool:other", "nf-hello", first, second, "// other"):
        assert name in page


def test_the_same_is_told_of_a_bucket_and_by_the_beginning_of_an_id(
        ready: Staged, bucket: StoreAt) -> None:
    in_bucket = dataclasses.replace(ready, store=bucket)
    assert report(spec(in_bucket, None, "now", fresh=("images:lock",)))["from"]["id"] is None
    first = in_bucket.publish()
    change_all(in_bucket)
    in_bucket.publish()
    content = report(spec(in_bucket, first[:7], "2.0"))
    assert rows_of(content) == ALL
    assert content["from"]["id"] == first and content["to"]["id"].startswith("2.0-other-")
    back = report(spec(in_bucket, "2.0", first))
    assert rows_of(back)["data"] == {("added", "https://data.example.org/reads_2.fq"),
                                   ("gone", "https://data.example.org/other.fq")}
    assert rows_of(back)["images"] == {("changed", "quay.io/airlock/tool:1"),
                                     ("gone", "quay.io/airlock/tool:other")}


@pytest.mark.parametrize("before", [None, "", "dev", "now"])
def test_equal_sides_say_so_in_all_three(ready: Staged, before: str | None,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """Current against now, where now is what was made; a release against itself."""
    name = ready.publish()
    asked = spec(ready, None if before is None else before or name, "now")
    assert diff(asked).startswith("no difference; the page: ")
    assert "\nno difference\n" in capsys.readouterr().out
    content = json.loads(ready.layout.release_diff.read_bytes())
    assert (content["equal"], content["parts"], content["to"]["id"]) == (True, [], name)
    assert "<strong>No difference.</strong>" in page_of(ready).read_text()


def test_two_times_the_same_release_reads_no_file_of_it(ready: Staged) -> None:
    name = ready.publish()
    shutil.rmtree("store/blobs")
    assert report(spec(ready, name, name))["equal"] is True


def test_now_is_compared_with_the_current_release_before_it_is_pushed(ready: Staged) -> None:
    """What was made and not pushed is known whole, and has its id."""
    first = ready.publish()
    change_all(ready)
    release.make(ready.release_spec())
    content = report(spec(ready, None, "now"))
    assert rows_of(content) == ALL
    assert content["from"]["id"] == first and content["from"]["promoted"]["is_current"]
    assert content["to"]["kind"] == "now" and content["to"]["id"].startswith("2.0-other-")
    assert not list(Path("store").rglob(f"*{content['to']['id']}*"))


def test_what_is_not_built_yet_is_worked_out_or_said_to_be_unknown(
        ready: Staged, capsys: pytest.CaptureFixture[str]) -> None:
    ready.publish()
    change_all(ready)
    for path in (ready.layout.reach, ready.layout.offline_config, ready.layout.data_manifest,
                 ready.layout.plugins_list, ready.layout.images_receipt):
        files.write_text(path, "of another state: must not be read")
    content = report(spec(ready, None, "now", fresh=("images:lock",)))
    by_name = parts(content)
    assert content["to"]["id"] is None
    assert rows_of(content)["code"] == ALL["code"]
    assert rows_of(content)["images"] == ALL["images"]
    assert by_name["data"]["unknown"] and by_name["params"]["unknown"]
    assert by_name["plugins"]["differs"] is None and by_name["plugins"]["unknown"]
    assert by_name["reach"]["unknown"] == ["what answers each place, before `doit reach:hello`"]
    added = {row["name"] for row in by_name["config"]["changes"] if row["change"] == "added"}
    assert any(f"tool@sha256:{'b' * 64}" in line for line in added)
    printed = capsys.readouterr().out
    assert "of another state" not in printed and "? Plugins" in printed


def test_a_registry_that_is_down_leaves_the_rest_known(ready: Staged) -> None:
    ready.publish()
    change_all(ready)
    content = report(spec(ready, None, "now", now=now_spec(
        ready, ("images:lock", "mirror:data", "plugins:cache", "config", "reach"), asks=True)))
    assert parts(content)["images"]["facts"]["to mirror"].startswith("not known, ")
    assert {name: rows for name, rows in rows_of(content).items() if name != "release"} == {
        name: rows for name, rows in ALL.items() if name not in ("files", "release")}


@pytest.mark.parametrize("folder", [True, False])
def test_an_empty_store_makes_all_new(ready: Staged, folder: bool,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    if folder:
        Path("store").mkdir()
    release.make(ready.release_spec())
    content = report(spec(ready, None, "now"))
    assert (content["from"]["kind"], content["from"]["id"]) == ("nothing", None)
    assert {row["change"] for part in content["parts"] for row in part["changes"]} == {"added"}
    assert rows_of(content)["images"] == {("added", "quay.io/airlock/tool:1")}
    assert "~ Code                 dev, all new" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="known: none"):
        diff(spec(ready, "1.0.2", "now"))


def test_releases_of_which_none_is_current_are_compared_by_their_ids_alone(ready: Staged) -> None:
    first, second = two(ready)
    Path("store/releases/hello/current.json").unlink()
    content = report(spec(ready, None, second))
    assert content["from"]["kind"] == "nothing"
    assert "It was never made the current release." in content["attention"]
    assert report(spec(ready, first, second))["equal"] is False


@pytest.mark.parametrize("name", ["1.0.2", "dev-000000000000", "../hello", "", "dev\x1b[2J"])
def test_an_id_that_is_not_there_names_those_that_are(ready: Staged, name: str) -> None:
    first, second = two(ready)
    with pytest.raises(ConfigError) as caught:
        diff(spec(ready, name, second))
    assert first in str(caught.value) and second in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not ready.layout.release_diff.exists()


def test_a_beginning_of_several_names_them(ready: Staged) -> None:
    names = []
    for word in ("1", "2"):
        change_code(ready, f"workflow {{ {word} }}".encode())
        names.append(ready.publish())
    with pytest.raises(ConfigError, match="several releases begin with 'dev'") as caught:
        diff(spec(ready, "dev", names[0]))
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("path", [
    "releases/hello/{}/SHA256SUMS", "releases/hello/{}/SHA256SUMS.sig",
    "releases/hello/{}/release.json", "blobs/sha256/*/code.tar",
    "blobs/sha256/*/images.lock.json", "blobs/sha256/*/manifest.json",
    "blobs/sha256/*/reach.json", "blobs/sha256/*/offline.config",
    "releases/hello/promotions/00000002.json", "releases/hello/current.json"])
def test_a_damaged_release_is_named_and_not_compared(ready: Staged, path: str) -> None:
    first, second = two(ready)
    report(spec(ready, second, second))
    for file in Path("store").glob(path.format(first)):
        flip(file)
    with pytest.raises(IntegrityError) as caught:
        diff(spec(ready, first, second))
    assert path.rpartition("/")[2].removesuffix(".sig") in str(caught.value)
    assert not ready.layout.release_diff.exists() and not page_of(ready).exists()


def test_what_another_key_has_signed_is_not_compared(ready: Staged) -> None:
    first, second = two(ready)
    key = dataclasses.replace(ready.signing, key=Path("others/id_ed25519"))
    with pytest.raises(HostError, match="no public key"):
        diff(spec(ready, first, second, signing=key))
    signature.ready(key.key, create=True, identity=key.identity)
    with pytest.raises(IntegrityError, match="does not name"):
        diff(spec(ready, first, second, signing=key))
    allowed = Path("trust/allowed_signers")
    ready.trust_key()
    assert report(spec(ready, first, first, signing=key, signers=allowed))["equal"]


def test_a_withdrawn_or_unproven_release_says_so(ready: Staged,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    first = ready.publish()
    change_code(ready, b"workflow { 3 }\n")
    release.make(ready.release_spec())
    second = ready.push(unproven="the engine is down")
    content = report(spec(ready, first, second))
    line = ("It became the current release without a validation and a smoke run: the engine is "
            "down")
    assert line in content["attention"]
    assert f"! {line}" in capsys.readouterr().out
    assert "not proven: the engine is down" in page_of(ready).read_text()


def test_a_release_that_was_withdrawn_since_says_so(ready: Staged) -> None:
    """As the newest promotion has it, which is about another release."""
    first, second = two(ready)
    place = Path("store/releases/hello/promotions/00000002.json")
    newest = promotions.read(place)
    assert newest is not None
    withdrawn = dataclasses.replace(newest, back="the caller is broken", withdrawn=(
        promotions.Withdrawn(id=first, reason="wrong <b>calls</b>"),))
    files.write_bytes(place, withdrawn.data())
    signature.seal(place, ready.signing.key, namespace=signature.PROMOTION)
    content = report(spec(ready, second, first))
    assert content["to"]["promoted"]["withdrawn"] == "wrong <b>calls</b>"
    assert content["from"]["promoted"]["back"] == "the caller is broken"
    assert "It was withdrawn: wrong <b>calls</b>" in content["attention"]
    assert "&lt;b&gt;calls" in page_of(ready).read_text()


def test_commits_between_are_those_of_the_git_cache(ready: Staged, tmp_path: Path) -> None:
    """All where it has the history; where it has two revisions alone, how to see them."""
    repository = Repository(tmp_path)
    old = repository.commit(a="1")
    for word in ("Mend the counts", f"A line {HOSTILE}"):
        (repository.tree / "a").write_text(word)
        repository.git("commit", "--quiet", "--all", "--message", word)
    new = repository.git("rev-parse", "HEAD")
    repository.push()
    edit(ready.layout.code_manifest, lambda manifest: manifest.update(commit=old))
    first = ready.publish()
    edit(ready.layout.code_manifest, lambda manifest: manifest.update(commit=new))
    ready.publish()
    code = parts(report(spec(ready, first, current(ready))))["code"]
    assert code["facts"]["commits"].endswith(f"git log {old[:12]}..{new[:12]}")
    shutil.copytree(repository.bare, ready.layout.git_cache)
    code = parts(report(spec(ready, first, current(ready))))["code"]
    assert code["facts"]["commits"] == "2 between the two, as the git cache has them"
    named = {row["name"]: row["to"] for row in code["changes"] if row["group"] == "commits"}
    assert named[new[:12]].endswith(f"A line {HOSTILE}") and len(named) == 2
    back = parts(report(spec(ready, current(ready), first)))["code"]
    assert back["facts"]["commits"] == "0 between the two, as the git cache has them"
    (ready.layout.git_cache / "shallow").write_text(f"{new}\n")
    assert "in a clone" in parts(report(spec(ready, first, current(ready))))["code"]["facts"][
        "commits"]


def test_a_release_of_another_version_of_this_tool_is_named(ready: Staged) -> None:
    first = ready.publish()
    folder = ready.layout.release
    edit(folder / "release.json", lambda about: about.update(later="a key of the future"))
    digests = checksums.parse_sums((folder / "SHA256SUMS").read_bytes(), where="")
    digests["release.json"] = files.sha256(folder / "release.json")
    listed = checksums.format_sums(digests)
    name = checksums.release_id("dev", listed)
    place = Path("store/releases/hello") / name
    files.write_bytes(place / "SHA256SUMS", listed)
    files.copy(folder / "release.json", place / "release.json")
    signature.seal(place / "SHA256SUMS", ready.signing.key, namespace=signature.RELEASE)
    with pytest.raises(IntegrityError, match="this version of nf-airlock reads") as caught:
        diff(spec(ready, first, name))
    assert name in str(caught.value)
