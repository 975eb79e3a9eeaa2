"""What a crossing's test looks at while it runs, and on the offline host that it leaves."""

from __future__ import annotations

import csv
import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.core import files
from tasks.core.paths import SitePaths
from tasks.local_site import host
from tasks.local_site.plan import State
from tests.kit.project import Project
from tests.kit.screens import ROWS, Shown

COMMANDS: set[bytes] = set()
"""The command lines of all processes that were seen while the fixture's `doit` ran."""


@contextmanager
def watching_commands() -> Iterator[None]:
    """Collect every process's command line, some 50 times a second."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    COMMANDS.add(path.read_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def inside(crossed: Project, *words: str) -> str:
    """What a command says in the tool's folder on the offline host, whose own key signs runs."""
    state = State.read(SitePaths(site="local").sandbox)
    return host.run_inside(
        "local", words, cwd=host.HOME / "hello/airlock",
        env={"PATH": host.path_with(Path(state.python_prefix)),
             "AIRLOCK_RUN_KEY": str(host.HOME / "hello/host_key")})


def write_own(folder: Path) -> None:
    """A user's own sheet and reads, named beside it, below it, and absolutely."""
    for name, count in (("a.fastq.gz", 7), ("deep/b 1.fastq.gz", 3), ("deep/b 2.fastq.gz", 2)):
        files.write_bytes(folder / name, gzip.compress(b"@r\nACGT\n+\nIIII\n" * count))
    files.write_text(folder / "cohort.csv", "sample,fastq_1,fastq_2\none,a.fastq.gz,\n"
                     f"two,deep/b 1.fastq.gz,{folder}/deep/b 2.fastq.gz\n")


def results(project: Project) -> Path:
    """The results of the crossing's run, on the offline host's disk."""
    disk = project.root / "build/local/sandbox/host/disk"
    run: str = json.loads(
        (project.root / "build/local/hello/crossing.json").read_text())["run"]
    return disk / "hello/airlock" / run / "results"


def pages(project: Project) -> tuple[str, str, str]:
    """The release's page in the store, that of the offline host, and that of its run there."""
    run = results(project).parent
    stored = next((project.root / "build/local/store").rglob("reports/*/report.html"))
    there = run.parents[2] / "build/local/prod/hello/report.html"
    return stored.read_text(), there.read_text(), (run / "report.html").read_text()


def counted(results: Path) -> dict[tuple[str, str], int]:
    """How many reads the results name, by sample and mate."""
    with (results / "summary/summary.tsv").open() as stream:
        return {(row["sample"], row["mate"]): int(row["reads"])
                for row in csv.DictReader(stream, delimiter="\t")}


def current(project: Project) -> dict[str, str]:
    """The pointer to hello's current release in the store."""
    pointer: dict[str, str] = json.loads(
        (project.root / "build/local/store/releases/hello/current.json").read_text())
    return pointer


_ROW = re.compile(r"(done|run|waits) +\S| {7}\d+ done| {9}\S+  \d")
"""A step, the count at the end, or one of the things that a step transfers."""


def check_screen(shown: Shown) -> None:
    """A first crossing as a person saw it: one screen, each row a step's, and no row wrapped."""
    assert shown.status == 0, shown.text
    assert not shown.scrolled and len(shown.end) < ROWS
    assert not shown.cursor_hidden
    for frame in shown.frames:
        live = frame[:next((row for row, line in enumerate(frame) if " steps ran" in line), None)]
        odd = [line for line in live if line and not _ROW.match(line)]
        assert not odd, odd
        quoted = [line for line in frame if re.search(r"\[(INFO|WARNING|\d[\d;]*m)", line)]
        assert not quoted, quoted
    shown.once("run    dev:smoke:hello", " tasks ")
    shown.once("run    sandbox:cross:hello", " tasks ", "hello offline | prod:run:hello")
    shown.once("waits", "next: ", ", for ")
    for words in ("done   sandbox:cross:hello", "steps ran, ", "short steps", "report.html",
                  "crossing build/local/hello/crossing.json", "next: "):
        assert words in shown.text, shown.text
