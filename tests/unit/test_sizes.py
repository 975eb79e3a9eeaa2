"""Modules and functions that can be read at one go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_MODULE, MAX_FUNCTION = 350, 50
"""Lines."""


@pytest.mark.parametrize("place", ["dodo.py", "tasks", "tests"])
def test_no_module_is_long(place: str) -> None:
    paths = sorted((ROOT / place).rglob("*.py")) or [ROOT / place]
    assert [str(path.relative_to(ROOT)) for path in paths
            if len(path.read_text().splitlines()) > MAX_MODULE] == []


@pytest.mark.parametrize("place", ["tasks", "tests/kit"])
def test_no_function_is_long(place: str) -> None:
    functions = [(path, node) for path in sorted((ROOT / place).rglob("*.py"))
                 for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.FunctionDef)]
    assert [f"{path.relative_to(ROOT)}: {node.name}" for path, node in functions
            if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION] == []
