"""A pipeline that is not ours: nf-core's own template, made now, carried across, and run as a stub.

nf-core/tools comes from PyPI, into an environment beside this project's build; the template, its
modules and its samplesheet are never part of this repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tasks.core.config import load
from tasks.core.nextflow import find_java
from tasks.sandbox import images
from tasks.sandbox.plan import Plan, plan
from tests.sandbox.project import ROOT, Project, copy

TOOLS = "nf-core==3.2.1"
SHEET = "viralrecon/samplesheet/samplesheet_test_illumina_amplicon.csv"
PUBLIC = "https://raw.githubusercontent.com/nf-core/test-datasets/"
CONFIG = """\
source: https://git.example.org/foreign.git
revision: 1.0.0
profile: test
run: stub
nextflow:
  version: 24.10.5
  coordinates:
    - io.nextflow:nextflow:24.10.5
    - io.nextflow:nf-commons:24.10.5
    - io.nextflow:nf-httpfs:24.10.0
data:
  rows: 2
"""
TOOL = textwrap.dedent("""\
    #!/bin/bash
    echo '{says}'
    """)
ANSWERS = {"fastqc": ("0.12.1--hdfd78af_0", "FastQC v0.12.1"),
           "multiqc": ("1.27--pyhdfd78af_0", "multiqc, version 1.27")}


@pytest.fixture(scope="module")
def tools() -> Path:
    """nf-core/tools in an environment that later runs of the tests find again."""
    folder = ROOT / "build/tests/nf-core"
    program = folder / "bin/nf-core"
    stamp = folder / "complete"
    if not stamp.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", TOOLS], check=True)
        stamp.write_text(TOOLS)
    return program


def launcher(project: Project, folder: Path) -> Path:
    """A folder for the PATH in which the staged runtime is called `nextflow`."""
    archive = project.root / "build/local/hello/nextflow-24.10.5.tar"
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    return folder / "nextflow-24.10.5"


def make_template(tools: Path, folder: Path, path: Path) -> Path:
    """The template of nf-core/tools, as a git repository with a tag."""
    answers = folder / "template.yml"
    answers.write_text(yaml.safe_dump({
        "name": "foreign", "description": "A pipeline that is not ours", "author": "Tests",
        "version": "1.0.0", "force": True, "org": "airlock", "is_nfcore": False,
        "skip_features": ["nf_schema", "igenomes", "github", "ci", "email", "rocrate"]}))
    target = folder / "foreign"
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "NXF_OFFLINE": "true",
                   "NXF_HOME": str(folder / "nxf"), "HOME": str(folder), "NO_COLOR": "1",
                   "JAVA_CMD": str(find_java("24.10.5")), "GIT_CONFIG_GLOBAL": "/dev/null",
                   **{f"GIT_{who}_{what}": "tests@example.org" for who in ("AUTHOR", "COMMITTER")
                      for what in ("NAME", "EMAIL")}}
    done = subprocess.run([tools, "pipelines", "create", "--template-yaml", answers, "--outdir",
                           target], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["git", "-C", target, "tag", "1.0.0"], check=True)
    return target


def serve_git(source: Path, served: Path) -> None:
    bare = served / "git/foreign.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", source, bare], check=True)
    subprocess.run(["git", "-C", bare, "update-server-info"], check=True)


def serve_data(served: Path) -> None:
    sheet = served / "data/nf-core" / SHEET
    sheet.parent.mkdir(parents=True)
    rows = [("one", "one_1.fq.gz", "one_2.fq.gz"), ("two", "two_1.fq.gz", ""),
            ("three", "three_1.fq.gz", "")]
    sheet.write_text("sample,fastq_1,fastq_2\n" + "".join(
        f"{name},{','.join(f'{PUBLIC}reads/{each}' if each else '' for each in reads)}\n"
        for name, *reads in rows))
    reads = served / "data/nf-core/reads"
    reads.mkdir()
    for _, *names in rows[:2]:  # the third row's are missing: two rows are all that is asked for
        for name in filter(None, names):
            (reads / name).write_bytes(f"@{name}\nACGT\n+\nIIII\n".encode())


def serve_images(sandbox: Plan) -> None:
    base = images.base_files(sandbox)
    for name, (tag, says) in ANSWERS.items():
        layer = {f"usr/bin/{name}": TOOL.format(says=says).encode()}
        images.push(sandbox, images.Image(repository=f"quay.io/biocontainers/{name}", tag=tag,
                                          form="oci", layer=layer), base)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Iterator[Project]:
    """A project whose site carries the foreign pipeline alone, taken across by plain `doit`."""
    project = copy(tmp_path_factory.mktemp("foreign"), number=2)
    try:
        project.doit("sandbox:up", "runtime:hello")
        raw = project.site()
        raw["pipelines"] = ["foreign"]
        files_port = raw["sandbox"]["files_port"]
        raw["hosts"]["urls"][PUBLIC] = f"http://127.0.0.1:{files_port}/data/nf-core/"
        project.write_site(raw)
        (project.root / "config/pipelines/foreign.yml").write_text(CONFIG)
        scratch = tmp_path_factory.mktemp("template")
        template = make_template(tools, scratch, launcher(project, scratch))
        sandbox = sandbox_of(project)
        serve_git(template, sandbox.files)
        serve_data(sandbox.files)
        serve_images(sandbox)
        project.doit()
        yield project
    finally:
        project.doit("sandbox:down", check=False)


def sandbox_of(project: Project) -> Plan:
    """The sandbox's plan, whose paths are taken from the current folder."""
    before = Path.cwd()
    os.chdir(project.root)
    try:
        return plan(load({}).site)
    finally:
        os.chdir(before)


def built(project: Project, name: str) -> Path:
    return project.root / "build/local/foreign" / name


def test_its_images_are_found(crossed: Project) -> None:
    assert built(crossed, "images.txt").read_text().split() == [
        "quay.io/biocontainers/fastqc:0.12.1--hdfd78af_0",
        "quay.io/biocontainers/multiqc:1.27--pyhdfd78af_0"]


def test_its_commit_is_locked(crossed: Project) -> None:
    lock = json.loads((crossed.root / "config/locks/foreign/code.json").read_text())
    bare = sandbox_of(crossed).files / "git/foreign.git"
    commit = subprocess.run(["git", "-C", bare, "rev-parse", "1.0.0^{commit}"], check=True,
                            capture_output=True, text=True).stdout.strip()
    assert lock["commit"] == commit


def test_its_sheet_is_trimmed_and_staged(crossed: Project) -> None:
    rows = built(crossed, "inputs.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "three" not in "".join(rows)
    assert "https://" not in "".join(rows)


def test_it_ran_on_the_offline_host(crossed: Project) -> None:
    receipt = json.loads(built(crossed, "crossing.json").read_text())
    assert receipt["isolated"] is True
    results = crossed.root / "build/local/sandbox/host/disk/foreign/results"
    names = {path.name for path in results.rglob("*") if path.is_file()}
    assert {"multiqc_report.html", "one.html", "two.html"} <= names
    versions = next(results.rglob("*versions.yml")).read_text()
    assert "fastqc: 0.12.1" in versions
    trace = next(results.rglob("trace.txt")).read_text()
    assert trace.count("FASTQC") == 2
    assert "MULTIQC" in trace
