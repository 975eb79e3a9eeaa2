"""Git repositories, and the specs that stage their code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from tasks.code import stage
from tests.kit.locks import lock_at

SOURCE = "https://git.example.org/hello.git"
DATE = "2024-03-01T10:00:00+00:00"
WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "a"), ("EMAIL", "a@example.org"), ("DATE", DATE))}


def git(*words: str, at: Path, stdin: bytes = b"") -> str:
    """What git prints, run in the folder `at`."""
    return subprocess.run(["git", *words], cwd=at, input=stdin, check=True, capture_output=True,
                          env={**os.environ, **WHO}).stdout.decode().strip()


class Repository:
    """A bare repository, and a work tree that is pushed into it."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.tree = folder / "served/git/hello.git", folder / "tree"
        git("init", "--quiet", "--bare", str(self.bare), at=folder)
        git("init", "--quiet", "--initial-branch=main", str(self.tree), at=folder)

    def git(self, *words: str, at: Path | None = None) -> str:
        return git(*words, at=at or self.tree)

    def commit(self, **contents: str) -> str:
        for name, text in contents.items():
            (self.tree / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        self.git("push", "--quiet", "--force", "--tags", str(self.bare), "HEAD:main")
        self.git("update-server-info", at=self.bare)

    def put(self, kind: str, data: bytes) -> str:
        """Write an object into the served repository, whatever it holds; its digest."""
        return git("hash-object", "-t", kind, "-w", "--literally", "--stdin", at=self.bare,
                   stdin=data)

    def put_tree(self, *entries: tuple[str, str, str]) -> str:
        """A tree of (mode, digest, name)."""
        return self.put("tree", b"".join(
            f"{mode} {name}".encode() + b"\0" + bytes.fromhex(digest)
            for mode, digest, name in entries))


def spec(folder: Path, base: str, **changes: Any) -> stage.GitStage:
    values: dict[str, Any] = {
        "pipeline": "p", "source": SOURCE, "revision": "v1",
        "urls": {"https://git.example.org/": f"{base}/"}, "cache": folder / "out/cache",
        "archive": folder / "out/code.tar", "manifest": folder / "out/manifest.json",
        "lock": lock_at(folder / "locks", "code"),
        "log": folder / "out/log", "relock": False, **changes}
    return stage.GitStage(**values)


def local(folder: Path, **changes: Any) -> stage.GitStage:
    return spec(folder, f"file://{folder}/served/git", **changes)
