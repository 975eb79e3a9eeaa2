"""Repositories that mean to fill a disk, a memory or a day end early, and leave nothing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tasks.code import git, stage
from tasks.core.archives import limits
from tasks.core.errors import AirlockError, IntegrityError, SourceError
from tests.kit.bounded import limited
from tests.kit.git import Repository, local

WRITE = """
from tasks.code import git
git.write_tree(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
print('written')
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit(**{"main.nf": "workflow {}\n"})
    made.push()
    return made


def commit(repository: Repository, root: str, message: bytes = b"x") -> str:
    """A commit of this tree, the branch `bomb`; its digest."""
    made = repository.put("commit", f"tree {root}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000"
               "\n\n".encode() + message)
    repository.git("update-ref", "refs/heads/bomb", made, at=repository.bare)
    return made


@pytest.mark.parametrize("leaf", ["files", "empty trees"])
def test_a_tree_bomb_is_refused_before_it_is_written(repository: Repository, tmp_path: Path,
                                                     leaf: str) -> None:
    """Ten trees of ten entries each, within each other: 10,000,000,000 paths in some kilobytes."""
    inner = repository.put("blob", b"x" * 5000) if leaf == "files" else repository.put_tree()
    mode = "100644" if leaf == "files" else "40000"
    for _ in range(10):
        inner = repository.put_tree(*((mode, inner, f"{number}") for number in range(10)))
        mode = "40000"
    bomb = commit(repository, inner)
    (tmp_path / "root").mkdir()
    output = limited(WRITE, repository.bare, bomb, tmp_path / "root", size=1_000_000)
    assert "IntegrityError" in output
    assert "more than the 50000 files and folders" in output
    assert list((tmp_path / "root").iterdir()) == []
    with pytest.raises(IntegrityError, match="50000"):
        stage.from_git(local(tmp_path, revision="bomb"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cache", "log"]


def test_what_stands_in_a_tree_is_counted_by_size_depth_and_name(
        repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CODE", limits.Bounds(size=1_000_000, members=1000))
    blob = repository.put("blob", bytes(200_000))
    deep = repository.put_tree(("100644", blob, "f"))
    for _ in range(100):
        deep = repository.put_tree(("40000", deep, "d"))
    for root, said in (
            (repository.put_tree(*(("100644", blob, f"f{number}") for number in range(6))),
             "1.0 MB"),
            (deep, "deep in each other"),
            (repository.put_tree(("100644", blob, "n" * 300)), "more than 255 bytes"),
            (repository.put_tree(("100644", blob, "n" * 40_000)), "too long|more than 255"),
            (repository.put_tree(("120000", blob, "link")), "has 200000 bytes"),
            (repository.put_tree(("100644", deep, "f")), "is not the file"),
            (repository.put_tree(("100644", blob, "a"), ("40000", repository.put_tree(
                ("40000", repository.put_tree(("100644", blob, "c")), "b")), "a")),
             "names 'a/b/c' twice")):
        made = commit(repository, root)
        (tmp_path / made).mkdir()
        with pytest.raises(IntegrityError, match=said):
            git.write_tree(repository.bare, made, tmp_path / made)


def test_a_repository_that_is_too_large_is_not_kept(repository: Repository, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "FETCHED", 1_000_000)
    stage.from_git(local(tmp_path, revision="main"))
    (tmp_path / "tree/large").write_bytes(os.urandom(3_000_000))
    repository.commit()
    repository.push()
    with pytest.raises(SourceError, match=r"more than 1\.0 MB .* not fetched"):
        stage.from_git(local(tmp_path, revision="main"))
    assert not (tmp_path / "out/cache").exists()


def test_a_repository_of_too_many_files_is_not_kept(repository: Repository, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "FILES", 200)
    head = repository.git("rev-parse", "HEAD")
    subprocess.run(["git", "update-ref", "--stdin"], cwd=repository.bare, check=True, text=True,
                   input="".join(f"create refs/heads/b{number} {head}\n" for number in range(300)))
    stage.from_git(local(tmp_path, revision="main"))  # which is one of them
    with pytest.raises(SourceError, match="200 files"):
        stage.from_git(local(tmp_path, revision=head[:9]))
    assert not (tmp_path / "out/cache").exists()


def test_a_repository_that_never_comes_ends(repository: Repository, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    monkeypatch.setattr(git, "PATIENCE", 1.0)
    begun = time.monotonic()
    with pytest.raises(SourceError, match="not fetched within 1 seconds"):
        stage.from_git(local(tmp_path, source="ssh://git@forge.example.org/x"))
    assert time.monotonic() - begun < 15


def test_what_is_no_file_and_needs_too_much_memory_ends_git(
        repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit's message has to be held in memory whole, by git too."""
    monkeypatch.setattr(git, "MEMORY", 300_000_000)
    stage.from_git(local(tmp_path, revision="main"))  # that much is enough for others
    commit(repository, repository.git("rev-parse", "HEAD^{tree}"), bytes(400_000_000))
    with pytest.raises(AirlockError, match=r"can't be fetched|ended with status"):
        stage.from_git(local(tmp_path, revision="bomb"))
    assert not list((tmp_path / "out/cache/objects/pack").glob("tmp_*"))


def test_a_hostile_gitmodules_is_read_in_no_time(tmp_path: Path) -> None:
    begun = time.monotonic()
    for text in ("[submodule \"x\"]\na" + " " * 200_000 + "b\n", "[a]\n" * 10**6):
        (tmp_path / ".gitmodules").write_text(text)
        assert stage._submodules(tmp_path) == ["(.gitmodules can't be read)"]
    assert time.monotonic() - begun < 5
