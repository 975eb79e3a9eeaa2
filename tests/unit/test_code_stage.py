"""Staging a folder: the same files give the same bytes, and nothing odd is carried."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.code import folder, stage
from tasks.core import files, schema
from tasks.core.archives import unpacking
from tasks.core.errors import ConfigError, SourceError
from tests.kit.locks import lock_at

NAMES = st.text("abcäöABC012._- ", min_size=1, max_size=8).filter(
    lambda name: name.strip(". ") and name not in folder.LEFT_OUT
    and not name.startswith(".nextflow"))
CONTENTS = st.binary(max_size=64).filter(lambda content: not content.startswith(stage.LFS))
TREES = st.dictionaries(st.tuples(NAMES, NAMES), st.tuples(CONTENTS, st.booleans()),
                        min_size=1, max_size=6)


def spec(root: Path, out: Path, **changes: Any) -> stage.FolderStage:
    values: dict[str, Any] = {
        "pipeline": "p", "source": str(root), "revision": None,
        "listing": folder.listing(root), "archive": out / "code.tar",
        "manifest": out / "manifest.json", **changes}
    return stage.FolderStage(**values)


def members(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "bin").mkdir(parents=True)
    (root / "main.nf").write_text("workflow {}\n")
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o755)
    (root / "link.nf").symlink_to("main.nf")
    return root


@settings(max_examples=25, deadline=None)
@given(TREES)
def test_bytes_depend_on_content_alone_and_come_back_whole(
        tree: dict[tuple[str, str], tuple[bytes, bool]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        made = []
        for number, order in enumerate((list(tree), list(reversed(tree)))):
            root = out / f"source{number}"
            for parent, name in order:
                content, executable = tree[parent, name]
                path = root / parent / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                path.chmod(0o775 if executable else 0o600)
                os.utime(path, (number, number))
            stage.from_folder(spec(root, out / str(number)))
            made.append(out / str(number) / "code.tar")
        assert made[0].read_bytes() == made[1].read_bytes()
        unpacking.unpack_tar(made[0], out / "back")
        for (parent, name), (content, executable) in tree.items():
            path = out / "back" / parent / name
            assert path.read_bytes() == content
            assert os.access(path, os.X_OK) is executable or os.getuid() == 0
            assert bool(path.stat().st_mode & 0o100) is executable


def test_the_manifest_says_what_was_staged(source: Path, tmp_path: Path) -> None:
    stage.from_folder(spec(source, tmp_path))
    manifest = schema.read_json(tmp_path / "manifest.json", "code-manifest")
    assert manifest == {"pipeline": "p", "source": str(source), "revision": "dev", "commit": None,
                        "date": None, "sha256": files.sha256(tmp_path / "code.tar"), "files": 3}


def test_what_runs_leave_is_not_carried_and_is_named(source: Path, tmp_path: Path) -> None:
    for name in (".git", ".nextflow", "work", "results"):
        (source / name).mkdir()
        (source / name / "x").write_text("x")
    (source / ".nextflow.log.1").write_text("x")
    (source / "modules/work").mkdir(parents=True)
    (source / "modules/work/main.nf").write_text("x")
    said = stage.from_folder(spec(source, tmp_path))
    assert members(tmp_path / "code.tar") == ["bin/tool", "link.nf", "main.nf",
                                              "modules/work/main.nf"]
    assert said.endswith("left out: .git, .nextflow, .nextflow.log.1, results, work")


@pytest.mark.parametrize("edit", ["content", "mode", "more"])
def test_a_source_that_changes_meanwhile_is_noticed(
        source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: str) -> None:
    write = files.write_tar

    def write_then_edit(*arguments: Any, **named: Any) -> None:
        write(*arguments, **named)
        if edit == "content":
            (source / "main.nf").write_text("workflow { }\n")
        elif edit == "mode":
            (source / "main.nf").chmod(0o755)
        else:
            (source / "more.nf").write_text("")

    monkeypatch.setattr(files, "write_tar", write_then_edit)
    with pytest.raises(SourceError, match="changed while it was staged"):
        stage.from_folder(spec(source, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_all_that_can_not_be_carried_is_named_at_once(source: Path, tmp_path: Path) -> None:
    (source / "out.txt").symlink_to("../secret")
    (source / "absolute.txt").symlink_to("/etc/passwd")
    (source / "big.bam").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (source / "two\nlines").write_text("x")
    os.mkfifo(source / "pipe")
    with pytest.raises(SourceError) as caught:
        stage.from_folder(spec(source, tmp_path))
    for named in ("out.txt", "absolute.txt", "big.bam", "two\\nlines", "pipe"):
        assert named in str(caught.value)
    assert not (tmp_path / "code.tar").exists()


def test_a_name_that_is_not_utf8_is_refused(source: Path, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.nf")).write_text("x")
    with pytest.raises(SourceError, match=r"caf\\xe9\.nf"):
        stage.from_folder(spec(source, tmp_path))


def test_links_inside_stay_links(source: Path, tmp_path: Path) -> None:
    (source / "tools").symlink_to("bin")
    stage.from_folder(spec(source, tmp_path))
    unpacking.unpack_tar(tmp_path / "code.tar", tmp_path / "back")
    assert (tmp_path / "back/tools").readlink() == Path("bin")
    assert (tmp_path / "back/tools/tool").read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize("make", [True, False])
def test_a_source_that_is_empty_or_missing_is_an_error(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "none").mkdir()
    with pytest.raises(SourceError):
        stage.from_folder(spec(tmp_path / "none", tmp_path))


@pytest.mark.parametrize("url", ["https://user:word1@example.org/x", "https://word1@example.org/x"])
def test_a_git_url_with_a_login_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    wrong = stage.GitStage(
        pipeline="p", source=url, revision="v1", urls={"https://": "file:///nowhere/"},
        cache=tmp_path / "cache", archive=tmp_path / "code.tar", manifest=tmp_path / "m.json",
        lock=lock_at(tmp_path / "locks", "code"), log=tmp_path / "log", relock=False)
    with pytest.raises(ConfigError) as caught:
        stage.from_git(wrong)
    assert "word1" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
