"""offline.config for each engine, by the real Nextflow: one is enabled, and images go by it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.core import config_places, files
from tasks.core.config import engines
from tasks.core.nextflow import installed, launch, machine, queries
from tasks.core.nextflow.image_files import file_name
from tasks.core.nextflow.library import Library
from tasks.offline_config.render import IndexSpec, RenderSpec, build, build_files
from tasks.runtime import build as runtimes
from tests.kit import apptainer
from tests.kit.pipelines import write_sources
from tests.kit.project import ROOT

OTHERS = ("docker", "podman", "apptainer", "singularity", "charliecloud", "sarus", "shifter",
          "conda", "spack")
CHOICE = ("workflow.containerEngine == 'singularity' && !task.ext.pull_docker ? "
          "'https://depot.example.org/singularity/scale:1.0' : 'quay.io/airlock/scale:1.0'")
FILE, PLAIN = "https://depot.example.org/singularity/scale:1.0", "quay.io/airlock/scale:1.0"
MAIN = f"""
process SCALE {{
    container "${{ {CHOICE} }}"
    output: stdout
    script: "true"
}}
workflow {{ SCALE() }}
"""
CONFIG = """
    docker.registry = 'quay.io'
    apptainer.registry = 'quay.io'
    singularity.registry = 'quay.io'
    profiles {
        site {
            ENABLED
            docker.runOptions = '--network host'
            singularity { cacheDir = '/shared/cache'; ociMode = true; ociAutoPull = true
                          oci = true }
            apptainer { cacheDir = '/shared/cache'; ociAutoPull = true; autoMounts = false }
        }
        plain { process { withName: 'SCALE' { ext.pull_docker = true } } }
    }
"""
SELECTOR = {"pattern": "(.*:)?(SCALE)", "choice": f'"${{ {CHOICE} }}"'}


def digest(image: str) -> str:
    return image if image == FILE else f"{image.partition(':')[0]}@sha256:{'d' * 64}"


def written(root: Path, kind: str, names: tuple[str, ...]) -> Path:
    """offline.config for an engine under which the scan knows these names of the one process."""
    files.write_json(root / "images.json", {
        "images": sorted(names), "processes": [], "selectors": [
            {**SELECTOR, "choice": SELECTOR["choice"] if len(names) > 1 else None,
             "images": [{"name": name, "container": name} for name in sorted(names)]}]})
    given: dict[str, Any] = {
        "pipeline": "scale", "nextflow": "24.10.5", "scan": root / "images.json",
        "toggles": ROOT / "config/offline.config", "output": root / "offline.config",
        "engine_toggles": ROOT / config_places.engine(kind)}
    if kind in engines.SIF_KINDS:
        files.write_json(root / "sif.json", {"images": [
            {"source": name, "container": digest(name), "file": file_name(digest(name)),
             "sha256": "0" * 64, "size": 1, "platform": "linux/amd64"} for name in names]})
        build_files(IndexSpec(**given, index=root / "sif.json"))
    else:
        files.write_json(root / "receipt.json", {"registry": "nexus:8443", "images": [
            {"source": name, "destination": f"nexus:8443/{name.partition(':')[0]}", "size": 1,
             "digest": "sha256:" + "d" * 64, "platform": "linux/amd64"} for name in names]})
        build(RenderSpec(**given, receipt=root / "receipt.json", engine=kind))
    return root / "offline.config"


@pytest.fixture(scope="module")
def nextflow(tmp_path_factory: pytest.TempPathFactory,
             runtime: runtimes.Runtime) -> installed.Nextflow:
    folder = tmp_path_factory.mktemp("nextflow")
    return installed.install(runtime.archive, folder / "runtime", home=folder / "nxf",
                             inherited=machine.this_machine(os.environ).inherited)


def code(root: Path) -> Path:
    """The pipeline, whose institution's profile enables every engine."""
    enabled = "\n".join(f"{name}.enabled = true" for name in OTHERS)
    return write_sources(root / "code", {"main.nf": MAIN, "nextflow.config": CONFIG.replace(
        "ENABLED", enabled)})


@pytest.mark.parametrize("kind", engines.KINDS)
def test_whatever_an_institution_sets_one_engine_is_enabled_with_our_settings(
        nextflow: installed.Nextflow, tmp_path: Path, kind: str) -> None:
    found, = queries.configs(nextflow, code(tmp_path), profile="site,offline", scratch=tmp_path,
                             log=tmp_path / "log", given=[written(tmp_path, kind, (PLAIN,))])
    assert [name for name in OTHERS if found[name].get("enabled") is True] == [kind]
    expected: dict[str, dict[str, Any]] = {
        "docker": {"registry": "nexus:8443", "runOptions": "-u $(id -u):$(id -g)"},
        "podman": {"registry": "nexus:8443", "runOptions": "--user 0:0"},
        "apptainer": {"registry": "", "autoMounts": True, "ociAutoPull": False,
                      "cacheDir": "/shared/cache"},
        "singularity": {"registry": "", "autoMounts": True, "ociAutoPull": False,
                        "ociMode": None, "oci": None, "cacheDir": "/shared/cache"}}
    assert found[kind] == {"enabled": True, **expected[kind]}


def run(nextflow: installed.Nextflow, root: Path, kind: str, names: tuple[str, ...],
        profile: str) -> dict[str, Any]:
    """What a stand-in for the engine is asked by a run; the image files lie in the library."""
    engine = apptainer.standin(root / "bin", kind)
    for name in names:
        apptainer.image(root / "sif" / file_name(digest(name)))
    library = Library(engine=kind, folder=root / "sif", cache=root / "none")
    files.write_text(root / "images.config", library.config())
    files.write_json(root / "params.json", {})
    ready = launch.Launch(
        nextflow=nextflow, code=code(root), tree=root / "tree", params=root / "params.json",
        configs=(written(root, kind, names), root / "images.config"), folder=root,
        host_params=root / "params.json")
    launch.run(ready, profile=profile, log=root / "run.log", options=["-offline"],
               env={"PATH": engine.path, "NXF_WORK": str(root / "work")})
    call, = engine.calls()
    return call


@pytest.mark.parametrize(("kind", "profile", "image"), [
    ("apptainer", "site", PLAIN), ("singularity", "site", FILE),
    ("singularity", "site,plain", PLAIN)])
def test_a_choice_by_the_engine_takes_the_file_of_what_the_pipeline_chooses(
        nextflow: installed.Nextflow, tmp_path: Path, kind: str, profile: str,
        image: str) -> None:
    """nf-core's template asks for `singularity` alone, so under Apptainer it gives Docker's name.
    """
    names = (PLAIN,) if kind == "apptainer" else (PLAIN, FILE)
    call = run(nextflow, tmp_path, kind, names, profile)
    assert Path(call["image"]).name == file_name(digest(image))
    assert call["verb"] == "exec" and not {"--oci", "--no-oci"} & {*call["options"]}


def test_every_engine_s_file_names_the_others() -> None:
    """One that is left out could be switched on beside it."""
    common = (ROOT / "config/offline.config").read_text()
    for kind in engines.KINDS:
        own = (ROOT / config_places.engine(kind)).read_text()
        off = set(re.findall(r"^(\w+)\.enabled *= false$", own + common, re.MULTILINE))
        assert off >= {*OTHERS} - {kind} and kind not in off
    assert json.loads((ROOT / "schemas/site.schema.json").read_bytes())["properties"]["offline"][
        "properties"]["engine"]["enum"] == list(engines.KINDS)
