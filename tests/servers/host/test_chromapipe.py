"""chromapipe taken across the local air gap, and the four trials of Batch, in Docker."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import trials
from tasks.core.engine import address
from tasks.core.nextflow.machine import this_machine
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tests.kit import executor, machine, net_log
from tests.kit.engines import Engine
from tests.kit.project import Project, copy

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())
BUILT = "build/local/chromapipe"
READ = """
import json, polars, sys
frame = polars.read_parquet(sys.argv[1])
print(json.dumps({"columns": frame.columns, "rows": frame.rows()}))
"""


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = copy(tmp_path_factory.mktemp("chromapipe"), number=52)
    try:
        project.doit("pipeline=chromapipe")
        project.doit("pipeline=chromapipe", "batch:test-main")
        yield project
    finally:
        project.doit("sandbox:down", check=False)


def results(project: Project) -> Path:
    disk = project.root / "build/local/sandbox/host/disk/chromapipe/airlock/runs/chromapipe"
    folder, = disk.glob("*Z-test/results")
    return folder


def table(project: Project, path: Path) -> dict[str, list[Any]]:
    """A parquet file, read by the polars of the image that wrote it, in the online engine."""
    image, = read_json(project.root / BUILT / "images.receipt.json", "images-receipt")["images"]
    done = subprocess.run(
        ["docker", "--host", project.site()["engine"], "run", "--rm", "--network", "none",
         "--volume", f"{path.parent}:/results:ro", f"{image['destination']}@{image['digest']}",
         "python3", "-c", READ, f"/results/{path.name}"],
        capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_the_offline_host_computed_both_chromosomes(crossed: Project) -> None:
    found = results(crossed)
    assert {path.name for path in found.iterdir()} == {"pipeline_info", *(
        f"{chromosome}{rest}" for chromosome in ("chr21", "chr22")
        for rest in ("_compiled.parquet", "_surface.parquet", ".svg"))}
    compiled = table(crossed, found / "chr21_compiled.parquet")
    proteins = {row["accession"]: row for row in (
        dict(zip(map(str, compiled["columns"]), values, strict=True))
        for values in compiled["rows"])}
    assert set(proteins) == {"P05067", "P00441", "P04271", "P04080"}
    # 2BEG: residues 17 to 42 of five chains of amyloid beta, in two strands each (Lührs 2005).
    assert proteins["P05067"]["radius_of_gyration_nm"] == pytest.approx(1.47, abs=0.01)
    assert proteins["P05067"]["residues"] == 5 * 26
    assert proteins["P05067"]["strand"] > 0.7
    assert proteins["P04271"]["helix"] > 0.7
    assert len(table(crossed, found / "chr21_surface.parquet")["rows"]) == sum(
        row["residues"] for row in proteins.values())
    assert "APP" in (found / "chr21.svg").read_text()


def test_a_page_names_date_release_and_images_beside_the_pictures(crossed: Project,
                                                                  tmp_path: Path) -> None:
    receipt = json.loads((crossed.root / BUILT / "crossing.json").read_text())
    page = results(crossed) / "pipeline_info/chromapipe_run.html"
    record = read_json(results(crossed).parent / "run.json", "run")
    for text in (receipt["release"], record["name"], f"{record['started'][:10]} ",
                 *(image["reference"] for image in record["images"]),
                 'src="../chr21.svg"', 'src="../chr22.svg"'):
        assert text in page.read_text()
    assert net_log.asked(page, tmp_path) == set()


def test_each_trial_left_its_receipt_log_and_trace(crossed: Project) -> None:
    receipts = {name: read_json(crossed.root / BUILT / f"batch/test-{name}.json", "batch-trial")
                for name in ("basic", "python", "deps", "main")}
    assert receipts["basic"]["result"].startswith("ID=airlock")
    assert receipts["python"]["result"].startswith("Python 3.11")
    assert receipts["deps"]["result"].startswith("requests ")
    assert receipts["main"]["results"] == 7
    assert {job["name"].partition(" ")[0] for job in receipts["main"]["jobs"]} == {
        f"CHROMAPIPE:{name}" for name in
        ("FETCH_PDB", "FETCH_ANNOTATIONS", "COMPUTE_PHYSICAL", "COMPILE")}
    for name, receipt in receipts.items():
        assert receipt["where"] == "docker"
        assert all(job["run"] is not None for job in receipt["jobs"])
        assert (crossed.root / BUILT / f"batch/test-{name}.trace.txt").is_file()
        log = crossed.root / f"build/local/logs/batch-test-{name}-chromapipe.log"
        assert "executor >  local" in log.read_text() or "Submitted process" in log.read_text()


def test_a_trial_that_fails_keeps_the_next_from_running(crossed: Project) -> None:
    receipt = crossed.root / BUILT / "batch/test-python.json"
    before = receipt.read_bytes()
    done = crossed.doit("pipeline=chromapipe", "batch:test-deps", check=False,
                        env={"AIRLOCK_ENGINE": "unix:///nowhere.sock"})
    assert done.returncode != 0
    assert "basic: a job starts in a container" in done.stdout
    assert "main: the pipeline itself" in done.stdout
    assert receipt.read_bytes() == before


def test_the_table_of_times_is_of_runs_that_happened(crossed: Project) -> None:
    done = crossed.doit("pipeline=chromapipe", "batch:perf")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["classic", "not", "measured"] in lines
    assert [line[1] for line in lines if line[:1] == ["docker"]] != []
    assert (crossed.root / BUILT / "batch/perf.svg").is_file()


@executor.needs_plugin
def test_the_pipeline_runs_on_batch_by_the_real_executor(
        crossed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crossed.root)
    at, engine = PipelinePaths(site="local", pipeline="chromapipe"), crossed.site()["engine"]
    image, = read_json(at.images_receipt, "images-receipt")["images"]
    with executor.standing(Engine(command=("docker", "--host", engine)), tmp_path) as stand:
        led = executor.led_to(stand, f"{image['destination']}@{image['digest']}",
                              "led.example.org/airlock/chromapipe:1.0")
        spec = trials.MainSpec(
            pipeline="chromapipe", trial="main", profile="test", runtime=at.runtime("24.10.5"),
            plugins=executor.plugins(tmp_path), code=at.code, data_manifest=at.data_manifest,
            config=at.offline_config, images_receipt=at.images_receipt, blobs=at.of_site.blobs,
            folder=tmp_path / "main", receipt=tmp_path / "receipt.json",
            measured=tmp_path / "measured.json", log=tmp_path / "main.log",
            machine=this_machine(os.environ), place=trials.Place(
                kind="batch", mode="carried-cli", engine=address.Engine(url=engine),
                registries={}, work=f"s3://{executor.BUCKET}/work", profile="aws",
                config=executor.settings(
                    stand, tmp_path, cli=executor.unpacked_cli(tmp_path),
                    more=f"process {{ withName: '.*' {{ container = '{led}' }} }}\n"),
                variables=executor.variables(stand)))
        assert trials.run_main(spec).startswith("6 results in ")
    receipt = read_json(spec.receipt, "batch-trial")
    assert (receipt["where"], receipt["mode"], len(receipt["jobs"])) == ("batch", "carried-cli", 8)
    assert (spec.folder / "writable/results/chr21_compiled.parquet").is_file()
