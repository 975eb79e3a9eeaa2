"""Sheets: read, trimmed, mapped and written with nothing else changed; names that are safe."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import SourceError
from tasks.core.inputs import cells, sheets, staged_data
from tasks.core.trust import checksums
from tasks.data import blobs, trim

CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)
TREES = st.lists(st.dictionaries(
    st.sampled_from(["sample", "fastq_1", "meta"]),
    st.one_of(CELLS, st.integers(), st.none(), st.lists(CELLS, max_size=2)), max_size=3),
    max_size=5)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 4))
    header = [f"column_{number}" for number in range(width)]
    row = st.lists(CELLS, min_size=width, max_size=width).filter(
        lambda cells: any(cell.strip() for cell in cells)
        and not (width == 1 and cells[0].startswith("#")))  # which is a comment
    return [header, *draw(st.lists(row, max_size=6))]


def written(table: list[list[str]], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(table)
    return out.getvalue().encode()


def parse(data: bytes, name: str, *, has_header: bool = True) -> sheets.Sheet:
    return sheets.parse(data, name=name, has_header=lambda row: has_header)


@given(tables(), st.sampled_from([("x.csv", ","), ("x.tsv", "\t"), ("X.CSV", ",")]))
def test_a_table_is_written_as_it_was_read(table: list[list[str]], kind: tuple[str, str]) -> None:
    name, delimiter = kind
    read = parse(written(table, delimiter), name)
    text = read.mapped(lambda cell: cell).text()
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) == table
    assert list(csv.reader(io.StringIO(read.as_csv(), newline=""))) == table


@given(TREES)
def test_json_and_yaml_are_written_as_they_were_read(tree: list[dict[str, object]]) -> None:
    sheet = parse(json.dumps(tree).encode(), "x.json")
    assert json.loads(sheet.text()) == tree
    try:
        data = yaml.safe_dump(tree, allow_unicode=True)
        known = yaml.safe_load(data) == tree
    except yaml.YAMLError:
        known = False
    if known and not re.search(r"[&*]id\d", data):
        assert yaml.safe_load(parse(data.encode(), "x.yaml").text()) == tree


def test_a_mark_at_the_start_and_blank_lines_are_no_content() -> None:
    read = parse(b"\xef\xbb\xbfsample,fastq\n\n , \na,b\n", "x.csv")
    assert (read.header, read.rows) == (("sample", "fastq"), (("a", "b"),))
    assert read.place(0, 1) == "x.csv, row 1, column fastq"


@pytest.mark.parametrize(("name", "data"), [
    ("bad.csv", b"a,b\n\xff\n"), ("bad.csv", b'a,b\n"x,y\n'), ("bad.csv", b"a\0b\n"),
    ("bad.json", b"{"), ("bad.json", b"[" * 100_000), ("bad.yml", b"a: [b"),
    ("bad.yml", b"a: &a [x]\nb: [*a, *a]\n"), ("bad.yaml", b"!!python/object:os.system {}")])
def test_what_is_no_sheet_is_an_error_with_the_name(name: str, data: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        parse(data, name)
    assert name in str(caught.value)


def test_all_rows_that_do_not_fit_are_named_at_once() -> None:
    with pytest.raises(SourceError) as caught:
        parse(b"a,b\n1,2,3\n1,2\n1,2,3,4\n", "x.csv")
    assert "row 1: 3 cells" in str(caught.value)
    assert "row 3: 4 cells" in str(caught.value)
    assert "row 2" not in str(caught.value)


RECORDS = st.lists(st.fixed_dictionaries({
    "patient": st.sampled_from(["p1", "p2", "p3"]), "sample": st.sampled_from("abcdef"),
    "control": st.sampled_from(["", "a", "b", "c"])}), max_size=12)


@given(RECORDS, st.integers(1, 4))
def test_nobody_is_parted_from_a_partner(records: list[Mapping[str, str]], samples: int) -> None:
    kept = set(trim.kept(records, samples))
    for one, first in enumerate(records):
        for other, second in enumerate(records):
            together = (first["sample"] == second["sample"]
                        or first["patient"] == second["patient"]
                        or first["control"] == second["sample"])
            assert not together or (one in kept) == (other in kept)
    named = {records[row]["sample"] for row in kept}
    assert len(named) >= min(samples, len({record["sample"] for record in records}))
    if records:
        assert 0 in kept


@pytest.mark.parametrize(("columns", "rows", "kept"), [
    (["sample", "fastq_1"], [["a", "1"], ["a", "2"], ["b", "3"]], [0, 1]),
    (["sample_id", "mapped"], [["a", "1"], ["b", "2"], ["a", "3"]], [0, 2]),
    (["fastq_1", "strandedness"], [["1", "x"], ["2", "x"]], [0]),
    (["sample", "antibody", "control"], [["ip", "H3", "in"], ["x", "", ""], ["in", "", ""]],
     [0, 2])])
def test_the_rows_of_the_first_sample(columns: list[str], rows: list[list[str]],
                                      kept: list[int]) -> None:
    assert trim.kept([dict(zip(columns, row, strict=True)) for row in rows], 1) == kept


def test_a_hundred_thousand_rows_take_seconds() -> None:
    data = "patient,sample,fastq\n" + "".join(
        f"p{number // 2},s{number},https://x.example.org/{number}.fq\n"
        for number in range(100_000))
    began = time.monotonic()
    read = trim.trimmed(parse(data.encode(), "x.csv"), 10)
    assert len(read.rows) == 10
    assert len(parse(data.encode(), "x.csv").mapped(lambda cell: cell).text()) == len(data)
    assert time.monotonic() - began < 20


HEX = "0" * 64


@given(st.lists(CELLS, min_size=1, max_size=3))
def test_only_what_is_staged_is_made_absolute(cells: list[str]) -> None:
    row = [*cells, f"data/{HEX}/x.fq", f"data/{HEX}/x.fq;data/{HEX}/y z.fq"]
    known = {f"data/{HEX}/x.fq": "/r/x.fq", f"data/{HEX}/y z.fq": "/r/y z.fq"}
    text = staged_data.render_sheet(written([row]), "x.csv", known.get).decode()
    assert next(csv.reader(io.StringIO(text, newline=""))) == [
        *cells, "/r/x.fq", "/r/x.fq;/r/y z.fq"]


@given(st.text(min_size=1))
def test_any_name_becomes_safe(text: str) -> None:
    name = blobs.basename(text)
    assert "/" not in name
    if name:
        assert re.fullmatch(r"[A-Za-z0-9._+=@,~-]{1,200}", name)
        assert name[0] not in ".-"
        line = checksums.format_sums({f"data/{'0' * 64}/{name}": "0" * 64})
        assert checksums.parse_sums(line, where=Path()) == {f"data/{'0' * 64}/{name}": "0" * 64}


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+=@,~-]{0,60}", fullmatch=True))
def test_a_plain_name_stays(name: str) -> None:
    assert blobs.basename(f"folder/{name}") == name


def test_of_a_long_name_the_ending_stays() -> None:
    assert blobs.basename("x" * 300 + ".fastq.gz").endswith("x.fastq.gz")


@pytest.mark.parametrize("text", ["a://b c://" + "\r\n" * 100_000, "a://b c://" + ";" * 100_000],
                         ids=["lines", "semicolons"])
def test_a_long_run_of_what_joins_urls_takes_no_time(text: str) -> None:
    begun = time.monotonic()
    assert "".join(cells.parts(text)) == text
    assert cells.staged(text, lambda path: None) == text
    assert time.monotonic() - begun < 2  # from each of its characters it was minutes
