"""Who may import whom: docs/architecture.md draws it."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tasks.core.config.load import load
from tasks.core.graph import rooms

ROOT = Path(__file__).resolve().parents[2]
BELOW: dict[str, set[str]] = {
    "archives": set(),
    "aws": {"config"},
    "bill": set(),
    "config": set(),
    "graph": {"config"},
    "net": {"config"},
    "sif": {"archives"},
    "source": {"archives"},
    "inputs": {"net"},
    "registry": {"net"},
    "store": {"config", "net"},
    "trust": {"store"},
    "engine": {"config", "registry"},
    "nextflow": {"archives", "inputs", "source"},
}
"""The wings, each with those that it may import besides the floor."""


@cache
def modules() -> dict[str, Path]:
    """Every module below tasks/ by its dotted name; a package by its own."""
    names = {}
    for path in sorted((ROOT / "tasks").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports of this project, wherever the statement stands in it."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in modules()
                      else node.module for alias in node.names}
    return frozenset(named & set(modules()) - {module})


def place(module: str) -> tuple[str, str]:
    """Which room, wing or part of the floor a module stands in."""
    _, room, *rest = [*module.split("."), ""]
    if room == "commands":
        return ("commands", "")
    if room != "core":
        return ("room", room)
    return ("wing", rest[0]) if rest[0] in BELOW else ("floor", "")


def test_the_wings_are_those_that_stand_there() -> None:
    assert {path.parent.name for path in (ROOT / "tasks/core").glob("*/__init__.py")} == set(BELOW)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    kind, name = place(module)
    for other in imports(module):
        other_kind, other_name = place(other)
        if (kind, name) == (other_kind, other_name):
            continue
        allowed = {"commands": True,
                   "room": other_kind not in ("room", "commands"),
                   "wing": other_kind == "floor" or other_name in BELOW.get(name, ()),
                   "floor": False}[kind]
        assert allowed, f"{module} imports {other}"


def circles() -> Iterator[list[str]]:
    """Chains of imports that come back to where they began."""
    done: set[str] = set()

    def visit(module: str, chain: list[str]) -> Iterator[list[str]]:
        if module in chain:
            yield chain[chain.index(module):]
        elif module not in done:
            for other in sorted(imports(module)):
                yield from visit(other, [*chain, module])
            done.add(module)

    for module in modules():
        yield from visit(module, [])


def test_no_chain_of_imports_comes_back_to_where_it_began() -> None:
    assert list(circles()) == []


def page() -> str:
    return (ROOT / "docs/architecture.md").read_text()


def test_the_page_draws_the_imports_that_are_allowed() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", page(), re.MULTILINE))
    assert drawn == {(wing, below) for wing in BELOW for below in BELOW[wing]}
    table = page().partition("| modules in")[2].partition("\n\n")[0]
    floor = {path.stem for path in (ROOT / "tasks/core").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", table)) == floor


def test_the_page_maps_every_verb_to_its_room(project: Path) -> None:
    table = page().partition("## Verbs and rooms")[2].partition("\n## ")[0]
    named = {verb: room for verbs, room in re.findall(r"^\| (`.+?) \| `(\w+)`", table, re.MULTILINE)
             for verb in re.findall(r"`(.+?)`", verbs)}
    graphs = {path.parent.name for path in (ROOT / "tasks").glob("*/graph.py")}
    assert set(named.values()) == graphs - {"core"}
    picture = page().partition("```mermaid")[2].partition("```")[0]
    assert all(re.search(rf"\b{room}\b", picture) for room in graphs - {"core"})
    site = project / "config/sites/local.yml"
    declared: dict[str, str] = {}
    plain = site.read_text()
    for text in (plain, plain + "images: {carry: store}\n",
                 plain.replace("offline:\n", "offline:\n  engine: apptainer\n")):
        site.write_text(text)
        for role in ("online", "prod"):
            config = load({"role": role})
            for graph in rooms.graphs(config):
                declared |= {task["basename"]: graph.partition(".")[0] for task in
                             importlib.import_module(f"tasks.{graph}").tasks(config)}
    assert named == {**declared, "stage:configs": "code"}


def test_the_way_of_a_verb_leads_past_files_that_are_there() -> None:
    way = page().partition("## From ")[2]
    named = re.findall(r"`([a-z_/]+\.py)`", way)
    assert len(named) > 10
    for name in named:
        assert (ROOT / "tasks" / name).is_file() or (ROOT / name).is_file(), name
    for name in ("_mirror", "MirrorSpec", "mirror_images"):
        assert name in way
        assert name in (ROOT / "tasks/images/graph.py").read_text()
