"""The doit script: from a fresh copy to a task, and what it says where it can't."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import SourceError
from tasks.core.paths import SitePaths
from tasks.release import tool
from tests.kit.project import ROOT

PINNED = (ROOT / "requirements.txt").read_text()
DOIT, SIX = (next(pin for pin in re.split(r"\n(?! )", PINNED) if pin.startswith(f"{name}=="))
             for name in ("doit", "six"))
"""A requirement as it is pinned, with its hashes."""
DODO = """
from beside import WORD
def task_say():
    return {"actions": [f"echo {WORD}"], "verbosity": 2}
def task_test():
    return {"actions": ["python3 -c 'import sys; print(sys.prefix)'"], "verbosity": 2}
"""


def run(folder: Path, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
        ) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("AIRLOCK_", "PYTHON")) and key != "VIRTUAL_ENV"}
    return subprocess.run([folder / "doit", *words], cwd=cwd or folder, text=True, check=False,
                          capture_output=True, env=dict(env or kept), timeout=300)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The script beside a project that needs doit alone."""
    folder = tmp_path / "a project"
    folder.mkdir()
    shutil.copy(ROOT / "doit", folder)
    (folder / "requirements.txt").write_text(f"{DOIT}\n")
    (folder / "dodo.py").write_text(DODO)
    (folder / "beside.py").write_text("WORD = 'said'\n")
    return folder


def test_the_environment_is_made_once_and_anew_when_it_is_old_or_torn(small: Path) -> None:
    first = run(small, "say", cwd=Path("/"))
    assert (first.returncode, "said" in first.stdout) == (0, True), first.stderr
    assert first.stderr == "making .venv from requirements.txt\n"

    begun = time.monotonic()
    second = run(small, "say")
    assert (second.returncode, second.stderr) == (0, "")
    assert time.monotonic() - begun < 2

    # With the environment active, plain doit finds the project's modules too.
    active = {**os.environ, "PATH": f"{small}/.venv/bin:{os.environ['PATH']}"}
    plain = subprocess.run(["doit", "say"], cwd=small, env=active, text=True, check=True,
                           capture_output=True)
    assert "said" in plain.stdout
    (small / ".venv/made-from").unlink()  # as after a kill: torn, so not taken for done
    shutil.rmtree(next((small / ".venv/lib").glob("python3*/site-packages/doit")))
    assert run(small, "say").stderr == "making .venv from requirements.txt\n"

    (small / "requirements.txt").write_text(f"{DOIT}\n{SIX}\n")
    assert run(small, "say").stderr == "making .venv from requirements.txt\n"
    assert list((small / ".venv/lib").glob("python3*/site-packages/six.py"))


def test_the_tests_tools_are_added_for_test_alone(small: Path) -> None:
    (small / "requirements-dev.txt").write_text(f"-r requirements.txt\n{SIX}\n")
    shutil.copy(ROOT / "requirements-build.txt", small)
    assert run(small, "say").returncode == 0
    assert not list((small / ".venv/lib").glob("python3*/site-packages/six.py"))
    added = run(small, "test")
    assert added.stderr == "adding requirements-dev.txt to .venv\n"
    assert list((small / ".venv/lib").glob("python3*/site-packages/six.py"))
    assert run(small, "test").stderr == run(small, "say").stderr == ""


def test_a_requirement_that_is_not_to_be_had(small: Path) -> None:
    (small / "requirements.txt").write_text(f"doit==0.0.1 --hash=sha256:{'0' * 64}\n")
    failed = run(small, "say")
    assert failed.returncode == 3
    assert "ERROR: pip could not install what requirements.txt names" in failed.stderr
    assert "No matching distribution" in failed.stderr
    assert failed.stdout == ""
    assert not (small / ".venv/made-from").exists()


def test_a_requirement_without_a_hash_is_refused(small: Path) -> None:
    (small / "requirements.txt").write_text(f"{DOIT.partition(' ')[0]}\n")
    failed = run(small, "say")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert "Hashes are required in --require-hashes mode" in failed.stderr
    assert not (small / ".venv/made-from").exists()


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A folder with doit's wheel, in which one byte of its code is another; it would run."""
    folder = tmp_path / "changed"
    listed = tmp_path / "doit.txt"
    listed.write_text(DOIT)
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                    "--require-hashes", "--only-binary=:all:", "-r", listed, "-d", folder],
                   check=True)
    wheel, = folder.iterdir()
    with zipfile.ZipFile(wheel) as true:
        members = {info: true.read(info) for info in true.infolist()}
    with zipfile.ZipFile(wheel, "w") as false:
        for info, data in members.items():
            of_code = info.filename == "doit/task.py"
            false.writestr(info, data[:-1] + b" " if of_code else data)
    return folder


def test_a_wheel_that_differs_by_a_byte_is_not_installed(small: Path, changed: Path) -> None:
    near = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(changed)}
    failed = run(small, "say", env=near)
    assert (failed.returncode, failed.stdout) == (3, "")
    wheel, = changed.iterdir()
    assert "DO NOT MATCH THE HASHES" in failed.stderr
    assert files.sha256(wheel) in failed.stderr
    assert "another file than the one that was published" in failed.stderr
    assert not list((small / ".venv/lib").glob("python3*/site-packages/doit"))
    assert run(small, "say").returncode == 0, "published, it is taken"


def test_a_wheel_that_differs_by_a_byte_is_not_carried(
        small: Path, changed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small)
    for name in ("tasks", "schemas"):
        (small / name).symlink_to(ROOT / name)
    spec = tool.ToolSpec(
        layout=SitePaths(site="local"), platform="linux/amd64", carry="registry", config={},
        python=(f"3.{sys.version_info.minor}",))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(changed))
    with pytest.raises(SourceError, match="DO NOT MATCH THE HASHES"):
        tool.make(spec)
    assert not (spec.layout.tool / "wheels").exists()
    assert not (spec.layout.tool / "airlock.tar").exists()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    tool.make(spec)
    assert len(list((spec.layout.tool / "wheels").iterdir())) == 1
    (small / "requirements.txt").write_text(f"{DOIT.partition(' ')[0]}\n")
    with pytest.raises(SourceError, match="Hashes are required"):
        tool.make(spec)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with coreutils and without Python; `id` and `apt-get` are stand-ins."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "dirname", "readlink", "sha256sum", "cat", "mkdir", "find", "sed", "sort",
                 "tr", "tail", "flock"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def stand_in(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_without_python_and_root_it_says_what_is_missing(small: Path, bare: Path) -> None:
    stand_in(bare / "id", "echo 1000")
    stand_in(bare / "apt-get", "exit 9")
    failed = run(small, "say", env={"PATH": str(bare)})
    assert failed.returncode == 3
    assert "missing: Python 3.10 or later" in failed.stderr
    if Path("/etc/debian_version").exists():
        assert "as root: apt-get install --no-remove python3 python3-venv" in failed.stderr


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="not Debian")
def test_root_on_debian_gets_the_packages_named_and_installed(small: Path, bare: Path) -> None:
    stand_in(bare / "id", "echo 0")
    stand_in(bare / "apt-get", f'echo "$@" >>"{small}/asked"\n[ "$1" = update ] || '
                               f'ln -s "{Path(sys.executable).resolve()}" "{bare}/python3"')
    (bare / "ln").symlink_to(shutil.which("ln") or "ln")
    done = run(small, "say", env={"PATH": f"{bare}"})
    assert done.stderr.startswith("installing the Debian packages python3 python3-venv\n")
    assert (small / "asked").read_text() == ("update\n"
                                             "install --yes --no-remove python3 python3-venv\n")
    assert (done.returncode, "said" in done.stdout) == (0, True), done.stderr


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="not Debian")
def test_packages_that_cannot_be_installed(small: Path, bare: Path) -> None:
    stand_in(bare / "id", "echo 0")
    stand_in(bare / "apt-get", "echo E: no network; exit 100")
    failed = run(small, "say", env={"PATH": str(bare)})
    assert failed.returncode == 3
    assert "E: no network" in failed.stderr
    assert "ERROR: apt-get could not install" in failed.stderr
