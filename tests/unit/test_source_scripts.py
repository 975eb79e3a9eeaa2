"""Scripts read once for all rooms: what two readers did differently before, as Groovy has it."""

from __future__ import annotations

from pathlib import Path

from tasks.core import files
from tasks.images import scan as images
from tests.kit.reach import GUARDED, by, of, one, reached

FETCH = 'process GET {\n script:\n """\n wget https://x.example.org/a\n """\n}\n'


def test_a_variable_of_the_script_names_the_file_that_it_includes(tmp_path: Path) -> None:
    found = reached(tmp_path, {"m/get.nf": FETCH, "main.nf": (
        "modules = './m'\ninclude { GET } from \"${modules}/get\"\nworkflow { GET() }\n")})
    assert not of(found, "unread")
    assert by(one(found, "download")) is None


def test_a_name_that_branches_include_from_two_files_means_both(tmp_path: Path) -> None:
    found = reached(tmp_path, {
        "get.nf": FETCH, "other.nf": "process GET { script: 'true' }\n", "main.nf": (
            "if (params.far) {\n include { GET } from './get'\n} else {\n"
            " include { GET } from './other'\n}\nworkflow { GET() }\n")}, params={"far": True})
    assert by(one(found, "download")) is None


def test_an_include_that_may_be_of_an_unknown_file_is_reported(tmp_path: Path) -> None:
    found = reached(tmp_path, {**GUARDED, "main.nf": (
        "include { FETCH } from params.a.b ? './sub' : \"${params.where}/sub\"\nworkflow { }\n")})
    assert [(finding.file, finding.line) for finding in of(found, "unread")] == [("main.nf", 1)]


def test_what_follows_else_if_is_no_function(tmp_path: Path) -> None:
    found = reached(tmp_path, {"main.nf": (
        "if (params.a) {\n x = 1\n} else if (params.b) {\n x = file('https://x.example.org/a')\n}\n"
        "workflow { }\n")})
    assert by(one(found, "url")) is None


def test_a_function_s_own_variable_is_none_of_the_script_s(tmp_path: Path) -> None:
    files.write_text(tmp_path / "main.nf", (
        "version = '1'\ndef other() {\n def version = new Date()\n}\n"
        "process A { container \"q.io/a/b:${version}\"; script: '' }\n"))
    found = images.scan(tmp_path, {})
    assert (found.images, found.faults) == (["q.io/a/b:1"], [])


def test_bytes_that_are_no_utf_8_are_read_as_nextflow_reads_them(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "main.nf",
                      b"// \xe9\nprocess A { container 'q.io/a/b:1'; script: '' }\n")
    assert images.scan(tmp_path, {}).images == ["q.io/a/b:1"]
