"""The environment is read once; what counts of it makes its readers stale, and nothing else."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from tasks.core.config.load import load
from tasks.core.config.settings import ROOT
from tasks.core.nextflow import machine
from tests.kit.graph import Build
from tests.unit.test_core_graph import all_tasks

READERS = {
    "tasks/core/config/load.py": "the one place for the graph",
    "tasks/commands/complete.py": "the line that a shell completes",
    "tasks/core/graph/list.py": "NO_COLOR: what is printed",
    "tasks/core/graph/view.py": "NO_COLOR and TERM: what is printed",
    "tasks/core/net/certificates.py": "CAs, to name a file of them that is missing",
    "tasks/core/net/s3_http.py": "proxies and CAs, as all clients of S3 take them",
    "tasks/core/registry/credentials.py": "logins: how a registry is reached",
    "tasks/core/trust/signature.py": "what ssh-keygen needs to start",
    "tasks/code/git.py": "logins: how a repository is reached",
    "tasks/local_site/content.py": "PATH",
    "tasks/local_site/daemons.py": "PATH",
    "tasks/local_site/packages.py": "PATH, and what apt needs",
    "tasks/local_site/probes.py": "places to attack",
}
"""The modules that ask the environment themselves, and what for: nothing that is built hangs on it.
"""
COMPARED = {
    "NXF_OPTS": {"prod:run"},
    "DOCKER_HOST": {"prod:bootstrap"},  # on this side the site names its engine
    "DOCKER_CERT_PATH": {"prod:bootstrap"},
    "JAVA_HOME": {"prod:bootstrap"},
    "JAVA_CMD": {"prod:bootstrap"},
    "AIRLOCK_ENGINE": {"batch:preserve", "batch:test-basic", "batch:test-python",
                       "batch:test-deps", "batch:test-main", "dev:smoke", "sandbox:cross"},
    **{name: set() for name in (
        "NXF_WORK", "NXF_HOME", "PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "HOME",
        "MAVEN_OPTS", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE", "AWS_PROFILE", "DOCKER_CONFIG", "PIP_INDEX_URL", "NEXUS_PASSWORD")},
}


def stale(database: Path) -> set[str]:
    found = Build(all_tasks(), database).states()
    return {name.removesuffix(":hello") for name, state in found.items()
            if state == "stale" and name.endswith(":hello")}


@pytest.fixture
def done(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The graph of both sides, declared done in an environment that names none of it."""
    for name in COMPARED.keys() - {"PATH", "HOME"}:
        monkeypatch.delenv(name, raising=False)
    Build(all_tasks(), project / "state.db").declare_done()
    assert stale(project / "state.db") == set()
    return project / "state.db"


def test_a_variable_makes_those_stale_whose_result_hangs_on_it(
        done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for name in COMPARED:
        with monkeypatch.context() as patch:
            patch.setenv(name, f"{os.environ.get('PATH')}:/opt" if name == "PATH" else
                         "unix:///srv/other.sock" if "ENGINE" in name else "/srv/other")
            found[name] = stale(done)
    assert found == COMPARED


@pytest.mark.parametrize("changed", [{"cpus": 1}, {"memory": 2**30}])
def test_another_size_of_the_machine_is_bootstrapped_anew(
        done: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, int]) -> None:
    here = {"cpus": machine.limits().cpus + 1, "memory": machine.limits().memory}
    monkeypatch.setattr(machine, "_own_limits", lambda: machine.Limits(**{**here, **changed}))
    assert stale(done) == {"prod:bootstrap"}


def test_a_tool_that_was_moved_is_bootstrapped_anew(
        done: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = project.with_name("moved")
    project.rename(moved)
    monkeypatch.chdir(moved)
    assert "prod:bootstrap" in stale(moved / done.name)


def test_no_secret_of_the_environment_is_kept(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_PASSWORD", "a-secret-word")
    build = Build(all_tasks(), done)
    build.declare_done()
    assert b"runtime:hello" in done.read_bytes()
    assert b"a-secret-word" not in done.read_bytes()
    assert "a-secret-word" not in repr(load({}))


def test_only_these_modules_ask_the_environment() -> None:
    asking = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tasks").rglob("*.py")
              if any(isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
                     and isinstance(node.value, ast.Name) and node.value.id == "os"
                     for node in ast.walk(ast.parse(path.read_text())))}
    assert asking == READERS.keys()
