"""What the guide shows is true: YAML fits the schemas; links, commands and names are there."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from doit.doit_cmd import DoitMain, get_loader

from tasks.core.config.load import KNOWN_IN_DOTENV, VARIABLES, load
from tasks.core.graph import rooms
from tasks.core.graph.commands import Own
from tasks.core.schema import check
from tests.kit import docs
from tests.kit.docs import PAGES, Command, blocks
from tests.kit.project import ROOT

PIPELINES = {"NAME", "hello", "sarek", "demo", "rnaseq", "mag", "<pipeline>"}
"""What stands for a pipeline in the guide."""

OTHER_VARIABLES = {"AIRLOCK_TEST_DIST", "AIRLOCK_TEST_APPTAINER", "AIRLOCK_NF_AMAZON"}
"""Those of the tests, which CONTRIBUTING.md, docs/engines.md and docs/batch.md tell of."""


@functools.cache
def schema_of(kind: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / f"schemas/{kind}.schema.json").read_text())
    return loaded


def kind_of(page: str, shown: Mapping[str, Any]) -> str:
    """Whose keys a block has: a site's or a pipeline's."""
    kinds = [kind for kind in ("site", "pipeline")
             if shown.keys() <= schema_of(kind)["properties"].keys()]
    assert kinds, f"{page}: {', '.join(shown)}: no site and no pipeline has all of these"
    return kinds[0]


def over(base: Any, shown: Any) -> Any:
    """A file with the keys of a block in the place of its own."""
    if not isinstance(base, dict) or not isinstance(shown, dict) or "dist" in shown:
        return shown  # a runtime comes from one place or from another
    return {**base, **{key: over(base.get(key), value) for key, value in shown.items()}}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")])
def test_the_configurations_that_are_shown_fit_their_schemas(page: str) -> None:
    """A block is a part of a whole file, and of what its page shows besides."""
    files = {"site": yaml.safe_load(blocks("docs/sites.md", "yaml")[0]),
             "pipeline": yaml.safe_load(blocks("CONTRIBUTING.md", "yaml")[0])}
    shown = [yaml.safe_load(text.replace("sha256: …", f"sha256: '{'0' * 64}'"))
             for text in blocks(page, "yaml")]
    for part in shown:
        kind = kind_of(page, part)
        files[kind] = over(files[kind], part)
    for part in shown:
        kind = kind_of(page, part)
        check(over(files[kind], part), kind, where=page)


@pytest.mark.parametrize(("page", "kind"), [("docs/sites.md", "site"),
                                            ("CONTRIBUTING.md", "pipeline")])
def test_what_others_are_parts_of_is_whole(page: str, kind: str) -> None:
    shown = blocks(page, "yaml")
    assert shown
    check(yaml.safe_load(shown[0]), kind, where=page)


def test_the_site_that_is_shown_names_what_a_site_of_ones_own_can_build() -> None:
    """Not what only the local site has: the examples, whose images and data it makes itself."""
    named = yaml.safe_load(blocks("docs/sites.md", "yaml")[0])["pipelines"]
    for name in named:
        source = yaml.safe_load((ROOT / f"config/pipelines/{name}.yml").read_text())["source"]
        assert source.startswith("https://"), name


def test_keys_that_are_named_are_there() -> None:
    """`registry.ca` in a sentence: what begins as a site's or a pipeline's key is one."""
    wrong = []
    for page in PAGES:
        for dotted in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?:: [^`]*)?`", docs.text(page)):
            first = dotted.partition(".")[0]
            kinds = [kind for kind in ("site", "pipeline")
                     if first in schema_of(kind)["properties"]]
            if kinds and dotted not in OTHERS and first != "params" and not any(
                    has(schema_of(kind), dotted.split(".")) for kind in kinds):
                wrong.append(f"{page}: {dotted}")
    assert not [line for line in wrong if not line.endswith(NOT_KEYS)]


NOT_KEYS = (".config", ".json", ".yml", ".jsonl", ".md", ".py", ".log", ".tar", ".csv", ".txt",
            ".html", ".sh")
"""How names of files end, which look like keys."""


OTHERS = {"nextflow.enable", "nextflow.preview", "aws.patch"}
"""Nextflow's own, and a file."""


def has(schema: Any, path: list[str]) -> bool:
    """Whether a schema has the key; a map by name has any."""
    if not path:
        return True
    if isinstance(schema.get("additionalProperties"), dict):
        return True
    forms = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    if "$ref" in schema:
        return True
    return any(path[0] in form.get("properties", {}) and has(form["properties"][path[0]], path[1:])
               for form in forms)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in docs.links(page):
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in docs.anchors(path), f"{page}: {link}"


def test_every_page_can_be_reached_from_the_table_of_contents() -> None:
    reached, ahead = set(), [ROOT / "docs/README.md"]
    while ahead:
        path = ahead.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        ahead += [(path.parent / target).resolve() for link in docs.links(
            path.relative_to(ROOT).as_posix()) if (target := link.partition("#")[0])
            and (path.parent / target).is_file()]
    assert {ROOT / page for page in PAGES if page.startswith("docs/")} <= reached


@pytest.mark.parametrize("path", sorted((ROOT / "config/pipelines").glob("*.yml")),
                         ids=lambda path: path.stem)
def test_the_pipelines_that_come_along_can_be_loaded(project: Path, path: Path) -> None:
    site = project / "config/sites/local.yml"
    raw = yaml.safe_load(site.read_text())
    site.write_text(yaml.safe_dump({**raw, "pipelines": [path.stem]}))
    (project / f"config/pipelines/{path.name}").write_text(path.read_text())
    assert load({"pipeline": path.stem}).pipelines[0].name == path.stem


@pytest.fixture
def steps(project: Path) -> set[str]:
    """All verbs, whichever way images go, of both roles."""
    site = project / "config/sites/local.yml"
    plain, names = site.read_text(), set()
    for text in (plain, plain + "images: {carry: store}\n",
                 plain.replace("offline:\n", "offline:\n  engine: apptainer\n")):
        site.write_text(text)
        for given in ({}, {"role": "prod"}):
            names |= {str(task["basename"]) for task in rooms.tasks(load(given))}
    site.write_text(plain)
    return names


def calls() -> list[Command]:
    return [command for page in PAGES for command in docs.commands(page)]


def test_enough_is_found() -> None:
    assert len(calls()) > 250
    assert len({command.page for command in calls()}) > 25


def test_what_is_shown_to_be_typed_can_be_typed(steps: set[str],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word is a command, its option or its variable, or a step of the graph."""
    monkeypatch.chdir(ROOT)
    main = DoitMain()
    known = main.get_cmds()
    loader = get_loader(main.config, main.task_loader, known)
    wrong = [f"{command}: {fault}" for command in calls() if (fault := fault_of(
        command, steps, known, {"task_loader": loader, "config": main.config, "cmds": known}))]
    assert not wrong, "\n".join(wrong)


TAKES_WORDS = "batch:diagnose"
"""A step whose own words follow it."""


def fault_of(command: Command, steps: set[str], known: Any, options: dict[str, Any]) -> str | None:
    words = [word for word in command.rest if word != "…"]
    first = words[0] if words else "run"
    switches = [word for word in words if word.startswith("-")]
    if first in ("--help", "-h", "--version"):
        return None
    name = first if first in known else "run"
    kind = known.get_plugin(name)
    own = issubclass(kind, Own)
    shell = kind(**options)
    try:
        _, plain = shell.cmdparser.parse(
            sorted(words[1:] if name == first else words, key=lambda word: word[0] != "-")
            if own or not switches or name != "run" else words)
    except Exception as error:
        return f"doit {name}: {error}"
    for variable in command.variables:
        if variable not in (kind.variables if own else VARIABLES):
            return f"there is no variable {variable}"
    if own:
        return f"takes no word {plain[-1]}" if len(plain) > kind.most_words else None
    if TAKES_WORDS in plain:
        plain = plain[:plain.index(TAKES_WORDS) + 1]
    return next((f"there is no task {word}" for word in plain
                 if not is_task(word, steps, name)), None)


def is_task(word: str, steps: set[str], command: str) -> bool:
    verb, _, pipeline = word.rpartition(":")
    return word in steps or (verb in steps and pipeline in PIPELINES) or (
        command != "run" and (word in ("TASK",) or command == "help"))


def test_the_tasks_that_are_named_can_be_typed(steps: set[str]) -> None:
    """Those that a sentence names without `doit` before them, where they look like one."""
    commands = set(re.findall(r'^"?([a-z:-]+)"? = "tasks\.core\.graph',
                              (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    first = {verb.partition(":")[0] for verb in steps}
    wrong = {f"{page}: {name}" for page in PAGES
             for name in re.findall(r"`([a-z]+(?::[a-z-]+)+)`", docs.text(page))
             if name.partition(":")[0] in first and name not in commands
             and name not in ("aws:kms",) and not is_task(name, steps, "run")}
    assert not wrong


def test_the_variables_of_the_environment_that_are_named_are_read() -> None:
    code = "\n".join(path.read_text() for path in [*(ROOT / "tasks").rglob("*.py"), ROOT / "doit"])
    for page in PAGES:
        for name in re.findall(r"\bAIRLOCK_[A-Z_]+\b(?!:)", docs.text(page)):
            assert name in KNOWN_IN_DOTENV or name in OTHER_VARIABLES or name in code, (page, name)


RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("[a-z]*.md"))


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_runbooks_have_one_form(path: Path) -> None:
    """When, the commands with what is seen, and what to do if it fails; each in the index."""
    text = path.read_text()
    assert re.search(r"\A# .+\n\n\*\*When:\*\* ", text)
    assert list(docs.commands(path.relative_to(ROOT).as_posix()))
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-1] == "If it fails"
    index = docs.links("docs/runbooks/README.md")
    assert path.name in {link.partition("#")[0] for link in index}


def test_the_index_of_decisions_has_each_once() -> None:
    listed = docs.links("docs/decisions/README.md")
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md")
                                    if path.name != "README.md")


