"""The whole way of the bundled pipeline: from its source to results on the offline host."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import CommandError
from tasks.core.paths import SitePaths
from tasks.core.schema import read_json
from tasks.core.trust import signature
from tasks.local_site import host
from tests.kit.crossed import (
    COMMANDS,
    check_screen,
    counted,
    current,
    inside,
    pages,
    results,
    watching_commands,
    write_own,
)
from tests.kit.project import Project, copy, steps
from tests.kit.screens import Shown, watch

LOOKS = {"dev:validate:hello", "push:release:hello", "release:promote:hello", "report:hello",
         "push:tool", "sandbox:packages"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Shown]]:
    """A project in which plain `doit` has done its work once, and what a terminal showed of it."""
    project = copy(tmp_path_factory.mktemp("crossing"), number=1)
    write_own(project.root / "mine")
    try:
        with watching_commands():
            output = project.doit("mirror:data:hello", "input=mine/cohort.csv").stdout
            assert "input=cohort" in output
            shown = watch(project.command(), cwd=project.root, env=project.environment(), limit=300)
        yield project, shown
    finally:
        project.doit("sandbox:down", check=False)


@pytest.fixture(scope="module")
def crossed(first: tuple[Project, Shown]) -> Project:
    assert first[1].status == 0, first[1].text
    return first[0]


def test_the_first_crossing_is_seen_on_one_screen(first: tuple[Project, Shown]) -> None:
    check_screen(first[1])


def test_the_results_hold_the_true_numbers_of_reads(crossed: Project) -> None:
    def count(name: str) -> int:
        with gzip.open(crossed.reads / name, "rt") as stream:
            return sum(1 for _ in stream) // 4

    reads, mates = count("reads_1.fq.gz"), count("reads_2.fq.gz")
    assert counted(results(crossed)) == {
        ("hiseq_paired", "1"): reads, ("hiseq_paired", "2"): mates, ("hiseq_single", "1"): reads}


def test_the_results_hold_the_plugins_mark(crossed: Project) -> None:
    lines = "hiseq_paired\t5000\nhiseq_single\t2500\n"
    mark = "airlock:" + hashlib.sha256(lines.encode()).hexdigest()[:16]
    assert (results(crossed) / "summary/airlock_mark.txt").read_text().strip() == mark
    assert mark in (results(crossed) / "summary/summary.html").read_text()


def test_the_offline_host_reached_nothing_else(crossed: Project) -> None:
    receipt = json.loads((crossed.root / "build/local/hello/crossing.json").read_text())
    assert receipt["isolated"] is True
    assert len(receipt["probes"]) >= 5
    assert all(probe["refused"] for probe in receipt["probes"]), receipt["probes"]


def test_a_second_run_only_looks(crossed: Project) -> None:
    states = crossed.states()
    assert set(states.values()) <= {"fresh", "-"}
    assert steps(crossed.doit().stdout) <= LOOKS | {"sandbox:up"}


def test_the_graph_of_the_second_run_is_quick_to_say_so(crossed: Project) -> None:
    output = crossed.doit("release", "config").stdout
    assert not steps(output)
    assert "nothing to do" in output
    assert steps(crossed.doit("push").stdout) == {"push:release:hello"}  # it looks at the store


def test_what_was_carried_is_what_would_be_made_now(crossed: Project) -> None:
    """Until the source differs; the own sheet, which was staged apart, stays among it."""
    row = crossed.doit("dev:contents").stdout.partition("\n| hello |")[2].partition("\n")[0]
    assert row.count("|") == 6 and "–" not in row
    config = crossed.root / "examples/hello/nextflow.config"
    before = config.read_text()
    try:
        config.write_text(before.replace("params {", "params {\n    min_length = 30", 1))
        ran = crossed.doit("release:diff:hello").stdout
    finally:
        config.write_text(before)
    assert "\nno difference\n" in crossed.doit("release:diff:hello").stdout
    assert not steps(ran) & {"mirror:data:hello", "images:mirror:hello", "plugins:cache:hello"}
    for line in ("~ Code              dev, 1 file: 1 config", "~ Params            1 added",
                 "= Images            the same; to mirror: none"):
        assert line in ran.splitlines()
    assert "\n    + min_length  30\n" in ran and "cohort" not in ran
    page = (crossed.root / "build/local/hello/release.diff.html").read_text()
    assert "No difference." in page


def test_the_dag_has_a_picture(crossed: Project) -> None:
    picture = (crossed.root / "build/local/hello/smoke/DAG.svg").read_text()
    assert "<svg" in picture
    assert "SEQSTATS_COUNTS" in picture


def test_no_secret_stands_where_it_must_not(crossed: Project) -> None:
    sandbox = crossed.root / "build/local/sandbox"
    config = json.loads((sandbox / "auth/config.json").read_text())
    encoded = next(iter(config["auths"].values()))["auth"]
    password = base64.b64decode(encoded).decode().partition(":")[2]
    assert len(password) >= 16
    assert any(b"docker-registry" in command for command in COMMANDS)
    assert not [command for command in COMMANDS
                if password.encode() in command or encoded.encode() in command]
    allowed = {"config.json"}
    output = subprocess.run(
        ["grep", "-rlaF", "-e", password, "-e", encoded, "build", "config"],
        cwd=crossed.root, capture_output=True, text=True, check=False).stdout
    assert {Path(line).name for line in output.splitlines()} <= allowed, output


def test_the_carried_files_satisfy_the_standard_tools(crossed: Project) -> None:
    store = crossed.root / "build/local/store"
    pointer = json.loads((store / "releases/hello/current.json").read_text())
    folder = store / "releases/hello" / pointer["id"]
    sums = (folder / "SHA256SUMS").read_bytes()
    allowed = crossed.root / "build/local/sandbox/host/trust/allowed_signers"
    subprocess.run(["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "airlock/hello",
                    "-n", "airlock-release", "-s", folder / "SHA256SUMS.sig"],
                   input=sums, check=True, capture_output=True)
    assert pointer["id"].endswith(hashlib.sha256(sums).hexdigest()[:12])
    for line in sums.decode().splitlines():
        digest, _, name = line.partition("  ")
        blob = store / "blobs/sha256" / digest / Path(name).name
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == digest


def test_a_comment_in_the_source_goes_as_far_as_bytes_differ(crossed: Project) -> None:
    main = crossed.root / "examples/hello/main.nf"
    before = main.read_text()
    try:
        main.write_text(before + "\n// a comment\n")
        states = crossed.states()
        assert states["stage:hello"] == "stale"
        for name in ("images:list:hello", "images:lock:hello", "images:mirror:hello",
                     "mirror:data:hello", "config:hello", "release:hello", "dev:smoke:hello",
                     "push:code:hello", "push:release:hello", "release:promote:hello",
                     "sandbox:cross:hello"):
            assert states[name] == "behind", name
        assert states["runtime:hello"] == "fresh"
        ran = steps(crossed.doit("config", "images:mirror", "mirror:data", "plugins:cache").stdout)
        assert {"stage:hello", "images:list:hello"} <= ran
        assert not ran & {"images:lock:hello", "images:mirror:hello", "config:hello"}
    finally:
        main.write_text(before)


def test_a_user_s_own_reads_cross_and_are_counted(crossed: Project,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crossed.root)
    signature.ready(crossed.root / "build/local/sandbox/host/disk/hello/host_key", create=True,
                    identity="host")
    said = inside(crossed, "./doit", "role=prod", "site=local", "pipeline=hello", "input=cohort")
    run = next(results(crossed).parents[1].glob("*Z-cohort"))
    assert f"11 results in runs/hello/{run.name}/results/; its record, signed" in said
    assert counted(run / "results") == {("one", "1"): 7, ("two", "1"): 3, ("two", "2"): 2}


def test_both_sides_have_the_pages(crossed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crossed.root)
    assert "verified" not in inside(crossed, "./doit", "role=prod", "site=local", "prod:report")
    page, there, run = pages(crossed)
    assert page[page.index('<h2 id="params"'):] in there and "SEQSTATS_COUNTS" in page
    assert f"runs/hello/{results(crossed).parent.name}/" in there and "summary/summary.html" in run


def test_a_run_s_record_names_the_images_that_the_engine_ran(crossed: Project) -> None:
    for run in results(crossed).parents[1].glob("*Z-*"):
        record = read_json(run / "run.json", "run")
        there = crossed.root / "build/local/sandbox/host/disk/hello/airlock/build/local/prod/hello"
        held = json.loads((there / "bootstrap.json").read_text())["images"]
        ran = {image["reference"]: image for image in record["images"]}
        assert ran
        assert ran.keys() <= set(held)
        assert all(name in image["digests"] and image["id"].startswith("sha256:")
                   for name, image in ran.items())
        assert {task["container"] for task in record["tasks"]} == ran.keys()
        assert record["versions"]["docker"]
        assert record["release"]["promotion"]["number"] >= 1
        assert record["release"]["id"] == current(crossed)["id"]
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=run, check=True)


def test_a_run_goes_back_to_the_online_side(crossed: Project,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crossed.root)
    listed = inside(crossed, "./doit", "role=prod", "runs").splitlines()
    assert [line.split()[4].partition("-")[2] for line in listed[1:]] == ["test", "cohort"]
    assert "results are as they were recorded" in inside(
        crossed, "./doit", "role=prod", "runs:verify", "cohort")
    inside(crossed, "./doit", "role=prod", "prod:export", "run=cohort",
           f"to={host.HOME}/hello/cohort.tar")
    disk = crossed.root / "build/local/sandbox/host/disk/hello"
    raw = crossed.site()
    raw["offline"]["run_signers"] = "config/run_signers"
    before = crossed.site()
    crossed.write_site(raw)
    name = read_json(next(disk.glob("airlock/runs/hello/*-cohort")) / "run.json",
                     "run")["host"]["name"]
    files.write_text(crossed.root / "config/run_signers",
                     f'{name} namespaces="airlock-run" {signature.public_key(disk / "host_key")}\n')
    try:
        said = crossed.doit("prod:import", f"from={disk}/cohort.tar").stdout
        assert f"signed by the key that config/run_signers names for {name}" in said
        assert "as they were recorded" in crossed.doit("runs:verify", "cohort").stdout
    finally:
        crossed.write_site(before)


def test_a_host_goes_on_without_store_and_registry_and_mends_what_was_pruned(
        crossed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed as short as it goes there: role and site are those of the tool that was carried."""

    def typed(*words: str) -> str:
        return inside(crossed, "sh", "-c", 'exec env "$@" 2>&1', "sh", *words)
    monkeypatch.chdir(crossed.root)
    assert "prod:run:hello" in typed("./doit", "list")
    images = typed("docker", "images", "--quiet", "--no-trunc").split()
    typed("docker", "rmi", "--force", *images)
    assert "2 images, 2 of them pulled now" in typed("./doit", "prod:bootstrap:hello")
    subprocess.run(["ip", "link", "set", "airtest1", "down"], check=True)
    try:
        said = typed("AIRLOCK_OFFLINE_STORE=/away", "./doit", "pipeline=hello", "input=cohort")
        assert said.count("STORE NOT REACHED: the store's folder is missing (/away)") == 1
        assert "2 images, 0 of them pulled now" in said and "done   prod:run:hello" in said
        typed("docker", "rmi", "--force", images[0])
        with pytest.raises(CommandError, match="this host can't run the release yet"):
            typed("./doit", "prod:bootstrap:hello")
    finally:
        subprocess.run(["ip", "link", "set", "airtest1", "up"], check=True)
    assert "2 images, 1 of them pulled now" in typed("./doit", "prod:bootstrap:hello")


def test_what_is_built_is_closed_and_containers_with_a_user_of_their_own_still_read(
        crossed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides nobody else may enter; what is mounted into a container is read there."""
    monkeypatch.chdir(crossed.root)
    site = SitePaths(site="local")
    there = site.sandbox / "host/disk/hello/airlock/build/local"
    for closed in (site.root, there, site.sandbox / "auth", site.sandbox / "host/trust"):
        assert closed.stat().st_mode & 0o777 == 0o700, closed
    image, *_ = json.loads((there / "prod/hello/bootstrap.json").read_text())["images"]
    inside = host.HOME / "hello/airlock/build/local/prod/hello"
    counted = host.run_inside("local", [
        "docker", "run", "--rm", "--pull", "never", "--user", "65534:65534", "--entrypoint", "bash",
        "--volume", f"{inside}:{inside}:ro", image, "-c",
        f"cat {inside}/releases/*/data/*/* | wc -c"])
    assert int(counted) == sum(path.stat().st_size for path in
                               there.glob("prod/hello/releases/*/data/*/*"))


def test_a_changed_byte_in_the_store_is_refused_and_named(crossed: Project) -> None:
    store = crossed.root / "build/local/store"
    blob = next((store / "blobs/sha256").glob("*/plugins.tar"))
    before = blob.read_bytes()
    receipt = crossed.root / "build/local/hello/crossing.json"
    try:
        changed = bytearray(before)
        changed[len(changed) // 2] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(changed)
        receipt.unlink()
        done = crossed.doit("sandbox:cross:hello", check=False)
        assert done.returncode == 1
        assert "plugins.tar" in done.stdout
        assert not receipt.exists()
    finally:
        blob.write_bytes(before)


@pytest.fixture
def changed_code(crossed: Project) -> Iterator[Path]:
    """A stub that fails, where the real script doesn't; put back afterwards."""
    module = crossed.root / "examples/hello/modules/local/seqstats/counts/main.nf"
    before = module.read_text()
    yield module
    module.write_text(before)


def test_what_failed_to_validate_or_to_smoke_is_pushed_and_not_current_unless_asked_for(
        crossed: Project, changed_code: Path) -> None:
    before, code = current(crossed), changed_code.read_text()
    store = crossed.root / "build/local/store/releases/hello"
    pushed = {path.parent.name for path in store.glob("*/SHA256SUMS")}
    changed_code.write_text(f"{code}\n// a comment\n")
    manifests = next(path for path in (crossed.root / "build/local/sandbox").glob(
        "**/repositories/**/_manifests/revisions/sha256") if "internet" not in path.parts)
    aside = manifests.rename(manifests.with_name("aside"))
    failed = crossed.doit("release:promote:hello", check=False)
    aside.rename(manifests)
    assert failed.returncode == 1
    assert "FAILED dev:validate:hello" in failed.stdout
    assert "not run, since that comes before: release:promote:hello" in failed.stdout
    left = {path.parent.name for path in store.glob("*/SHA256SUMS")} - pushed
    assert len(left) == 1, "it is in the store"
    assert (f"{left.pop()} of hello is in build/local/store, and not the current release, since "
            f"dev:validate:hello did not end well; {before['id']} stays the current one"
            ) in failed.stdout
    assert "./doit release:promote:hello unproven=REASON" in failed.stdout
    assert current(crossed) == before
    changed_code.write_text(code.replace("stub:\n", "stub:\n    error 'no stub today'\n"))
    failed = crossed.doit("push:release:hello", "release:promote:hello", check=False)
    assert failed.returncode == 1
    assert "FAILED dev:smoke:hello" in failed.stdout
    assert "since dev:smoke:hello did not end well" in failed.stdout
    assert current(crossed) == before
    crossed.doit("release:promote:hello", "push:tool", "unproven=the stub is broken")
    assert current(crossed)["number"] > before["number"]
    taken = crossed.doit("sandbox:cross:hello", "unproven=the stub is broken")
    assert "NOT PROVEN" in taken.stdout
    assert "the reason given: the stub is broken" in taken.stdout
    promoted = store / f"promotions/{current(crossed)['number']:08}.json"
    assert b"unproven" in promoted.read_bytes()
    changed_code.write_text(code)
    crossed.doit("release:promote:hello", f"after={current(crossed)['number']}")
    promoted = store / f"promotions/{current(crossed)['number']:08}.json"
    assert b"unproven" not in promoted.read_bytes()
    assert current(crossed)["id"] == before["id"]
