"""What the graph costs at 50 and 1,000 tasks: `doit list` and a run with nothing to do.

    .venv/bin/python tests/bench/graph.py

Peers: plain doit with as many empty tasks; make and Snakemake with as many files, where they are
on the PATH (`pip install snakemake==9.27.1` in an environment of its own, named by SNAKEMAKE=PATH).
Prints milliseconds, process start included (the median of seven), and ratios to plain doit.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOIT = [sys.executable, "-m", "doit"]
ROUNDS = 7


def environment(folder: Path) -> dict[str, str]:
    """Ours, with the project in `folder` and its site."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(folder), "AIRLOCK_SITE": "bench"}


def median_ms(command: list[str], folder: Path) -> float:
    """Milliseconds of one call, process start included."""
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True,
                              text=True, check=False)
        took.append((time.perf_counter() - begun) * 1000)
        if done.returncode:
            sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return statistics.median(took)


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
        told = subprocess.run([*DOIT, "list", "-q"], cwd=folder, text=True, check=True,
                              env=environment(folder), stdout=subprocess.PIPE).stdout
        return len(told.splitlines())

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
    """As many files, each made from one input."""
    (folder / "input").write_text("")
    names = [f"made{number}" for number in range(tasks)]
    (folder / "Makefile").write_text(
        f"all: {' '.join(names)}\n" + "".join(f"{name}: input\n\ttouch $@\n" for name in names))
    subprocess.run(["make", "-s"], cwd=folder, check=True)


def snakemake(folder: Path, tasks: int, program: str) -> None:
    """As many files, each made from one input."""
    (folder / "input").write_text("")
    (folder / "Snakefile").write_text(
        f"rule all:\n    input: expand('made{{n}}', n=range({tasks}))\n"
        "rule one:\n    input: 'input'\n    output: 'made{n}'\n    shell: 'touch {output}'\n")
    (folder / "input").touch()
    for number in range(tasks):
        (folder / f"made{number}").touch()
    subprocess.run([program, "--touch", "-q", "-c1"], cwd=folder, check=True, capture_output=True)


def measure(tasks: int, row: Callable[[str, float], None]) -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("ours", "doit", "make", "snakemake"):
            (folder / each).mkdir()
        count = airlock(folder / "ours", tasks)
        print(f"\n{count} tasks")
        plain_doit(folder / "doit", count)
        row("doit, empty tasks: list", median_ms([*DOIT, "list", "--all", "-s"], folder / "doit"))
        row("nf-airlock: doit list", median_ms([*DOIT, "list"], folder / "ours"))
        row("doit, empty tasks: run", median_ms(DOIT, folder / "doit"))
        row("nf-airlock: nothing to do",
            median_ms([*DOIT, "config", "release", "push"], folder / "ours"))
        if shutil.which("make"):
            make(folder / "make", count)
            row("make", median_ms(["make", "-s"], folder / "make"))
        program = os.environ.get("SNAKEMAKE") or shutil.which("snakemake")
        if program:
            snakemake(folder / "snakemake", count, program)
            row("Snakemake", median_ms([program, "-q", "-c1"], folder / "snakemake"))


def main() -> None:
    """Measure at both sizes."""
    base: dict[str, float] = {}

    def row(name: str, took: float) -> None:
        if name.startswith("doit"):
            base["doit"] = took
        print(f"  {name:<28} {took:8.0f} ms   {took / base['doit']:5.2f} of plain doit")

    for tasks in (50, 1000):
        measure(tasks, row)


if __name__ == "__main__":
    main()
