"""A place is left early where a `return` says so, and advice is what was seen to help."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kit.reach import by, of, one, reached

TELL = "    new URL('https://tell.example.org/start').openConnection()\n"


def library(guard: str, takes: str = "params", calls: str = "Tell.start(params)") -> dict[str, str]:
    """A class that tells a server of a run, after this guard."""
    return {"lib/Tell.groovy": f"class Tell {{\n  static void start({takes}) {{\n{guard}\n"
                               f"    send('a')\n  }}\n  private static send(String event) {{\n"
                               f"{TELL}  }}\n}}\n",
            "main.nf": f"workflow {{ {calls} }}\n"}


def code(text: str) -> dict[str, str]:
    return {"main.nf": text}


FORMS: dict[str, Mapping[str, str]] = {
    "a library's method": library("    if (params.quiet) { return '{}' }"),
    "without braces": library("    if (params.quiet) return"),
    "on its own line": library("    if (params.quiet)\n      return null"),
    "negated": library("    if (!(!params.quiet)) { return }"),
    "compared": library("    if (params.quiet == true) { return }"),
    "with other statements": library("    if (params.quiet) {\n      println 'quiet'\n"
                                     "      def x = 1\n      return\n    }"),
    "nested": library("    if (params.name) {\n      if (params.quiet) { return }\n    }"),
    "in the other branch": library("    if (!params.quiet) { println 'x' } else { return }"),
    "in a try": library("    try {\n      if (params.quiet) { return }\n    } catch (e) { }"),
    "by a variable": library("    def quiet = params.quiet\n    if (quiet) { return }"),
    "by another name of params": library("    if (opts.quiet) { return }", takes="Map opts"),
    "by the value alone": library("    if (quiet) { return }", takes="quiet",
                                  calls="Tell.start(params.quiet)"),
    "a function": code(f"def tell() {{\n  if (params.quiet) return\n{TELL}}}\n"
                       "workflow { tell() }\n"),
    "a closure": code("def tell() {\n  [1].each { x ->\n    if (params.quiet) { return }\n"
                      f"{TELL}  }}\n}}\nworkflow {{ tell() }}\n"),
    "the entry workflow": code(f"workflow {{\n  if (params.quiet) return\n{TELL}}}\n"),
    "a workflow": code(f"workflow SUB {{\n  main:\n  if (params.quiet) {{ return }}\n{TELL}}}\n"
                       "workflow { SUB() }\n"),
    "a handler": code("workflow {\n  workflow.onComplete {\n    if (params.quiet) { return }\n"
                      f"{TELL}  }}\n}}\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_follows_an_early_return_hangs_on_its_condition(tmp_path: Path, form: str) -> None:
    """The advice is followed, and the finding goes."""
    loud = {"quiet": False, "name": "x"}
    for found in of(reached(tmp_path, FORMS[form], params=loud), "service"):
        assert (by(found), found.param) == (None, "quiet")
        assert "params.quiet: set it to true" in str(found.todo)
    quiet = of(reached(tmp_path, FORMS[form], params={**loud, "quiet": True}), "service")
    assert [by(found) for found in quiet] == ["code"]


@pytest.mark.parametrize("guard", [
    "    if (params.quiet) { throw new Exception('no') }",
    "    [1].each { if (params.quiet) { return } }",
    "    if (params.quiet) { [1].each { return } }",
    "    def skip = { if (params.quiet) { return } }",
    "    for (x in [1]) { if (x) { return } }",
])
def test_what_leaves_something_else_is_no_condition(tmp_path: Path, guard: str) -> None:
    for found in of(reached(tmp_path, library(guard), params={"quiet": False}), "service"):
        assert "no condition keeps it from running" in str(found.todo)


def test_the_section_of_a_process_alone_is_left(tmp_path: Path) -> None:
    found = one(reached(tmp_path, code(
        "process GET {\n  script:\n  if (params.quiet) { return 'true' }\n"
        '  """\n  wget https://x.example.org/a\n  """\n}\nworkflow { GET() }\n'),
        params={"quiet": False}), "download")
    assert "params.quiet: set it to true" in str(found.todo)


TWO_WAYS = """
    def get() { new URL('https://x.example.org/a').text }
    workflow {
        if (params.first) { get() }
        if (params.second) { get() }
    }
"""


def test_a_param_that_closes_one_of_two_ways_is_not_advised(tmp_path: Path) -> None:
    both = {"first": True, "second": True}
    found = of(reached(tmp_path, code(TWO_WAYS), params=both), "service")[0]
    assert "no param alone" in str(found.todo)
    assert found.answer is None
    one_way = of(reached(tmp_path, code(TWO_WAYS), params={**both, "first": False}), "service")[0]
    assert "skip it by params.second: set it to false" in str(one_way.todo)


def test_a_param_that_decides_nothing_is_not_advised(tmp_path: Path) -> None:
    found = of(reached(tmp_path, code(
        "def get() { new URL('https://x.example.org/a').text }\n"
        "workflow {\n  if (params.mode || params.always) { get() }\n}\n"),
        params={"mode": True, "always": "yes"}), "service")[0]
    assert "no param alone" in str(found.todo)
    assert "params.mode and params.always" in str(found.todo)


URL = "https://sets.example.org"
SETS = {"small": {"index": f"{URL}/index.gz", "names": f"{URL}/names.gz"}}
CONFIG = {"nextflow.config": f"params {{\n  sets = [small: [index: '{URL}/index.gz',\n"
                             f"    names: '{URL}/names.gz']]\n}}\n"}
READERS = {
    "at once": "workflow { if (!params.index) { file(params.sets[params.set].index) } }\n",
    "by a text": "workflow { if (!params.index) { file(params.sets.get('small')['index']) } }\n",
    "by a variable": "workflow {\n  sets = params.sets\n  if (!params.index) {\n"
                     "    one = sets.get(params.set, false)\n    file(one.get('index', false))\n"
                     "  }\n}\n",
    "taken before": "workflow {\n  def one = params.sets[params.set]\n  if (params.index) {\n"
                    "    one = null\n  }\n  if (!params.index) { file(one.get('index')) }\n}\n",
    "null instead": "workflow {\n  if (params.index) {\n    one = null\n  } else {\n"
                    "    one = params.sets[params.set]\n  }\n  SUB(one)\n}\nworkflow SUB {\n"
                    "  take: one\n  main:\n  if (one) { file(one.index) }\n}\n",
    "handed down": "workflow SUB {\n  take:\n  one\n  main:\n  if (params.index) {\n    x = 1\n"
                   "  } else {\n    file(one.index)\n  }\n}\n"
                   "workflow {\n  def one = params.sets ? params.sets[params.set] : null\n"
                   "  SUB(\n    one\n  )\n}\n",
}


@pytest.mark.parametrize("form", READERS)
def test_a_map_of_addresses_names_the_param_that_is_taken_instead(tmp_path: Path,
                                                                  form: str) -> None:
    sources = {**CONFIG, "main.nf": READERS[form]}
    values: dict[str, Any] = {"sets": SETS, "set": "small", "index": None}
    index, names = of(reached(tmp_path, sources, params=values), "reference")
    assert index.what.endswith("index.gz")
    assert "params.index: set it to a local path" in str(index.todo)
    assert "params.sets" not in str(index.todo)
    assert names.answer is None
    index, _ = of(reached(tmp_path, sources, params={**values, "index": "/data/index"}),
                  "reference")
    assert by(index) == "code"


def test_the_genomes_ignored_by_a_param_are_those_of_a_pipeline_that_has_it(
        tmp_path: Path) -> None:
    values: dict[str, Any] = {"genome": "A", "genomes": {"A": {"fasta": f"{URL}/a.fa"}}}
    sources = {"main.nf": "workflow { file(params.genomes[params.genome].fasta) }\n"}
    assert "igenomes" not in str(one(reached(tmp_path, sources, params=values), "reference").todo)
    more = reached(tmp_path, sources, params={**values, "igenomes_ignore": False})
    assert "igenomes_ignore" in str(one(more, "reference").todo)


@pytest.mark.parametrize(("name", "text"), [
    ("k.vcf", f"##fileformat=VCFv4.2\n##reference={URL}/x.fa\n#CHROM\tPOS\n"),
    ("schema.json", f'{{"$schema": "{URL}/schema", "$id": "{URL}/x", "title": "t"}}'),
    ("about.md", f"# About\n{URL}/x\n[more]({URL}/y)\n"), ("mail.html", f"<a href='{URL}'>x</a>"),
    ("multiqc.yml", f"report_comment: >\n  See <a href='{URL}'>this</a>\ncustom_logo_url: {URL}\n"),
    ("list.csv", f"# from {URL}/x\nsample,note\na,see {URL}/y\n"),
    ("notes.txt", f"The table was made by {URL}/tool\n"),
])
def test_a_file_that_merely_holds_an_address_is_no_sheet(tmp_path: Path, name: str,
                                                         text: str) -> None:
    found = reached(tmp_path, {f"data/{name}": text}, params={
        "table": str(tmp_path / "code/data" / name)})
    assert found.findings == []
    assert len(found.counted["only shown to people"]) == len(re.findall(URL, text))


@pytest.mark.parametrize(("name", "text"), [
    ("list.csv", f"sample,reads\na,{URL}/a.fq\n"), ("list.txt", f"{URL}/a.fq\n"),
    ("list.tsv", f"a\t'{URL}/a.fq'\n"), ("list", f"a;{URL}/a.fq;x\n"),
    ("list.json", f'[{{"reads": "{URL}/a.fq"}}]'), ("list.yml", f"- reads: {URL}/a.fq\n"),
])
def test_one_with_addresses_as_cells_is_a_sheet(tmp_path: Path, name: str, text: str) -> None:
    found = one(reached(tmp_path, {f"data/{name}": text}, params={
        "table": str(tmp_path / "code/data" / name)}), "sheet")
    assert (found.what, found.count, by(found)) == (f"{URL}/a.fq", 1, None)


@pytest.mark.parametrize("param", ["manifest", "about"])
def test_what_tells_of_the_pipeline_is_no_reference(tmp_path: Path, param: str) -> None:
    manifest = {"homePage": f"{URL}/p", "doi": "https://doi.org/10.1/x", "name": "p"}
    found = reached(tmp_path, {
        "nextflow.config": f"manifest {{ homePage = '{URL}/p' }}\nparams.{param} = manifest\n"
                           "params.page = manifest.homePage\n",
        "main.nf": f"workflow {{ println params.{param}.doi + params.page }}\n"},
        params={param: manifest, "page": f"{URL}/p"}, config={"manifest": manifest})
    assert [finding for finding in found.findings if finding.answer is None] == []
    assert of(found, "reference") == []


def test_a_bare_name_of_a_config_is_no_setting(tmp_path: Path) -> None:
    found = reached(tmp_path, {"nextflow.config": (
        f"DOI = '{URL}/badge'\nVERSION = '1'\ndef page = '{URL}/p'\n"
        "manifest { doi = DOI; homePage = page }\nparams.help_text = \"See ${DOI}\"\n")})
    assert found.findings == []


def test_a_bare_name_counts_for_the_setting_that_reads_it(tmp_path: Path) -> None:
    found = reached(tmp_path, {"nextflow.config": (
        f"MIRROR = '{URL}/m'\nenv.CONDA_CHANNEL = \"${{MIRROR}}/x\"\nworkDir = 's3://work/x'\n"
        f"base = new URL('{URL}/c').text\n")})
    assert [(finding.what, finding.todo) for finding in of(found, "setting")] == [
        (f"{URL}/m", "set env.CONDA_CHANNEL in the configuration's offline.config"),
        ("s3://work/x", "set workDir in the configuration's offline.config"),
        (f"{URL}/c", "set base in the configuration's offline.config")]


def test_links_in_code_are_only_shown(tmp_path: Path) -> None:
    found = reached(tmp_path, code(
        "def tools() {\n  return [\n"
        f"    one: [name: 'One', authors: 'A. B.', url: '{URL}/one'],\n"
        f"    two: ['title': 'Two', 'href': '{URL}/two']]\n}}\n"
        f"workflow {{\n  homepage = '{URL}/home'\n  ref = 'https://doi.org/10.1/x'\n  tools()\n"
        f"  get([name: 'x', url: '{URL}/data.gz'])\n}}\n"))
    assert [finding.what for finding in of(found, "url")] == [f"{URL}/data.gz"]


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer", "singularity"])
def test_what_another_engine_alone_would_fetch_is_answered(tmp_path: Path, engine: str) -> None:
    """The code asks workflow.containerEngine, which is the site's."""
    found, = of(reached(tmp_path, code(
        "workflow {\n  if (workflow.containerEngine == 'singularity') {\n"
        f"{TELL}  }}\n}}\n"), engine=engine), "service")
    assert (found.answer is None) == (engine == "singularity")
