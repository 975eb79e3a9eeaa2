"""dev:validate's look at the params: what nf-schema itself says of the same schemas and params.

The outcomes were taken from the plugin's own versions 2.2.1 (in Nextflow 24.10.5) and 2.7.2
(in 25.10.4).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import SourceError
from tasks.dev import params_check
from tasks.dev.params_check import Launched

DRAFT = "https://json-schema.org/draft/2020-12/schema"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    for name in ("code/dir", "launch/reads"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("launch/a.csv", "launch/reads/x_1.fq", "launch/reads/x_2.fq", "code/main.nf"):
        (tmp_path / name).write_text("")
    return tmp_path / "code"


def grouped(properties: dict[str, Any], *required: str, draft: str = DRAFT,
            groups: str = "$defs") -> dict[str, Any]:
    return {"$schema": draft, groups: {"g": {"type": "object", "properties": properties,
                                             "required": list(required)}},
            "allOf": [{"$ref": f"#/{groups}/g"}]}


def said(code: Path, schema: dict[str, Any], params: dict[str, Any], *,
         plugin: str = "nf-schema@2.2.1", **settings: Any) -> str:
    """What is said of the params; of a refusal its own lines."""
    (code / "nextflow_schema.json").write_text(json.dumps(schema))
    try:
        return params_check.check(Launched(
            config={"params": params, "validation": settings}, code=code,
            launch=code.parent / "launch", plugins=[plugin]))
    except SourceError as error:
        return "\n".join(line.strip() for line in error.what.splitlines()[1:]) or error.what


@pytest.mark.parametrize(("about", "value", "fault"), [
    ({"exists": True}, "/none/x", "the file or directory '/none/x' does not exist"),
    ({"exists": True}, "a.csv", None), ({"exists": False}, "a.csv", "should not exist"),
    ({"exists": True}, "https://x.invalid/a.fa", "does not exist"),
    ({"exists": True}, "s3://b/a.fa", None), ({"exists": True}, "reads/y_*", None),
    ({"exists": True}, 3, None), ({"exists": True}, "", None),
    ({"format": "file-path"}, "reads", "'reads' is not a file, but a directory"),
    ({"format": "directory-path"}, "a.csv", "is not a directory, but a file"),
    ({"format": "file-path"}, "/none/x", None), ({"format": "path"}, "reads", None),
    ({"format": "file-path"}, "reads/*.fq", "is not a file, but a file path pattern"),
    ({"format": "file-path-pattern"}, "reads/x_{1,2}.fq", None),
    ({"format": "file-path-pattern"}, "reads/y_*.fq", "No files were found using the glob pattern"),
    ({"format": "file-path-pattern"}, "a.csv", None),
    ({"type": "string"}, 3, "is not of type 'string'"), ({"type": "integer"}, "3", "'integer'"),
    ({"type": "integer"}, 0, None), ({"type": "string"}, "", None),
    ({"type": "string"}, False, None),
    ({"pattern": r"^\S+\.csv$"}, "a.tsv", "does not match regular expression"),
    ({"pattern": r"^\S+\.csv$"}, 3, None), ({"pattern": r"^\p{Alpha}+$"}, "3", None),
    ({"enum": ["a", "b"]}, "c", "is not one of ['a', 'b']"),
    ({"minimum": 4, "errorMessage": "too few"}, 3, "(too few)"),
    ({"format": "uri"}, "abc", "'abc' is no uri"), ({"deprecated": True}, "x", "deprecated")])
def test_each_rule_of_the_plugin(code: Path, about: dict[str, Any], value: Any,
                                 fault: str | None) -> None:
    answer = said(code, grouped({"x": about}), {"x": value})
    if fault is None:
        assert answer == "1 fit nextflow_schema.json, as nf-schema 2.2.1 reads it"
    else:
        assert answer.startswith("x: ")
        assert fault in answer


def test_a_run_s_own_folder_for_results_is_no_missing_param(code: Path) -> None:
    schema = grouped({"outdir": {"type": "string", "format": "directory-path"}}, "outdir")
    for params in ({}, {"outdir": None}):
        assert said(code, schema, params) == (
            f"{len(params)} fit nextflow_schema.json, as nf-schema 2.2.1 reads it")


def test_later_versions_ask_more(code: Path) -> None:
    for about, value, fault in (({"exists": True}, "s3://b/a.fa", "no plugin opens s3://"),
                                ({"exists": True}, "reads/y_*", "does not exist"),
                                ({"format": "path"}, "", "a path can't be empty"),
                                ({"type": "string"}, False, "is not of type")):
        assert fault in said(code, grouped({"x": about}), {"x": value}, plugin="nf-schema@2.7.2")


def test_what_is_required_and_what_scripts_set(code: Path) -> None:
    schema = grouped({}, "input", "fasta")
    assert said(code, schema, {"input": None}) == ("Missing required field: input\n"
                                                   "Missing required field: fasta")
    (code / "main.nf").write_text("params.fasta = 'x'\nif (params.input == 'x') { }\n")
    assert said(code, schema, {"input": ""}) == "Missing required field: input"


def test_attributes_of_the_genome_are_seen_as_the_script_sets_them(code: Path) -> None:
    """The case of a genome of which only some attributes are carried."""
    (code / "main.nf").write_text("params.fasta = getGenomeAttribute('fasta')\n"
                                  "params.bwa = getGenomeAttribute('bwa')\n")
    here = {"fasta": f"{code.parent}/launch/a.csv", "bwa": f"{code.parent}/launch/bwa/"}
    params: dict[str, Any] = {"genome": "G", "genomes": {"G": here}}
    schema = grouped({name: {"type": "string", "exists": True} for name in here})
    assert said(code, schema, params).startswith("bwa: the file or directory ")
    assert "fit nextflow_schema.json" in said(code, schema, {**params, "bwa": None})


def test_the_draft_must_be_the_plugin_s(code: Path) -> None:
    old = grouped({"x": {"format": "file-path", "exists": True}}, draft=(
        "http://json-schema.org/draft-07/schema"), groups="definitions")
    assert "refuses the draft" in said(code, old, {"x": "a.csv"})
    assert "does not exist" in said(code, old, {"x": "/none/x"}, plugin="nf-validation@1.1.3")
    assert "2 fit" in said(code, old, {"x": "a.csv", "y": 1}, plugin="nf-validation@1.1.3")


def test_when_nothing_is_checked_that_is_said(code: Path) -> None:
    schema = grouped({"x": {"type": "string"}})
    assert "no plugin of the pipeline" in said(code, schema, {"x": 1}, plugin="nf-prov@1.2.2")
    assert "validate_params is off" in said(code, schema, {"x": 1, "validate_params": False})
    (code / "nextflow_schema.json").unlink()
    assert params_check.check(Launched(config={}, code=code, launch=code, plugins=[])) == (
        "the pipeline has no nextflow_schema.json")


def test_lenient_ignored_and_unknown_params(code: Path) -> None:
    schema = grouped({"x": {"type": "string"}})
    assert "1 fit" in said(code, schema, {"x": 1}, lenientMode=True)
    assert "1 fit" in said(code, schema, {"x": 1}, ignoreParams=["x"])
    assert said(code, schema, {"x": "a", "y": 1}, failUnrecognisedParams=True) == (
        "y: nextflow_schema.json has no such param")


def test_a_sheet_is_held_against_its_own_schema(code: Path) -> None:
    (code / "rows.json").write_text(json.dumps({"$schema": DRAFT, "type": "array", "items": {
        "type": "object", "required": ["sample"], "properties": {
            "sample": {"type": "string", "pattern": "^\\S+$"},
            "reads": {"type": "string", "format": "file-path", "exists": True},
            "lane": {"type": "integer"}}}}))
    sheet = code.parent / "launch/a.csv"
    sheet.write_text(f"sample,reads,lane\ns1,{sheet},1\ns 2,/none/x,two\n,,\n,{sheet},\n")
    answer = said(code, grouped({"input": {"schema": "rows.json"}}), {"input": str(sheet)})
    for fault in ("Entry 2, sample: 's 2' does not match", "Entry 2, reads: the file or directory "
                  "'/none/x' does not exist", "Entry 2, lane: 'two' is not of type 'integer'",
                  "Entry 3: Missing required field: sample"):
        assert fault in answer
    assert "Entry 1" not in answer


@pytest.mark.parametrize("schema", [
    {"$schema": DRAFT, "$ref": "https://example.org/other.json"},
    {"$schema": DRAFT, "allOf": [{"$ref": "#"}]}, {"$schema": DRAFT, "properties": 3}])
def test_a_schema_that_cannot_be_followed_is_a_fault_and_nothing_is_fetched(
        code: Path, schema: dict[str, Any]) -> None:
    assert "the schema can't be followed" in said(code, schema, {"x": 1})
