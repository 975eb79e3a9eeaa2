"""What is shown of an error is text, whatever others put into it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import processes
from tasks.core.errors import CommandError, SourceError, plain, shown
from tasks.core.processes import tail


@given(st.text())
def test_no_text_of_others_steers_a_terminal(text: str) -> None:
    error = CommandError(text, status=1, tail=[text], where=text, todo=text)
    for message in (str(error), str(SourceError(text, where=text)), shown(text)):
        assert message.replace("\n", "").replace("\t", "").isprintable()
        message.encode()


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert shown("Zoë's\tsheet…\n") == "Zoë's\tsheet…\n"
    assert shown("\x1b[2J\r\u202e\ud800") == "\\x1b[2J\\r\\u202e\\ud800"


@pytest.mark.parametrize(("written", "left"), [
    ("\x1b[31mERROR\x1b[0m ~ no such \x1b[1;38;5;208mfile\x1b[m", "ERROR ~ no such file"),
    ("\x1b]0;a title\x07done", "done"),
    ("\x1b]8;;https://x.example\x1b\\a link\x1b]8;;\x1b\\", "a link"),
    ("\x1b]0;a title that never ends", ""), ("\x1bP1$r0m\x1b\\shown", "shown"),
    ("\x9b31mred\x9b0m", "red"), ("\x1b(B\x1b=plain\x1b>", "plain"), ("half\x1b[3", "half"),
    ("half\x1b", "half"), ("  5%\r 50%\r100% done", "100% done"), ("kept\r", "kept"),
    ("secret\b\b\b\b\b\bshown\a", "shown"), ("\b\bfirst", "first"), ("a\x00b\x7fc", "abc"),
    ("\u202egpj.exe", "gpj.exe"), ("a\u00a0b", "a b"),
    ("\tZoë: Größe 5 µm, 図", "\tZoë: Größe 5 µm, 図")])
def test_what_a_program_wrote_is_quoted_as_a_terminal_shows_it(written: str, left: str) -> None:
    assert plain(written) == left
    assert tail(f"{written}\n\n".encode()) == ([left.rstrip()] if left.strip() else [])


@given(st.text(st.sampled_from("\x1b[]0;m\x07\x9b\x9c\r\bäx\\P ")))
def test_what_is_quoted_steers_no_terminal_whatever_a_program_wrote(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


def test_the_tail_of_a_hostile_log_is_text(tmp_path: Path) -> None:
    script = r"printf '\033]0;owned\007\033[2J\033[31mit broke: Größe\033[0m\rover\n'; exit 3"
    with pytest.raises(CommandError) as caught:
        processes.run(["sh", "-c", script], log=tmp_path / "log")
    assert str(caught.value).endswith("    | over")
    said: list[str] = []
    with processes.following(tmp_path / "log", said.append):
        (tmp_path / "log").write_bytes(b"\x1b[32m\xc3\xa4\x1b[0m\n\x1b]0;t\x07x\n")
    assert said == ["ä", "x"]
