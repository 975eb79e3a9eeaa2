"""What would reach out is found wherever it stands, and reported with what answers it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.reach.reach import summary
from tests.kit.reach import GUARDED, by, of, one, reached

SHEET = "https://data.example.org/reads.csv"
CARRIED = {"path": "inputs.csv", "kind": "sheet"}


@pytest.mark.parametrize(("carried", "answer"), [
    ({}, None), ({"input": CARRIED}, "data"), ({"input": {"kind": "none"}}, "params"),
    ({"input": {"kind": "value", "value": "x"}}, "params"),
    ({"input": {"kind": "value", "value": "https://other.example.org/x"}}, None)])
def test_a_remote_param_is_answered_by_what_is_carried_for_it(
        tmp_path: Path, carried: dict[str, Any], answer: str | None) -> None:
    found = one(reached(tmp_path, {"nextflow.config": f"// a sheet\nparams.input = '{SHEET}'\n",
                                   "main.nf": "workflow { file(params.input) }\n"},
                        params={"input": SHEET}, carried=carried), "param")
    assert (found.file, found.line, found.param, by(found)) == ("nextflow.config", 2, "input",
                                                                answer)
    assert (found.todo is None) == (answer is not None)
    assert answer or "params.input" in str(found.todo)


@pytest.mark.parametrize(("main", "answer"), [
    ("workflow {}", "code"), ("workflow { file(params.input) }", None),
    ("workflow { file(params['input']) }", None), ("workflow { file(params.get('input')) }", None),
    ("workflow { file(\"${params.input}\") }", None), ("// params.input\nworkflow {}", "code")])
def test_a_remote_param_that_nothing_reads_is_never_asked(tmp_path: Path, main: str,
                                                          answer: str | None) -> None:
    found = reached(tmp_path, {"nextflow.config": f"params.input = '{SHEET}'\n", "main.nf": main},
                    params={"input": SHEET})
    assert by(one(found, "param")) == answer


def test_a_param_whose_file_the_schema_demands_is_asked_for(tmp_path: Path) -> None:
    schema = {"$defs": {"a": {"properties": {"input": {"exists": True}, "x": {"type": "string"}}}}}
    found = reached(tmp_path, {"nextflow.config": f"params.input = '{SHEET}'\n",
                               "nextflow_schema.json": json.dumps(schema)},
                    params={"input": SHEET})
    assert by(one(found, "param")) is None


def test_a_remote_param_that_is_put_together_stands_where_it_is_set(tmp_path: Path) -> None:
    found = reached(tmp_path, {
        "nextflow.config": 'params {\n    base = "https://data.example.org"\n'
                           '    input = "${params.base}/reads.csv"\n}\n',
        "main.nf": "workflow { file(params.input) }\n"},
        params={"base": "https://data.example.org", "input": SHEET})
    assert [(finding.param, finding.line, by(finding)) for finding in of(found, "param")] == [
        ("base", 2, "code"), ("input", 3, None)]


def test_a_default_that_the_profile_replaces_is_named_for_runs_without_it(tmp_path: Path) -> None:
    found = one(reached(tmp_path, {
        "nextflow.config": "params.cache = 's3://caches/vep'\n"
                           "profiles { test { params.cache = null } }\n",
        "main.nf": "workflow { file(params.cache) }\n"}, params={"cache": None}), "param")
    assert by(found) == "profile"
    assert found.answer is not None
    assert "params.cache" in found.answer.what


def test_a_bucket_that_nothing_answers_needs_a_plugin_that_nobody_named(tmp_path: Path) -> None:
    sources = {"nextflow.config": "params.cache = 's3://caches/vep'\n",
               "main.nf": "workflow { file(params.cache) }\n"}
    asked = {"cache": "s3://caches/vep"}
    found = one(reached(tmp_path, sources, params=asked), "plugin")
    assert (found.what, found.param, by(found)) == ("nf-amazon", "cache", None)
    held = one(reached(tmp_path, sources, params=asked, plugins={"nf-amazon": "2.9.0"}), "plugin")
    assert by(held) == "plugins"
    nulled = reached(tmp_path, sources, params=asked, carried={"cache": {"kind": "none"}})
    assert not of(nulled, "plugin")


def test_references_are_reported_once_for_each_base(tmp_path: Path) -> None:
    genomes = "".join(f"'G{n}' {{ fasta = \"${{params.igenomes_base}}/{n}.fa\"\n"
                      f"gtf = \"${{params.igenomes_base}}/{n}.gtf\" }}\n" for n in range(9))
    values = {f"G{n}": {"fasta": f"s3://genomes/{n}.fa", "gtf": f"s3://genomes/{n}.gtf"}
              for n in range(9)}
    sources = {"nextflow.config": f"params.igenomes_base = 's3://genomes'\nparams {{ genomes {{\n"
                                  f"{genomes}}} }}\n",
               "main.nf": "workflow { file(params.genomes[params.genome].fasta) }\n"}
    resolved = {"igenomes_base": "s3://genomes", "genome": "G1", "genomes": values}
    found = one(reached(tmp_path, sources, params=resolved), "reference")
    assert (found.count, found.param, by(found)) == (18, "genomes", None)
    assert "references" in str(found.todo)
    carried = {"igenomes_base": {"kind": "folder", "path": "trees/igenomes_base"}}
    assert by(one(reached(tmp_path, sources, params=resolved, carried=carried),
                  "reference")) == "data"
    assert by(one(reached(tmp_path, sources, params={**resolved, "genome": None}),
                  "reference")) == "params"
    taken = {"fasta": {"kind": "file", "path": "data/x"}}  # the code asks for no gtf
    held = reached(tmp_path, sources, params=resolved, carried=taken)
    assert by(one(held, "reference")) == "data"


def test_a_remote_config_is_answered_by_the_staged_ones_or_not_at_all(tmp_path: Path) -> None:
    found = reached(tmp_path, {"nextflow.config": (
        "params.custom_config_base = 'https://c.example.org/m'\n"
        "try { includeConfig \"${params.custom_config_base}/nfcore_custom.config\" }\n"
        "catch (Exception e) { System.err.println('see https://c.example.org') }\n"
        "includeConfig 'https://other.example.org/x.config'\n"
        "profiles { far { includeConfig 'https://other.example.org/far.config' } }\n")},
        params={"custom_config_base": "https://c.example.org/m"})
    assert [(finding.line, finding.what, by(finding)) for finding in of(found, "config")] == [
        (2, "https://c.example.org/m/nfcore_custom.config", "configs"),
        (4, "https://other.example.org/x.config", None)]
    assert by(one(found, "param")) == "configs"


def test_servers_that_the_config_switches_on_are_switched_off_by_ours(tmp_path: Path) -> None:
    found = reached(tmp_path, {"nextflow.config": (
        "wave { enabled = true\n    endpoint = 'https://wave.example.org' }\n"
        "weblog.enabled = true\nweblog.url = 'https://log.example.org/x'\n"
        "tower.enabled = false\nprofiles { far { fusion.enabled = true } }\n"
        "manifest.homePage = 'https://home.example.org'\n")})
    assert [(finding.what, by(finding)) for finding in of(found, "service")] == [
        ("wave.enabled", "offline.config"), ("weblog.enabled", "offline.config")]
    assert [(finding.what, by(finding)) for finding in of(found, "setting")] == [
        ("https://wave.example.org", "offline.config"),
        ("https://log.example.org/x", "offline.config")]


def test_a_pinned_plugin_is_carried_in_its_version(tmp_path: Path) -> None:
    found = reached(tmp_path, {"nextflow.config": (
        "plugins {\n  id 'nf-one@1.0.0'\n  id 'nf-two@2.0.0'\n  id 'nf-three'\n}\n")},
        plugins={"nf-one": "1.0.0", "nf-two": "2.0.1", "nf-three": "3"})
    assert [(finding.what, finding.line, by(finding)) for finding in of(found, "plugin")] == [
        ("nf-one@1.0.0", 2, "plugins"), ("nf-two@2.0.0", 3, None), ("nf-three", 4, "plugins")]


def test_sheets_of_the_code_that_params_name(tmp_path: Path) -> None:
    sheet = "a,https://x.example.org/a.fa\nb,https://x.example.org/b.fa\n"
    sources = {"assets/list.csv": sheet, "assets/mail.html": "<a href='https://y.example.org'>",
               "main.nf": "workflow { file(params.list) }\n"}
    at = str(tmp_path / "code/assets/list.csv")
    found = one(reached(tmp_path, sources, params={"list": at}), "sheet")
    assert (found.file, found.line, found.count, by(found)) == ("assets/list.csv", 1, 2, None)
    carried = {"list": {"kind": "sheet", "path": "sheets/list/list.csv"}}
    assert by(one(reached(tmp_path, sources, params={"list": at}, carried=carried),
                  "sheet")) == "data"


def test_what_cannot_be_read_is_reported(tmp_path: Path) -> None:
    found = reached(tmp_path, {
        "nextflow.config": "params.a = 'unfinished\nincludeConfig 'conf/x.config'\n",
        "main.nf": "include { A } from \"${params.where}/a\"\nworkflow { A() }\n"})
    assert [(finding.file, by(finding)) for finding in of(found, "unread")] == [
        ("main.nf", None), ("nextflow.config", None)]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    secret = "https://me:s3cr3t@x.example.org/a?token=s3cr3t"
    found = reached(tmp_path, {"nextflow.config": f"params.a = '{secret}'\nfoo.bar = '{secret}'\n",
                               "main.nf": f"workflow {{ file('{secret}') }}\n"},
                    params={"a": secret})
    assert len(found.findings) == 3
    assert "s3cr3t" not in str(found.as_json()) + summary(found)


def test_the_summary_names_what_to_set(tmp_path: Path) -> None:
    text = summary(reached(tmp_path, GUARDED, params={"cache_too": True, "name": "x"}))
    assert "OPEN   get.nf:4  wget https://x.example.org/a  (process GET)" in text
    assert "params.cache_too" in text


PIECES = st.lists(st.sampled_from([
    "process A {", "workflow {", "workflow B {", "include", "{ A }", "{ A as C }", "from './sub'",
    "if", "else", "(params.x)", "{", "}", "(", ")", "[", "]", "?", ":", "=", "'https://x.org/a'",
    '"s3://a/${params.x}"', "def f(", "class D {", "\n", "return", "take:", "main:", "script:",
    "when:", "A(", "B(1, 2)", "f(x)", "| A", "includeConfig", "params.y", "plugins {", "id 'p@1'",
    "profiles { test {", "wave.enabled", "new URL(", "withName: 'A'", "->", ",", "+", "//", "/*",
    '"""\nwget $x\n"""', "'''"]), max_size=18).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, PIECES, PIECES)
def test_any_mix_of_pieces_ends_in_a_report(tmp_path: Path, main: str, sub: str,
                                            config: str) -> None:
    found = reached(tmp_path, {"main.nf": main, "sub.nf": sub, "nextflow.config": config,
                               "lib/D.groovy": sub, "bin/tool": main}, params={"x": "s3://a/b"})
    assert summary(found) or not found.findings


QUOTES = st.sampled_from(["'", '"', "'''", '"""'])


@st.composite
def statements(draw: st.DrawFn) -> tuple[str, bool]:
    """A setting or comment with an address as `%s`, and whether it's a setting."""
    quote = draw(QUOTES)
    form = draw(st.sampled_from(["scope.key = Q%sQ", "scope { key = Q%sQ }", "scope.key = [Q%sQ]",
                                 "scope.key = { true ? Q%sQ : '' }", "scope.key = \"${Q%sQ}\"",
                                 "// Q%sQ", "/* Q%sQ\n * %s */", "scope.key = 1 // %s"]))
    if '"${' in form and quote.startswith('"'):
        quote = "'"
    return form.replace("Q", quote), "//" not in form and "/*" not in form


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(statements(), max_size=8))
def test_every_address_in_a_string_of_a_config_is_found_and_none_in_a_comment(
        tmp_path: Path, drawn: list[tuple[str, bool]]) -> None:
    text = "".join(form.replace("%s", f"https://h{at}.example.org/x") + "\n"
                   for at, (form, _) in enumerate(drawn))
    found = reached(tmp_path, {"nextflow.config": text})
    wanted = {f"https://h{at}.example.org/x": text[:text.index(f"//h{at}.")].count("\n") + 1
              for at, (_, counts) in enumerate(drawn) if counts}
    assert {finding.what: finding.line for finding in found.sorted()} == wanted
    assert not found.counted
