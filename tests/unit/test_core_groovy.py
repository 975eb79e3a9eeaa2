"""Groovy's tokens: comments, every kind of string, nesting, and slashes that divide."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ImageError
from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, STRING, Token, closing, tokenize


def plain(text: str) -> list[str]:
    return [token.text for token in tokenize(text, "x.nf") if token.kind != NEWLINE]


def strings(text: str) -> list[str]:
    return [token.text for token in tokenize(text, "x.nf") if token.kind == STRING]


@pytest.mark.parametrize(("text", "values"), [
    ("'a' \"b\"", ["a", "b"]),
    ("'''a'b''' \"\"\"c\"d\"\"\"", ["a'b", 'c"d']),
    (r"'it\'s' 'a\\' '\t\u0041'", ["it's", "a\\", "\tA"]),
    (r'"\$x \${y}"', ["$x ${y}"]),
    ("'${not} $this'", ["${not} $this"]),
    ("x = /a'b\\/c/ + 'd'", ["a'b/c", "d"]),
    ("y = a / b / c; 'z'", ["z"]),
    ("x.split /,'/\n'z'", [",'", "z"]),
    ("(a) / 2 + 'b' / 'c'", ["b", "c"]),
    ("$/ it's /path $$ $//$ + 'q'", ["$", "q"]),
    ("// 'no'\n/* \"no\n */ 'yes' // \"", ["yes"]),
    ("'http://host//path'", ["http://host//path"]),
    ("'''\nline\\\nsame'''", ["\nlinesame"]),
    ("#!/usr/bin/env nextflow 'x\n'y'", ["y"]),
])
def test_strings(text: str, values: list[str]) -> None:
    found = strings(text)
    assert found[-1] == values[-1]
    if not text.startswith("$/"):
        assert found == values


def test_gstrings_nest() -> None:
    text = '''"a ${ x ? "b ${y ? '}' : "${z}"} c" : [k: { it }] } d $p.q e $"'''
    token = tokenize(text, "x.nf")[0]
    assert token.kind == GSTRING
    assert [part for part in token.parts if isinstance(part, str)] == ["a ", " d ", " e $"]
    nested = [part for part in token.parts if not isinstance(part, str)]
    assert [piece.text for piece in nested[1]] == ["p", ".", "q"]
    inner = next(piece for piece in nested[0] if piece.kind == GSTRING)
    assert inner.parts[0] == "b "
    assert len(tokenize(text, "x.nf")) == 1


def test_lines_are_those_of_the_file() -> None:
    text = "a\n/* 1\n2 */ b '''x\ny''' c\n\"\"\"${\nd}\"\"\" \\\n e"
    lines = {token.text: token.line for token in tokenize(text, "x.nf") if token.kind == NAME}
    assert lines == {"a": 1, "b": 3, "c": 4, "e": 7}


@pytest.mark.parametrize(("text", "line"), [
    ("a\n'b", 2), ("a\n\n\"\"\"b\n", 3), ("\n/* x", 2), ('x\n"${ y', 2), ("'a\n'", 1)])
def test_what_never_ends_is_named_by_line(text: str, line: int) -> None:
    with pytest.raises(ImageError, match="never ends") as caught:
        tokenize(text, "modules/x.nf")
    assert caught.value.where == f"modules/x.nf:{line}"


def test_closing_brackets() -> None:
    tokens = tokenize("process X { a(['}']) { b } } c", "x.nf")
    end = closing(tokens, 2)
    assert tokens[end + 1].text == "c"
    assert closing(tokenize("{ a", "x"), 0) == 2


QUOTED = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r"), max_size=20)


@settings(deadline=None)
@given(QUOTED)
def test_a_single_quoted_string_is_read_back(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    assert tokenize(f"'{quoted}'", "x") == [Token(STRING, text, 1)]


@settings(deadline=None)
@given(st.lists(st.sampled_from(
    ["a", " ", "\n", "'s'", '"g${x}"', '"""t"""', "/* c */", "// l\n", "{", "}", "(", ")", "/",
     "/r/", "+", "1", "=", ",", "$y", "'''m\n'''"]), max_size=25))
def test_any_mix_ends_with_tokens_or_a_clear_error(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        tokens = tokenize(text, "x.nf")
    except ImageError as error:
        assert str(error.where).startswith("x.nf:")
        return
    lines = [token.line for token in tokens]
    assert lines == sorted(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
