"""A pipeline's config, resolved once by the real Nextflow, as later steps read it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import ConfigError, SourceError
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.reproducible import CHANGING
from tasks.core.source import resolved_config
from tasks.resolve.resolve import ELSEWHERE, ResolveSpec, resolve
from tasks.runtime import build as runtimes

CONFIG = """
params {
    aligner = 'slow'
    own = "${projectDir}/assets/a \\"b\\".fa"
    prefix = "${projectDir}-other"
    host = System.getenv('AIRLOCK_TEST') ?: 'unseen'
}
includeConfig params.aligner == 'fast' ? 'fast.config' : 'slow.config'
process { withName: TOOL { ext.args = { "${params.aligner}" } } }
profiles { test { params.input = 'sheet.csv' } }
"""


@pytest.fixture
def spec(tmp_path: Path, runtime: runtimes.Runtime) -> ResolveSpec:
    files.write_tar(tmp_path / "code.tar", Path(), [], extra={
        "main.nf": b"workflow {}\n", "nextflow.config": CONFIG.encode(),
        "slow.config": b"params.speed = 1\n", "fast.config": b"params.speed = 9\n"})
    return ResolveSpec(pipeline="p", profile="test", given={}, code=tmp_path / "code.tar",
                       runtime=runtime.archive, output=tmp_path / "resolved.json",
                       log=tmp_path / "log")


def test_later_steps_see_it_as_of_their_own_folder(spec: ResolveSpec,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_TEST", "seen")
    assert resolve(spec) == "6 params, by Nextflow 24.10.5"
    first = spec.output.read_bytes()
    with resolved_config.opened(spec.code, spec.output) as (code, config):
        assert config["params"] == {
            "aligner": "slow", "speed": 1, "input": "sheet.csv", "host": "unseen",
            "own": f'{code}/assets/a "b".fa', "prefix": f"{code}-other"}
        assert "params.aligner" in config["process"]["withName:TOOL"]["ext"]["args"]
        assert (code / "slow.config").is_file()
    assert not code.exists()
    resolve(spec)
    assert spec.output.read_bytes() == first


MOMENTS = """
def trace_timestamp = new java.util.Date().format('yyyy-MM-dd_HH-mm-ss')
params {
    outdir = 'results'
    trace_report_suffix = new java.util.Date().format('yyyy-MM-dd_HH-mm-ss')
    day = java.time.LocalDate.now().toString()
    milliseconds = System.currentTimeMillis()
    seed = "s3://reads/${UUID.randomUUID()}/a.fq"
    by_program = ['date', '+%s'].execute().text.trim()
    here = "${launchDir}/x"
    home = System.getenv('NXF_HOME')
    letters = ['a', "${System.nanoTime()}"]
}
timeline.file = "${params.outdir}/info/execution_timeline_${trace_timestamp}.html"
report.file = "${params.outdir}/info/execution_report_${params.trace_report_suffix}.html"
profiles { test {} }
"""


def test_it_hangs_on_no_clock_and_no_folder(spec: ResolveSpec, tmp_path: Path) -> None:
    """As nf-core's templates have it, old and new: equal inputs, equal bytes."""
    files.write_tar(spec.code, Path(), [], extra={
        "main.nf": b"workflow {}\n", "nextflow.config": MOMENTS.encode()})
    resolve(spec)
    resolved = resolved_config.config(spec.output)
    assert resolved["params"] == {
        "outdir": "results", "trace_report_suffix": CHANGING, "day": CHANGING,
        "milliseconds": CHANGING, "seed": f"s3://reads/{CHANGING}/a.fq", "by_program": CHANGING,
        "here": f"{ELSEWHERE}/launch/x", "home": f"{ELSEWHERE}/home", "letters": ["a", CHANGING]}
    for report in ("timeline", "report"):
        assert resolved[report]["file"] == f"results/info/{CHANGING}"
    elsewhere = dataclasses.replace(
        spec, output=tmp_path / "another place/resolved.json", log=tmp_path / "another.log",
        inherited=Inherited(timezone="Asia/Tokyo", path=os.environ["PATH"]))
    resolve(elsewhere)
    assert elsewhere.output.read_bytes() == spec.output.read_bytes()


@pytest.mark.parametrize("text", [
    "process.container = workflow.containerEngine == 'docker' ? 'q.io/a/b:1' : 'no/no:1'",
    "println '[{\"params\": {}}, {\"params\": {}}]'",
    "println '[WARN] not a list'",
    "addShutdownHook { println '[late, but no JSON]' }",
], ids=["unknown name", "its own list", "a bracket before", "a bracket behind"])
def test_what_nextflow_or_the_config_prints_is_not_the_answer(spec: ResolveSpec,
                                                              text: str) -> None:
    files.write_tar(spec.code, Path(), [], extra={
        "main.nf": b"workflow {}\n",
        "nextflow.config": f"{text}\nparams.own = 1\nprofiles {{ test {{}} }}\n".encode()})
    resolve(spec)
    assert resolved_config.config(spec.output)["params"] == {"own": 1}


HELD = """
params {
    list = [1, { throw new IllegalStateException('run') }, ['b', { -> 2 }]]
    map = [a: { 'x' }, b: [c: [{ 1 }]]]
    lazy = "a${-> throw new IllegalStateException('run')}b${1 + 1}"
    memory = 6.GB
    time = [2.h]
    ratio = 1.5
    odd = Double.NaN
    path = java.nio.file.Path.of('/a/b')
    words = ['x', 'y'] as String[]
    none = null
}
process { withName: TOOL { ext.args = { params.ratio }; publishDir = [[path: { 'p' }]] } }
profiles { test {} }
"""


def test_closures_in_lists_are_plain_text_and_never_run(spec: ResolveSpec) -> None:
    """JSON's own writer in Groovy runs them."""
    files.write_tar(spec.code, Path(), [], extra={
        "main.nf": b"workflow {}\n", "nextflow.config": HELD.encode()})
    resolve(spec)
    config = resolved_config.config(spec.output)
    assert config["params"].pop("memory")["giga"] == 6
    assert config["params"].pop("time")[0]["hours"] == 2
    assert config["params"] == {
        "list": [1, "{ ... }", ["b", "{ ... }"]], "map": {"a": "{ 'x' }", "b": {"c": ["{ ... }"]}},
        "lazy": "a{ ... }b2", "ratio": 1.5, "odd": "NaN",
        "path": "/a/b", "words": ["x", "y"], "none": None}
    assert config["process"]["withName:TOOL"] == {
        "ext": {"args": "{ params.ratio }"}, "publishDir": [{"path": "{ 'p' }"}]}


def test_params_that_our_config_sets_are_seen_by_includes(spec: ResolveSpec) -> None:
    resolve(dataclasses.replace(spec, given={"aligner": "fast"}))
    params = resolved_config.config(spec.output)["params"]
    assert (params["aligner"], params["speed"]) == ("fast", 9)


def test_what_does_not_resolve_is_reported_in_nextflow_s_words(spec: ResolveSpec) -> None:
    with pytest.raises(SourceError, match="'nosuch'") as caught:
        resolve(dataclasses.replace(spec, profile="nosuch"))
    assert "Unknown configuration profile" in str(caught.value)
    assert not spec.output.exists()


@pytest.mark.parametrize(("text", "error", "word"), [
    ("manifest.nextflowVersion = '!>=25.04.0'", ConfigError, "asks for Nextflow"),
    ("manifest.nextflowVersion = 25", ConfigError, r"manifest\.nextflowVersion"),
    ("process = 'none'", ConfigError, "process"),
    ("def deep = []; 200.times { deep = [deep] }; params.deep = deep", SourceError, "be kept"),
    ("println '{\"params\": 1'; System.exit(0)", SourceError, "did not answer"),
])
def test_what_no_config_should_hold_is_refused(spec: ResolveSpec, text: str,
                                               error: type[Exception], word: str) -> None:
    files.write_tar(spec.code, Path(), [], extra={
        "main.nf": b"workflow {}\n", "nextflow.config": f"{text}\nprofiles {{ test {{}} }}\n"
        .encode()})
    with pytest.raises(error, match=word):
        resolve(spec)
    assert not spec.output.exists()


def test_what_is_lost_or_changed_by_hand_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        resolved_config.config(tmp_path / "resolved.json")
    (tmp_path / "resolved.json").write_text(json.dumps({"config": {"params": []}}))
    with pytest.raises(ConfigError, match="params"):
        resolved_config.config(tmp_path / "resolved.json")
