"""The real Nextflow beside the scan: which image each process takes, and under offline.config."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tasks.code import folder, stage
from tasks.core import files, schema
from tasks.core.errors import ImageError, SourceError
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import Nextflow, install
from tasks.data.mirror import Mirror, Selection, Source, mirror
from tasks.data.sources import Reach
from tasks.images.inspect import AskSpec, InspectSpec, ask, inspect_images, list_asked
from tasks.images.reference import complete
from tasks.images.scan import ListSpec, list_images
from tasks.offline_config.render import RenderSpec, build
from tasks.resolve.resolve import ResolveSpec, resolve
from tasks.runtime import build as runtimes
from tests.kit.locks import lock_at
from tests.kit.project import ROOT
from tests.kit.web import serving

PIPELINE = {
    "nextflow.config": """
        docker.registry = 'quay.io'
        params {
            gpu     = false
            cache   = null
            version = '1.0'
            outdir  = 'results'
        }
        process {
            withLabel: 'cached' {
                container = { params.cache ? "a/cached:${params.version}" : 'a/plain:1' }
            }
            withName: 'TOOL' { container = 'a/by-name:1' }
            withName: 'SECOND:TOOL' { container = 'a/second:1' }
            withName: 'TOOL_AGAIN' { container = 'a/again:1' }
            withName: '.*SECOND:OTHER' {
                container = { params.gpu ? 'a/second-gpu:1' : 'a/second-cpu:1' }
            }
        }
        if (params.gpu) {
            process { withName: 'GUARDED|ASSIGNED' { container = 'a/guard:1' } }
        }
        includeConfig params.cache ? 'conf/cache.config' : 'conf/none.config'
        profiles { test { params.title = 'x' } }
    """,
    "conf/cache.config": "process { withName: 'CHOSEN' { container = 'a/chosen-cache:1' } }\n",
    "conf/none.config": "\n",
    "main.nf": """
        include { FLOW as FIRST ; FLOW as SECOND } from './flow'
        include { TOOL as TOOL_AGAIN } from './modules/tool'

        process GUARDED { container 'a/guarded:1'; script: 'true' }
        process ASSIGNED {
            if (params.gpu) {
                container = 'a/assigned-gpu:1'
            } else {
                container = 'b.example.org/a/assigned-cpu:1'
            }
            script: 'true'
        }
        process LABELLED { label 'cached'; script: 'true' }
        process CHOSEN {
            container "${ workflow.containerEngine == 'singularity' && !task.ext.pull ?
                'https://depot.example.org/c' :
                params.gpu ? 'a/chosen-gpu:1' : 'a/chosen-cpu:1' }"
            script: 'true'
        }
        workflow {
            FIRST()
            SECOND()
            TOOL_AGAIN()
            GUARDED()
            ASSIGNED()
            LABELLED()
            CHOSEN()
        }
    """,
    "flow.nf": """
        include { TOOL } from './modules/tool'
        include { OTHER } from './modules/tool'
        workflow FLOW { TOOL(); OTHER() }
    """,
    "modules/tool.nf": """
        process TOOL { container 'a/tool:1'; script: 'true' }
        process OTHER { container 'a/other:1'; script: 'true' }
    """,
}
RUNS: tuple[dict[str, Any], ...] = ({}, {"gpu": True, "cache": "here"})


def listed(root: Path, place: Path, contents: dict[str, str],
           given: dict[str, Any] | None = None) -> ListSpec:
    """Write a pipeline as its code.tar, and list its images."""
    for name, text in contents.items():
        files.write_text(place / name, textwrap.dedent(text))
    files.write_tar(root / "code.tar", place, files.tree(place))
    spec = ListSpec(pipeline="forms", code=root / "code.tar", profile="test", given=given or {},
                    images=root / "images.txt", scan=root / "images.json")
    list_images(spec)
    return spec


def mirrored(image: str) -> str:
    digest = hashlib.sha256(image.encode()).hexdigest()
    return f"nexus.example.org:5443/{complete(image, None).repository}@sha256:{digest}"


def receipt(root: Path, images: list[str]) -> Path:
    path = root / "receipt.json"
    files.write_json(path, {"registry": "nexus.example.org:5443", "images": [{
        "source": image, "destination": mirrored(image).partition("@")[0], "size": 1,
        "digest": mirrored(image).partition("@")[2], "platform": "linux/amd64"}
        for image in images]})
    return path


def taken(runtime: Nextflow, place: Path, params: dict[str, Any],
          *configs: Path) -> dict[str, str]:
    """The image of each task of a real run, whose engine is a program that does nothing."""
    root = place.parent
    engine = root / "engine.config"
    engine.write_text("docker.enabled = true\ntrace { overwrite = true\n"
                      "fields = 'name,container' }\n")
    files.write_text(root / "bin/docker", "#!/bin/sh\nexit 0\n", mode=0o755)
    files.write_json(root / "params.json", params)
    words = [word for config in (engine, *configs) for word in ("-c", str(config))]
    done = subprocess.run(
        runtime.command("run", *words, "-profile", "test,offline" if configs else "test",
                        "-params-file", root / "params.json", "-with-trace", root / "trace.txt",
                        place),
        cwd=root, capture_output=True, text=True, check=False,
        env=runtime.environment({"PATH": f"{root / 'bin'}:{os.environ['PATH']}"}))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (root / "trace.txt").read_text().splitlines()[1:]
    return dict(line.split("\t") for line in lines)


def test_offline_config_makes_the_pipeline_s_own_choices(
        runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """For every process, alias and run: the mirrored image of the one that it takes by itself."""
    place = tmp_path / "code"
    spec = listed(tmp_path, place, PIPELINE)
    images = spec.images.read_text().split()
    offline = tmp_path / "offline.config"
    build(RenderSpec(pipeline="forms", nextflow="24.10.5", scan=spec.scan,
                     receipt=receipt(tmp_path, images), output=offline,
                     toggles=ROOT / "config/offline.config",
                     engine_toggles=ROOT / "config/engines/docker.config"))
    installed = install(runtime.archive, tmp_path / "nxf", home=tmp_path / "home",
                        inherited=Inherited.of(os.environ))
    seen = set()
    for params in RUNS:
        own = taken(installed, place, params)
        assert len(own) == 9
        assert taken(installed, place, params, offline) == {
            name: mirrored(image) for name, image in own.items()}, params
        seen |= set(own.values())
    assert seen <= set(images)
    assert {f"quay.io/a/{name}:1" for name in (
        "by-name", "second", "again", "other", "second-cpu", "second-gpu", "guarded", "guard",
        "plain", "chosen-cpu", "chosen-cache")} <= seen


@pytest.fixture(scope="module")
def hello(runtime: runtimes.Runtime, tmp_path_factory: pytest.TempPathFactory) -> InspectSpec:
    """The bundled pipeline, staged by the real steps: code, data, plugin, list of images."""
    root = tmp_path_factory.mktemp("hello")
    source = ROOT / "examples/hello"
    stage.from_folder(stage.FolderStage(
        pipeline="hello", source=str(source), revision=None, listing=folder.listing(source),
        archive=root / "code.tar", manifest=root / "manifest.json"))
    public = "https://data.hello.example.org/"
    with serving() as web:
        web.files = {"/hello/samplesheet.csv":
                     f"sample,fastq_1,fastq_2\na,{public}hello/r.fq.gz,\n".encode(),
                     "/hello/r.fq.gz": gzip.compress(b"@r\nACGT\n+\nIIII\n")}
        resolve(ResolveSpec(pipeline="hello", profile="test", given={}, code=root / "code.tar",
                            runtime=runtime.archive, output=root / "resolved.json",
                            log=root / "log"))
        mirror(Mirror(
            pipeline="hello", store="store", manifest=root / "data.manifest.json",
            selection=Selection(profile="test", samples=0, given={}, references=None, folders={},
                                limit=None),
            source=Source(reach=Reach(prefixes={public: f"{web.url}/"}), code=root / "code.tar",
                          resolved=root / "resolved.json", blobs=root / "blobs",
                          lock=lock_at(root / "locks", "data"), relock=False),
            sums=root / "sums", inputs=root / "inputs.csv", inputs_store=root / "inputs3.csv"))
    list_images(ListSpec(pipeline="hello", code=root / "code.tar", profile="test", given={},
                         images=root / "images.txt", scan=root / "images.json"))
    pack_plugin(runtime, root)
    return InspectSpec(pipeline="hello", profile="test", code=root / "code.tar",
                       runtime=runtime.archive, plugins=root / "plugins.tar", blobs=root / "blobs",
                       data_manifest=root / "data.manifest.json", scan=root / "images.json",
                       log=root / "inspect.log")


def pack_plugin(runtime: runtimes.Runtime, root: Path) -> None:
    """Compile hello's plugin, and pack it as plugins:cache does."""
    installed = install(runtime.archive, root / "jars", home=root / "home",
                        inherited=Inherited())
    subprocess.run([sys.executable, ROOT / "examples/hello-plugin/build.py", "--classpath",
                    installed.launcher.parent / "lib", "--output", root / "plugin.zip"],
                   check=True)
    with zipfile.ZipFile(root / "plugin.zip") as archive:
        members = {f"nf-airlock-hello-1.0.0/{name}": archive.read(name)
                   for name in archive.namelist() if not name.endswith("/")}
    files.write_tar(root / "plugins.tar", root, [], extra=members)


def test_hello_is_as_nextflow_says(hello: InspectSpec, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_images(hello) == "4 agrees"
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert all(line.startswith("agrees") for line in shown)


def test_an_image_that_the_scan_lacks_is_a_fault(hello: InspectSpec, tmp_path: Path) -> None:
    scan = schema.read_json(hello.scan, "images-scan")
    scan["selectors"][0]["images"][0]["container"] = "quay.io/airlock/other:1"
    files.write_json(tmp_path / "images.json", scan)
    with pytest.raises(ImageError, match="1 differs"):
        inspect_images(dataclasses.replace(hello, scan=tmp_path / "images.json"))


def test_where_nextflow_cannot_look_its_words_are_shown(hello: InspectSpec) -> None:
    with pytest.raises(SourceError, match="could not look") as caught:
        inspect_images(dataclasses.replace(hello, profile="nosuch"))
    assert "nosuch" in str(caught.value)


OVERWRITES = """
workflow {
    def cell = new File(params.input).readLines()[1].split(',')[1]
    assert new File(cell).size() > 1
    ['sh', '-c', "chmod u+w '${cell}'; echo x > '${cell}'; rm -f '${cell}'"].execute().waitFor()
}
"""


def test_the_sites_own_data_cannot_be_changed(hello: InspectSpec, tmp_path: Path) -> None:
    """What is staged for the look are hard links to them."""
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in files.tree(hello.blobs)}
    files.write_tar(tmp_path / "code.tar", Path(), [], extra={
        "main.nf": OVERWRITES.encode(), "nextflow.config": b"profiles { test {} }\n"})
    assert ask(dataclasses.replace(hello, code=tmp_path / "code.tar")) == []
    assert {path: (path.read_bytes(), path.stat().st_mode)
            for path in files.tree(hello.blobs)} == before


WITHOUT = {
    "nextflow.config": "params.prefix = ''\nprofiles { test { params.title = 'x' } }\n",
    "main.nf": """
        process KEPT { container 'a/kept:1'; script: 'true' }
        process GREP { conda 'grep=3'; output: path('host.txt'); script: 'echo here > host.txt' }
        process SUM { input: val x; output: val y; exec: y = x + 1 }
        process WORKER {
            container "${params.prefix}${module.image}:${module.version}"
            input: val module
            script: 'true'
        }
        workflow {
            KEPT()
            SUM(1)
            WORKER(Channel.of([image: 'a/one', version: 1], [image: 'a/two', version: 2]))
            if (params.grep) { GREP() }
        }
    """,
}


def test_a_process_without_an_image_never_runs_unsaid(
        runtime: runtimes.Runtime, tmp_path: Path) -> None:
    """Nextflow runs one by the host's programs: offline.config ends that, unless it is meant.

    What a task's own input chooses among images by hand is the mirrored one of them.
    """
    place = tmp_path / "code"
    by_hand: dict[str, Any] = {"WORKER": ["a/one:1", "docker.io/a/two:2"]}
    installed = install(runtime.archive, tmp_path / "nxf", home=tmp_path / "home",
                        inherited=Inherited.of(os.environ))
    offline = tmp_path / "offline.config"

    def run(given: dict[str, Any], params: dict[str, Any]) -> dict[str, str]:
        spec = listed(tmp_path, place, WITHOUT, given)
        build(RenderSpec(pipeline="forms", nextflow="24.10.5", scan=spec.scan, output=offline,
                         receipt=receipt(tmp_path, spec.images.read_text().split()),
                         toggles=ROOT / "config/offline.config",
                         engine_toggles=ROOT / "config/engines/docker.config"))
        return taken(installed, place, params, offline)

    ours = {"KEPT": mirrored("docker.io/a/kept:1"), "SUM": "-",
            "WORKER (1)": mirrored("docker.io/a/one:1"),
            "WORKER (2)": mirrored("docker.io/a/two:2")}
    assert run(by_hand, {}) == ours
    with pytest.raises(AssertionError, match="nf-airlock: GREP has no image: only `conda"):
        run(by_hand, {"grep": True})
    assert run({**by_hand, "GREP": "none"}, {"grep": True}) == {**ours, "GREP": "-"}


READS = """
process TOLD { container 'a/told:1'; script: 'true' }
process READ { container new File("${projectDir}/image.txt").text.trim(); script: 'true' }
workflow { TOLD(); if (file(params.input).exists()) { READ() } }
"""


def test_what_the_code_does_not_tell_is_asked_with_the_staged_params(
        hello: InspectSpec, tmp_path: Path) -> None:
    code = tmp_path / "code.tar"
    files.write_tar(code, Path(), [], extra={
        "main.nf": READS.encode(), "image.txt": b"quay.io/a/read:1\n",
        "nextflow.config": b"profiles { test {} }\n"})
    spec = ListSpec(pipeline="reads", code=code, profile="test", given={},
                    images=tmp_path / "images.txt", scan=tmp_path / "images.json",
                    unknown=tmp_path / "images.unknown.txt")
    with pytest.raises(ImageError, match="READ: the image hangs on"):
        list_images(spec)
    asks = dataclasses.replace(hello, code=code)
    assert list_asked(AskSpec(**vars(spec), asks=asks)) == (
        "2 images in 2 processes, 1 by `nextflow inspect`")
    assert spec.images.read_text() == "docker.io/a/told:1\nquay.io/a/read:1\n"
    assert inspect_images(dataclasses.replace(asks, scan=spec.scan)) == "2 agrees"
