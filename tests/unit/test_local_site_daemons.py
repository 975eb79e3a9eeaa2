"""Servers in the background: found again, not confused with others, and explained when they die."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import HostError
from tasks.local_site import daemons
from tasks.local_site.daemons import Daemon

SERVE = "import pathlib, time; pathlib.Path('{ready}').touch(); time.sleep(60)"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A server that touches a file when it is ready; ended after the test."""
    ready = tmp_path / "ready"
    made = Daemon(name="sleeper", folder=tmp_path / "part", ready=ready.exists,
                  command=(sys.executable, "-c", SERVE.format(ready=ready)))
    yield made
    daemons.stop(made.folder)


def test_a_server_is_started_once_and_ended_once(daemon: Daemon) -> None:
    assert daemons.running(daemon.folder) is None
    assert daemons.start(daemon)
    daemons.await_ready(daemon)
    pid = daemons.running(daemon.folder)
    assert pid
    assert not daemons.start(daemon)
    assert daemons.running(daemon.folder) == pid
    assert daemons.stop(daemon.folder)
    assert daemons.start_time(pid) is None
    assert not daemons.stop(daemon.folder)


def test_a_server_with_other_settings_is_started_anew(daemon: Daemon) -> None:
    daemons.start(daemon)
    before = daemons.running(daemon.folder)
    changed = replace(daemon, settings={"config.yml": "port: 2\n"})
    assert daemons.start(changed)
    assert (daemon.folder / "config.yml").read_text() == "port: 2\n"
    assert daemons.running(daemon.folder) not in (None, before)
    assert before is not None
    assert daemons.start_time(before) is None


@pytest.mark.parametrize("text", ["", "not a pid\n", "999999999 5\n", "{own} 1\n", "{own}\n"])
def test_a_pid_file_that_names_no_server_of_ours_counts_as_stopped(tmp_path: Path,
                                                                   text: str) -> None:
    files.write_text(daemons.pid_file(tmp_path), text.format(own=os.getpid()))
    assert daemons.running(tmp_path) is None
    assert not daemons.stop(tmp_path)


def test_a_server_without_its_pid_file_is_found_by_its_mark(daemon: Daemon) -> None:
    daemons.start(daemon)
    pid = daemons.running(daemon.folder)
    daemons.pid_file(daemon.folder).unlink()
    assert daemons.running(daemon.folder) == pid
    assert daemons.running(daemon.folder.with_name("part2")) is None


def test_a_server_that_dies_is_explained_by_its_log(daemon: Daemon) -> None:
    dying = replace(daemon, command=(sys.executable, "-c", "raise SystemExit('no such disk')"))
    daemons.start(dying)
    with pytest.raises(
            HostError, match=r"sleeper ended while it started:\n.*no such disk") as caught:
        daemons.await_ready(dying)
    assert caught.value.where == str(daemon.log)


def test_a_server_that_does_not_answer_is_not_awaited_for_ever(
        daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "PATIENCE", 0.2)
    daemons.start(daemon)
    begun = time.monotonic()
    with pytest.raises(HostError, match="does not answer"):
        daemons.await_ready(replace(daemon, ready=lambda: False))
    assert time.monotonic() - begun < 5


def test_a_taken_port_is_refused_before_anything_starts(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(HostError, match=f"sleeper cannot listen on 127.0.0.1:{port}"):
            daemons.start(replace(daemon, listens=("127.0.0.1", port)))
    assert daemons.running(daemon.folder) is None
    assert daemons.start(replace(daemon, listens=("127.0.0.1", port)))


def test_the_start_time_is_the_kernels_own() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    with subprocess.Popen(["sleep", "60"]) as process:
        begun = daemons.start_time(process.pid)
        assert begun is not None
        assert abs(begun / ticks - uptime) < 5
        assert daemons.child_of(os.getpid()) is not None
        process.kill()
        process.wait()
        assert daemons.start_time(process.pid) is None
