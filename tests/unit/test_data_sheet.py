"""Samplesheets: trimmed, and nothing else changed; names that are safe everywhere."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import sums
from tasks.core.errors import SourceError
from tasks.data import blobs, sheet

CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 4))
    header = [f"column_{number}" for number in range(width)]
    row = st.lists(CELLS, min_size=width, max_size=width).filter(
        lambda cells: any(cell.strip() for cell in cells))
    return [header, *draw(st.lists(row, max_size=6))]


def written(table: list[list[str]], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(table)
    return out.getvalue().encode()


@given(tables(), st.integers(0, 7), st.sampled_from([("x.csv", ","), ("x.tsv", "\t")]))
def test_the_first_rows_are_kept_as_they_are(table: list[list[str]], rows: int,
                                             kind: tuple[str, str]) -> None:
    name, delimiter = kind
    read = sheet.parse(written(table, delimiter), name=name, rows=rows)
    text = sheet.render(read, lambda cell: cell)
    kept = table[1:][:rows] if rows else table[1:]
    assert list(csv.reader(io.StringIO(text, newline=""))) == [table[0], *kept]


def test_a_mark_at_the_start_and_blank_lines_are_no_content() -> None:
    read = sheet.parse(b"\xef\xbb\xbfsample,fastq\n\n , \na,b\n", name="x.csv", rows=1)
    assert (read.header, read.rows) == (("sample", "fastq"), (("a", "b"),))
    assert read.place(0, 1) == "x.csv, row 1, column fastq"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b\n\xff\n", b'a,b\n"x,y\n', b"a\0b\n"[:0]])
def test_what_is_no_table_is_an_error_with_the_name(data: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        sheet.parse(data, name="bad.csv", rows=0)
    assert "bad.csv" in str(caught.value)


def test_all_rows_that_do_not_fit_are_named_at_once() -> None:
    with pytest.raises(SourceError) as caught:
        sheet.parse(b"a,b\n1,2,3\n1,2\n1,2,3,4\n", name="x.csv", rows=0)
    assert "row 1: 3 cells" in str(caught.value)
    assert "row 3: 4 cells" in str(caught.value)
    assert "row 2" not in str(caught.value)


@given(st.text(min_size=1))
def test_any_name_becomes_safe(text: str) -> None:
    name = blobs.basename(text)
    assert "/" not in name
    if name:
        assert re.fullmatch(r"[A-Za-z0-9._+=@,~-]{1,200}", name)
        assert name[0] not in ".-"
        line = sums.format_sums({f"data/{'0' * 64}/{name}": "0" * 64})
        assert sums.parse_sums(line, where=Path()) == {f"data/{'0' * 64}/{name}": "0" * 64}


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+=@,~-]{0,60}", fullmatch=True))
def test_a_plain_name_stays(name: str) -> None:
    assert blobs.basename(f"folder/{name}") == name


def test_of_a_long_name_the_ending_stays() -> None:
    assert blobs.basename("x" * 300 + ".fastq.gz").endswith("x.fastq.gz")
