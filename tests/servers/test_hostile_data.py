"""Sheets, addresses and files that mean harm: refused with their places, or carried as they are.

The fixture `hostile` sees to it that no credential gets anywhere.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hostile import FOLDER, PUBLIC, Hostile, table
from tests.kit.web import Web

READS = b"@r\nACGT\n+\nIIII\n"
ALLOWED = "below a folder that the site's config allows"
SEVERAL = "{a,b}" * 20
ADDRESSES = {
    "file:///etc/passwd": ALLOWED,
    "FILE:///etc/passwd": ALLOWED,
    "file://localhost/proc/self/environ": ALLOWED,
    "file://elsewhere/etc/passwd": "names a file of this machine",
    f"{FOLDER}../secret.txt": ALLOWED,
    f"{FOLDER}%2e%2e/secret.txt": ALLOWED,
    f"{FOLDER}link.txt": ALLOWED,
    f"{FOLDER}links/": ALLOWED,
    f"{FOLDER}loop": "the path leads nowhere",
    f"{FOLDER}pipe": "there is no such file",
    f"{FOLDER}{'a/' * 3000}x": "the path leads nowhere",
    f"{PUBLIC}to-file": "redirects from http to file, which is refused",
    f"{PUBLIC}to-jar": "redirects from http to jar, which is refused",
    f"{PUBLIC}to-nowhere": "points to what is no URL",
    f"{PUBLIC}round": "more than 10 redirects",
    f"{PUBLIC}a%0Ab.fq": "control characters",
    f"{PUBLIC}a\x1b[2Jb.fq": "control characters",
    f"{PUBLIC}{SEVERAL}": "stand for more than 10000 names",
    f"{PUBLIC}{{a": "a brace group needs a comma",
    f"{PUBLIC}packed.txt.fq": "the server sends it packed (gzip)",
    "http://[::1": "that is no URL",
    "http://host:99999/x.fq": "that is no URL",
    "http:///x.fq": "that is no URL",
    "s3://../../x": "s3:// needs a bucket's name",
    "gs://bucket/x": "gs:// is not supported",
    "jar://file:///etc/passwd!/x": "jar:// is not supported",
}


def test_hostile_addresses_are_refused_with_their_rows(hostile: Hostile, resolved: dict[str, Any],
                                                       web: Web) -> None:
    allowed = hostile.root / "allowed"
    (allowed / "links").mkdir()
    for link, to in (("link.txt", "../secret.txt"), ("links/a", "../../secret.txt"),
                     ("loop", "loop")):
        (allowed / link).symlink_to(to)
    os.mkfifo(allowed / "pipe")
    web.redirects = {"/to-file": f"file://{hostile.secret}", "/to-jar": "jar:file:///x!/y",
                     "/to-nowhere": "http://[::1", "/round": "/round"}
    web.files = {"/sheet.csv": table([["sample", "file"],
                                      *(["a", address] for address in ADDRESSES)]),
                 "/packed.txt.fq": gzip.compress(READS)}
    web.headers["/packed.txt.fq"] = {"Content-Encoding": "gzip"}
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage")
    missed = dict(enumerate(ADDRESSES.items(), 1))
    while missed:  # an error of one stage of the work hides those of the next
        said = hostile.refused("mirror:data")
        assert said.replace("\n", "").isprintable()
        found = {row for row in missed if f"row {row}, column file" in said}
        assert found, (said, missed)
        for row in found:
            assert missed[row][1] in said
            del missed[row]
        web.files["/sheet.csv"] = table([["sample", "file"], *(
            ["a", address if row in missed else ""] for row, address in enumerate(ADDRESSES, 1))])
    before = hostile.layout.data_manifest.read_bytes()
    assert b"reads_1.fq" in before, "what was there is as it was"


@pytest.mark.parametrize(("to", "scheme"), [("file:///etc/passwd", "file"),
                                            ("ftp://127.0.0.1/sheet.csv", "ftp")])
def test_the_sheet_itself_comes_from_the_web_alone(hostile: Hostile, resolved: dict[str, Any],
                                                   web: Web, to: str, scheme: str) -> None:
    web.redirects["/sheet.csv"] = to
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage")
    hostile.refused("mirror:data", "params.input", f"redirects from http to {scheme}")


MEMBER = gzip.compress(bytes(1 << 24), 9)
"""16 MiB in 16 kB; as many members as one likes are one gzip file (RFC 1952, 2.2)."""


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file that this process writes may grow beyond 64 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_gzip_bomb_is_carried_and_never_unpacked(hostile: Hostile, resolved: dict[str, Any],
                                                   web: Web) -> None:
    bomb = MEMBER * 1024  # 16 GiB, unpacked
    web.files = {"/sheet.csv": f"sample,file\na,{PUBLIC}bomb.fq.gz\n".encode(),
                 "/bomb.fq.gz": bomb}
    web.headers["/bomb.fq.gz"] = {"Content-Encoding": "gzip"}  # as some servers say
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hostile.run("mirror:data")
    listed = json.loads(hostile.layout.data_manifest.read_bytes())["files"]
    assert [(file["sha256"], file["size"]) for file in listed] == [
        (hashlib.sha256(bomb).hexdigest(), len(bomb))]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2**28


SHEETS = {
    "bomb.csv": (MEMBER * 64, "can't be read"),
    "utf16.csv": ("a,b\n1,2\n".encode("utf-16") + b"x", "can't be read"),
    "book.csv": (b"PK\x03\x04" + b"\0" * 20, "an Excel workbook"),
    "nul.tsv": (b"a\tb\n1\t\0\n", "NUL character"),
    "open.csv": (b'a,b\n"1,2\n', "unexpected end"),
    "cell.csv": (b"a,b\n" + b"x" * 200_000 + b",1\n", "field limit"),
    "wide.csv": (b"a\n" + b"1,2,3\n" * 50_000, "row 1: 3 cells, but the header has 1"),
    "self.csv": (f"a,b\n1,{PUBLIC}self.csv\n".encode(), "in a circle"),
    "down.csv": (f"a,b\n1,{PUBLIC}down1.csv\n".encode(), "deep in each other"),
    "deep.json": (b"[" * 100_000 + b"]" * 100_000, "can't be read"),
    "deeper.json": (b"[" * 500 + b"]" * 500, "more than 100 deep"),
    "half.json": (b'[{"sample": "\\ud800"}]', "surrogates not allowed"),
    "deep.yml": (b"[" * 1_000_000, "more than 100 deep"),  # without a limit, the process crashes
    "nested.yaml": (b"- " * 100_000 + b"x", "more than 100 deep"),
    "bomb.yml": (b"- &a [x, x]\n- &b [*a, *a]\n- [*b, *b]\n", "YAML aliases"),
    "code.yml": (b"- !!python/object/apply:os.system ['touch ran']\n", "can't be read"),
}


@pytest.mark.parametrize("name", SHEETS)
def test_a_sheet_that_is_none_is_refused_and_named(hostile: Hostile, resolved: dict[str, Any],
                                                   web: Web, name: str) -> None:
    data, word = SHEETS[name]
    web.files[f"/{name}"] = data
    web.files |= {f"/down{number}.csv": f"a,b\n1,{PUBLIC}down{number + 1}.csv\n".encode()
                  for number in range(1, 20)}
    resolved["params"]["input"] = f"{PUBLIC}{name}"
    hostile.run("stage")
    said = hostile.refused("mirror:data", word, name.partition(".")[0])
    assert len(said) < 4000
    assert not list(hostile.root.rglob("ran"))


ROWS = 100_000


@pytest.mark.parametrize("rows", [0, 3])
def test_a_sheet_of_a_hundred_thousand_rows(hostile: Hostile, resolved: dict[str, Any], web: Web,
                                            rows: int) -> None:
    web.files = {f"/r{number}.fq": READS + bytes([number]) for number in range(5)}
    web.files["/sheet.csv"] = table([["sample", "file", "text"], *(
        [f"s{row}", f"{PUBLIC}r{row % 5}.fq", "../secret.txt"] for row in range(ROWS))])
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.configure(rows=rows)
    hostile.run("stage")
    before = time.process_time()
    hostile.run("mirror:data")
    assert time.process_time() - before < 30
    with hostile.layout.inputs.open(newline="") as stream:
        cells = list(csv.reader(stream))[1:]
    assert len(cells) == (rows or ROWS)
    digests = {number: hashlib.sha256(web.files[f"/r{number}.fq"]).hexdigest()
               for number in range(5)}
    assert all(row == [f"s{number}", f"data/{digests[number % 5]}/r{number % 5}.fq",
                       "../secret.txt"] for number, row in enumerate(cells))
    assert {path for path, *_ in web.seen} - {"/sheet.csv"} == {
        f"/r{number}.fq" for number in range(rows or 5)}


def test_faults_without_number_end_in_an_error_that_can_be_read(
        hostile: Hostile, resolved: dict[str, Any], web: Web) -> None:
    count = 10_000
    web.files["/sheet.csv"] = table([["sample", "file"], *(
        [f"s{row}", f"gs://bucket/{row}.fq"] for row in range(count))])
    resolved["params"]["input"] = f"{PUBLIC}sheet.csv"
    hostile.run("stage")
    said = hostile.refused("mirror:data", f"{count} of {count} files can't be had", "row 1, column",
                           f"and {count - 200} more")
    assert said.count("\n") < 500


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff", b"{\"properties\": {\"a\": \"\\ud800"])
def test_a_params_schema_that_is_none_is_named(hostile: Hostile, resolved: dict[str, Any],
                                               text: bytes) -> None:
    hostile.write("nextflow_schema.json", text)
    resolved["params"]["input"] = "sheet.csv"
    hostile.run("stage")
    hostile.refused("mirror:data", "nextflow_schema.json is not JSON")


def test_the_folder_of_a_map_is_read_where_it_is_meant(hostile: Hostile,
                                                       resolved: dict[str, Any]) -> None:
    (hostile.root / "allowed/a.fa").write_bytes(READS)
    resolved["params"]["fasta"] = f"{FOLDER}a.fa"
    hostile.run("stage", "mirror:data")
    found = json.loads(hostile.layout.data_manifest.read_bytes())["params"]["fasta"]["path"]
    assert Path(found).name == "a.fa"
