"""Each step of a crossing, on both sides, reads what it declares: its action runs under strace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core import processes
from tasks.core.paths import SitePaths
from tasks.local_site import host, packages
from tasks.local_site.plan import State
from tests.kit import traced
from tests.kit.project import Project, copy

GOALS = ("images:plan:hello", "images:verify:hello", "images:inspect:hello", "dev:validate:hello",
         "push", "push:tool", "sandbox:cross:hello")
OFFLINE = ("prod:fetch:hello", "prod:bootstrap:hello", "prod:run:hello")
THERE = host.HOME / "hello/airlock"

CODE = ("tasks", "schemas", "doit", "dodo.py", "tool.json", ".venv", "tests")
STANDS_FOR = {
    "data.manifest.json": ("build/local/blobs/",),
    "config/locks/hello/local/data.json": ("build/local/blobs/",),
    "release/SHA256SUMS": ("build/local/blobs/",),
    "tool/tool.json": ("build/local/tool/wheels/",),
    "prod/hello/current.json": ("build/local/prod/hello/releases/",),
    "prod/hello/bootstrap.json": ("build/local/prod/hello/releases/",
                                  "build/local/prod/hello/launch/"),
}
"""A manifest, a lock or a receipt that is declared, and the folder whose files it names by digest,
or which it says is ready."""
OWN = {
    "runtime": ("build/local/maven/",), "dev:smoke": ("build/local/hello/launch/",),
    "release:promote": ("build/local/hello/release/proof.json",
                        "build/local/hello/promoted.signed.json"),
    "push:tool": ("build/local/tool/proof.json", "build/local/tool.promoted.signed.json"),
    "tool": ("build/local/tool/wheels/",),
    "prod:fetch": ("build/local/prod/blobs/", "build/local/prod/store/"),
    "prod:run": ("build/local/prod/hello/work/", "build/local/prod/hello/promotions/", "runs/"),
    "images:plan": ("config/locks/",), "images:verify": ("config/locks/",)}
"""Caches and scratch folders of a step's own, besides hidden files and logs; and of steps that look
alone, the locks of all the site's pipelines."""
FAR = ("build/local/store/", "build/local/sandbox/sandbox.json", "build/local/sandbox/host/")
"""What stands for the far side, and for servers that run."""
CREDENTIALS = ("build/local/sandbox/trust/ca.crt", "build/local/sandbox/auth/config.json",
               "build/local/sandbox/signing/id_ed25519")
"""Named in the configuration: they say how something is reached; of a key, its public half counts.
"""


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What a step read below the project's folder, from there, and what it declares."""

    read: frozenset[str]
    declared: frozenset[str]


@pytest.fixture(scope="module")
def strace() -> None:
    """strace on the PATH: Debian's, where it is missing."""
    if shutil.which("strace") is None:
        if os.geteuid() != 0:
            pytest.skip("not root, and strace is not installed")
        if shutil.which("apt-get") is None:
            pytest.skip("not Debian, and strace is not installed")
        packages.ensure(["strace"])


@pytest.fixture(scope="module")
def crossed(strace: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Traced]]:
    """Every step of the crossing, traced as it runs for the first time."""
    folder = tmp_path_factory.mktemp("traced")
    project = copy(folder / "project", number=7)
    (folder / "mark").write_text("")
    try:
        project.doit("sandbox:up")
        traces = dict(_online(project, folder))
        if not State.read(project.root / SitePaths(site="local").sandbox).isolated:
            pytest.skip("no namespaces, so the offline host's steps can't be told apart")
        traces |= dict(_offline(project))
        yield traces
    finally:
        project.doit("sandbox:down", check=False)


def _online(project: Project, folder: Path) -> Iterator[tuple[str, Traced]]:
    before = Path.cwd()
    os.chdir(project.root)
    try:
        order = traced.in_order(traced.graph({}), GOALS)
    finally:
        os.chdir(before)
    for step in order:
        if step.startswith("sandbox:") and step not in ("sandbox:plugin", "sandbox:cross:hello"):
            continue  # it starts servers, and makes no file
        trace, mark, begun = folder / "trace", folder / "mark", time.time()
        done = subprocess.run(
            [*traced.STRACE, "-o", trace, sys.executable, traced.__file__, step, mark],
            cwd=project.root, env=project.environment(), text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        assert done.returncode == 0, f"{step}: {done.stdout[-3000:]}"
        yield step, _result(trace, mark, project.root, project.root, begun)


def _offline(project: Project) -> Iterator[tuple[str, Traced]]:
    """Run the steps again on the host that the crossing has left, from the fetch on."""
    here = project.root / "build/local/sandbox/host/disk/hello/airlock"
    shutil.rmtree(here / "build/local/prod/hello")
    shutil.copy(traced.__file__, here.parent / "traced.py")
    (here.parent / "mark").write_text("")
    before = Path.cwd()
    for step in OFFLINE:
        begun = time.time()
        os.chdir(project.root)  # the host is found by its folder
        try:
            host.run_inside("local", [
                *traced.STRACE, "-o", THERE.parent / "trace", ".venv/bin/python", "../traced.py",
                step, THERE.parent / "mark", "role=prod", "site=local", "pipeline=hello"],
                cwd=THERE, env={"PYTHONPATH": str(THERE)})
        finally:
            os.chdir(before)
        yield step, _result(here.parent / "trace", here.parent / "mark", here, THERE, begun)


def _result(trace: Path, mark: Path, here: Path, there: Path, begun: float) -> Traced:
    """What a trace says, by paths from the project's folder, which the step saw as `there`.

    What is gone, or was written since the step began, is its own.
    """
    seen_mark = mark if here == there else there.parent / mark.name
    read = {path.relative_to(there) for path in traced.files_read(trace, seen_mark)
            if path.is_relative_to(there)}
    inputs = {path.as_posix() for path in read
              if (here / path).is_file() and (here / path).stat().st_mtime < begun}
    listed = json.loads(mark.with_suffix(".json").read_text())
    return Traced(read=frozenset(inputs),
                  declared=frozenset(os.path.relpath(path, there) for path in listed))


def undeclared(step: str, trace: Traced) -> list[str]:
    """The files that a step reads, and that nothing declares."""
    verb = step.removesuffix(":hello")
    allowed = [*OWN.get(verb, ()), *FAR, "build/local/logs/",
               *(folder for name, folders in STANDS_FOR.items() for folder in folders
                 if any(path.endswith(name) for path in trace.declared))]
    return sorted(path for path in trace.read - trace.declared - {*CREDENTIALS}
                  if path.split("/")[0] not in CODE and not path.startswith(tuple(allowed))
                  and not any(part.startswith(".") for part in path.split("/")[1:]))


def test_no_step_reads_a_file_that_it_does_not_declare(crossed: Mapping[str, Traced]) -> None:
    assert {*OFFLINE, "resolve:hello", "dev:smoke:hello", "tool:sign"} <= crossed.keys()
    assert len(crossed) >= 28
    found = {step: undeclared(step, trace) for step, trace in crossed.items()}
    assert {step: paths for step, paths in found.items() if paths} == {}


def test_the_trace_sees_what_is_read(crossed: Mapping[str, Traced]) -> None:
    """By Python, by programs that it starts, within namespaces and on the offline host."""
    for step, path in {"release:hello": "build/local/hello/code.tar",
                       "reach:hello": "config/offline.config",
                       "tool:sign": "build/local/sandbox/signing/id_ed25519",
                       "prod:run:hello": "build/local/prod/hello/bootstrap.json"}.items():
        assert path in crossed[step].read, step
    assert any(path.endswith("main.nf") for path in crossed["prod:run:hello"].read)


@pytest.mark.usefixtures("strace")
def test_a_file_beside_the_declared_ones_is_found(tmp_path: Path) -> None:
    """In a step as small as can be, since the steps themselves read none."""
    for name in ("mark", "declared", "beside"):
        (tmp_path / name).write_text("")
    script = "cat mark declared; sh -c 'cat beside; echo x >new; cat new'; cat mark"
    begun = time.time() + 1
    for name in ("mark", "declared", "beside"):
        os.utime(tmp_path / name, (begun - 9, begun - 9))
    (tmp_path / "mark.json").write_text(json.dumps([str(tmp_path / "declared")]))
    processes.run([*traced.STRACE, "-o", tmp_path / "trace", "sh", "-c", script], cwd=tmp_path)
    trace = _result(tmp_path / "trace", tmp_path / "mark", tmp_path, tmp_path, begun - 2)
    assert undeclared("step", trace) == ["beside"]
