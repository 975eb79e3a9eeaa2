"""doit's commands on the real graph, as they are typed: list, info, clean, forget, and mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tasks.core.config.load import VARIABLES
from tasks.core.graph.doits import SAYS
from tests.kit.project import Project, copy


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose pipeline is staged and listed; no server is needed for that."""
    made = copy(tmp_path, number=5)
    made.doit("stage", "images:list:hello")
    return made


def test_clean_takes_outputs_and_leaves_locks(project: Project) -> None:
    locks = [project.root / f"config/locks/hello/{name}" for name in (
        "images.json", "local/images.json")]
    for lock in locks:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("{}")
    built = project.root / "build/local/hello"
    project.doit("clean", "images:*")
    assert not (built / "images.txt").exists()
    assert (built / "code.tar").exists()
    assert [lock.read_text() for lock in locks] == ["{}", "{}"]
    assert project.states()["images:list:hello"] == "stale"
    assert project.states()["stage:hello"] == "fresh"


def test_forget_makes_stale_without_removing(project: Project) -> None:
    project.doit("forget", "stage:hello")
    states = project.states()
    assert states["stage:hello"] == "stale"
    assert states["images:list:hello"] == "behind"
    assert (project.root / "build/local/hello/code.tar").exists()


def test_info_names_the_setting_that_changed(project: Project) -> None:
    pipeline = project.root / "config/pipelines/hello.yml"
    pipeline.write_text(pipeline.read_text().replace("profile: test", "profile: docker"))
    assert "profile test → docker" in project.doit("info", "images:list:hello",
                                                   check=False).stdout


def test_one_pipeline_or_all(project: Project) -> None:
    for words in (["images:list"], ["images:list:hello"], ["pipeline=hello", "images:list"]):
        assert "nothing to do" in project.doit(*words).stdout
        assert project.doit("-q", *words).stdout == ""


@pytest.mark.parametrize(("words", "message"), [
    (["pipeline=nosuch"], "there is no pipeline 'nosuch'"),
    (["pipeline=helo", "list"], "did you mean 'hello'"),
    (["site=nosuch"], "there is no site 'nosuch'"),
    (["relok=1", "images:lock"], "did you mean 'relock'"),
    (["images:nosuch"], "images:nosuch"),
    (["imags:list"], "there is no task 'imags:list'; did you mean 'images:list'?"),
    (["images:lst:hello"], "did you mean 'images:list:hello'?"),
    (["ad", "nf-core/demo"], "did you mean 'add'?"),
    (["info", "nosuch"], "there is no task 'nosuch'"),
    (["info", "images:lst"], "did you mean 'images:list'?"),
    (["list", "imges:lock"], "did you mean 'images:lock'?"),
    (["clean", "imags"], "did you mean 'images'?"),
    (["forget", "stag:hello"], "did you mean 'stage:hello'?"),
    (["ignore", "relase"], "did you mean 'release'?"),
    (["reset-dep", "relase"], "did you mean 'release'?"),
    (["help", "relase"], "did you mean 'release'?"),
    (["images:list:demo"], "to do: doit pipeline=demo images:list"),
    (["demo"], "to do: doit pipeline=demo"),
    (["pipeline", "demo"], "to do: doit pipeline=VALUE"),
    (["pipelin=hello", "list"], "did you mean 'pipeline'?"),
    (["site=locl", "list"], "did you mean 'local'?"),
])
def test_a_mistake_is_shown_in_a_few_lines(
        project: Project, words: list[str], message: str) -> None:
    done = project.doit(*words, check=False)
    assert done.returncode == 3
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_help_begins_with_what_is_typed_here(project: Project) -> None:
    said = project.doit("help").stdout.splitlines()
    assert said[0].startswith("nf-airlock ")
    typed = [line.split("  ")[1] for line in said[2:] if line.startswith("  ./doit")]
    assert typed[:2] == ["./doit", "./doit pipeline=NAME"]
    assert any(line.startswith("./doit add SOURCE") for line in typed)
    assert "images:mirror  the locked images" in project.doit("help", "images:mirror").stdout
    assert "nf-core/NAME" in project.doit("help", "add").stdout


def test_help_tells_of_every_variable() -> None:
    assert set(SAYS) == set(VARIABLES)


def test_a_mistyped_name_in_dotenv_is_told(project: Project) -> None:
    (project.root / ".env").write_text("AIRLOCK_REGISRTY_HOST=nexus.example.org\n")
    done = project.doit("list", check=False)
    assert done.returncode == 3
    assert "did you mean 'AIRLOCK_REGISTRY_HOST'?" in done.stdout


def test_a_closed_pipe_is_no_fault(project: Project) -> None:
    command = " ".join(project.command("list"))
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command} | head -n 1"],
                          cwd=project.root, env=project.environment(), capture_output=True,
                          text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("help",), ("info", "stage:hello"), ("list", "--all")],
                         ids=" ".join)
def test_a_reader_that_leaves_is_no_fault(project: Project, words: tuple[str, ...]) -> None:
    """As `| head` does; here the reader is gone before anything is written."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(project.command(*words), cwd=project.root, env=project.environment(),
                          stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
