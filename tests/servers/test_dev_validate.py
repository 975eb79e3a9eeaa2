"""`reach` and `dev:validate` with the real Nextflow: what would fail offline fails here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.image_settings import Registry
from tasks.core.errors import AirlockError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.dev import resolved
from tasks.dev.resolved import Resolved
from tasks.dev.validate import ValidateSpec, validate
from tasks.images.scan import ListSpec, list_images
from tasks.offline_config.render import RenderSpec, build
from tasks.reach.reach import ReachSpec, reach
from tasks.resolve.resolve import ResolveSpec, resolve
from tasks.runtime import build as runtimes
from tests.kit.project import ROOT

REGISTRY = "nexus.example.org:5443"
SOURCES = {
    "nextflow.config": """
        docker.registry = 'quay.io'
        params {
            input = null
            model = null
            cache = false
            outdir = 'results'
            custom_config_base = 'https://configs.example.org/master'
            genome = null
            genomes = [small: [fasta: 's3://genomes.example.org/small.fa']]
        }
        includeConfig params.custom_config_base && (!System.getenv('NXF_OFFLINE') || \
            !params.custom_config_base.startsWith('http')) ? \
            "${params.custom_config_base}/nfcore_custom.config" : "/dev/null"
        process {
            withName: 'TOOL' { container = 'a/named:1' }
            withName: '.*:SUB:TOOL' { container = { params.cache ? 'a/sub:1' : 'a/sub:2' } }
        }
        manifest { homePage = 'https://home.example.org'; nextflowVersion = '!>=23.04.0' }
        wave.enabled = true
        profiles {
            test { params.input = 'https://data.example.org/reads.csv' }
        }
    """,
    "main.nf": """
        include { TOOL } from './tool'
        include { TOOL as AGAIN } from './tool'
        workflow SUB { take: reads; main: TOOL(reads) }
        workflow {
            SUB(file(params.input))
            if (params.cache) { AGAIN(file(params.input)) }
            if (params.genome) { file(params.genomes[params.genome].fasta) }
        }
    """,
    "tool.nf": """
        process TOOL {
            container 'a/tool:1'
            input: path reads
            script:
            \"\"\"
            wget https://tools.example.org/model
            \"\"\"
        }
    """,
}


@pytest.fixture(scope="module")
def staged(runtime: runtimes.Runtime, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[ValidateSpec]:
    """A pipeline and all that a release has of it, made by the real steps but for the mirror."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("validate")
        patch.chdir(root)
        at = PipelinePaths(site="here", pipeline="forms")
        files.write_tar(at.code, Path(), [], extra={
            name: text.encode() for name, text in SOURCES.items()})
        files.copy(runtime.archive, at.runtime(runtime.version))
        files.write_text(at.inputs, "sample\na\n")
        files.write_json(at.data_manifest, {
            "pipeline": "forms", "profile": "test", "files": [], "sheets": [], "declared": [],
            "params": {"input": {"path": "inputs.csv", "kind": "sheet"}}})
        files.write_text(at.plugins_list, "")
        files.write_tar(at.plugins, Path(), [])
        list_images(ListSpec(pipeline="forms", code=at.code, profile="test", given={},
                             images=at.images, scan=at.images_scan))
        files.write_json(at.images_receipt, {"registry": REGISTRY, "images": [
            {"source": image, "destination": f"{REGISTRY}/{image}".rpartition(":")[0], "size": 1,
             "digest": f"sha256:{hashlib.sha256(image.encode()).hexdigest()}",
             "platform": "linux/amd64"} for image in at.images.read_text().split()]})
        build(RenderSpec(pipeline="forms", nextflow=runtime.version, scan=at.images_scan,
                         receipt=at.images_receipt, output=at.offline_config,
                         toggles=ROOT / "config/offline.config",
                         engine_toggles=ROOT / "config/engines/docker.config"))
        resolve(ResolveSpec(pipeline="forms", profile="test", given={}, code=at.code,
                            runtime=at.runtime(runtime.version), output=at.resolved,
                            log=at.log("resolve")))
        reach(ReachSpec(
            pipeline="forms", profile="test", code=at.code, resolved=at.resolved,
            data_manifest=at.data_manifest, plugins=at.plugins_list,
            toggles=ROOT / "config/offline.config",
            engine_toggles=ROOT / "config/engines/docker.config", output=at.reach))
        yield ValidateSpec(
            pipeline="forms", profile="test", runtime=runtime.version, layout=at, carry="store",
            registry=Registry(host="nexus.example.org", port=5443, connections=8),
            store=StoreAt(url="store"))


@pytest.fixture(scope="module")
def seen(staged: ValidateSpec) -> Resolved:
    return resolved.resolve(staged.layout, staged.runtime, profile="test",
                            machine=staged.machine)


def test_each_subject_has_its_line(staged: ValidateSpec,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(staged) == "7 subjects, all well; 2 warnings"
    shown = capsys.readouterr().out
    for name in ("store", "inputs", "containers", "config", "params", "plugins", "runtime"):
        assert f"ok      {name}: " in shown
    assert ("warning tool.nf:7  wget https://tools.example.org/model  (process TOOL)") in shown
    report = read_json(staged.layout.validate, "validate")
    assert len(report["subjects"]) == 7
    assert len(report["warnings"]) == 2
    assert ("warning 1 process has no stub, so a stub run runs the real script: "
            "TOOL (tool.nf:2)") in shown


def test_reach_says_what_answers_each_place(staged: ValidateSpec) -> None:
    found = {(finding["kind"], finding.get("param")): finding["answer"] and finding["answer"]["by"]
             for finding in read_json(staged.layout.reach, "reach")["findings"]}
    assert found == {
        ("param", "input"): "data", ("param", "custom_config_base"): "configs",
        ("config", "custom_config_base"): "configs", ("reference", "genomes"): "params",
        ("service", None): "offline.config", ("download", None): None}


def test_what_cannot_be_looked_at_is_a_line_too(
        staged: ValidateSpec, capsys: pytest.CaptureFixture[str]) -> None:
    kept = staged.layout.data_manifest.read_bytes()
    try:
        staged.layout.data_manifest.write_text("{}")
        with pytest.raises(AirlockError, match="inputs, config"):
            validate(staged)
    finally:
        staged.layout.data_manifest.write_bytes(kept)
    assert "FAILED  config: " in capsys.readouterr().out


def test_what_reaches_out_in_the_resolved_config_fails_by_name(
        staged: ValidateSpec, capsys: pytest.CaptureFixture[str]) -> None:
    """The sheet is not carried, and a later selector brings another image."""
    at = staged.layout
    kept = {path: path.read_bytes() for path in (at.data_manifest, at.offline_config)}
    manifest = {**read_json(at.data_manifest, "data-manifest"), "params": {}}
    try:
        files.write_json(at.data_manifest, manifest)
        files.write_text(at.offline_config, at.offline_config.read_text() + (
            "process { withName: '.*:SUB:TOOL[S]?' { container = 'quay.io/a/other:1' } }\n"))
        with pytest.raises(AirlockError, match="containers, config"):
            validate(staged)
    finally:
        for path, data in kept.items():
            files.write_bytes(path, data)
    shown = capsys.readouterr().out
    assert "params.input = https://data.example.org/reads.csv" in shown
    assert "TOOL: .*:SUB:TOOL[S]? sets quay.io/a/other:1" in shown


def changed(seen: Resolved, **settings: Any) -> Resolved:
    return replace(seen, config={**seen.config, **settings})


def test_images_outside_the_mirror_are_named(seen: Resolved) -> None:
    assert resolved.containers(seen) == "2 processes and aliases, each by a mirrored digest"
    some = {key: value for key, value in seen.mirrored.items() if not key.endswith("sub:2")}
    with pytest.raises(AirlockError, match=r"a/sub:2 is not among the images that are carried"):
        resolved.containers(replace(seen, mirrored=some))
    lost: Mapping[str, Any] = {key: value for key, value in seen.config["process"].items()
                               if "AGAIN" not in key}
    with pytest.raises(AirlockError, match="AGAIN: no selector"):
        resolved.containers(changed(seen, process=lost))
    weak = {**seen.config["process"], "withName:TOOL": {"container": "a/named:1"},
            "withLabel:big": {"container": "a/label:1"}, "container": "a/general:1"}
    assert resolved.containers(changed(seen, process=weak))


def test_addresses_that_nothing_answers_are_named(seen: Resolved) -> None:
    assert resolved.config(seen).startswith("1 addresses")
    for settings, named in (
            ({"env": {"PLACE": "https://x.example.org/a"}}, "env.PLACE = https://x.example.org/a"),
            ({"process": {"withName:TOOL": {"ext": {"args": "--db ftp://x.example.org/a"}}}},
             "process.withName:TOOL.ext.args = ftp://x.example.org/a"),
            ({"params": {**seen.config["params"], "model": "s3://models/a"}},
             "params.model = s3://models/a"),
            ({"params": {**seen.config["params"], "more": {"a": ["gs://models/a"] * 9}}},
             "params.more.a = gs://models/a and 8 more")):
        with pytest.raises(AirlockError) as caught:
            resolved.config(changed(seen, **settings))
        assert named in str(caught.value)


def test_missing_plugins_are_named(seen: Resolved) -> None:
    assert resolved.plugins(seen) == "none is asked for"
    asked = changed(seen, plugins=["nf-one@1.0.0", "nf-two"])
    held = replace(asked, plugins=["nf-one@1.0.0", "nf-two@2.0.0"],
                   folders=["nf-one-1.0.0", "nf-two-2.0.0"])
    assert resolved.plugins(held) == "nf-one@1.0.0, nf-two@2.0.0"
    for lacks, named in ((replace(held, plugins=["nf-one@1.0.1", "nf-two@2.0.0"]),
                          "nf-one@1.0.0 is not in plugins.txt"),
                         (replace(held, folders=["nf-one-1.0.0"]),
                          "nf-two@2.0.0 is not in plugins.tar"),
                         (asked, "nf-two is not in plugins.txt")):
        with pytest.raises(AirlockError) as caught:
            resolved.plugins(lacks)
        assert named in str(caught.value)
    hidden = {"file": "nextflow.config", "line": 1, "kind": "plugin", "what": "nf-amazon",
              "param": "model", "count": 1, "answer": None, "todo": "give it a local path"}
    with pytest.raises(AirlockError, match="nf-amazon is needed"):
        resolved.plugins(replace(held, findings=[*held.findings, hidden]))


def test_a_runtime_that_the_pipeline_refuses_fails(seen: Resolved) -> None:
    assert resolved.runtime(seen) == "Nextflow 24.10.5 fits; it runs on Java 11 to 23"
    with pytest.raises(AirlockError, match=r"asks for Nextflow !>=25\.10"):
        resolved.runtime(changed(seen, manifest={"nextflowVersion": "!>=25.10.2"}))
    assert "things may break" in resolved.runtime(
        changed(seen, manifest={"nextflowVersion": ">=25.10.2"}))
