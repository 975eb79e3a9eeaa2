"""Commands that the guide shows and that need no server are typed, on the guide's own site.

tests/unit/test_docs.py holds all others to the graph, tests/servers/host/test_own_site.py types
those of docs/start.md for real.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit import docs, registries, tls
from tests.kit.project import Project, copy

LOOKS = {"list": {0}, "info": {0, 1}, "help": {0}, "clean": {0}, "forget": {0}, "runs": {0},
         "doctor": {1}}
"""Commands that need neither network nor servers, and how they may end here: doit's info ends with
1 where a task is stale, the doctor where what it looks for isn't there."""
NO_CALLS = {("info",), ("site",), ("add",)}
"""Names of commands in a sentence, without what they need."""
MEANT = {"TASK": "stage:demo", "NAME": "demo", "SITE": "acme", "hello": "demo", "sarek": "demo"}


@dataclass(frozen=True, kw_only=True)
class Acme:
    """A project with the site that docs/start.md sets up."""

    project: Project
    home: Path

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.project.doit(*words, check=False, env={
            "AIRLOCK_SITE": "acme", "HOME": str(self.home), "HTTPS_PROXY": "http://127.0.0.1:9",
            "DOCKER_HOST": "unix:///none/docker.sock"})


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Acme:
    project = copy(tmp_path_factory.mktemp("guide"), number=45)
    home = tmp_path_factory.mktemp("home")
    ca, _ = tls.self_signed(home, "nexus")
    registries.login_files(home / ".docker", ["127.0.0.1:1"])
    here = {"registry": "127.0.0.1:1/pipelines", "ca": str(ca), "store": str(home / "carried"),
            "authfile": str(home / ".docker/config.json"), "key": str(home / ".ssh/airlock")}
    shown = [command for command in docs.commands("docs/start.md")
             if command.rest[:2] == ("site", "acme")]
    assert len(shown) == 1
    assert here.keys() < shown[0].variables.keys()
    site = Acme(project=project, home=home)
    done = site.type("site", "acme", *(f"{name}={here.get(name, value)}"
                                       for name, value in shown[0].variables.items()))
    assert done.returncode == 0, done.stdout
    assert "config/sites/acme.yml is written" in done.stdout
    return site


def looks() -> list[tuple[str, ...]]:
    """What the guide's pages show of them, each once, with names in the place of what stands for
    one."""
    shown = {tuple(MEANT.get(word, word) for word in command.words) for page in docs.PAGES
             for command in docs.commands(page) if command.rest and command.rest[0] in LOOKS
             and command.rest not in NO_CALLS}
    words = {tuple(f"site={MEANT['SITE']}" if word.startswith("site=") else
                   f"pipeline={MEANT['NAME']}" if word.startswith("pipeline=") else word
                   for word in call) for call in shown}
    return sorted(words)


@pytest.mark.parametrize("words", looks(), ids=" ".join)
def test_what_needs_no_server_is_typed(acme: Acme, words: tuple[str, ...]) -> None:
    done = acme.type(*words)
    command = next(word for word in words if "=" not in word)
    assert done.returncode in LOOKS[command], done.stdout
    assert done.stdout or command == "clean"
    assert "Traceback" not in done.stdout
    assert not done.stdout.startswith("ERROR")


def test_enough_is_typed() -> None:
    assert {word for words in looks() for word in words} >= {
        "list", "info", "clean", "forget", "runs", "doctor"}


def test_the_doctors_lines_are_json_by_its_schema(acme: Acme) -> None:
    for side in ((), ("role=prod",)):
        told = json.loads(acme.type("doctor", "--json", *side).stdout)
        assert told["site"] == "acme"
        assert {finding["check"] for finding in told["findings"]} >= {"config", "registry"}


def test_the_store_of_a_new_site_is_empty_and_says_so(acme: Acme) -> None:
    """Those commands of docs/start.md that look at a store, before anything is pushed."""
    shown = [command.words for command in docs.commands("docs/start.md")
             if command.rest[:1] in (("release:list:demo",), ("release:prune",))]
    assert len(shown) == 2
    for words in shown:
        done = acme.type(*words)
        assert "Traceback" not in done.stdout
        assert str(acme.home / "carried") in done.stdout or "no release" in done.stdout
