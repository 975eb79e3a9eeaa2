"""What CI does with a workflow file: the lines of a job, run by a shell as an ordinary user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.kit.users import NOBODY

CHECKOUT = "actions/checkout@"
SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A user without rights, with a home folder below `root`, who has the machine's programs.

    `sources` are git repositories by the names that workflows give them.
    """

    root: Path
    sources: Mapping[str, Path]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "home"

    def prepare(self) -> None:
        """Give all below `root` to the user; Maven's files come along, so they aren't fetched."""
        known = Path.home() / ".m2"
        if known.is_dir() and not (self.home / ".m2").exists():
            shutil.copytree(known, self.home / ".m2")
        self.home.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", self.root], check=True)

    def sh(self, lines: str, at: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run lines as both kinds of runners do: the first that fails ends them."""
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return subprocess.run(
            [*(drop if os.geteuid() == 0 else []), "bash", "-eo", "pipefail", "-c", lines],
            cwd=at, check=False, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=SECONDS,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home),
                 "MAVEN_OPTS": f"-Duser.home={self.home}", "DOCKER_HOST": "unix:///nonexistent",
                 "GIT_CONFIG_GLOBAL": "/dev/null", **self.variables, **env})


@dataclass(frozen=True, kw_only=True)
class Job:
    """What came of a job: its status, what it printed, and the folder that it worked in."""

    status: int
    output: str
    folder: Path


def gitlab(runner: Runner, path: Path, name: str, folder: Path,
           secrets: Mapping[str, str] | None = None) -> Job:
    """A job of a .gitlab-ci.yml, in a fresh clone of the configuration."""
    file = yaml.safe_load(path.read_text())
    job, default = file[name], file.get("default", {})
    project = folder / "config"
    env = {"CI_PROJECT_DIR": str(project), **file.get("variables", {}), **(secrets or {}),
           "AIRLOCK_SOURCE": str(runner.sources["nf-airlock"])}
    env = {key: re.sub(r"\$CI_PROJECT_DIR", str(project), value) for key, value in env.items()}
    lines = [*default.get("before_script", []), *job["script"]]
    _make(runner, folder)
    cloned = runner.sh(_clone(runner.sources["config"], project, ""), folder, {})
    assert cloned.returncode == 0, cloned.stdout
    done = runner.sh("\n".join(lines), project, env)
    after = runner.sh("\n".join(job.get("after_script", [":"])), project, env)
    assert after.returncode == 0, after.stdout
    return Job(status=done.returncode, output=done.stdout, folder=project)


def github(runner: Runner, path: Path, name: str, folder: Path,
           secrets: Mapping[str, str] | None = None) -> Job:
    """A job of a workflow of GitHub, without the steps that only keep files."""
    file = yaml.safe_load(path.read_text())
    known = {"github.workspace": str(folder), "runner.temp": str(folder / "temp"),
             **{f"secrets.{key}": value for key, value in (secrets or {}).items()}}
    _make(runner, folder / "temp")
    output, status = "", 0
    for step in file["jobs"][name]["steps"]:
        env = {key: _filled(value, known)
               for key, value in {**file.get("env", {}), **step.get("env", {})}.items()}
        lines = step.get("run", ":")
        if step.get("uses", "").startswith(CHECKOUT):
            asked = step["with"]
            source = asked.get("repository", "config").rpartition("/")[2]
            lines = _clone(runner.sources[source], folder / asked["path"], asked.get("ref", ""))
        if status and step.get("if") != "always()":
            continue
        done = runner.sh(lines, folder, {"RUNNER_TEMP": str(folder / "temp"), **env})
        output, status = output + done.stdout, status or done.returncode
    return Job(status=status, output=output, folder=folder)


def _make(runner: Runner, folder: Path) -> None:
    made = runner.sh(f"mkdir -p '{folder}'", runner.root, {})
    assert made.returncode == 0, made.stdout


def _clone(source: Path, place: Path, ref: str) -> str:
    branch = f"--branch '{ref}' " if ref else ""
    return f"git clone --quiet {branch}'{source}' '{place}'"


def _filled(value: Any, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: known[match[1]], str(value))
