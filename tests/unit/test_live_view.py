"""A run as a person sees it: a real doit with a small graph, in a real terminal and on a pipe."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.screens import Shown, watch

ROOT = Path(__file__).resolve().parents[2]
GRAPH = '''
import logging, os, sys, time
from doit.exceptions import TaskFailed
from tasks.core import processes, progress
from tasks.core.errors import AirlockError
from tasks.core.graph.reporter import Reporter
from pathlib import Path

logger = logging.getLogger("tasks.small")
DOIT_CONFIG = {"reporter": Reporter, "num_process": 4, "par_type": "thread", "continue": True,
               "default_tasks": ["cross"], "dep_file": "state.db", "backend": "sqlite3"}

def quick():
    return "a result of many words that is far wider than any terminal " * 3

def mirror():
    sizes = {"quay.io/lab/one:1": 40_000_000, "quay.io/lab/two:2": 20_000_000}
    with progress.Progress("mirror", sizes) as shown:
        for _ in range(10):
            for name, size in sizes.items():
                shown.of(name)(size // 10)
            time.sleep(0.15)
    while not Path("follow.over").exists():
        time.sleep(0.1)
    time.sleep(float(os.environ.get("LASTS", 0.5)))
    return "2 images"

def follow():
    try:
        return followed()
    finally:
        Path("follow.over").touch()

def followed():
    log = Path("follow.log")
    with processes.following(log, lambda line: logger.info("follow  there | %s", line)):
        processes.run([sys.executable, "-c", """
import sys, time
for number in range(60):
    print(f"\\x1b[32mline {number}\\x1b[0m of a program", flush=True)
    time.sleep(0.02)
if sys.argv[1]:
    print("\\x1b]0;title\\x07\\x1b[1;31mthe cause\\x1b[0m", flush=True)
    sys.exit(3)
""", os.environ.get("FAILS", "")], log=log)
    return "60 lines"

def check():
    for number in range(30):
        print(f"ok      subject {number}")
    for _ in range(2):
        logger.warning("OLD: the clock of this host is wrong by an hour")
    time.sleep(1.1)
    return "30 subjects, all well"

def step(name, action, *before, **more):
    def act():
        try:
            return action()
        except AirlockError as error:
            return TaskFailed(str(error))
    return {"basename": name, "actions": [act], "task_dep": list(before), "doc": f"it is {name}",
            "verbosity": 2, "io": {"capture": False}, **more}

def task_all():
    for number in range(8):
        yield step(f"quick{number}", quick)
        yield step(f"fresh{number}", quick, uptodate=[True])
    yield step("mirror", mirror, "quick0")
    yield step("follow", follow, "quick0")
    yield step("check", check, "quick0")
    yield step("cross", quick, *(f"{kind}{number}" for kind in ("quick", "fresh")
                                 for number in range(8)), "mirror", "follow", "check",
               meta={"ends": lambda result: ["results  runs/one/results/", "next: ./doit list"]})
    yield step("plan", lambda: print("a plan " * 30, "its last line", sep="\\\\n"))
'''
START = """
import sys
from doit.doit_cmd import DoitMain
run = {"COMMAND": {"run": "tasks.core.graph.run:Run"}}
sys.exit(DoitMain(extra_config=run).run(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dodo.py").write_text(GRAPH.replace("\\\\n", "\\n"))
    done = piped(tmp_path, *(f"fresh{number}" for number in range(8)))
    assert done.returncode == 0, done.stdout
    return tmp_path


def piped(folder: Path, *words: str, fails: str = "") -> subprocess.CompletedProcess[str]:
    """A run whose two streams are one file."""
    return subprocess.run(command(*words), cwd=folder, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "FAILS": fails,
                               "TERM": "xterm-256color"}, timeout=60)


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", START, *words]


def seen(folder: Path, *words: str, columns: int = 100, **env: str) -> Shown:
    return watch(command(*words), cwd=folder, columns=columns,
                 env={"PYTHONPATH": str(ROOT), **env})


def test_one_view_says_what_runs_how_far_and_what_waits(folder: Path) -> None:
    shown = seen(folder)
    assert shown.status == 0
    shown.once("run    mirror", "run    follow", "run    check", "waits  ")
    assert any(re.match(r"run    follow  \d s  there \| line \d+ of a program$", line)
               for frame in shown.frames for line in frame)
    assert re.search(r"mirror  \d s  ━+  \d+\.\d MB of 60\.0 MB, .*/s, \d s left  \d of 2 images",
                     next(line for frame in shown.frames for line in frame
                          if line.startswith("run    mirror") and "left" in line))
    assert any(re.search(r"^ +quay\.io/lab/one:1  \d.* MB of 40\.0 MB, .*/s, \d s left$", line)
               for frame in shown.frames for line in frame)
    assert any("waits  1 step  next: cross, for mirror, follow, check" in line
               for line in shown.once("waits  1 step"))
    assert any(re.search(r"8 done, 8 fresh, 1 warning  \d s", line)
               for line in shown.once("8 fresh, 1 warning"))


def test_what_is_left_is_a_line_for_each_long_step_and_the_end(folder: Path) -> None:
    shown = seen(folder)
    assert shown.scrolled == 0
    lines = sorted(shown.end[:4], key=lambda line: line.split()[1])
    assert [re.sub(r"\d\.\d s", "N s", line) for line in lines[1:]] == [
        "done   check  N s  30 subjects, all well", "done   follow  N s  60 lines",
        "done   mirror  N s  2 images"]
    assert lines[0].startswith("done   9 short steps  quick")
    assert re.fullmatch(r"12 steps ran, 8 were fresh, in \d\.\d s", shown.end[4])
    assert shown.end[5:] == [
        "warning OLD: the clock of this host is wrong by an hour",
        "results  runs/one/results/", "next: ./doit list"]
    assert not shown.cursor_hidden


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_no_line_is_wider_than_the_terminal_or_broken_in_a_word(folder: Path,
                                                                columns: int) -> None:
    shown = seen(folder, columns=columns)
    words = {"steps", "next:", "MB", "images", "program", "terminal", "subjects,", "warnings",
             "./doit"}
    for line in (line for frame in shown.frames for line in frame):
        last = (line.split() or [""])[-1]
        if len(line) == columns and not line.endswith("…"):
            assert any(word.endswith(last) for word in words), line
    assert shown.status == 0
    if columns == 40:
        assert any(line.endswith("…") for frame in shown.frames for line in frame)
        start = shown.end.index("warning OLD: the clock of this host is")
        assert shown.end[start + 1] == "wrong by an hour"


def test_colours_have_a_meaning_and_are_left_out_where_they_are_not_wanted(folder: Path) -> None:
    colour = re.compile(rb"\x1b\[[0-9;]*\b3[0-7]")
    assert re.search(rb"\x1b\[32mdone", seen(folder).written)
    assert re.search(rb"\x1b\[1;31mFAILED", seen(folder, FAILS="1").written)
    shown = seen(folder, NO_COLOR="1")
    assert not colour.search(shown.written)
    shown.once("run    mirror", "waits  ")


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_moves_no_cursor_gets_plain_lines(folder: Path, term: str) -> None:
    shown = seen(folder, TERM=term)
    assert shown.status == 0
    assert b"\x1b" not in shown.written
    assert b"start  mirror  it is mirror\r\n" in shown.written


def test_verbose_shows_everything_above_the_view(folder: Path) -> None:
    for words in (("-v",), ("-v", "2"), ("-v", "cross")):
        shown = seen(folder, *words)
        text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown.written).decode()
        assert shown.status == 0
        assert all(word in text for word in (
            "start  mirror  it is mirror", "there | line 7 of a program", "ok      subject 29",
            "fresh  fresh3", "the longest:"))
        assert not shown.cursor_hidden


def test_what_a_step_is_there_to_show_comes_whole_where_it_is_named(folder: Path) -> None:
    shown = seen(folder, "plan")
    assert shown.written.count(b"a plan ") == 30
    assert "its last line" in shown.end
    assert "done   plan  0.0 s" in shown.end
    only = subprocess.run([*command("-q", "plan")], cwd=folder, capture_output=True, text=True,
                          env={"PYTHONPATH": str(ROOT)}, check=True)
    assert only.stdout.startswith("a plan " * 30 + "\nits last line\n")


def test_a_failure_is_shown_with_its_log_and_its_last_lines_alone(folder: Path) -> None:
    shown = seen(folder, FAILS="1")
    assert shown.status == 1
    start = next(place for place, line in enumerate(shown.end) if line.startswith("FAILED follow"))
    assert shown.end[start] == "FAILED follow: python ended with status 3".replace(
        "python", Path(sys.executable).name)
    assert shown.end[start + 1] == "  where: follow.log"
    assert "    | the cause" in shown.end[start:]
    assert "    | line 59 of a program" in shown.end[start:]
    assert "line 3 " not in shown.text
    assert shown.end[-2:] == ["FAILED, as shown above: follow",
                              "not run, since that comes before: cross"]
    assert b"title" not in shown.written
    shown.once("FAILED follow", "1 failed")


def test_an_interrupt_leaves_the_terminal_as_it_was(folder: Path) -> None:
    shown = watch(command(), cwd=folder, env={"PYTHONPATH": str(ROOT), "LASTS": "60"},
                  when=lambda frame: any(line.startswith("run    mirror") for line in frame))
    assert shown.status == 130
    assert not shown.cursor_hidden
    assert shown.end[-1] == ("interrupted; what was finished is kept, and the same command goes on "
                             "from here")
    assert "results  runs" not in shown.text
    assert not any(line.startswith(("run ", "waits ")) for line in shown.end)


def test_a_pipe_gets_plain_lines_of_both_streams_one_after_the_other(folder: Path) -> None:
    done = piped(folder, "-n", "4")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    known = re.compile(r"(?:start |done  |fresh |warning|ok     |      ) |\d+ steps ran, |$|"
                       r"1 warning, in the lines above that begin with `warning`|results  |next: ")
    assert [line for line in lines if not known.match(line)] == []
    assert len([line for line in lines if line.startswith("fresh ")]) == 8
    assert [line for line in lines if "there | line" in line] == [
        f"       follow  there | line {number} of a program" for number in range(60)]
    assert lines[-3:] == ["1 warning, in the lines above that begin with `warning`",
                          "results  runs/one/results/", "next: ./doit list"]
    assert "the longest" not in done.stdout
    assert "the longest:" in piped(folder, "-v").stdout


def test_quiet_says_faults_and_the_end_alone(folder: Path) -> None:
    said = piped(folder, "-q", fails="1")
    assert said.returncode == 1
    lines = [line for line in said.stdout.splitlines() if not line.startswith("ok  ")]
    assert lines[0].startswith("FAILED follow: ")
    assert lines[-1] == "not run, since that comes before: cross"
    assert "start " not in said.stdout and "OLD" not in said.stdout
    well = piped(folder, "-q").stdout.splitlines()
    assert well[-2:] == ["results  runs/one/results/", "next: ./doit list"]
