"""What ends a run in the middle: signals, kill -9, a full disk. The next run completes it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.project import Project, copy

FLOW = ("runtime:hello", "stage:hello", "images:mirror:hello", "mirror:data:hello",
        "plugins:cache:hello", "config:hello", "release:hello", "push:code:hello")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose servers are up, with nothing built."""
    made = copy(tmp_path_factory.mktemp("interrupts"), number=3)
    try:
        made.doit("sandbox:up")
        yield made
    finally:
        made.doit("sandbox:down", check=False)


def start(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(project.command(*FLOW), cwd=project.root, text=True,
                            env=project.environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True)


def at_work(project: Project, run: subprocess.Popen[str]) -> None:
    """Wait until a run holds the site: before that, Python is still on its way to our handlers."""
    lock = project.root / "build/local/online.lock"
    while run.poll() is None and not (lock.is_file() and lock.read_text() == str(run.pid)):
        time.sleep(0.02)


def whole(project: Project) -> None:
    """Whatever lies under its own name is whole: JSON parses, archives have their sums."""
    for path in [*project.root.glob("build/local/hello/**/*.json"),
                 *project.root.glob("config/locks/**/*.json")]:
        json.loads(path.read_text())
    for sums in project.root.glob("build/local/hello/*.sha256"):
        subprocess.run(["sha256sum", "-c", sums.name], cwd=sums.parent, check=True,
                       capture_output=True)


def left(project: Project, session: int) -> list[str]:
    """What is still running of an ended run: in its session, or for the project's files.

    The local site's own servers, which the run did not start, name their folder in the sandbox.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            command = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        ours = str(project.root) in command and "build/local/sandbox" not in command
        if (ours or int(fields[3]) == session) and fields[0] != "Z":
            found.append(command)
    return found


def settled(project: Project, session: int, *, seconds: int = 2) -> list[str]:
    """What is left some seconds later: a question to `java -version` ends by itself."""
    for _ in range(10 * seconds):
        if not left(project, session):
            return []
        time.sleep(0.1)
    return left(project, session)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_clean(project: Project, number: int) -> None:
    chance = random.Random(number)
    for _ in range(2):
        run = start(project)
        at_work(project, run)
        time.sleep(chance.uniform(0, 2.2))
        if run.poll() is not None:
            break  # all was done already
        run.send_signal(number)
        output, _ = run.communicate(timeout=20)
        assert run.returncode == 130, output
        assert "interrupted" in output
        assert "Traceback" not in output
        assert not settled(project, run.pid)
        whole(project)


def test_a_killed_run_is_completed_by_the_next(project: Project) -> None:
    chance = random.Random(9)
    for _ in range(4):
        run = start(project)
        time.sleep(chance.uniform(0.5, 4))
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=20)
        whole(project)
    project.doit(*FLOW)
    whole(project)
    states = project.states()
    assert all(states[step] == "fresh" for step in FLOW), states
    settled(project, run.pid, seconds=30)  # Maven, in a session of its own, outlives a kill
    project.doit("images:verify:hello")
    assert not list(project.root.glob("build/**/.*.part"))


def test_a_full_disk_is_reported_and_the_next_run_completes(project: Project) -> None:
    small = ("mount -t tmpfs -o size=8m tmpfs build/local/hello && exec \"$@\"")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", small, "sh", *project.command("runtime:hello")],
        cwd=project.root, env=project.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    project.doit("runtime:hello")
    whole(project)


def test_two_runs_at_once_are_refused(project: Project) -> None:
    (project.root / "examples/hello/main.nf").open("a").write("\n")
    first = subprocess.Popen(project.command("mirror:data:hello"), cwd=project.root,
                             env=project.environment(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        second = project.doit("stage:hello", check=False)
    finally:
        first.wait(timeout=120)
    assert first.returncode == 0
    assert second.returncode == 3
    assert "another run is at work" in second.stdout
