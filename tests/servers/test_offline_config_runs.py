"""What a run offline would see: the real Nextflow's resolved config, value by value.

Three small pipelines have the forms of nf-core's template: 2.14, 3.2 and 3.3.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.nextflow import launch, machine
from tasks.images.scan import ListSpec, list_images
from tasks.offline_config.render import RenderSpec, build
from tasks.offline_host.own_configs import OwnConfigs
from tasks.runtime import build as runtimes
from tests.kit.project import ROOT

REGISTRY = "nexus.example.org:5443"
MAIN = """
    include { TOOL } from './tool'
    include { TOOL as AGAIN } from './tool'
    process PLAIN { container 'quay.io/a/plain:1'; script: 'true' }
    workflow SUB { TOOL() }
    workflow FORMS { SUB(); AGAIN(); PLAIN() }
    workflow { FORMS() }
"""
TOOL = "process TOOL { label 'big'; container 'a/tool:1'; cpus 1; script: 'true' }\n"
PARAMS = """
    input                 = null
    fasta                 = null
    tools                 = null
    genomes               = [:]
    igenomes_base         = 's3://ngi.example.org/igenomes/'
    hook_url              = 'https://hooks.example.org/x'
    custom_config_version = 'master'
    custom_config_base    = "https://configs.example.org/${params.custom_config_version}"
    outdir                = null
    fast                  = null
"""
TRAPS = """
    docker.registry = 'quay.io'
    wave.enabled    = true
    params.genomes  = [small: [fasta: "${params.igenomes_base}/small.fa"]]
    process {
        container = 'a/generic:1'
        withLabel: 'big'                 { container = 'a/label:1' }
        withName: '(.*:)?(TOOL)'         { maxForks = 7 }
        withName: '.*:SUB:TOOL'          { container = 'a/qualified:1' }
        withName: 'AGAIN' { container = { params.fast ? 'a/again:1' : 'a/other:1' } }
    }
    profiles {
        test {
            params.input      = 'https://data.example.org/sheet.csv'
            params.fasta      = 'https://data.example.org/ref/small.fa'
            params.extra      = 's3://data.example.org/more.json'
            params.cache      = 's3://data.example.org/cache/'
            params.known      = 's3://data.example.org/ref/*.{vcf,vcf.gz}'
            params.tools      = 'fastqc,multiqc'
            params.model      = 's3://data.example.org/model'
            process.container = 'a/test:1'
            process { withName: 'TOOL' { container = 'a/named:1' } }
        }
    }
"""
OLD = f"""
    params {{ {PARAMS}
        max_cpus   = 900
        max_memory = '9000.GB'
        max_time   = '6.h'
    }}
    // includeConfig "${{params.custom_config_base}}/commented.config"
    try {{
        includeConfig "${{params.custom_config_base}}/nfcore_custom.config"
    }} catch (Exception e) {{
        System.err.println("WARNING: Could not load nf-core/config profiles")
    }}
    try {{
        includeConfig "${{params.custom_config_base}}/pipeline/forms.config"
    }} catch (Exception e) {{
        System.err.println("WARNING: Could not load nf-core/config/forms profiles")
    }}
    {TRAPS}
    process.memory = {{ params.max_memory as nextflow.util.MemoryUnit }}
"""
OFFLINE = "System.getenv('NXF_OFFLINE')"
FROM_3_0 = f"!{OFFLINE} && params.custom_config_base"
FROM_3_3 = ("params.custom_config_base && "
            f"(!{OFFLINE} || !params.custom_config_base.startsWith('http'))")
MIDDLE, RECENT = (f"""
    params {{ {PARAMS} }}
    includeConfig {condition} ? "${{params.custom_config_base}}/nfcore_custom.config" : "/dev/null"
    {TRAPS}
    includeConfig {condition} ?
        "${{params.custom_config_base}}/pipeline/forms.config" : "/dev/null"
""" for condition in (FROM_3_0, FROM_3_3))
GENERATIONS = {"2.14": OLD, "3.2": MIDDLE, "3.3": RECENT}
INSTITUTION = {
    "nfcore_custom.config": """
        profiles { site_x { includeConfig "${params.custom_config_base}/conf/site_x.config" } }
    """,
    "conf/site_x.config": """
        params.config_profile_name = 'Site X'
        singularity.enabled = true
        docker.registry = 'registry.site-x.example.org'
        weblog { enabled = true; url = 'https://hooks.site-x.example.org' }
        process {
            queue = 'long'
            container = 'site-x/generic:1'
            withLabel: 'big' { container = 'site-x/label:1' }
            withName: '.*' { container = 'site-x/any:1' }
            withName: '.*:SUB:TOOL' { container = 'site-x/qualified:1' }
            withName: 'AGAIN' { container = 'site-x/again:1' }
        }
    """,
    "pipeline/forms.config": "params.tuned = true\n",
}


@dataclass(frozen=True, kw_only=True)
class Launched:
    """A pipeline that is ready to be run, and the images of its scan."""

    ready: launch.Launch
    images: list[str]
    root: Path


def tar(path: Path, contents: dict[str, str]) -> Path:
    files.write_tar(path, Path(), [], extra={
        name: textwrap.dedent(text).encode() for name, text in contents.items()})
    return path


def mirrored(image: str) -> str:
    digest = hashlib.sha256(image.encode()).hexdigest()
    return f"{REGISTRY}/{image.partition(':')[0]}@sha256:{digest}"


FASTA = f"data/{'a' * 64}/small.fa"
STAGED = {FASTA: ">s", "trees/1/cache/x/info.txt": "v1", "trees/2/ref/a.vcf": "##",
          "trees/2/ref/b.vcf.gz": "##"}
PARAMS_STAGED = {
    "input": {"kind": "sheet", "path": "inputs.csv"},
    "extra": {"kind": "sheet", "path": "sheets/more.json"},
    "fasta": {"kind": "file", "path": FASTA},
    "cache": {"kind": "folder", "path": "trees/1/cache"},
    "known": {"kind": "pattern", "path": "trees/2/ref/*.{vcf,vcf.gz}"},
    "igenomes_base": {"kind": "value", "value": "/nowhere", "every": True},
    "tools": {"kind": "value", "value": "fastqc"},
    "model": {"kind": "none"}, "hook_url": {"kind": "none", "every": True}}


def lay_out_data(root: Path, *, old: bool) -> None:
    """A release's data: one param of each kind that a manifest knows."""
    for path, text in STAGED.items():
        files.write_text(root / path, text)
    files.write_text(root / "inputs.csv", f"sample,reads\na,{FASTA}\n")
    files.write_json(root / "sheets/more.json", [{"sample": "a", "reads": FASTA}])
    sheet = root / "sheets/more.json"
    files.write_json(root / "data.manifest.json", {
        "pipeline": "forms", "profile": "test", "params": PARAMS_STAGED,
        "declared": ["max_cpus", "max_memory", "max_time"] if old else [],
        "sheets": [{"path": "sheets/more.json", "sha256": files.sha256(sheet),
                    "size": sheet.stat().st_size, "is_lines": False}],
        "files": [{"path": path, "url": f"https://data.example.org/{path}", "size": len(text),
                   "sha256": hashlib.sha256(text.encode()).hexdigest()}
                  for path, text in STAGED.items()]})


def launched(root: Path, runtime: runtimes.Runtime, config: str, *, configs: bool) -> Launched:
    """What the online steps make of a pipeline, prepared as an offline host does."""
    code = tar(root / "code.tar", {"nextflow.config": config, "main.nf": MAIN, "tool.nf": TOOL})
    list_images(ListSpec(pipeline="forms", code=code, profile="test", given={},
                         images=root / "images.txt", scan=root / "images.json"))
    images = (root / "images.txt").read_text().split()
    files.write_json(root / "receipt.json", {"registry": REGISTRY, "images": [
        {"source": image, "destination": mirrored(image).partition("@")[0], "size": 1,
         "digest": mirrored(image).partition("@")[2], "platform": "linux/amd64"}
        for image in images]})
    build(RenderSpec(pipeline="forms", nextflow="24.10.5", scan=root / "images.json",
                     receipt=root / "receipt.json", output=root / "offline.config",
                     toggles=ROOT / "config/offline.config",
                     engine_toggles=ROOT / "config/engines/docker.config"))
    lay_out_data(root, old=config is OLD)
    carried = launch.Carried(
        code=code, runtime=runtime.archive, plugins=tar(root / "plugins.tar", {}),
        config=root / "offline.config", data_manifest=root / "data.manifest.json",
        configs=tar(root / "configs.tar", INSTITUTION) if configs else None,
        locate=lambda path: root / path)
    ready = launch.prepare(carried, root / "launch", machine.this_machine(os.environ))
    return Launched(ready=ready, images=images, root=root)


def images_by_selector(process: dict[str, Any]) -> dict[str, list[str]]:
    """The images that each of our own selectors names, in the order in which Nextflow asks them."""
    return {key.removeprefix("withName:"): re.findall(r"nexus[^']+", value["container"])
            for key, value in process.items() if key.startswith("withName:(?:")}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_institution_s_profile_is_read_from_the_staged_tree(
        runtime: runtimes.Runtime, tmp_path: Path, generation: str) -> None:
    """And whatever it sets, images, engine, registry and servers are ours."""
    here = launched(tmp_path, runtime, GENERATIONS[generation], configs=True)
    found = launch.resolve(here.ready, profile="test,site_x", log=tmp_path / "log")
    params = found["params"]
    assert (params.pop("outdir"), params.pop("fast")) == (None, None)
    limits = machine.limits()
    assert params == {
        "input": str(here.ready.folder / "inputs.csv"), "custom_config_version": "master",
        "extra": str(here.ready.folder / "sheets/more.json"), "fasta": str(here.root / FASTA),
        "cache": str(here.root / "trees/1/cache"),
        "known": str(here.root / "trees/2/ref/*.{vcf,vcf.gz}"),
        "tools": "fastqc", "igenomes_base": "/nowhere", "model": None, "hook_url": None,
        "genomes": {"small": {"fasta": "/nowhere/small.fa"}},
        "custom_config_base": str(here.ready.folder / "configs"),
        "config_profile_name": "Site X", "tuned": True,
        **({"max_cpus": limits.cpus, "max_memory": f"{limits.megabytes}.MB", "max_time": "6.h"}
           if generation == "2.14" else {})}
    assert "s3:" not in json.dumps(params)
    assert "http" not in json.dumps(params)
    for sheet in ("inputs.csv", "sheets/more.json"):
        assert str(here.root / FASTA) in (here.ready.folder / sheet).read_text()
    assert found["docker"] == {"enabled": True, "runOptions": "-u $(id -u):$(id -g)",
                               "registry": REGISTRY}
    for engine in ("apptainer", "charliecloud", "conda", "podman", "sarus", "shifter",
                   "singularity", "spack", "wave", "tower", "fusion"):
        assert found[engine] == {"enabled": False}, engine
    assert found["weblog"]["enabled"] is False
    for report in ("report", "timeline", "trace", "dag"):
        assert found[report] == {"overwrite": True}
    assert found["nextflow"]["enable"] == {"configProcessNamesValidation": False}
    process = found["process"]
    assert process["queue"] == "long"
    assert process["resourceLimits"]["cpus"] == limits.cpus
    assert process["resourceLimits"]["memory"]["mega"] == limits.megabytes
    ours = images_by_selector(process)
    assert ours == {
        "(?:(.*:)?(PLAIN))": [mirrored("quay.io/a/plain:1")],
        "(?:(.*:)?(AGAIN))": [mirrored("quay.io/a/again:1"), mirrored("quay.io/a/other:1")],
        "(?:(.*:)?(TOOL))": [mirrored("quay.io/a/named:1")],
        "(?:(?=(?:.*:SUB:TOOL)$)(.*:)?(TOOL))": [mirrored("quay.io/a/qualified:1")]}
    named = [key.removeprefix("withName:") for key in process if key.startswith("withName:")]
    assert named[-len(ours):] == list(ours), "a selector stands behind ours, and would beat them"


def test_without_a_staged_tree_nothing_warns(runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """The oldest form says so where a config can't be had; none is asked of the internet."""
    here = launched(tmp_path, runtime, OLD, configs=False)
    assert "FORMS:SUB:TOOL" in taken(here, profile="test")
    log = (tmp_path / "run.log").read_text()
    assert "Could not load" not in log
    assert "no process matching config selector" not in log


def test_each_task_takes_its_image_by_digest(runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """Labels, names, aliases, qualified names, profiles, an institution's: ours beat them all."""
    here = launched(tmp_path, runtime, MIDDLE, configs=True)
    assert taken(here, profile="test,site_x") == {
        "FORMS:SUB:TOOL": mirrored("quay.io/a/qualified:1"),
        "FORMS:AGAIN": mirrored("quay.io/a/other:1"),
        "FORMS:PLAIN": mirrored("quay.io/a/plain:1")}


def taken(here: Launched, *, profile: str) -> dict[str, str]:
    """The image of each task of a real run, whose engine is a program that does nothing."""
    files.write_text(here.root / "bin/docker", "#!/bin/sh\nexit 0\n", mode=0o755)
    files.write_text(here.root / "trace.config", "trace.fields = 'process,container'\n")
    ready = dataclasses.replace(here.ready,
                                configs=(*here.ready.configs, here.root / "trace.config"))
    launch.run(ready, profile=profile, log=here.root / "run.log",
               options=["-with-trace", here.root / "trace.txt", "--outdir", here.root / "out"],
               env={"PATH": f"{here.root / 'bin'}:{os.environ['PATH']}"})
    lines = (here.root / "trace.txt").read_text().splitlines()[1:]
    return dict(line.split("\t") for line in lines)


SLURM = """
    process {
        executor = 'slurm'
        queue = 'long'
        container = 'elsewhere/all:1'
        resourceLimits = [cpus: 96, memory: 700.GB]
        withName: '.*:SUB:TOOL' { container = 'elsewhere/qualified:1'; cpus = 7 }
        withName: 'AGAIN' { container = 'elsewhere/again:1' }
        withLabel: 'big' { container = 'elsewhere/big:1' }
    }
    docker { enabled = false; registry = 'docker.io' }
    singularity.enabled = true
    conda.enabled = true
    wave.enabled = true
    tower { enabled = true; accessToken = 'x' }
    profiles { lab { process.clusterOptions = '--account lab'; podman.enabled = true } }
"""


def test_a_user_s_config_sets_what_offline_config_leaves_open_and_no_more(
        runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """With the form of the template whose institutional configs are given by -c, too."""
    here = launched(tmp_path, runtime, GENERATIONS["3.2"], configs=True)
    (tmp_path / "slurm.config").write_text(SLURM)
    own = OwnConfigs(profiles=("lab", "site_x"), configs=(tmp_path / "slurm.config",))
    found = launch.resolve(own.applied(here.ready), profile=own.profile("test"),
                           log=tmp_path / "log", reads=[tmp_path / "slurm.config"])
    process = found["process"]
    assert (process["executor"], process["clusterOptions"]) == ("slurm", "--account lab")
    assert process["resourceLimits"]["cpus"] == 96
    assert process["withName:.*:SUB:TOOL"]["cpus"] == 7
    assert found["docker"]["enabled"] is True and found["docker"]["registry"] == REGISTRY
    for engine in ("singularity", "conda", "podman", "wave", "tower"):
        assert found[engine]["enabled"] is False, engine
    ours = images_by_selector(process)
    assert ours["(?:(.*:)?(AGAIN))"] == [mirrored("quay.io/a/again:1"),
                                         mirrored("quay.io/a/other:1")]
    named = [key.removeprefix("withName:") for key in process if key.startswith("withName:")]
    assert named[-len(ours):] == list(ours), "a selector stands behind ours, and would beat them"
