"""The images of a pipeline's processes, in every form in which sources name them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.core.schema import read_json
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.tokens import tokenize
from tasks.core.source.groovy.values import known
from tasks.images import scan as scanner
from tasks.images.scan import ListSpec, list_images
from tests.kit.pipelines import MODULES, TERNARY, Pipeline, directive, scan

FORMS = {
    "plain": ('container "quay.io/a/b:1"', ["quay.io/a/b:1"]),
    "unqualified": ("container 'biocontainers/b:1'", ["quay.io/biocontainers/b:1"]),
    "call": ("container('a/b:1')", ["quay.io/a/b:1"]),
    "ternary": ('''container "${ workflow.containerEngine == 'singularity' && !task.ext.x ?
        'https://depot.example.org/b' :
        'biocontainers/b:1' }"''', ["quay.io/biocontainers/b:1"]),
    "operators lead": ('''container "${ workflow.containerEngine == 'singularity'
        && !task.ext.singularity_pull_docker_container
        ? 'https://depot.example.org/b'
        : 'biocontainers/b:1' }"''', ["quay.io/biocontainers/b:1"]),
    "in a list": ('''container "${workflow.containerEngine in ['singularity', 'x'] && !task.ext.s
        ? 'oras://community.wave.seqera.io/library/b:1'
        : 'community.wave.seqera.io/library/b:1--x'}"''',
                  ["community.wave.seqera.io/library/b:1--x"]),
    "outside a string": ('''container workflow.containerEngine == 'singularity' ?
        'https://x' : 'a/b:1\'''', ["quay.io/a/b:1"]),
    "negated": ('''container "${ workflow.containerEngine != 'docker' ? 'x/y:1' : 'a/b:1' }"''',
                ["quay.io/a/b:1"]),
    "nested": ('''container "${ workflow.containerEngine == 'singularity' ? 'https://x' :
        (workflow.containerEngine == 'docker' ? 'a/b:1' : 'a/c:1') }"''', ["quay.io/a/b:1"]),
    "if and else": ('''if (workflow.containerEngine == 'singularity' && !params.pull) {
        container "https://depot.example.org/b"
    } else {
        container "quay.io/biocontainers/b:1"
    }''', ["quay.io/biocontainers/b:1"]),
    "variable": ('''def version = '1.2'
    container "quay.io/a/b:${version}"''', ["quay.io/a/b:1.2"]),
    "dollar": ('''version = '1.2'
    container "quay.io/a/b:$version"''', ["quay.io/a/b:1.2"]),
    "sum": ("container 'quay.io/a/' + 'b:1'", ["quay.io/a/b:1"]),
    "closure": ("container { workflow.containerEngine == 'docker' ? 'a/b:1' : 'a/c:1' }",
                ["quay.io/a/b:1"]),
    "closure with statements": ('''container {
        if (workflow.containerEngine == 'singularity') { return 'https://x' }
        def name = 'b'
        "a/${name}:1"
    }''', ["quay.io/a/b:1"]),
    "trailing blank": ("container 'quay.io/a/b:1 '", ["quay.io/a/b:1"]),
    "both branches of what only a run knows": (
        '''container "${ params.gpu ? 'a/gpu:1' : 'a/cpu:1' }"''',
        ["quay.io/a/cpu:1", "quay.io/a/gpu:1"]),
    "the last one holds": ("container 'a/b:1'\n    container 'a/c:1'", ["quay.io/a/c:1"]),
    "commented": ("// container 'a/x:1'\n    /* container 'a/y:1' */ container 'a/b:1'",
                  ["quay.io/a/b:1"]),
    "none": ("", []),
    "digest": (f"container 'quay.io/a/b@sha256:{'a' * 64}'", [f"quay.io/a/b@sha256:{'a' * 64}"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_directive(pipeline: Pipeline, form: str) -> None:
    container, wanted = FORMS[form]
    uses = scan(pipeline(directive(f"    {container}")), {})
    assert sorted(use.container for use in uses) == wanted
    assert {use.name for use in uses} <= {"A"}


@pytest.mark.parametrize(("container", "why"), [
    ('container "a/b:${params.version}"', "params.version"),
    ("container params.image", "params.image"),
    ('container "${task.ext.image}"', "task.ext.image"),
    ("container chosen('x')", "chosen"),
    ("container 'a/B B:1'", "not an image reference"),
])
def test_what_only_a_run_can_decide_is_named_with_file_and_line(
        pipeline: Pipeline, container: str, why: str) -> None:
    code = pipeline(directive(f"    {container}"))
    faults = scanner.scan(code, {}).faults
    assert len(faults) == 1
    assert faults[0].startswith("main.nf:3: A: ")
    assert why in faults[0]
    uses = scan(code, {"A": "a/by-hand:1"})
    assert [use.container for use in uses] == ["quay.io/a/by-hand:1"]


def test_a_hand_given_name_that_is_no_process(pipeline: Pipeline) -> None:
    with pytest.raises(ImageError, match="did you mean 'A'"):
        scan(pipeline(directive("container 'a/b:1'")), {"AB": "x/y:1"})


def test_included_processes_and_their_aliases(pipeline: Pipeline) -> None:
    code = pipeline({
        "main.nf": """
            include { FLOW } from './workflows/flow'
            workflow { FLOW() }
        """,
        "workflows/flow.nf": """
            include { SORT as SORT_BAM; SORT as SORT_CRAM } from "../modules/sort/main"
            include { SORT as SORT_AGAIN
            } from '../modules/sort'
            include { INNER } from "$projectDir/subworkflows/inner.nf"
            include { fromPlugin } from 'plugin/nf-schema'
        """,
        "subworkflows/inner.nf": """
            include { COUNT as COUNT_ALL } from '../modules/count.nf'
            workflow INNER { }
        """,
        "modules/sort/main.nf": "process SORT {\n container 'a/sort:1'\n script:\n ''\n}\n",
        "modules/count.nf": "process COUNT { container 'a/count:1'; script: '' }\n",
        "modules/unused.nf": "process UNUSED { container 'a/unused:1'; script: '' }\n",
    })
    uses = {use.name: use for use in scan(code, {})}
    assert sorted(uses) == ["COUNT", "SORT"]
    assert uses["SORT"].aliases == ("SORT_AGAIN", "SORT_BAM", "SORT_CRAM")
    assert uses["COUNT"].aliases == ("COUNT_ALL",)
    assert (uses["SORT"].file, uses["SORT"].line) == ("modules/sort/main.nf", 2)
    assert uses["SORT"].container == "docker.io/a/sort:1"


def test_an_alias_of_an_alias(pipeline: Pipeline) -> None:
    code = pipeline({
        "main.nf": "include { B as C } from './b'\n",
        "b.nf": "include { A as B } from './a'\n",
        "a.nf": "process A { container 'x/a:1'; script: '' }\n"})
    assert scan(code, {})[0].aliases == ("B", "C")


def test_a_missing_include_is_named(pipeline: Pipeline) -> None:
    code = pipeline({"main.nf": "\ninclude { X } from './nosuch'\n"})
    fault, = scanner.scan(code, {}).faults
    assert "nosuch" in fault
    assert fault.startswith("main.nf:2: ")


def test_a_tar_is_read_as_its_folder_and_the_outputs_fit_their_schema(
        pipeline: Pipeline, tmp_path: Path) -> None:
    code = pipeline({**MODULES, "nextflow.config": "docker.registry = 'quay.io'"})
    archive = tmp_path / "code.tar"
    files.write_tar(archive, code, files.tree(code))
    assert scan(archive, {}) == scan(code, {})
    spec = ListSpec(pipeline="x", code=archive, profile="test", given={},
                    images=tmp_path / "images.txt", scan=tmp_path / "images.json")
    list_images(spec)
    first = spec.scan.read_bytes()
    assert spec.images.read_text() == "quay.io/a/other:1\nquay.io/a/star:1\n"
    assert read_json(spec.scan, "images-scan")["images"] == ["quay.io/a/other:1",
                                                             "quay.io/a/star:1"]
    list_images(spec)
    assert spec.scan.read_bytes() == first


def test_includes_never_leave_the_pipeline(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "outside.nf").write_text("process X { container 'a/b:1'; script: '' }")
    code = pipeline({"main.nf": "include { X } from '../outside.nf'\n"})
    found = scanner.scan(code, {})
    assert found.uses == []
    fault, = found.faults
    assert "outside" in fault


NAMES = st.from_regex(r"[a-z]{1,6}/[a-z]{1,6}:[a-z0-9]{1,4}", fullmatch=True)
CONDITIONS = st.sampled_from([
    "workflow.containerEngine == 'singularity'", "workflow.containerEngine in ['singularity', 'x']",
    "workflow.containerEngine == 'singularity' && !task.ext.pull",
    "!(workflow.containerEngine == 'docker')", "workflow.containerEngine != 'docker'"])
BREAKS = st.sampled_from([" ", "\n        ", " /* ' */ ", " // \"\n  "])


@settings(deadline=None)
@given(NAMES, CONDITIONS, BREAKS, BREAKS, BREAKS, st.sampled_from(["'", '"', "'''", '"""']))
def test_ternaries_with_any_breaks_and_quotes(name: str, condition: str, one: str, two: str,
                                              three: str, quote: str) -> None:
    text = (f'"${{ {condition}{one}?{two}{quote}https://x{quote}{three}:{one}'
            f'{quote}{name}{quote} }}"')
    values, _ = evaluate(tokenize(text, "x"), 0, known("docker"))
    assert values == frozenset([name])


SHAPES = {
    "assigned": ("if (params.gpu) {\n container = 'a/gpu:1'\n } else {\n container = 'a/cpu:1'\n }",
                 ["quay.io/a/cpu:1", "quay.io/a/gpu:1"]),
    "set by the script": ('container "quay.io/a/${which}"\n script:\n which = "b:1"\n'
                          'if (old) {\n which = "b:2"\n }\n ""',
                          ["quay.io/a/b:1", "quay.io/a/b:2"]),
    "an early return may not be taken": (
        "container { if (params.x) { return 'a/b:1' }\n 'a/c:1' }",
        ["quay.io/a/b:1", "quay.io/a/c:1"]),
    "a variable may be set anew": (
        "container { def n = 'a/b:1'\n if (params.x) { n = 'a/c:1' }\n n }",
        ["quay.io/a/b:1", "quay.io/a/c:1"]),
    "an ext that nothing sets": (
        "container \"${ workflow.containerEngine == 'docker' && !task.ext.pull ? 'a/b:1' : "
        "'https://x' }\"", ["quay.io/a/b:1"]),
    "a param's default in the name": ('container "a/b:${params.version}"', ["quay.io/a/b:1.5"]),
    "a param's default in a condition": ("container params.small ? 'a/s:1' : 'a/l:1'",
                                         ["quay.io/a/l:1", "quay.io/a/s:1"]),
    "elvis over a param": ("container params.none ?: 'a/b:1'", ["quay.io/a/b:1"]),
    "a closure that is called": ("container ({ params.small ? 'a/s:1' : 'a/l:1' }())",
                                 ["quay.io/a/l:1", "quay.io/a/s:1"]),
    "a commented block before it": ("/* container 'a/old:1' */\n container 'a/b:1'",
                                    ["quay.io/a/b:1"]),
}


@pytest.mark.parametrize("form", SHAPES)
def test_forms_of_old_and_new_pipelines(pipeline: Pipeline, form: str) -> None:
    container, wanted = SHAPES[form]
    code = pipeline({
        "main.nf": f"process A {{\n{container}\n\n script:\n ''\n}}\n",
        "nextflow.config": "docker.registry = 'quay.io'\n"
                           "params { version = '1.5'; small = true; none = null }\n"})
    assert sorted({use.container for use in scan(code, {})}) == wanted


def test_a_default_that_counts_is_reported(pipeline: Pipeline) -> None:
    found = scanner.scan(pipeline(directive(
        'container "a/b:${params.version}"', "params.version = '1.5'")), {})
    assert found.notices == [
        "main.nf:3: A: docker.io/a/b:1.5 is listed as params.version is by default; a run that "
        "sets it takes another"]


def test_an_ext_that_a_config_sets_is_not_known(pipeline: Pipeline) -> None:
    code = pipeline(directive("container task.ext.pull ? 'a/b:1' : 'a/c:1'",
                              "process { withName: A { ext.pull = true } }"))
    assert sorted(use.container for use in scan(code, {})) == ["docker.io/a/b:1", "docker.io/a/c:1"]


@pytest.mark.parametrize("text", [
    "workflow {\n if (params.x) {\n  include { X } from './x'\n  X()\n }\n}\n",
    "if (params.x) include { X } from './x'\n",
    "if (params.x) {\n include { X } from './x'\n}\n",
    "include { X } from './x' addParams(options: [a: 1])\n",
    "include { Y; X as Z ; Y as W } from \"${projectDir}/x\"\n",
    "nextflow.enable.dsl = 2\ninclude {\n  X\n} from './x.nf'\n",
])
def test_includes_wherever_they_stand(pipeline: Pipeline, text: str) -> None:
    code = pipeline({"main.nf": text, "x.nf": "process X { container 'a/x:1'; script: '' }\n"})
    assert [use.container for use in scan(code, {})] == ["docker.io/a/x:1"]


def test_a_script_variable_that_a_branch_sets_has_both_values(pipeline: Pipeline) -> None:
    code = pipeline({"main.nf": "image = 'a/b:1'\nif (params.x) {\n image = 'a/c:1'\n}\n"
                                "process A { container image; script: '' }\n"})
    assert [use.container for use in scan(code, {})] == ["docker.io/a/b:1", "docker.io/a/c:1"]


def test_what_is_never_included_is_not_read(pipeline: Pipeline) -> None:
    code = pipeline(directive("container 'a/b:1'") | {
        "modules/broken.nf": "process X { container 'never ends\n"})
    assert [use.container for use in scan(code, {})] == ["quay.io/a/b:1"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tasks.images.scan", *words], text=True,
                          capture_output=True, check=False)


def test_the_command_line(pipeline: Pipeline) -> None:
    code = str(pipeline(directive(TERNARY)))
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "quay.io/a/b:1\n", "")
    assert run(code, "--engine", "apptainer").stdout == "https://depot.example.org/b\n"
    listed = json.loads(run("--json", code).stdout)
    assert listed["processes"][0] | {"line": 3} == {
        "name": "A", "aliases": [], "container": "quay.io/a/b:1", "file": "main.nf", "line": 3}
    for words in ((), (code, code), (code, "--engine", "x"), (code, "--no"), (f"{code}/none",)):
        assert run(*words).returncode == 2


def test_a_fault_is_reported_and_the_rest_is_listed(pipeline: Pipeline) -> None:
    done = run(str(pipeline({
        "main.nf": "process A { container 'a/b:1'; script: '' }\n"
                   "process B { container params.image; script: '' }\n"})))
    assert (done.returncode, done.stdout) == (1, "docker.io/a/b:1\n")
    assert done.stderr == "main.nf:2: B: the image hangs on params.image\n"


PIECES = st.lists(st.sampled_from([
    "process A {", "container", "include", "{ X }", "from './x'", "if", "else", "(params.x)", "{",
    "}", "(", ")", "[", "]", "?", ":", "?:", "=", "'a/b:1'", '"a/${params.v}:1"', "def n", "\n",
    "return", "script:", "!", "&&", ".", "withName: 'A'", "includeConfig", "process", "params",
    "task.ext.y", "->", ",", "+", "{ 'a/c:1' }", "()", "workflow {"]), max_size=18).map(" ".join)


@settings(deadline=None)
@given(PIECES, PIECES)
def test_any_mix_of_pieces_ends_in_a_list_or_a_clear_error(script: str, config: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.nf").write_text(script)
        (Path(folder) / "x.nf").write_text("process X { container 'a/x:1' }")
        (Path(folder) / "nextflow.config").write_text(config)
        try:
            found = scanner.scan(Path(folder), {})
        except ImageError as error:
            assert error.where
        else:
            assert found.images == sorted(set(found.images))


def test_a_notice_is_given_once_for_each_param(pipeline: Pipeline) -> None:
    named = "process P{} {{ container \"a/tool{}:${{params.tag}}\"; script: '' }}\n"
    processes = "".join(named.format(n, n % 2) for n in range(5))
    found = scanner.scan(pipeline({
        "nextflow.config": "params { tag = '1'; one = 'a/one:1' }\n",
        "main.nf": f"{processes}process Q {{ container params.one; script: '' }}\n"}), {})
    assert found.notices == [
        "main.nf:1: P0: docker.io/a/tool0:1 and 1 more are listed as params.tag is by "
        "default, here and at 4 other places; a run that sets it takes others",
        "main.nf:6: Q: docker.io/a/one:1 is listed as params.one is by default; a run that sets it "
        "takes another"]
