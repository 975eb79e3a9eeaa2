"""chromapipe's fetching scripts, which need nothing but Python; the others run in its image."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.project import ROOT
from tests.kit.web import Web, running

BIN = ROOT / "examples/chromapipe/bin"
ATOM = b"ATOM      1  N   ALA A   1       0.000   0.000   0.000  1.00  0.00           N\nEND\n"
ENTRY = {
    "primaryAccession": "P05067", "genes": [{"geneName": {"value": "APP"}}],
    "proteinDescription": {"recommendedName": {"fullName": {"value": "a\tprotein"}}},
    "sequence": {"length": 770, "molWeight": 86943}}


@pytest.fixture
def web() -> Iterator[Web]:
    with running(Web()) as server:
        yield server


def run(script: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "given").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, BIN / script, "--given", "given", "--timeout", "5", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_a_structure_is_fetched_by_its_accession_or_taken_as_it_is_given(
        tmp_path: Path, web: Web) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/2BEG.pdb.gz").write_bytes(gzip.compress(ATOM))
    web.files["/files/AF-P00441-F1-model_v4.pdb"] = ATOM * 2
    web.statuses["/files/AF-P00441-F1-model_v4.pdb"] = [503]
    done = run("fetch_pdb", tmp_path, "--base", f"{web.url}/files/", "--retries", "1",
               "--out", "structures", "P05067=2BEG.pdb.gz", "P00441")
    assert (done.returncode, done.stdout) == (0, "P05067: 1 atoms\nP00441: 2 atoms\n"), done.stderr
    assert (tmp_path / "structures/P05067.pdb").read_bytes() == ATOM
    assert web.asked("/files/AF-P00441-F1-model_v4.pdb") == 2


@pytest.mark.parametrize(("words", "said"), [
    (["P1"], "answered 404"), (["../P1"], "is no accession"), (["P1=../etc"], "is no file's name"),
    (["P1=.."], "is no file's name"), (["EMPTY"], "holds no atom"),
])
def test_what_is_no_structure_is_an_error(tmp_path: Path, web: Web, words: list[str],
                                          said: str) -> None:
    web.files["/AF-EMPTY-F1-model_v4.pdb"] = b"HEADER\n"
    done = run("fetch_pdb", tmp_path, "--base", web.url, "--out", "structures", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_away_is_asked_again_and_then_named(tmp_path: Path) -> None:
    done = run("fetch_pdb", tmp_path, "--base", "http://127.0.0.1:9", "--retries", "1", "--out",
               "structures", "P1")
    assert done.returncode == 1
    assert "http://127.0.0.1:9/AF-P1-F1-model_v4.pdb gave no answer" in done.stderr
    done = run("fetch_pdb", tmp_path, "--out", "others", "P1")
    assert "no file was given for P1, and no --base" in done.stderr


def test_annotations_become_a_table(tmp_path: Path, web: Web) -> None:
    web.files["/P05067.json"] = json.dumps(ENTRY).encode()
    done = run("fetch_annotations", tmp_path, "--base", web.url, "--out", "table.tsv", "P05067")
    assert done.returncode == 0, done.stderr
    row, = csv.DictReader((tmp_path / "table.tsv").open(), delimiter="\t")
    assert row == {"accession": "P05067", "gene": "APP", "protein": "a\tprotein", "length": "770",
                   "mass_da": "86943", "location": "", "keywords": ""}


@pytest.mark.parametrize("entry", [
    b"", b"[]", b"{}", json.dumps({**ENTRY, "primaryAccession": "P1"}).encode(),
    json.dumps({**ENTRY, "sequence": {"length": "many"}}).encode()])
def test_what_is_no_entry_of_the_protein_is_an_error(tmp_path: Path, web: Web,
                                                     entry: Any) -> None:
    web.files["/P05067.json"] = entry
    done = run("fetch_annotations", tmp_path, "--base", web.url, "--out", "table.tsv", "P05067")
    assert done.returncode == 1
    assert "the entry of P05067 is not UniProtKB's JSON" in done.stderr
    assert not (tmp_path / "table.tsv").exists()
