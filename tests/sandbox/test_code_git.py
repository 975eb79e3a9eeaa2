"""Staging from real git repositories, over files and over the web."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tasks.code import stage
from tasks.core import schema
from tasks.core.errors import ConfigError, SourceError
from tests.sandbox.web import Web

SOURCE = "https://git.example.org/hello.git"
DATE = "2024-03-01T10:00:00+00:00"


class Repository:
    """A bare repository, and a work tree that is pushed into it."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.tree = folder / "served/git/hello.git", folder / "tree"
        self.git("init", "--quiet", "--bare", str(self.bare), at=folder)
        self.git("init", "--quiet", "--initial-branch=main", str(self.tree), at=folder)

    def git(self, *words: str, at: Path | None = None) -> str:
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
               for what, value in (("NAME", "a"), ("EMAIL", "a@example.org"), ("DATE", DATE))}
        return subprocess.run(["git", *words], cwd=at or self.tree, check=True, text=True,
                              capture_output=True, env={**os.environ, **who}).stdout.strip()

    def commit(self, **contents: str) -> str:
        for name, text in contents.items():
            (self.tree / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        self.git("push", "--quiet", "--force", "--tags", str(self.bare), "HEAD:main")
        self.git("update-server-info", at=self.bare)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    (made.tree / "bin").mkdir()
    (made.tree / "bin/tool").write_text("#!/bin/sh\n")
    (made.tree / "bin/tool").chmod(0o755)
    (made.tree / "link.nf").symlink_to("main.nf")
    # What git archive and a checkout would leave out or change.
    (made.tree / ".gitattributes").write_text("* text eol=crlf\nmain.nf export-ignore\n")
    made.commit(**{"main.nf": "workflow {}\n"})
    made.git("tag", "--annotate", "--message", "x", "v1")
    made.push()
    return made


def spec(folder: Path, base: str, **changes: Any) -> stage.GitStage:
    values: dict[str, Any] = {
        "pipeline": "p", "source": SOURCE, "revision": "v1",
        "urls": {"https://git.example.org/": f"{base}/"}, "cache": folder / "out/cache",
        "archive": folder / "out/code.tar", "manifest": folder / "out/manifest.json",
        "lock": folder / "locks/code.json", "log": folder / "out/log", "relock": False, **changes}
    return stage.GitStage(**values)


def local(folder: Path, **changes: Any) -> stage.GitStage:
    return spec(folder, f"file://{folder}/served/git", **changes)


def test_a_tag_is_staged_byte_for_byte(repository: Repository, tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    commit = repository.git("rev-parse", "HEAD")
    with tarfile.open(tmp_path / "out/code.tar") as tar:
        about = {each.name: (each.mode, each.mtime, each.linkname) for each in tar}
        main = tar.extractfile("main.nf")
        assert main is not None
        assert main.read() == b"workflow {}\n"
    seconds = 1709287200
    assert about == {".gitattributes": (0o644, seconds, ""), "bin/tool": (0o755, seconds, ""),
                     "link.nf": (0o777, seconds, "main.nf"), "main.nf": (0o644, seconds, "")}
    told = schema.read_json(tmp_path / "out/manifest.json", "code-manifest")
    assert (told["commit"], told["date"], told["revision"]) == (commit, DATE, "v1")
    assert schema.read_json(tmp_path / "locks/code.json", "code-lock") == {
        "source": SOURCE, "revision": "v1", "commit": commit}


def test_the_web_gives_the_same_bytes(repository: Repository, tmp_path: Path, web: Web) -> None:
    web.folder = tmp_path / "served"
    stage.from_git(local(tmp_path))
    before = (tmp_path / "out/code.tar").read_bytes()
    stage.from_git(spec(tmp_path, f"{web.url}/git", cache=tmp_path / "other"))
    assert (tmp_path / "out/code.tar").read_bytes() == before
    assert web.asked("/git/hello.git/info/refs") > 0


def test_branch_and_commit_are_revisions_too(repository: Repository, tmp_path: Path) -> None:
    first = repository.git("rev-parse", "HEAD")
    second = repository.commit(**{"main.nf": "workflow { x }\n"})
    repository.push()
    for revision, commit in (("main", second), (first, first), (second[:9], second)):
        stage.from_git(local(tmp_path, revision=revision))
        assert json.loads((tmp_path / "locks/code.json").read_text())["commit"] == commit


def test_a_moved_tag_is_refused_with_both_commits_until_relock(repository: Repository,
                                                               tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    first = repository.git("rev-parse", "HEAD")
    before = (tmp_path / "out/code.tar").read_bytes()
    second = repository.commit(**{"main.nf": "workflow { evil }\n"})
    repository.git("tag", "--force", "v1")
    repository.push()
    with pytest.raises(SourceError) as caught:
        stage.from_git(local(tmp_path))
    assert all(each in str(caught.value) for each in (first, second, "relock=1"))
    assert (tmp_path / "out/code.tar").read_bytes() == before
    stage.from_git(local(tmp_path, relock=True))
    assert json.loads((tmp_path / "locks/code.json").read_text())["commit"] == second


def test_a_submodule_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.git("update-index", "--add", "--cacheinfo",
                   f"160000,{repository.git('rev-parse', 'HEAD')},modules/other")
    repository.git("commit", "--quiet", "--message", "x")
    repository.push()
    with pytest.raises(SourceError, match="submodules: modules/other"):
        stage.from_git(local(tmp_path, revision="main"))


def test_a_git_lfs_pointer_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.commit(**{"big.bam": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"})
    repository.push()
    with pytest.raises(SourceError, match=r"big\.bam: a git-lfs pointer"):
        stage.from_git(local(tmp_path, revision="main"))


def test_what_is_not_there_is_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no tag, branch or commit 'v11'; did you mean 'v1'"):
        stage.from_git(local(tmp_path, revision="v11"))
    with pytest.raises(SourceError, match="can't be fetched"):
        stage.from_git(local(tmp_path, source="https://git.example.org/none.git"))
    with pytest.raises(ConfigError, match="needs a revision"):
        stage.from_git(local(tmp_path, revision=None))


@pytest.mark.parametrize("revision", ["--upload-pack=touch evil", "main:main.nf", "HEAD~1", "^"])
def test_a_revision_is_a_name_and_nothing_else(repository: Repository, tmp_path: Path,
                                               revision: str) -> None:
    with pytest.raises(SourceError):
        stage.from_git(local(tmp_path, revision=revision))


@pytest.mark.parametrize("source", ["ext::sh -c touch% evil", "git://127.0.0.1:1/x"])
def test_other_transports_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(SourceError, match="not allowed"):
        stage.from_git(local(tmp_path, source=source))


def test_what_a_killed_fetch_left_is_no_hindrance(repository: Repository, tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    (tmp_path / "out/cache/packed-refs.lock").write_text("")
    (tmp_path / "out/cache/refs/heads/main.lock").write_text("")
    repository.commit(**{"main.nf": "workflow { y }\n"})
    repository.push()
    stage.from_git(local(tmp_path, revision="main"))


def test_a_broken_lock_is_named(repository: Repository, tmp_path: Path) -> None:
    stage.from_git(local(tmp_path))
    (tmp_path / "locks/code.json").write_text('{"source": 1, "commit": "x"}')
    with pytest.raises(ConfigError) as caught:
        stage.from_git(local(tmp_path))
    for part in ("code.json", "source", "commit", "revision"):
        assert part in str(caught.value)


def test_git_asks_nothing_and_runs_no_hook(repository: Repository, tmp_path: Path, web: Web,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (hooks / "reference-transaction").chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(hooks))
    stage.from_git(local(tmp_path))
    assert not mark.exists()
    web.statuses["/hello.git/info/refs"] = [401] * 9
    closed = dataclasses.replace(local(tmp_path), urls={"https://git.example.org/": f"{web.url}/"})
    with pytest.raises(SourceError):
        stage.from_git(closed)
