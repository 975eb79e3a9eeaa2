"""What the graph costs with one pipeline and at some 1,000 tasks: `doit list`, and a run with
nothing to do.

    .venv/bin/python tests/bench/graph.py

Peers: plain doit with as many empty tasks; make and Snakemake with as many files, where they are
on the PATH (`pip install snakemake==9.27.1` in an environment of its own, named by SNAKEMAKE=PATH).
Prints milliseconds, process start included (the median of eleven), and ratios to plain doit; those
of the processor's time suffer less from other work on the machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOIT = [sys.executable, "-m", "doit"]
ROUNDS = 11
SIZES = (1, 1000)
"""About how many tasks; no site has fewer than those of one pipeline."""
BUILT = ("release:sign", "push:code", "push:data", "push:plugins", "push:runtime", "push:smoke")
"""What hangs on all that is built for a release; push:release and what follows look each time."""
SETTLES = 3
"""Seconds until the code's digests are remembered, two after the last file was written."""


def environment(folder: Path) -> dict[str, str]:
    """Ours, with the project in `folder` and its site."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(folder), "AIRLOCK_SITE": "bench"}


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is measured, in its folder; `peer` is the name of what it is compared with."""

    name: str
    words: list[str]
    folder: Path
    peer: str


def run(command: Command) -> tuple[float, float]:
    """Run it once; milliseconds of the clock and of the processor, process start included."""
    begun = time.perf_counter()
    process = subprocess.Popen(command.words, cwd=command.folder, env=environment(command.folder),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command.words} failed in {command.folder}")
    return ((time.perf_counter() - begun) * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def compare(commands: list[Command]) -> None:
    """Run all in turn, so that other work on the machine meets all alike; print medians."""
    took: dict[str, list[tuple[float, float]]] = {command.name: [] for command in commands}
    for _ in range(ROUNDS):
        for command in commands:
            took[command.name].append(run(command))
    median = {name: [statistics.median(column) for column in zip(*rounds, strict=True)]
              for name, rounds in took.items()}
    for command in commands:
        clock, processor = median[command.name]
        peer_clock, peer_processor = median[command.peer]
        print(f"  {command.name:<26} {clock:6.0f} ms {clock / peer_clock:5.2f}"
              f"   processor {processor:6.0f} ms {processor / peer_processor:5.2f}", flush=True)


def airlock(folder: Path, tasks: int) -> int:
    """A project with so many pipelines that it has about `tasks` tasks, all declared done.

    Returns the true number of tasks.
    """
    for name in ("tasks", "schemas", "config", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    hello = (folder / "config/pipelines/hello.yml").read_text().replace(
        "source: examples/hello", "source: https://git.example.org/hello.git\nrevision: 1.0.0")
    site = (folder / "config/sites/local.yml").read_text()

    def write(count: int) -> int:
        names = [f"p{number}" for number in range(count)]
        for name in names:
            (folder / f"config/pipelines/{name}.yml").write_text(hello)
        (folder / "config/sites/bench.yml").write_text(
            site.partition("\nsandbox:")[0].replace("pipelines: [hello]",
                                                    f"pipelines: [{', '.join(names)}]"))
        listed = subprocess.run([*DOIT, "list", "-q"], cwd=folder, text=True, check=True,
                              env=environment(folder), stdout=subprocess.PIPE).stdout
        return len(listed.splitlines())

    one, two = write(1), write(2)
    count = max(1, round((tasks - one) / (two - one)) + 1)
    total = write(count)
    subprocess.run([sys.executable, str(Path(__file__).with_name("declare_done.py"))], cwd=folder,
                   env=environment(folder), check=True)
    return total


def plain_doit(folder: Path, tasks: int) -> None:
    """As many tasks that do nothing, up to date."""
    (folder / "dodo.py").write_text(
        "DOIT_CONFIG = {'backend': 'sqlite3', 'dep_file': 'state.db'}\n"
        "def task_empty():\n"
        f"    for number in range({tasks}):\n"
        "        yield {'name': str(number), 'actions': [], 'uptodate': [True]}\n")
    subprocess.run([*DOIT], cwd=folder, check=True, capture_output=True)


def make(folder: Path, tasks: int) -> None:
    """As many files, all of them made from one input."""
    (folder / "input").write_text("")
    names = [f"file{number}" for number in range(tasks)]
    (folder / "Makefile").write_text(
        f"all: {' '.join(names)}\n" + "".join(f"{name}: input\n\ttouch $@\n" for name in names))
    subprocess.run(["make", "-s"], cwd=folder, check=True)


def snakemake(folder: Path, tasks: int, program: str) -> None:
    """As many files, all of them made from one input."""
    (folder / "input").write_text("")
    (folder / "Snakefile").write_text(
        f"rule all:\n    input: expand('file{{n}}', n=range({tasks}))\n"
        "rule one:\n    input: 'input'\n    output: 'file{n}'\n    shell: 'touch {output}'\n")
    (folder / "input").touch()
    for number in range(tasks):
        (folder / f"file{number}").touch()
    subprocess.run([program, "--touch", "-q", "-c1"], cwd=folder, check=True, capture_output=True)


def measure(tasks: int) -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as name:
        folders = {peer: Path(name) / peer for peer in ("ours", "doit", "make", "snakemake")}
        for folder in folders.values():
            folder.mkdir()
        count = airlock(folders["ours"], tasks)
        plain_doit(folders["doit"], count)
        commands = [
            Command(name="plain doit: list", words=[*DOIT, "list", "--all", "-s"],
                    folder=folders["doit"], peer="plain doit: list"),
            Command(name="nf-airlock: list", words=[*DOIT, "list"], folder=folders["ours"],
                    peer="plain doit: list"),
            Command(name="plain doit: run", words=DOIT, folder=folders["doit"],
                    peer="plain doit: run"),
            Command(name="nf-airlock: nothing to do", words=[*DOIT, *BUILT],
                    folder=folders["ours"], peer="plain doit: run")]
        if shutil.which("make"):
            make(folders["make"], count)
            commands.append(Command(name="make", words=["make", "-s"], folder=folders["make"],
                                    peer="plain doit: run"))
        if program := os.environ.get("SNAKEMAKE") or shutil.which("snakemake"):
            snakemake(folders["snakemake"], count, program)
            commands.append(Command(name="Snakemake", words=[program, "-q", "-c1"],
                                    folder=folders["snakemake"], peer="plain doit: run"))
        time.sleep(SETTLES)
        print(f"\n{count} tasks; load {os.getloadavg()[0]:.1f}")
        compare(commands)


def main() -> None:
    """Measure at both sizes."""
    for tasks in SIZES:
        measure(tasks)


if __name__ == "__main__":
    main()
