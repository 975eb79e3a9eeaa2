"""nf-core's template in three generations, as its users get it: staged, carried across, and run.

The oldest runs its stubs on the offline host; the middle one computes there, with the real FastQC
and the real MultiQC; the newest asks for a Nextflow that Maven Central lacks, and is refused.
With that one line lowered it is staged, listed, mirrored and configured, but not run.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.config.load import load
from tasks.local_site.plan import Plan, plan
from tests.kit import machine, template_image, templates
from tests.kit.project import Project, copy
from tests.kit.templates import MIDDLE, NEWEST, OLDEST, TEMPLATES

PUBLIC = "https://raw.githubusercontent.com/nf-core/test-datasets/"
SHEET = "viralrecon/samplesheet/samplesheet_test_illumina_amplicon.csv"
IGENOMES = "s3://ngi-igenomes/igenomes/"
FASTA = "Saccharomyces_cerevisiae/Ensembl/R64-1-1/Sequence/WholeGenomeFasta/genome.fa"
FASTQC = "quay.io/biocontainers/fastqc:0.12.1--hdfd78af_0"
IMAGES = {
    "oldest": [FASTQC, "quay.io/biocontainers/multiqc:1.21--pyhdfd78af_0"],
    "middle": [FASTQC, "quay.io/biocontainers/multiqc:1.27--pyhdfd78af_0"],
    "newest": ["community.wave.seqera.io/library/multiqc:1.32--d58f60e4deb769bf", FASTQC],
}
RUNS = {"oldest": "stub", "middle": "test", "newest": "stub"}
REVISIONS = {"oldest": "1.0.0", "middle": "1.0.0", "newest": "lowered"}
CONTACT = "The institution's own, staged"
ASKED = re.compile(r"^(\s*nextflowVersion\s*=\s*)\S+", re.MULTILINE)
GIT = ("git", "-c", "user.name=Tests", "-c", "user.email=tests@example.org")
CUT = 1000
"""Reads of the second sample: a part of the first's, so that the two can be told apart."""


@dataclass(frozen=True, kw_only=True)
class Crossed(Project):
    """The project, and what was printed of the newest template as it was made."""

    refusal: str


def pipeline_config(name: str, revision: str) -> dict[str, Any]:
    return {
        "source": f"https://git.example.org/{name}.git", "revision": revision,
        "configs": {"source": "https://git.example.org/configs.git", "revision": "1.0.0"},
        "profile": "test", "run": RUNS[name], "data": {"rows": 2},
        "nextflow": {"version": "24.10.5", "coordinates": [
            "io.nextflow:nextflow:24.10.5", "io.nextflow:nf-commons:24.10.5",
            "io.nextflow:nf-httpfs:24.10.0"]}}


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossed]:
    """A project whose site carries the three templates; two of them have been taken across."""
    project = copy(tmp_path_factory.mktemp("templates"), number=2)
    folders = {template.name: template.folder for template in TEMPLATES}
    try:
        configure(project)
        project.doit("sandbox:up", f"runtime:{MIDDLE.name}")
        sandbox = sandbox_of(project)
        for name, folder in folders.items():
            serve_git(folder, sandbox.files / f"git/{name}.git")
        lower(sandbox.files / f"git/{NEWEST.name}.git", tmp_path_factory.mktemp("lowered"))
        serve_configs(sandbox.files / "git/configs.git", tmp_path_factory.mktemp("configs"))
        serve_data(sandbox.files / "data")
        templates.serve_plugins(
            sandbox.files / "plugins", built(project, MIDDLE.name, "nextflow-24.10.5.tar"),
            tmp_path_factory.mktemp("plugins"))
        for reference in {image for images in IMAGES.values() for image in images}:
            template_image.push(sandbox, reference)
        refused = project.doit(f"resolve:{NEWEST.name}", check=False)
        assert refused.returncode != 0
        write_pipeline(project, NEWEST.name, REVISIONS[NEWEST.name])
        project.doit(*(f"sandbox:cross:{template.name}" for template in (OLDEST, MIDDLE)),
                     f"dev:validate:{MIDDLE.name}",
                     *(f"{step}:{NEWEST.name}" for step in ("config", "plugins:cache")))
        yield Crossed(root=project.root, refusal=refused.stdout)
    finally:
        project.doit("sandbox:down", check=False)


def configure(project: Project) -> None:
    raw = project.site()
    raw["pipelines"] = [template.name for template in TEMPLATES]
    files_port, registry_port = raw["sandbox"]["files_port"], raw["sandbox"]["registry_port"]
    raw["hosts"]["urls"] |= {
        PUBLIC: f"http://127.0.0.1:{files_port}/data/nf-core/",
        IGENOMES: f"http://127.0.0.1:{files_port}/data/igenomes/"}
    raw["hosts"]["registries"] |= {
        host: f"http://127.0.0.1:{registry_port}/{host}"
        for host in ("quay.io", "community.wave.seqera.io")}
    project.write_site(raw)
    for name in raw["pipelines"]:
        write_pipeline(project, name, "1.0.0")


def write_pipeline(project: Project, name: str, revision: str) -> None:
    (project.root / f"config/pipelines/{name}.yml").write_text(
        yaml.safe_dump(pipeline_config(name, revision)))


def sandbox_of(project: Project) -> Plan:
    """The sandbox's plan, whose paths are taken from the current folder."""
    before = Path.cwd()
    os.chdir(project.root)
    try:
        return plan(load({}).site)
    finally:
        os.chdir(before)


def serve_git(source: Path, bare: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--bare", source, bare], check=True)
    subprocess.run(["git", "-C", bare, "update-server-info"], check=True)


def lower(bare: Path, scratch: Path) -> None:
    """Tag `lowered`: the same template, but for the Nextflow that it asks for."""
    subprocess.run(["git", "clone", "--quiet", bare, scratch], check=True)
    config = scratch / "nextflow.config"
    text, count = ASKED.subn(r"\g<1>'!>=24.04.2'", config.read_text())
    assert count == 1
    config.write_text(text)
    for words in (["commit", "--quiet", "--all", "-m", "lowered"], ["tag", "lowered"],
                  ["push", "--quiet", "origin", "lowered"]):
        subprocess.run([*GIT, *words], cwd=scratch, check=True)
    subprocess.run(["git", "-C", bare, "update-server-info"], check=True)


def serve_configs(bare: Path, scratch: Path) -> None:
    """In the place of nf-core/configs: one profile's file, and a param that shows that it came."""
    (scratch / "nfcore_custom.config").write_text(
        f"params.config_profile_contact = \"{CONTACT}\"\n")
    (scratch / "pipeline").mkdir()
    (scratch / "pipeline/oldest.config").write_text("// nothing to set\n")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "configs"],
                  ["tag", "1.0.0"]):
        subprocess.run([*GIT, *words], cwd=scratch, check=True)
    serve_git(scratch, bare)


def serve_data(data: Path) -> None:
    """Three samples, of which two are asked for: the third's reads are missing."""
    sheet = data / "nf-core" / SHEET
    sheet.parent.mkdir(parents=True)
    rows = [("one", "one_1.fq.gz", "one_2.fq.gz"), ("two", "two_1.fq.gz", ""),
            ("three", "three_1.fq.gz", "")]
    sheet.write_text("sample,fastq_1,fastq_2\n" + "".join(
        f"{name},{','.join(f'{PUBLIC}reads/{file}' if file else '' for file in reads)}\n"
        for name, *reads in rows))
    reads = data / "nf-core/reads"
    reads.mkdir()
    for mate in "12":
        shutil.copy(data / f"hello/reads_{mate}.fq.gz", reads / f"one_{mate}.fq.gz")
    with gzip.open(reads / "one_1.fq.gz") as whole, gzip.open(reads / "two_1.fq.gz", "wb") as cut:
        cut.writelines(line for _, line in zip(range(4 * CUT), whole, strict=False))
    fasta = data / "igenomes" / FASTA
    fasta.parent.mkdir(parents=True)
    fasta.write_text(">I\nACGTACGTACGT\n")


def built(project: Project, pipeline: str, name: str) -> Path:
    return project.root / "build/local" / pipeline / name


def offline_run(project: Project, pipeline: str) -> Path:
    """The folder of the run on the offline host."""
    runs = project.root / f"build/local/sandbox/host/disk/{pipeline}/airlock/runs"
    (folder,) = (runs / pipeline).glob("*Z-*")
    return folder


def results(project: Project, pipeline: str) -> Path:
    return offline_run(project, pipeline) / "results"


def one_of(project: Project, pipeline: str, pattern: str) -> Path:
    """The one file of the offline run's results that fits a pattern."""
    found = list(results(project, pipeline).rglob(pattern))
    assert len(found) == 1, found
    return found[0]


def true_reads(project: Project) -> dict[str, int]:
    """Reads of each file, counted from what the internet offers."""
    folder = sandbox_of(project).files / "data/nf-core/reads"

    def count(name: str) -> int:
        with gzip.open(folder / name) as stream:
            return sum(1 for _ in stream) // 4

    return {name.removesuffix(".fq.gz"): count(name)
            for name in ("one_1.fq.gz", "one_2.fq.gz", "two_1.fq.gz")}


def test_a_template_that_asks_for_another_nextflow_is_refused(crossed: Crossed) -> None:
    assert "FAILED resolve:newest: the pipeline asks for Nextflow !>=25.04.0" in crossed.refusal
    assert "25.04.0 or later" in crossed.refusal


@pytest.mark.parametrize("name", [template.name for template in TEMPLATES])
def test_its_images_are_found(crossed: Project, name: str) -> None:
    assert built(crossed, name, "images.txt").read_text().split() == IMAGES[name]


@pytest.mark.parametrize("name", [template.name for template in TEMPLATES])
def test_its_commit_is_locked(crossed: Project, name: str) -> None:
    lock = json.loads((crossed.root / f"config/locks/{name}/local/code.json").read_text())
    bare = sandbox_of(crossed).files / f"git/{name}.git"
    asked = ["git", "-C", str(bare), "rev-parse", f"{REVISIONS[name]}^{{commit}}"]
    commit = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    assert lock["commit"] == commit.strip()


@pytest.mark.parametrize("name", [template.name for template in TEMPLATES])
def test_its_sheet_is_trimmed_and_staged(crossed: Project, name: str) -> None:
    rows = built(crossed, name, "inputs.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "three" not in "".join(rows)
    assert "://" not in "".join(rows)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_its_plugin_is_carried_as_pinned(crossed: Project, template: templates.Template) -> None:
    (identity, version), = template.plugins()
    with tarfile.open(built(crossed, template.name, "plugins.tar")) as archive:
        tops = {name.split("/")[0] for name in archive.getnames()}
    assert f"{identity}-{version}" in tops


@pytest.mark.parametrize("name", [template.name for template in TEMPLATES])
def test_its_images_are_given_by_digest(crossed: Project, name: str) -> None:
    lock = json.loads((crossed.root / f"build/local/{name}/images.lock.json").read_text())
    config = built(crossed, name, "offline.config").read_text()
    for image in IMAGES[name]:
        repository, _, tag = image.rpartition(":")
        assert f"{repository.partition('/')[2]}@sha256:" in config
        assert tag in json.dumps(lock)


@pytest.mark.parametrize("name", [OLDEST.name, MIDDLE.name])
def test_it_ran_on_the_offline_host(crossed: Project, name: str) -> None:
    receipt = json.loads(built(crossed, name, "crossing.json").read_text())
    assert receipt["isolated"] is True
    lines = next(offline_run(crossed, name).rglob("trace.txt")).read_text().splitlines()
    for process, count in {":FASTQC ": 2, ":MULTIQC": 1}.items():
        done = [line for line in lines if process in line]
        assert len(done) == count, lines
        assert all("\tCOMPLETED\t" in line for line in done)


@pytest.mark.parametrize("name", [OLDEST.name, MIDDLE.name])
def test_it_took_the_institutional_configs_that_were_carried(crossed: Project, name: str) -> None:
    params = json.loads(one_of(crossed, name, "params_*.json").read_text())
    assert params["config_profile_contact"] == CONTACT
    assert "://" not in params["custom_config_base"]


def test_validate_says_beforehand_that_the_release_would_run(crossed: Project) -> None:
    report = json.loads(built(crossed, MIDDLE.name, "validate.json").read_text())
    assert {subject["subject"]: subject["ok"] for subject in report["subjects"]} == dict.fromkeys(
        ("registry", "images", "store", "inputs", "containers", "config", "params", "plugins",
         "runtime"),
        True)
    assert report["warnings"] == []


def test_the_old_template_is_limited_by_the_hosts_size(crossed: Project) -> None:
    params = json.loads(one_of(crossed, OLDEST.name, "params_*.json").read_text())
    assert int(params["max_cpus"]) <= len(os.sched_getaffinity(0))


def test_fastqc_computed_from_the_true_reads(crossed: Project) -> None:
    counts = {}
    for path in results(crossed, MIDDLE.name).rglob("*_fastqc.zip"):
        with zipfile.ZipFile(path) as archive:
            lines = archive.read(f"{path.stem}/fastqc_data.txt").decode().splitlines()
        counts[path.stem.removesuffix("_fastqc")] = int(
            dict(line.split("\t")[:2] for line in lines if "\t" in line)["Total Sequences"])
    true = true_reads(crossed)
    assert counts == {"one_1": true["one_1"], "one_2": true["one_2"], "two": true["two_1"]}


def test_multiqc_reports_the_true_numbers_of_reads(crossed: Project) -> None:
    data = json.loads(one_of(crossed, MIDDLE.name, "multiqc_data.json").read_text())
    counts = {sample: int(row["total_sequences"]) for table in data["report_general_stats_data"]
              for sample, row in table.items()}
    true = true_reads(crossed)
    assert counts == {"one_1": true["one_1"], "one_2": true["one_2"], "two": true["two_1"]}
    assert len(set(counts.values())) > 1
    assert "nf-core/middle" in one_of(crossed, MIDDLE.name, "multiqc_report.html").read_text()


def test_the_oldest_crosses_to_a_stub_run_with_podman_as_well(crossed: Crossed) -> None:
    """Last, since its run takes the place of Docker's on the offline host."""
    machine.need("podman", "newuidmap", "runc")
    receipt = built(crossed, OLDEST.name, "crossing.json")

    def results_of_run() -> dict[str, str]:
        return {entry["path"]: entry["sha256"]
                for entry in json.loads(receipt.read_text())["results"]
                if not entry["path"].startswith("pipeline_info/")}

    before, docker = crossed.site(), results_of_run()
    raw = crossed.site()
    raw["offline"]["engine"] = "podman"
    crossed.write_site(raw)
    try:
        crossed.doit(f"sandbox:cross:{OLDEST.name}")
    finally:
        crossed.write_site(before)
    assert docker and results_of_run() == docker
    record = json.loads((offline_run(crossed, OLDEST.name) / "run.json").read_text())
    assert record["versions"]["podman"] and record["run"] == "stub"
    assert {task["container"] for task in record["tasks"]} == {
        image["reference"] for image in record["images"] if image["why_not"] is None}
