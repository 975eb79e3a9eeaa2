"""Plain `./doit` as a user without rights: what is missing is named, and all else is done."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.project import copy, steps

NOBODY = 65534
LOOPBACK = {"AIRLOCK_REGISTRY_HOST": "127.0.0.1", "AIRLOCK_REGISTRY_PORT": "15053",
            "AIRLOCK_ENGINE": "unix:///nonexistent/docker.sock"}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A finished command: its status, and all that it printed."""

    status: int
    output: str

    @property
    def done(self) -> set[str]:
        """The steps that ended well."""
        return {line.split()[1] for line in self.output.splitlines() if line.startswith("done ")}


@dataclass(frozen=True, kw_only=True)
class User:
    """A user with a copy of this project and a home folder, and nothing else."""

    root: Path
    home: Path

    def doit(self, *words: str, path: str = "/usr/local/bin:/usr/bin:/bin",
             env: Mapping[str, str] | None = None) -> Ran:
        """Run ./doit as this user; its Python environment is made by the first call."""
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        done = subprocess.run(
            [*(drop if os.geteuid() == 0 else []), "./doit", *words], cwd=self.root, check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            # Java takes the home folder from the list of users, where nobody has none.
            env={"PATH": path, "HOME": str(self.home), "MAVEN_OPTS": f"-Duser.home={self.home}",
                 **(env or {})}, timeout=300)
        assert "Traceback" not in done.stdout, done.stdout
        return Ran(status=done.returncode, output=done.stdout)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    # pytest's own folder is for its user alone.
    with tempfile.TemporaryDirectory(prefix="airlock-unprivileged-") as folder:
        top = Path(folder)
        top.chmod(0o755)
        copy(top / "project", number=5)
        known = Path.home() / ".m2/repository"
        if known.is_dir():  # so that the jars are not fetched once more
            shutil.copytree(known, top / "home/.m2/repository")
        (top / "home").mkdir(exist_ok=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", top], check=True)
        yield User(root=top / "project", home=top / "home")


@pytest.fixture(scope="module")
def first(user: User) -> Ran:
    """The first plain `./doit`."""
    return user.doit()


def test_it_says_what_is_missing_and_the_way_round(first: Ran) -> None:
    assert first.status == 1
    assert "FAILED sandbox:up: the registry's address 10.89.105.1" in first.output
    assert "but this user is not root" in first.output
    assert "to do: run as root; or go on without isolation" in first.output
    assert "AIRLOCK_REGISTRY_HOST=127.0.0.1 AIRLOCK_ENGINE=unix:///var/run/docker.sock ./doit" \
        in first.output


def test_what_needs_no_servers_is_done(first: Ran, user: User) -> None:
    assert {"stage:hello", "runtime:hello", "images:list:hello", "tool", "push:tool",
            "sandbox:plugin"} <= first.done, first.output
    last = first.output.splitlines()[-1]
    assert last.startswith("not run, since that comes before: ")
    assert {"images:lock:hello", "images:mirror:hello", "mirror:data:hello", "release:hello",
            "sandbox:cross:hello"} <= set(last.partition(": ")[2].split(", "))
    assert "FAILED, as shown above: sandbox:up" in first.output
    assert first.output.count("FAILED") == 2
    assert not (user.root / "build/faults").exists()


def test_it_is_not_done_again(first: Ran, user: User) -> None:
    again = user.doit()
    assert again.status == 1
    assert steps(again.output) <= {"sandbox:up", "sandbox:packages", "push:tool"}
    assert "nothing to do" not in again.output


def test_missing_packages_are_named_with_the_command_for_root(first: Ran, user: User) -> None:
    programs = user.root / "programs"
    programs.mkdir()
    for path in (*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()):
        if path.name not in ("skopeo", "docker-registry") and not (programs / path.name).exists():
            (programs / path.name).symlink_to(path)
    ran = user.doit("sandbox:packages", "stage", path=str(programs))
    assert ran.status == 1
    assert "packages are missing: docker-registry skopeo" in ran.output
    assert ("apt-get install --no-remove --no-install-recommends docker-registry skopeo"
            in ran.output)
    assert "stage:hello" in ran.output


def test_the_way_round_works_and_says_that_it_is_not_isolated(first: Ran, user: User) -> None:
    try:
        ran = user.doit("images:mirror", "dev:smoke", env=LOOPBACK)
        assert {"images:lock:hello", "images:mirror:hello", "config:hello", "mirror:data:hello",
                "plugins:cache:hello"} <= ran.done, ran.output
        assert "NOT ISOLATED, this user is not root" in ran.output
        assert ran.status == 1
        assert "FAILED dev:smoke:hello: no container engine answers" in ran.output
        assert "unix:///nonexistent/docker.sock" in ran.output
    finally:
        assert "ended: " in user.doit("sandbox:down", env=LOOPBACK).output
