"""The page of messages quotes what stands in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.config.load import load
from tasks.core.graph import rooms

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def texts() -> Iterator[str]:
    """Each text of the code; `…` stands where a value does."""
    for path in sorted((ROOT / "tasks").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…"
                              for part in node.values)


def in_runbooks() -> Iterator[tuple[str, str]]:
    """Each message of the runbooks' tables of what fails, with its page."""
    for path in sorted((ROOT / "docs/runbooks").glob("[a-z]*.md")):
        section = path.read_text().partition("\n## If it fails\n")[2]
        for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", section, re.MULTILINE):
            yield from ((path.stem, message) for message in re.findall(r"`([^`]+)`", cell))


CODE = [" ".join(text.split()) for text in texts()]


@pytest.mark.parametrize("message", [
    *QUOTED, *(pytest.param(message, id=f"{page}: {message}") for page, message in in_runbooks())])
def test_a_message_that_is_quoted_stands_in_the_code(message: str) -> None:
    parts = [re.escape(part.strip()) for part in message.split("…")]
    wanted = re.compile(".*?".join(parts))
    assert any(wanted.search(text) for text in CODE)


def test_the_page_has_the_messages_of_every_part() -> None:
    assert len(QUOTED) > 30
    assert len(QUOTED) == len(set(QUOTED))


def test_what_is_to_be_typed_are_steps_and_commands_that_are_there(project: Path) -> None:
    del project
    known = {str(task["basename"]) for task in rooms.tasks(load({"site": "local"}))}
    typed = {word.removesuffix(":NAME") for words in re.findall(r"`\./doit ([^`]+)`", PAGE)
             for word in words.split() if "=" not in word}
    assert typed
    assert typed <= known | {"doctor"}
