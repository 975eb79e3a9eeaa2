"""What differs, part by part: from small ends, without a store."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, page
from tasks.core.errors import IntegrityError
from tasks.diff import code, data, images, params, parts, text
from tasks.diff.code import Commit, History
from tasks.diff.document import document
from tasks.diff.model import NOW, RELEASE, Change, End, File, Part, Promoted
from tasks.diff.page import html

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
MANIFEST = "data.manifest.json"


@pytest.mark.parametrize(("path", "kind"), [
    ("main.nf", "workflow"), ("workflows/rna.nf", "workflow"),
    ("subworkflows/local/x/main.nf", "workflow"), ("nextflow.config", "config"),
    ("conf/base.config", "config"), ("conf/igenomes.txt", "config"),
    ("nextflow_schema.json", "schema"), ("assets/schema_input.json", "schema"),
    ("assets/logo.png", "assets"), ("modules/nf-core/bwa/mem/main.nf", "modules"),
    ("modules.json", "modules"), ("modules/nf-core/bwa/tests/main.nf.test", "tests and CI"),
    (".github/workflows/ci.yml", "tests and CI"), ("docs/usage.md", "docs"),
    ("CHANGELOG.md", "docs"), ("LICENSE", "docs"), ("bin/check.py", "bin"),
    ("lib/Utils.groovy", "bin"), ("templates/run.R", "bin"), ("tower.yml", "other"),
    ("a\nmain.nf", "other"), ("", "other")])
def test_files_are_told_by_their_kind(path: str, kind: str) -> None:
    assert code.kind_of(path) == kind


def tar(path: Path, contents: dict[str, bytes]) -> End:
    files.write_tar(path, Path(), [], extra=contents)
    return End(kind=RELEASE, id=path.stem, about={"profile": "test,docker"},
                files={"code.tar": path},
                listed={"code.tar": File(sha256=files.sha256(path), size=1)})


def test_what_no_file_can_hold_is_shown_escaped(tmp_path: Path) -> None:
    """Names and links of bytes that are no UTF-8, and half a surrogate pair in a config."""
    ends = []
    for number, path in enumerate((tmp_path / "one.tar", tmp_path / "two.tar")):
        config = b"params.half = '\\ud800%d'" % number
        with tarfile.open(path, "w") as archive:
            for name, link, data in ((b"bin/\xff.sh", "", b"%d" % number), (
                    b"bin/link", f"\udcfe{number}", b""), (b"nextflow.config", "", config)):
                member = tarfile.TarInfo(name.decode(errors="surrogateescape"))
                member.type, member.linkname = (tarfile.SYMTYPE, link) if link else (b"0", "")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        ends.append(End(kind=RELEASE, id=str(number), about={"profile": "test"}, listed={
            "code.tar": File(sha256=str(number), size=1)}, files={"code.tar": path}))
    content = document("p", *ends, store="s", compared="2026-01-01T00:00:00Z")
    written = files.json_bytes(content).decode()
    assert "bin/\\\\udcff.sh" in written and "link to \\\\udcfe1" in written
    assert any(row["name"] == "half" for part in content["parts"] for row in part["changes"])
    html(content, "x.json").encode()
    text.text(content, "x.html").encode()


@pytest.mark.parametrize("content", [b"", b"x" * 600, b"\0" * 511])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "code.tar").write_bytes(content)
    with pytest.raises(IntegrityError):
        code.listing(tmp_path / "code.tar")


def test_a_file_that_became_a_program_has_changed(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    for name, mode in (("one", 0o644), ("two", 0o755)):
        (tmp_path / "run").chmod(mode)
        files.write_tar(tmp_path / f"{name}.tar", tmp_path, [tmp_path / "run"])
    one, two = (End(kind=RELEASE, files={"code.tar": tmp_path / f"{name}.tar"}, listed={
        "code.tar": File(sha256=name, size=1)}) for name in ("one", "two"))
    (row,) = code.compare(one, two, None).changes
    assert (row.name, row.after) == ("run", f"executable {row.before}")


def test_commits_are_listed_where_they_are_known(tmp_path: Path) -> None:
    one, two = (tar(tmp_path / f"{name}.tar", {"main.nf": name.encode()}) for name in "ab")
    part = code.compare(one, two, History(count=300, commits=[
        Commit(commit="a" * 40, date="2026-01-01T00:00:00Z", subject="Mend it")]))
    assert part.facts["commits"] == "300 between the two, as the git cache has them"
    assert Change(what="added", group="commits", name="a" * 12,
                  after="2026-01-01T00:00:00Z  Mend it") in part.changes


CONFIG = b"""
params { depth = 1; input = null; genomes { hg { fasta = 's3://x' } } }
params.made = "${params.depth}-x"
params.when = new java.util.Date().format('yyyy')
profiles { test { params.depth = %d; params.%s = true }
           other { params.never = 1 } }
"""


def test_params_are_those_of_the_code_with_its_profiles(tmp_path: Path) -> None:
    one = tar(tmp_path / "one.tar", {"nextflow.config": CONFIG % (2, b"old")})
    two = tar(tmp_path / "two.tar", {"nextflow.config": CONFIG % (3, b"fresh")})
    part = params.compare(one, two)
    assert [(row.what, row.name, row.before, row.after) for row in part.changes] == [
        ("changed", "depth", "2", "3"), ("added", "fresh", None, "true"),
        ("gone", "old", "true", None)]
    values = params.of_code(tmp_path / "two.tar", "test,docker")
    assert values["genomes.hg.fasta"] == '"s3://x"' and values["when"] == params.OPEN
    assert "never" not in values and values["input"] == "null"


def test_a_config_that_can_not_be_read_leaves_the_params_unknown(tmp_path: Path) -> None:
    one = tar(tmp_path / "one.tar", {"nextflow.config": b"params.a = 1"})
    two = tar(tmp_path / "two.tar", {"nextflow.config": b"params.a = " + b"(" * 3000})
    part = params.compare(one, two)
    assert (part.differs, part.summary) == (None, "the same") and len(part.unknown) == 1


def image(name: str, digest: str, **more: Any) -> dict[str, Any]:
    return {"source": name, "index": None, "manifest": digest, "platform": "linux/amd64",
            "media_type": "m", "size": 10, "config": None, "resolved": "2026-01-01T00:00:00Z",
            "layers": [{"digest": digest, "size": 10, "media_type": None}], **more}


def locked(folder: Path, name: str, *listed: dict[str, Any]) -> End:
    path = folder / f"{name}.json"
    files.write_json(path, {"platform": "linux/amd64", "images": list(listed)})
    return End(kind=RELEASE, files={"images.lock.json": path})


def test_images_are_told_apart_by_name_and_digest(tmp_path: Path) -> None:
    further = {key: value for key, value in image("", C, platform="linux/arm64").items()
               if key not in ("source", "index", "resolved")}
    one = locked(tmp_path, "one", image("h:5/a:1", A), image("h/b:1", A), image("h/c:1", A),
                 image("h/d:1", A), image("h/d:2", A), image("h/e@" + A, A))
    two = locked(tmp_path, "two", image("h:5/a:1", B), image("h/b:1.1", B), image(
        "h/c:1", A, others=[further]), image("h/d:3", A), image("h/e@" + B, B),
        image("h/f:1", A, licence="Vendor's own"))
    part = images.compare(one, two)
    assert {(row.what, row.group, row.name) for row in part.changes} == {
        ("changed", images.MOVED, "h:5/a:1"), ("changed", images.VERSION, "h/b"),
        ("changed", images.MOVED, "h/c:1"), ("changed", images.VERSION, "h/e"),
        ("added", "", "h/d:3"), ("gone", "", "h/d:1"), ("gone", "", "h/d:2"),
        ("added", "", "h/f:1")}
    assert part.facts["new layers and configs"] == "2, 20 B"
    assert part.facts["newly need a licence"] == "h/f:1"
    version = next(row for row in part.changes if row.name == "h/b")
    assert (version.before, version.after) == (f"1  {A}", f"1.1  {B}")


def planned(**known: tuple[str | None, int | None]) -> End:
    return End(kind=NOW, is_planned=True, unknown={"data": "not yet"}, data={
        name.replace("_", ":", 1): File(sha256=digest, size=size)
        for name, (digest, size) in known.items()})


def held(folder: Path, **known: tuple[str, int]) -> End:
    path = folder / MANIFEST
    files.write_json(path, {"pipeline": "p", "profile": "t", "params": {}, "declared": [], "sheets":
                            [], "files": [{
                                "url": name.replace("_", ":", 1), "sha256": digest * 64,
                                "size": size, "path": f"data/{digest * 64}/x"}
                                for name, (digest, size) in known.items()]})
    return End(kind=RELEASE, files={MANIFEST: path})


def test_planned_data_differs_where_that_is_known(tmp_path: Path) -> None:
    """Of a file of the code that no plan names, an index say, nobody knows that it is gone."""
    before = held(tmp_path, same=("a", 1), sized=("b", 2), moved=("c", 3), gone=("d", 4),
                  code_index=("e", 5), vague=("f", 6))
    part = data.compare(before, planned(same=("a" * 64, 1), sized=(None, 20), moved=("0" * 64, 3),
                                        new=(None, None), vague=(None, 6)))
    assert [(row.what, row.name) for row in part.changes] == [
        ("gone", "gone"), ("changed", "moved"), ("added", "new"), ("changed", "sized")]
    assert part.unknown == ["not yet"]


def test_own_sheets_are_compared_whether_data_is_planned_or_not(tmp_path: Path) -> None:
    before = held(tmp_path, one=("a", 1))
    path = f"own/mine/{MANIFEST}"
    own = {path: before.files[MANIFEST]}
    sheet = {"own/mine/inputs.csv": File(sha256="a", size=1)}
    with_own = dataclasses.replace(before, files={**before.files, **own}, listed=sheet)
    now = planned(one=("a" * 64, 1))
    assert {(row.what, row.name) for row in data.compare(with_own, now).changes} == {
        ("gone", "mine: one"), ("gone", "own/mine/inputs.csv")}
    assert data.compare(with_own, dataclasses.replace(now, files=own, listed=sheet)).changes == []


def test_a_plugin_is_not_gone_where_the_list_may_be_longer(tmp_path: Path) -> None:
    lists = {}
    for name, lines in {"one": "a@1\nb@1\n", "two": "a@2\nc@1\n"}.items():
        (tmp_path / name).write_text(lines)
        lists[name] = {"plugins.txt": tmp_path / name}
    one, two = End(kind=RELEASE, files=lists["one"]), End(kind=NOW, files=lists["two"])
    assert {row.what for row in parts.plugins(one, two).changes} == {"changed", "added", "gone"}
    vague = dataclasses.replace(two, unknown={"plugins": "not yet"})
    assert {row.what for row in parts.plugins(one, vague).changes} == {"changed", "added"}
    assert {row.what for row in parts.plugins(vague, one).changes} == {"changed", "gone"}


@pytest.mark.parametrize("part", ["plugins", "runtime"])
def test_other_bytes_under_one_version_are_told(tmp_path: Path, part: str) -> None:
    (tmp_path / "plugins.txt").write_text("a@1\n")
    path = {"plugins": "plugins.tar", "runtime": "nextflow-24.10.5.tar"}[part]
    one, two = (End(kind=RELEASE, about={"nextflow": "24.10.5"},
                     files={"plugins.txt": tmp_path / "plugins.txt"},
                     listed={path: File(sha256=digest, size=1)}) for digest in (A, B))
    (row,) = getattr(parts, part)(one, two).changes
    assert (row.group, row.name, row.before, row.after) == ("archive", path, A, B)


def reaching(folder: Path, name: str, *findings: dict[str, Any]) -> End:
    files.write_json(folder / name, {"pipeline": "p", "profile": "t", "counted": [], "findings": [
        {"file": "main.nf", "line": 1, "kind": "url", "count": 1, "answer": None, **finding}
        for finding in findings]})
    return End(kind=RELEASE, files={"reach.json": folder / name})


def test_what_newly_reaches_out_is_told_and_a_line_that_moved_is_not(tmp_path: Path) -> None:
    answer = {"by": "data", "what": "carried"}
    one = reaching(tmp_path, "one", {"what": "moved"}, {"what": "lost", "answer": answer})
    two = reaching(tmp_path, "two", {"what": "moved", "line": 9}, {"what": "lost"},
                {"what": "new", "process": "P"})
    part = parts.reach(one, two)
    assert [(row.what, row.name, row.before, row.after) for row in part.changes] == [
        ("changed", "main.nf:1  lost", "data: carried", parts.OPEN),
        ("added", "main.nf:1  new  (process P)", None, parts.OPEN)]
    assert part.summary == "1 added, 1 changed; 2 newly without an answer"
    vague = dataclasses.replace(two, unknown={"reach": "not yet"})
    (row,) = parts.reach(one, vague).changes
    assert (row.name, row.after) == ("main.nf:1  new  (process P)", parts.NOT_YET)


def test_settings_that_one_side_does_not_know_are_no_difference() -> None:
    one = End(kind=RELEASE, about={"profile": "test", "tool": "1.0", "kind": "release"})
    two = End(kind=NOW, about={"profile": "full", "files": []})
    assert [row.name for row in parts.release(one, two).changes] == ["profile"]


def test_what_a_board_should_know_of_the_later_side_is_said() -> None:
    end = End(kind=RELEASE, id="1-a", about={
        "isolation": "none", "tested": False, "nextflow": "99.1.0", "smoke": "none"},
        promoted=Promoted(number=3, signed="now", withdrawn="a broken caller",
                          unproven="no engine"))
    content = document("p", end, end, store="store", compared="2026-01-01T00:00:00Z")
    assert content["equal"] is True
    attention = " ".join(content["attention"])
    for word in ("withdrawn: a broken caller", "no engine", "read and change", "99.1.0",
                 "no smoke run"):
        assert word in attention
    shown = html(content, "x.json")
    assert "withdrawn: a broken caller" in shown and "No difference." in shown
    assert "withdrawn" in text.text(content, "x.html").splitlines()[0]


def test_many_changes_are_cut_in_the_text_and_whole_in_the_document() -> None:
    one = End(kind=RELEASE, id="a", data={})
    two = End(kind=RELEASE, id="b", data={f"u{number}" * 99: File(sha256=A, size=1)
                                          for number in range(100)})
    content = document("p", one, two, store="s", compared="2026-01-01T00:00:00Z")
    printed = text.text(content, "page.html")
    assert "… and 60 more: page.html" in printed
    assert max(map(len, printed.splitlines())) < 300
    rows = next(part for part in content["parts"] if part["name"] == "data")["changes"]
    assert len(rows) == 100 and rows[0]["name"] in html(content, "x.json")


def test_what_a_release_lacks_is_not_called_equal() -> None:
    """Such as one that was made before releases had that file."""
    one, two = End(kind=RELEASE, id="1-a"), End(kind=RELEASE, id="1-b")
    content = document("p", one, two, store="s", compared="2026-01-01T00:00:00Z")
    assert content["equal"] is None
    reasons = {part["name"]: part["unknown"] for part in content["parts"] if part["unknown"]}
    assert reasons.keys() == {"images", "plugins", "data", "params", "config", "reach"}
    assert reasons["reach"] == ["1-a has no reach.json", "1-b has no reach.json"]


def test_no_difference_may_be_all_that_is_known() -> None:
    one, two = End(kind=RELEASE, id="a"), End(kind=NOW, unknown={"data": "not fetched"})
    content = document("p", one, two, store="s", compared="2026-01-01T00:00:00Z")
    assert content["equal"] is None
    assert "no difference as far as it is known" in text.text(content, "p")
    assert "No difference as far as it is known." in html(content, "x.json")


@pytest.mark.parametrize("hostile", ["<b>", "&lt;", "\x1b[31m", "\u202e", "{{ 7*7 }}", "\ud800",
                                     "'\"><img src=x onerror=y>", "a\nb", "\x9b2J"])
def test_a_page_shows_others_text_as_text(tmp_path: Path, hostile: str) -> None:
    template = tmp_path / "t.html"
    template.write_text('{% extends "page.html" %}{% macro m(x) %}<i>{{ x }}</i>{% endmacro %}'
                        '{% block content %}{{ m(text) }}<p title="{{ text }}">{% endblock %}')
    shown = page.render(template, {"text": hostile})
    body = shown.partition("<body>")[2].partition("<script>")[0]
    assert "<i>" in body and body.count("<") == 3
    assert not set("\x1b\u202e\ud800\x9b") & set(shown) and "49" not in body
    shown.encode()


def test_changes_keep_what_they_are_in_the_document() -> None:
    part = Part(name="data", title="Data", summary="x", changes=[
        Change(what="gone", name="a", before="", size_before=0)])
    assert part.as_json["changes"] == [
        {"change": "gone", "group": "", "name": "a", "from": "", "from_bytes": 0}]
    assert part.differs is True
