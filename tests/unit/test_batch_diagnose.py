"""Each message of a run on Batch with its cause, and logs that nobody should trust."""

from __future__ import annotations

import io
import json
import os
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.batch import diagnose
from tasks.batch.causes import CAUSES, CERTAIN
from tasks.batch.diagnose import DiagnoseSpec, Log, causes_in, plain, rank
from tasks.core.errors import SourceError
from tasks.core.schema import check
from tests.kit.batch_logs import AMONG_OTHERS, LOGS, UNKNOWN


def names(text: str) -> list[str]:
    return [diagnosis.cause.name for diagnosis in rank(list(causes_in(Log(name="log", text=text))))]


@pytest.mark.parametrize("name", LOGS)
def test_a_message_has_its_cause(name: str) -> None:
    assert names(LOGS[name])[:1] == [name.partition(" ")[0]]


def test_every_cause_has_a_log_that_shows_it() -> None:
    assert {name.partition(" ")[0] for name in LOGS} | {*AMONG_OTHERS} == {
        cause.name for cause in CAUSES}
    assert all(cause.cure and cause.cause for cause in CAUSES)


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_message_that_only_looks_alike_has_none(text: str) -> None:
    assert names(text) == []


def test_several_causes_are_ranked_the_root_first() -> None:
    text = AMONG_OTHERS["output-missing"]
    assert names(text) == ["tool-missing", "output-missing"]
    both = f"{LOGS['spot']}\n{LOGS['cli-without-ca']}\n{LOGS['fusion-licence']}"
    assert names(both) == ["cli-without-ca", "spot", "fusion-licence"]


def test_the_report_s_message_says_that_a_cli_ran(tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Two faults that were taken for one: with a CLI without its CA, and without any CLI."""
    (tmp_path / "ca.log").write_text(LOGS["cli-without-ca"])
    diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "ca.log"),)))
    printed = capsys.readouterr().out
    assert "an AWS CLI runs in the job" in printed
    assert f"{tmp_path}/ca.log:2: " in printed
    (tmp_path / "no.log").write_text(LOGS["no-cli"])
    diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "no.log"),)))
    assert "no AWS CLI is in the job's reach" in capsys.readouterr().out


def test_programs_get_json_that_fits_its_schema(tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.log").write_text(f"first line\n{LOGS['expired']}")
    diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "a.log"),), as_json=True))
    answer = json.loads(capsys.readouterr().out)
    cause, = check(answer, "diagnose", where="the answer")["causes"]
    assert (cause["name"], cause["certainty"]) == ("expired", CERTAIN)
    assert cause["line"] == 2 + LOGS["expired"].partition("The security")[0].count("\n")


def test_what_is_unknown_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.log").write_text(UNKNOWN[0])
    with pytest.raises(SourceError, match="no cause that is known") as caught:
        diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "a.log"),), as_json=True))
    assert "statusReason" in str(caught.value)
    assert json.loads(capsys.readouterr().out)["causes"] == []


def test_a_status_reason_comes_by_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(LOGS["spot"].encode())))
    assert "spot" in diagnose.diagnose(DiagnoseSpec(files=("-",)))


@pytest.mark.parametrize(("given", "word"), [
    ((), "give 1 to"), (("a",) * 101, "give 1 to"), (("nosuch",), "can't be read"),
    (("a\0b",), "can't be read"), ((".",), "no regular file"), (("/dev/zero",), "no regular file"),
    (("pipe",), "no regular file")])
def test_what_is_no_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                   given: tuple[str, ...], word: str) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(SourceError, match=word):
        diagnose.diagnose(DiagnoseSpec(files=given))


def test_a_log_of_any_size_is_read_within_bounds(tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "huge.log").open("wb") as stream:
        stream.write(LOGS["spot"].encode() + b"\n")
        stream.truncate(40 << 30)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n" + LOGS["no-cli"].encode())
    begun = time.monotonic()
    summary = diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "huge.log"),)))
    assert summary.startswith("2 named; the first, no-cli")
    assert "in its middle were not read" in capsys.readouterr().out
    assert time.monotonic() - begun < 20


PREFIXES = ["SSL validation failed for https://", "CannotPullContainerError ", "Job queue ",
            "Job queue " * 30 + "x", "HeadObject operation: ", "exit status: ", "ERROR ~ \t\n",
            "the region '", "Host EC2 (instance ", "aws: command not", "fusion ", "\x1b[", "\x1b]",
            "libpython", "exit_", "CannotPullContainerErrorunauthorize"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_hostile_log_takes_no_time(prefix: str) -> None:
    text = prefix * ((1 << 20) // len(prefix))
    begun = time.monotonic()
    list(causes_in(Log(name="log", text=plain(text.encode()))))
    assert time.monotonic() - begun < 6


def test_what_steers_a_terminal_is_taken_out(tmp_path: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    coloured = ("\x1b]0;owned\x07\x1b[31mbash: line 1: \x1b[1maws\x1b[0m: command not found\x1b[2J"
                "\u202e\x9b1m\r\nnext")
    (tmp_path / "a.log").write_bytes(coloured.encode() + bytes(range(256)))
    diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "a.log"),)))
    printed = capsys.readouterr().out
    assert "bash: line 1: aws: command not found" in printed
    assert all(character.isprintable() or character == "\n" for character in printed)


def test_random_bytes_are_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.log").write_bytes(random.Random(1).randbytes(1 << 20))
    with pytest.raises(SourceError, match="no cause that is known"):
        diagnose.diagnose(DiagnoseSpec(files=(str(tmp_path / "a.log"),)))


def test_the_task_takes_its_files_from_the_command_line(project: Path) -> None:
    from tasks.core.config.load import load
    from tasks.core.graph import rooms
    task: dict[str, Any] = next(task for task in rooms.tasks(load({}))
                                if task["basename"] == "batch:diagnose")
    assert task["pos_arg"] == "words"
    assert [param["long"] for param in task["params"]] == ["json"]
    (action, given), = task["actions"]
    (project / "a.log").write_text(LOGS["no-cli"])
    assert action(*given, words=["a.log"], as_json=False).startswith("1 named; the first, no-cli")
    assert "give 1 to" in action(*given, words=[], as_json=False).get_msg()
