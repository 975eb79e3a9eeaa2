"""The whole way of the bundled pipeline through a bucket, on an S3 server that both sides reach."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.store import lease
from tasks.core.store.s3_probe import PROBE
from tasks.core.store.store import open_store
from tests.kit import buckets, machine
from tests.kit.project import Project, copy, steps

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())

URL = "s3://carried/some/prefix"
ADDRESS, PORT = "10.89.104.1", 15042
CREDENTIALS = {"AWS_ACCESS_KEY_ID": buckets.ACCESS, "AWS_SECRET_ACCESS_KEY": buckets.SECRET,
               "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """A project that has crossed, what that printed, and the bucket's folder and address."""

    project: Project
    output: str
    bucket: Path
    at: StoreAt

    def doit(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.project.doit(*words, check=check, env=environment(self.project))

    def built(self, name: str) -> Any:
        return json.loads((self.project.root / "build/local" / name).read_text())

    @property
    def disk(self) -> Path:
        return self.project.root / "build/local/sandbox/host/disk"


def environment(project: Project) -> Mapping[str, str]:
    """The online side's credentials, and none that the user of these tests may have."""
    none = str(project.root / "none")
    return {**CREDENTIALS, "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none}


def give_credentials(disk: Path) -> None:
    """What an administrator puts into the home folder of the offline host's user."""
    files.write_text(disk / ".aws/credentials",
                     f"[default]\naws_access_key_id = {buckets.ACCESS}\n"
                     f"aws_secret_access_key = {buckets.SECRET}\n", mode=0o600)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossed]:
    """The server listens on this end of the wire, which only `sandbox:up` makes."""
    buckets.program()
    project = copy(tmp_path_factory.mktemp("crossing-s3"), number=4)
    at = StoreAt(url=URL, endpoint=f"http://{ADDRESS}:{PORT}", region="us-east-1")
    raw = project.site()
    raw["store"] = {"url": at.url, "endpoint": at.endpoint, "region": at.region}
    raw["offline"]["store"] = {"url": at.url}
    project.write_site(raw)
    with ExitStack() as stack:
        stack.callback(project.doit, "sandbox:down", check=False)
        project.doit("sandbox:up")
        served = stack.enter_context(buckets.gateway(tmp_path_factory.mktemp("s3"), host=ADDRESS,
                                                     port=PORT))
        (served.root / "carried").mkdir()
        give_credentials(project.root / "build/local/sandbox/host/disk")
        output = project.doit(env=environment(project)).stdout
        yield Crossed(project=project, output=output, bucket=served.root / "carried", at=at)


def test_the_results_hold_the_true_numbers_of_reads(crossed: Crossed) -> None:
    def count(name: str) -> int:
        with gzip.open(crossed.project.reads / name, "rt") as stream:
            return sum(1 for _ in stream) // 4

    run = crossed.built("hello/crossing.json")["run"]
    summary = crossed.disk / "hello/airlock" / run / "results/summary/summary.tsv"
    with summary.open() as stream:
        counts = {(row["sample"], row["mate"]): int(row["reads"])
                  for row in csv.DictReader(stream, delimiter="\t")}
    first, second = count("reads_1.fq.gz"), count("reads_2.fq.gz")
    assert counts == {("hiseq_paired", "1"): first, ("hiseq_paired", "2"): second,
                      ("hiseq_single", "1"): first}


def test_the_receipts_hold_what_the_store_reports(crossed: Crossed,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(crossed.project).items():
        monkeypatch.setenv(name, value)
    store = open_store(crossed.at)
    parts = ("code", "data", "plugins", "runtime", "smoke", "release", "promote")
    receipts = [crossed.built(f"hello/push/{part}.receipt.json") for part in parts]
    receipts.append(crossed.built("tool/push.receipt.json"))
    for receipt in receipts:
        assert receipt["store"] == URL
        assert receipt["objects"]
        for entry in receipt["objects"]:
            stored = store.head(entry["key"])
            assert stored is not None, entry["key"]
            assert (stored.size, stored.sha256) == (entry["size"], entry["sha256"])
            path = crossed.bucket / "some/prefix" / entry["key"]
            assert files.sha256(path) == entry["sha256"]
    pushed = {entry["key"] for receipt in receipts for entry in receipt["objects"]}
    kept = set(store.list(""))
    reports = {key for key in kept if "/reports/" in key}
    assert {key.rpartition("/")[2] for key in reports} == {
        "report.html", "report.html.sig", "report.json", "report.json.sig"}
    assert pushed | {PROBE, lease.KEY} == kept - reports


def test_it_was_isolated_and_tried_to_get_out_during_its_run(crossed: Crossed) -> None:
    receipt = crossed.built("hello/crossing.json")
    assert receipt["isolated"] is True
    assert receipt["probed_during_run"] is True
    probes = receipt["probes"]
    assert all(probe["refused"] for probe in probes), probes
    assert not [probe for probe in probes if probe["open_because"]]
    tried = {(probe["what"], probe["image"] is not None) for probe in probes}
    for what in ("an address of the internet", "the internet's registry", "a name of the internet",
                 "another port of the registry's address"):
        assert {(what, False), (what, True)} <= tried
    assert {("the checkout", False), ("the cache of carried files", False),
            ("the signing key", False), ("the online engine's socket", False)} <= tried


def test_the_way_of_the_tool_is_printed(crossed: Crossed) -> None:
    assert f"this side copied the tool out of {URL} into the empty folder" in crossed.output
    assert 'hello offline | Good "airlock-tool" signature for airlock' in crossed.output


def test_a_second_run_only_looks(crossed: Crossed) -> None:
    assert set(crossed.project.states().values()) <= {"fresh", "-"}
    assert steps(crossed.doit().stdout) <= {"sandbox:up", "sandbox:packages",
                                            "dev:validate:hello", "push:release:hello",
                                            "release:promote:hello", "report:hello",
                                            "push:tool"}


def test_no_secret_key_stands_in_what_was_built(crossed: Crossed) -> None:
    encoded = base64.b64encode(buckets.SECRET.encode()).decode()
    found = subprocess.run(
        ["grep", "-rlaF", "-e", buckets.SECRET, "-e", encoded, "build", "config"],
        cwd=crossed.project.root, capture_output=True, text=True, check=False).stdout.split()
    credentials = crossed.disk / ".aws/credentials"
    assert found == [os.path.relpath(credentials, crossed.project.root)]
    assert credentials.stat().st_mode & 0o077 == 0


def test_a_host_without_credentials_learns_where_they_belong(crossed: Crossed) -> None:
    (crossed.disk / ".aws").rename(crossed.disk / ".taken")
    receipt = crossed.project.root / "build/local/hello/crossing.json"
    kept = receipt.read_bytes()
    try:
        receipt.unlink()
        done = crossed.doit("sandbox:cross:hello", check=False)
    finally:
        (crossed.disk / ".taken").rename(crossed.disk / ".aws")
        receipt.write_bytes(kept)
    assert done.returncode == 1
    assert "the offline host has no credentials for the bucket" in done.stdout
    assert ".aws" in done.stdout


@pytest.mark.parametrize("way", ["by the server", "on its disk"])
def test_a_changed_object_is_refused_and_named(crossed: Crossed, way: str,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    blob = next((crossed.bucket / "some/prefix/blobs/sha256").glob("*/plugins.tar"))
    receipt = crossed.project.root / "build/local/hello/crossing.json"
    before = blob.read_bytes()
    changed = bytearray(before)
    changed[len(changed) // 2] ^= 1
    if way == "on its disk":
        with blob.open("r+b") as stream:
            stream.write(changed)
    else:
        for name, value in environment(crossed.project).items():
            monkeypatch.setenv(name, value)
        open_store(crossed.at).put_bytes(
            blob.relative_to(crossed.bucket / "some/prefix").as_posix(), bytes(changed))
    receipt.unlink(missing_ok=True)
    done = crossed.doit("sandbox:cross:hello", check=False)
    assert done.returncode == 1
    assert "files of the release are not as they were signed" in done.stdout
    assert "plugins.tar: its bytes have changed" in done.stdout
    assert not receipt.exists()
    with blob.open("r+b") as stream:
        stream.write(before)
