"""A copy of this project with a local site of its own: other ports, network and names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MAVEN = ROOT / "build/tests/maven"
"""A local repository of Maven that later runs of the tests find filled."""
PARTS = ("config", "schemas", "tasks", "examples")
FILES = ("doit", "dodo.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE",
         ".env.template")

SHIPPED = tuple(f"config/locks/{pipeline}/runtime.json"
                for pipeline in ("bamtofastq", "chromapipe", "demo", "hello"))
"""The locks that come with the project; others are made where it is used."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """The copy's folder; `doit` runs there with this interpreter."""

    root: Path

    @property
    def reads(self) -> Path:
        """The reads that the hello pipeline is given; container images drop the installed ones."""
        return self.root / ("build/local/sandbox/packages/seqkit-examples"
                            "/usr/share/doc/seqkit-examples/tests")

    def doit(self, *words: str, check: bool = True,
             env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run doit in the copy; on an unexpected failure the test shows what was printed."""
        done = subprocess.run(self.command(*words), cwd=self.root, text=True, check=False,
                              env=self.environment(env), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        if check and done.returncode:
            raise AssertionError(f"doit {' '.join(words)} ended with {done.returncode}:\n"
                                 f"{done.stdout[-6000:]}")
        return done

    def command(self, *words: str) -> list[str]:
        """The command line of `doit WORDS`, for a test that starts it by itself."""
        return [sys.executable, "-m", "doit", *words]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Ours without this project's variables; the copy's own code is what runs."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRLOCK_")}
        return {**kept, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1",
                **(more or {})}

    def states(self, *words: str) -> dict[str, str]:
        """What `doit list --json` says: task to state."""
        tasks = json.loads(self.doit(*words, "list", "--json").stdout)
        return {task["task"]: task["state"] for task in tasks}

    def site(self) -> dict[str, Any]:
        """The local site's configuration."""
        raw: dict[str, Any] = yaml.safe_load((self.root / "config/sites/local.yml").read_text())
        return raw

    def write_site(self, raw: Mapping[str, Any]) -> None:
        """Replace the local site's configuration."""
        (self.root / "config/sites/local.yml").write_text(yaml.safe_dump(dict(raw)))


def steps(output: str) -> set[str]:
    """The steps that a run started, from what it printed."""
    return {line.split()[1] for line in output.splitlines() if line.startswith("start ")}


def copy(folder: Path, *, number: int) -> Project:
    """Copy the project into `folder`; `number` (1 to 60) keeps several apart on one machine."""
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name,
                        ignore=shutil.ignore_patterns("__pycache__", "locks"))
    for lock in SHIPPED:
        (folder / lock).parent.mkdir(parents=True)
        shutil.copy(ROOT / lock, folder / lock)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    MAVEN.mkdir(parents=True, exist_ok=True)
    (folder / "build/local").mkdir(parents=True)
    (folder / "build/local/maven").symlink_to(MAVEN)
    project = Project(root=folder)
    text = (folder / "config/sites/local.yml").read_text()
    for before, after in {
            "10.89.7.": f"10.89.{100 + number}.", "5580": str(15000 + 10 * number),
            "5581": str(15001 + 10 * number), "airlock-local": f"airlock-test{number}",
            "airlock0": f"airtest{number}"}.items():
        text = text.replace(before, after)
    (folder / "config/sites/local.yml").write_text(text)
    return project
