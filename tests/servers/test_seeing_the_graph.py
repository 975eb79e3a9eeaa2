"""What is typed to see the graph: list's reasons, info, dryrun, graph, completion, the version."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tasks.core import schema
from tasks.core.tool_version import TOOL_VERSION
from tests.kit import machine
from tests.kit.project import Project, copy

SHELLS = {
    "bash": """. <("$1" tabcompletion bash)
COMP_LINE=$2 COMP_POINT=${#2}
IFS=$' \\t\\n:=' read -r -a COMP_WORDS <<< "$2"; COMP_WORDS[0]=$1; COMP_CWORD=${#COMP_WORDS[@]}
compopt() { :; }; _airlock_complete; printf '%s\\n' "${COMPREPLY[@]}" """,
    "zsh": """compdef() { :; }; compadd() {
while [[ $1 == -* ]]; do [[ $1 == -S ]] && shift; shift; done; print -rl -- ${(P)1}; }
_files() { :; }
source <("$1" tabcompletion zsh); words=("$1"); LBUFFER=$2; _airlock_complete""",
}
"""Each shell with the script, for the doit $1 and the line $2: it prints what it would offer."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy(tmp_path_factory.mktemp("project"), number=27)
    made.doit("stage", "images:list:hello")
    return made


@pytest.fixture
def changed(project: Project) -> Iterator[Project]:
    main = project.root / "examples/hello/main.nf"
    text = main.read_text()
    main.write_text(f"{text}\n// another line\n")
    yield project
    main.write_text(text)


def test_list_and_info_give_one_reason(changed: Project) -> None:
    rows = schema.check(json.loads(changed.doit("list", "--json").stdout), "list", where=Path("-"))
    row = {row["task"]: row for row in rows}
    own = row["stage:hello"]["reason"]
    assert row["stage:hello"]["state"] == "stale" and "changed" in own
    assert row["images:list:hello"]["state"] == "behind"
    assert row["images:list:hello"]["reason"] == f"stage:hello: {own}"
    assert row["images:mirror:hello"]["reason"] == "not built yet"
    assert "behind  images:list:hello" in changed.doit("list").stdout
    done = changed.doit("info", "images:list:hello", check=False)
    assert done.returncode == 1
    assert "behind stage:hello, which is stale:" in done.stdout and own.split(";")[0] in done.stdout
    assert "meta" not in done.stdout


def test_a_changed_module_of_the_tool_is_named(project: Project) -> None:
    """In a checkout that is upgraded, say."""
    module = project.root / "tasks/code/tree.py"
    assert module.is_file()
    text = module.read_text()
    module.write_text(f"{text}\n# another line\n")
    try:
        said = project.doit("info", "stage:hello", check=False).stdout
    finally:
        module.write_text(text)
    assert "\nstale:\n  code of stage changed: tasks/code/tree.py\n" in said


@pytest.mark.parametrize("words", [
    ["list"], ["info", "push:release:hello"], ["dryrun", "push:release"], ["graph"]])
def test_all_is_said_in_one_order(changed: Project, words: list[str]) -> None:
    """doit has the files of a task in a set, whose order differs from one process to the next."""
    said = {changed.doit(*words, check=False, env={"PYTHONHASHSEED": seed}).stdout
            for seed in ("1", "2", "3")}
    assert len(said) == 1


def test_a_fresh_task_has_no_reason(project: Project) -> None:
    done = project.doit("info", "images:list:hello")
    assert "\nfresh\nreads:\n" in done.stdout


def test_a_terminal_cuts_lines_and_colours_them_unless_it_is_told_not_to(project: Project) -> None:
    for colour in ({}, {"NO_COLOR": "1"}):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
                ["sh", "-c", 'stty cols 60; exec "$@"', "sh", *project.command("list")],
                cwd=project.root, env=project.environment(colour), stdin=theirs, stdout=theirs,
                stderr=subprocess.DEVNULL) as process:
            os.close(theirs)
            said = b""
            while block := _read(ours):
                said += block
            process.wait()
        os.close(ours)
        text = said.decode()
        assert ("\x1b[32mfresh \x1b[0m  stage:hello" in text) == (not colour)
        plain = text
        for code in ("\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"):
            plain = plain.replace(code, "")
        assert max(map(len, plain.split("\r\n"))) == 60 and "…" in plain


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nobody writes there any more
        return b""


def test_a_dry_run_runs_nothing_and_says_what_would(changed: Project) -> None:
    built = changed.root / "build/local/hello"
    before = {path: path.stat().st_mtime_ns for path in built.iterdir()}
    rows = schema.check(json.loads(changed.doit("dryrun", "images:mirror:hello", "--json").stdout),
                        "dryrun", where=Path("-"))
    assert [(row["task"], row["does"]) for row in rows] == [
        ("stage:hello", "run"), ("images:list:hello", "maybe"), ("images:lock:hello", "run"),
        ("images:mirror:hello", "run")]
    assert rows[0]["seconds"] is not None and rows[2]["reason"] == "not built yet"
    assert "3 would run, 1 more" in changed.doit("dryrun", "images:mirror:hello").stdout
    assert before == {path: path.stat().st_mtime_ns for path in built.iterdir()}


def test_where_all_is_fresh_a_dry_run_says_so(project: Project) -> None:
    assert project.doit("dryrun", "images:list").stdout == "all fresh: nothing would run\n"
    done = project.doit("dryrun", "images:lst", check=False)
    assert done.returncode == 3 and "did you mean 'images:list'?" in done.stdout


def test_the_graph_is_a_tree_and_a_picture(project: Project, tmp_path: Path) -> None:
    said = project.doit("graph", "images:mirror:hello").stdout
    assert "images:mirror:hello" in said.splitlines()[0] and "└─ images:lock:hello" in said
    assert "report:hello\nbehind └─ release:promote:hello" in project.doit("graph").stdout
    picture = tmp_path / "graph.svg"
    project.doit("graph", "pipeline=hello", "--svg", str(picture))
    names = {title.text for title in ElementTree.parse(picture).iter(
        "{http://www.w3.org/2000/svg}title")}
    assert "stage:hello" in names and any(name and name.startswith("images:mirror:hello – ")
                                          for name in names)


def test_the_version_is_ours_with_doit_s_beside_it(project: Project) -> None:
    assert project.doit("version").stdout.startswith(f"nf-airlock {TOOL_VERSION} (doit 0.")


def script(project: Project) -> None:
    """Put a doit of this interpreter where a shell finds one on its PATH."""
    folder = project.root / "bin"
    folder.mkdir(exist_ok=True)
    path = folder / "doit"
    words = " ".join(f"'{word}'" for word in project.command())
    path.write_text(f"#!/bin/sh\nexec {words} \"$@\"\n")
    path.chmod(0o755)


@pytest.mark.parametrize("shell", [*SHELLS, "fish"])
@pytest.mark.parametrize(("line", "offered"), [
    ("images:mi", {"images:mirror", "images:mirror:hello"}), ("site=lo", {"site=local"}),
    ("pipeline=demo stage:d", {"stage:demo"}), ("pipeline=chr", {"pipeline=chromapipe"}),
    ("rel", {"relock=", "release=", "release:list", "release:promote:hello"}),
    ("dryr", {"dryrun"}), ("role=", {"role=prod"}), ("nosuch:", set())])
def test_a_shell_completes(project: Project, shell: str, line: str, offered: set[str]) -> None:
    assert offered <= offers(project, shell, line)
    assert offered or offers(project, shell, line) == set()


@pytest.mark.parametrize("shell", [*SHELLS, "fish"])
def test_what_a_shell_could_run_is_not_offered(project: Project, shell: str) -> None:
    odd = project.root / "config/sites/$(touch gone).yml"
    odd.write_text((project.root / "config/sites/local.yml").read_text())
    try:
        assert offers(project, shell, "site=") == {"site=local"}
        assert offers(project, shell, "site=$(touch gone) lis") == set()
    finally:
        odd.unlink()
    assert not (project.root / "gone").exists()


def offers(project: Project, shell: str, line: str) -> set[str]:
    """What the shell would offer behind `doit LINE`, as whole words."""
    machine.need(shell)
    script(project)
    typed = f"doit {line}"
    environment = project.environment({"PATH": f"{project.root}/bin:{os.environ['PATH']}"})
    if shell == "fish":
        code = ("doit tabcompletion fish | source; complete -C "
                "(string join '' -- $argv)")
        words = ["fish", "--no-config", "-c", code, typed]
    else:
        words = [shell, *(["--norc"] if shell == "bash" else ["-f"]), "-c", SHELLS[shell], shell,
                 "doit", typed]
    done = subprocess.run(words, cwd=project.root, env=environment, text=True, check=False,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.stderr == "", done.stderr
    begun = typed.rpartition(" ")[2]
    lead = begun[:max(begun.rfind(":"), begun.rfind("=")) + 1] if shell == "bash" else ""
    return {lead + word.split("\t")[0] for word in done.stdout.splitlines() if word}
