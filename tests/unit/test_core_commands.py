"""Commands of this project's own: what they are handed, and how they end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from doit.doit_cmd import DoitMain

from tasks.core.errors import SourceError
from tasks.core.graph.commands import Own, Typed


class Weigh(Own):
    """A command that exists here alone."""

    name = "weigh"
    doc_purpose = "weigh a thing"
    doc_usage = "THING [unit=UNIT]"
    variables = ("unit",)
    cmd_options = ({"name": "json", "short": "", "long": "json", "type": bool, "default": False,
                    "help": "for programs"},)


def doit(*words: str) -> int:
    main = DoitMain(extra_config={"COMMAND": {"weigh": f"{__name__}:Weigh"}}, config_filenames=())
    status: int = main.run(list(words))
    return status


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Typed]:
    """What the command's function is handed; it fails for some things."""
    typed: list[Typed] = []

    def weigh(given: Typed) -> int:
        typed.append(given)
        if given.words == ("air",):
            raise SourceError("air has no weight", todo="take a stone")
        if given.words == ("hole",):
            raise ValueError("negative")
        return 1 if given.words == ("feather",) else 0

    module = ModuleType("tasks.commands.weigh")
    module.__dict__["weigh"] = weigh
    module.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "tasks.commands.weigh", module)
    monkeypatch.chdir(tmp_path)
    return typed


def test_a_command_is_handed_what_was_typed(handed: list[Typed]) -> None:
    assert doit("weigh", "--json", "unit=kg", "https://example.org/stone?side=left") == 0
    assert doit("weigh", "feather") == 1
    assert handed == [
        Typed(words=("https://example.org/stone?side=left",), variables={"unit": "kg"},
              options={"json": True}),
        Typed(words=("feather",), options={"json": False})]


@pytest.mark.parametrize(("words", "message"), [
    (["air"], "ERROR: air has no weight\n  to do: take a stone"),
    (["hole"], "a fault of nf-airlock itself: ValueError: negative"),
    (["stone", "unti=kg"], "takes no variable 'unti'; did you mean 'unit'?"),
    (["stone", "bread"], "takes no word 'bread'"),
])
def test_a_fault_is_shown_in_a_few_lines(
        handed: list[Typed], capsys: pytest.CaptureFixture[str], words: list[str],
        message: str) -> None:
    assert doit("weigh", *words) == 3
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_command_that_was_not_carried_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert doit("weigh", "stone") == 3
    assert "`doit weigh` is for the online side" in capsys.readouterr().err
