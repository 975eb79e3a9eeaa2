"""docs/offline-checklist.md names the checks that the doctor makes, and no others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.kit.checklist import lines

ROOT = Path(__file__).resolve().parents[2]
COMMON = {"config", "python", "store", "registry", "certificate", "clock", "login", "push",
          "engine", "engine pulls", "java", "disk"}
"""Checks of both sides, whose modules are the same."""


def named(path: Path) -> set[str]:
    """The names that a module gives its checks and lines."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("Finding", "Check"):
                names |= {word.value.value for word in node.keywords
                          if word.arg in ("check", "name") and isinstance(word.value, ast.Constant)}
            elif node.func.id in ("failed", "unknown", "_answers") and isinstance(
                    node.args[0], ast.Constant):
                names.add(node.args[0].value)
    return {str(name) for name in names}


def test_every_check_of_the_doctor_stands_on_the_page_and_every_line_is_a_check() -> None:
    modules = [*(ROOT / "tasks/doctor").glob("*.py"),
               *(ROOT / "tasks/commands").glob("doctor*.py")]
    in_code = set().union(*map(named, modules))
    assert {"trust", "push", "isolation", "engine pulls"} <= in_code
    assert in_code == lines("Online side") | lines("Offline host")
    assert lines("Online side") & lines("Offline host") == COMMON


@pytest.mark.parametrize(("module", "side"), [("doctor_online", "Online side"),
                                              ("doctor_offline", "Offline host")])
def test_what_one_side_looks_at_stands_in_its_list(module: str, side: str) -> None:
    assert named(ROOT / f"tasks/commands/{module}.py") <= lines(side)
