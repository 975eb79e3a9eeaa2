"""What is shown of an error is text, whatever others put into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import CommandError, SourceError, shown


@given(st.text())
def test_no_text_of_others_steers_a_terminal(text: str) -> None:
    error = CommandError(text, status=1, tail=[text], where=text, todo=text)
    for message in (str(error), str(SourceError(text, where=text)), shown(text)):
        assert message.replace("\n", "").replace("\t", "").isprintable()
        message.encode()


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert shown("Zoë's\tsheet…\n") == "Zoë's\tsheet…\n"
    assert shown("\x1b[2J\r\u202e\ud800") == "\\x1b[2J\\r\\u202e\\ud800"
