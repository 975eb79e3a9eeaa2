"""Which params are data: the rule of docs/decisions/which-params-are-data.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.core.errors import SourceError
from tasks.data import params

WEB = "https://data.example.org"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/samplesheet.csv").write_text("sample\n")
    return tmp_path


def declare(project: Path, key: str, formats: dict[str, str | None]) -> None:
    properties = {name: {"type": "string", **({"format": form} if form else {})}
                  for name, form in formats.items()}
    (project / "nextflow_schema.json").write_text(
        json.dumps({key: {"some_group": {"properties": properties}}}))


def test_links_are_no_data_and_files_are(project: Path) -> None:
    chosen = params.choose({
        "input": f"{WEB}/sheet.csv", "fasta": f"{WEB}/genome.fa", "hook_url": f"{WEB}/a.json",
        "igenomes_base": "s3://ngi-igenomes/igenomes/", "custom_config_base": f"{WEB}/v1.0",
        "pipelines_testdata_base_path": f"{WEB}/x.y", "help": f"{WEB}/usage/", "none": None,
        "genomes": {"a": {"fasta": f"{WEB}/a.fa"}}, "text": "no url", "number": 3}, project)
    assert chosen.sheet_param == "input"
    assert chosen.sources == {"input": f"{WEB}/sheet.csv", "fasta": f"{WEB}/genome.fa"}
    assert chosen.folders == {"igenomes_base": "s3://ngi-igenomes/igenomes/"}
    assert chosen.none == {"hook_url": f"{WEB}/a.json"}


@pytest.mark.parametrize("key", ["$defs", "definitions"])
def test_the_schema_decides_where_it_gives_a_format(project: Path, key: str) -> None:
    declare(project, key, {"a_url": "file-path", "cache": "directory-path", "plain": None,
                           "mail": "email"})
    chosen = params.choose({
        "a_url": f"{WEB}/no-ending", "cache": f"{WEB}/cache.d", "plain": f"{WEB}/x.fa",
        "mail": f"{WEB}/y.fa"}, project)
    assert chosen.sources == {"a_url": f"{WEB}/no-ending", "plain": f"{WEB}/x.fa"}
    assert chosen.folders == {"cache": f"{WEB}/cache.d"}


def test_a_sheet_of_the_code_is_found_by_either_path(project: Path) -> None:
    place = project / "assets/samplesheet.csv"
    for value in ("assets/samplesheet.csv", str(place)):
        assert params.choose({"input": value}, project).sources == {"input": place}


def test_a_file_outside_the_code_is_never_read(project: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.csv"
    outside.write_text("a\n")
    (project / "assets/link.csv").symlink_to(outside)
    for value in (str(outside), "../outside.csv", "assets/link.csv"):
        assert params.choose({"input": value}, project).sources == {}


def test_another_only_sheet_is_the_samplesheet(project: Path) -> None:
    chosen = params.choose({"samples": f"{WEB}/a.tsv"}, project)
    assert (chosen.sheet_param, set(chosen.sources)) == ("samples", {"samples"})
    chosen = params.choose({"a": f"{WEB}/a.tsv", "b": f"{WEB}/b.csv"}, project)
    assert (chosen.sheet_param, set(chosen.sources)) == (None, {"a", "b"})


@pytest.mark.parametrize("text", ["[]", "{}", '{"$defs": 3}', '{"properties": {"a": 1}}'])
def test_an_odd_schema_gives_no_formats(project: Path, text: str) -> None:
    (project / "nextflow_schema.json").write_text(text)
    assert params.choose({"a": f"{WEB}/x.fa"}, project).sources == {"a": f"{WEB}/x.fa"}


def test_a_schema_that_is_not_json_is_an_error(project: Path) -> None:
    (project / "nextflow_schema.json").write_text("{")
    with pytest.raises(SourceError, match=r"nextflow_schema\.json"):
        params.choose({}, project)
