"""Who may import whom: docs/architecture.md draws it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BELOW: dict[str, set[str]] = {
    "archives": set(),
    "net": set(),
    "graph": set(),
    "source": {"archives"},
    "inputs": {"net"},
    "registry": {"net"},
    "store": {"net"},
    "trust": {"store"},
    "engine": {"registry"},
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
        allowed = {"room": other_kind != "room",
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
