"""Images that a pipeline chooses by engine: what the real Nextflow takes for it is listed."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.nextflow import java
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.image_files import file_name
from tasks.core.nextflow.installed import install
from tasks.images.inspect import InspectSpec, inspect_images
from tasks.images.scan import ListSpec, list_images
from tasks.runtime import build as runtimes

BY_ENGINE = """
process TOOL {
    container "${workflow.containerEngine in ['singularity', 'apptainer'] ?
        'https://depot.example.org/singularity/tool:1.0--0' : 'quay.io/a/tool:1.0--0'}"
    script: 'true'
}
process PULLED { container 'docker://quay.io/a/pulled:1'; script: 'true' }
process SIF { container "${workflow.containerEngine == 'docker' ? 'a/x:1' :
    'oras://registry.example.org/a/x:1'}"; script: 'true' }
workflow { TOOL(); if (workflow.containerEngine != 'docker') { SIF(); PULLED() } }
"""


@pytest.mark.parametrize("engine", ["apptainer", "singularity"])
def test_images_are_those_of_the_sites_engine(
        runtime: runtimes.Runtime, tmp_path: Path, engine: str) -> None:
    """Nextflow's own choice by the engine, and nothing is pulled for it."""
    code = tmp_path / "code.tar"
    files.write_tar(code, Path(), [], extra={
        "main.nf": BY_ENGINE.encode(),
        "nextflow.config": b"docker.enabled = true\nprofiles { test {} }\n"})
    spec = ListSpec(pipeline="by_engine", code=code, profile="test", given={}, engine=engine,
                    images=tmp_path / "images.txt", scan=tmp_path / "images.json")
    list_images(spec)
    assert spec.images.read_text().split() == [
        "https://depot.example.org/singularity/tool:1.0--0", "oras://registry.example.org/a/x:1",
        "quay.io/a/pulled:1"]
    plugins, manifest = tmp_path / "plugins.tar", tmp_path / "data.manifest.json"
    files.write_tar(plugins, Path(), [], extra={})
    files.write_json(manifest, {"pipeline": "by_engine", "profile": "test", "files": [],
                                "declared": [], "sheets": [], "params": {}})
    assert inspect_images(InspectSpec(
        pipeline="by_engine", profile="test", code=code, runtime=runtime.archive, plugins=plugins,
        data_manifest=manifest, blobs=tmp_path, scan=spec.scan, log=tmp_path / "inspect.log",
        engine=engine)) == "3 agrees"


NAMES = [f"quay.io/airlock/seqstats@sha256:{'0a' * 32}", "docker://127.0.0.1:8743/a/b@sha256:0",
         "https://depot.galaxyproject.org/singularity/fastqc:0.12.1--hdfd78af_0", "ubuntu",
         "oras://community.wave.seqera.io/library/datavzrd:2.36.12--bb93c8c988b7a9af",
         "https://example.org/tool.sif", "oras://example.org/tool.sif:1.0",
         "https://example.org/a.sif:1/b.sif:2/c.sif", "https://example.org/by?from=s3://b/k"]


def test_files_are_named_by_nextflows_own_rule(runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """The class that looks for an image in libraryDir is asked."""
    code = tmp_path / "code"
    files.write_text(code / "names.groovy", textwrap.dedent("""
        def kind = Class.forName('nextflow.container.SingularityCache')
        def unsafe = Class.forName('sun.misc.Unsafe').getDeclaredField('theUnsafe')
        unsafe.accessible = true
        def cache = unsafe.get(null).allocateInstance(kind)
        args.each { println(cache.simpleName(it)) }
    """))
    installed = install(runtime.archive, tmp_path / "runtime", home=tmp_path / "home",
                        inherited=Inherited.of(os.environ))
    done = subprocess.run(
        [java.find(runtime.version, Inherited.of(os.environ)), "-cp",
         f"{installed.launcher.parent}/lib/*", "groovy.ui.GroovyMain", code / "names.groovy",
         *NAMES],
        check=True, capture_output=True, text=True)
    assert done.stdout.split() == [file_name(name) for name in NAMES]
