"""Test data from a real web server: faults, locks, and the sheets that come of it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.code import folder, stage
from tasks.core import download, nextflow, schema
from tasks.core.errors import SourceError
from tasks.data.mirror import Mirror, mirror
from tasks.data.sources import Reach
from tasks.runtime import maven
from tests.sandbox.project import ROOT
from tests.sandbox.web import Web

PUBLIC = "https://data.example.org/"
READS = bytes(range(256)) * 8000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def spec(root: Path, web: Web, **changes: Any) -> Mirror:
    values: dict[str, Any] = {
        "pipeline": "p", "profile": "test", "rows": 0,
        "reach": Reach(prefixes={PUBLIC: f"{web.url}/"}),
        "store": "s3://bucket/prefix/", "code": root / "code.tar", "runtime": root / "runtime.tar",
        "blobs": root / "blobs/sha256", "manifest": root / "data.manifest.json",
        "sums": root / "data.SHA256SUMS", "inputs": root / "inputs.csv",
        "inputs_store": root / "inputs3.csv", "lock": root / "locks/data.json",
        "log": root / "log", "relock": False, **changes}
    return Mirror(**values)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The params that the config resolves to; one test below asks the real Nextflow."""
    project = tmp_path / "project"
    (project / "assets").mkdir(parents=True)
    (project / "assets/local.fa").write_text(">a\nACGT\n")
    told: dict[str, Any] = {}

    @contextlib.contextmanager
    def resolved(*_: object, **__: object) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield project, {"params": told}

    monkeypatch.setattr(nextflow, "resolved", resolved)
    return told


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LONGEST_WAIT", 0.02)


def test_params_and_sheet_are_staged(tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "fasta": f"{PUBLIC}a%20b.fa?download=1",
               "hook_url": f"{PUBLIC}hook.json"}
    web.files = {"/sheet.csv": (f"sample,fastq,extra\na,{PUBLIC}x/r.fq.gz,assets/local.fa\n"
                                f"b, {PUBLIC}y/r.fq.gz ,\nc,{PUBLIC}none.fq.gz,\n").encode(),
                 "/a%20b.fa": b">b\n", "/x/r.fq.gz": READS, "/y/r.fq.gz": READS[1:]}
    mirror(spec(tmp_path, web, rows=2))
    first, second, local = sha(READS), sha(READS[1:]), sha(b">a\nACGT\n")
    assert (tmp_path / "inputs.csv").read_text() == (
        "sample,fastq,extra\n"
        f"a,data/{first}/r.fq.gz,data/{local}/local.fa\nb,data/{second}/r.fq.gz,\n")
    assert (tmp_path / "inputs3.csv").read_text().splitlines()[2] == (
        f"b,s3://bucket/prefix/blobs/sha256/{second}/r.fq.gz,")
    told = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")
    assert told["params"] == {"input": {"path": "inputs.csv", "kind": "sheet"},
                              "fasta": {"path": f"data/{sha(b'>b' + bytes([10]))}/a_b.fa",
                                        "kind": "file"}}
    assert {each["url"] for each in told["files"]} == {
        f"{PUBLIC}x/r.fq.gz", f"{PUBLIC}y/r.fq.gz", f"{PUBLIC}a%20b.fa?download=1",
        "code:assets/local.fa"}
    lock = schema.read_json(tmp_path / "locks/data.json", "data-lock")
    assert f"{PUBLIC}sheet.csv" in {each["url"] for each in lock["files"]}
    assert not [*(tmp_path / "blobs/sha256/.partial").iterdir()]
    (tmp_path / "data").symlink_to("blobs/sha256")
    done = subprocess.run(["sha256sum", "--check", "--strict", "data.SHA256SUMS"], cwd=tmp_path,
                          check=True, capture_output=True, text=True)
    assert done.stdout.count(": OK") == 4


def test_what_the_lock_knows_and_the_cache_holds_is_not_fetched_again(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv"}
    web.files = {"/sheet.csv": f"a\n{PUBLIC}r.fq\n".encode(), "/r.fq": READS}
    mirror(spec(tmp_path, web))
    blob = tmp_path / "blobs/sha256" / sha(READS) / "r.fq"
    mirror(spec(tmp_path, web))
    assert web.asked("/r.fq") == 1
    blob.write_bytes(b"rotten")
    mirror(spec(tmp_path, web))
    assert (web.asked("/r.fq"), blob.read_bytes()) == (2, READS)


def test_changed_bytes_are_refused_with_both_digests_until_relock(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"fasta": f"{PUBLIC}a.fa", "gtf": f"{PUBLIC}a.gtf"}
    web.files = {"/a.fa": b"1", "/a.gtf": b"2"}
    mirror(spec(tmp_path, web))
    del params["gtf"]
    web.files["/a.fa"] = b"changed"
    mirror(spec(tmp_path, web))  # the cache holds what the lock says
    (tmp_path / "blobs/sha256" / sha(b"1") / "a.fa").unlink()
    with pytest.raises(SourceError) as caught:
        mirror(spec(tmp_path, web))
    assert all(each in str(caught.value) for each in (sha(b"1"), sha(b"changed"), "relock=1"))
    mirror(spec(tmp_path, web, relock=True))
    lock = json.loads((tmp_path / "locks/data.json").read_text())
    assert lock == {"files": [{"url": f"{PUBLIC}a.fa", "sha256": sha(b"changed"), "size": 7}]}


def test_all_faults_are_named_at_once_with_their_places(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "model": "az://models/x.model"}
    web.files = {"/sheet.csv": (f"sample,fastq_1,fastq_2\na,{PUBLIC}r.fq,{PUBLIC}gone.fq\n"
                                f"b,gs://bucket/z.fq,{PUBLIC}gone.fq\n").encode(),
                 "/r.fq": READS}
    with pytest.raises(SourceError) as caught:
        mirror(spec(tmp_path, web))
    said = str(caught.value)
    for part in ("3 of 4 files", "gone.fq: 404 Not Found", "sheet.csv, row 1, column fastq_2",
                 "sheet.csv, row 2, column fastq_2", "gs:// is not supported",
                 "row 2, column fastq_1", "az:// is not supported", "params.model"):
        assert part in said
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".csv", ".json")] == []


def test_another_sheet_may_not_hide_urls(tmp_path: Path, web: Web,
                                         params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "contrasts": f"{PUBLIC}contrasts.csv"}
    web.files = {"/sheet.csv": b"sample\na\n", "/contrasts.csv": b"id,file\nx,plain\n"}
    mirror(spec(tmp_path, web))
    web.files["/contrasts.csv"] = f"id,file\nx,{PUBLIC}r.fq\n".encode()
    with pytest.raises(SourceError, match=r"params\.contrasts: contrasts\.csv, row 1, column file"):
        mirror(spec(tmp_path, web, relock=True))


def test_a_pipeline_without_data_gets_empty_files(tmp_path: Path, web: Web,
                                                  params: dict[str, Any]) -> None:
    mirror(spec(tmp_path, web))
    for name in ("inputs.csv", "inputs3.csv", "data.SHA256SUMS"):
        assert (tmp_path / name).read_bytes() == b""
    assert schema.read_json(tmp_path / "data.manifest.json", "data-manifest")["files"] == []


def test_no_secret_of_a_url_is_written_or_said(tmp_path: Path, web: Web, params: dict[str, Any],
                                               capsys: pytest.CaptureFixture[str]) -> None:
    host = web.url.removeprefix("http://")
    params |= {"fasta": f"http://someone:s3cret@{host}/a.fa",
               "gtf": f"{web.url}/a.gtf?token=s3cret"}
    web.files = {"/a.fa": b"1", "/a.gtf": b"2"}
    mirror(spec(tmp_path, web))
    login = next(each[2] for each in web.seen if each[0] == "/a.fa")
    assert login is not None
    assert login.startswith("Basic ")
    web.files.clear()
    with pytest.raises(SourceError) as caught:
        mirror(spec(tmp_path, web, relock=True))
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    texts += [str(caught.value), capsys.readouterr().out]
    assert not any("s3cret" in text for text in texts)


@pytest.mark.parametrize("url", [f"{PUBLIC}a{{1,2}}.fa", f"{PUBLIC}*.fa", f"{PUBLIC}a\x07.fa"])
def test_odd_urls_are_refused(tmp_path: Path, web: Web, params: dict[str, Any], url: str) -> None:
    params |= {"fasta": url}
    with pytest.raises(SourceError):
        mirror(spec(tmp_path, web))
    assert web.seen == []


def test_a_file_is_read_only_where_the_site_maps_to_it(tmp_path: Path, web: Web,
                                                       params: dict[str, Any]) -> None:
    (tmp_path / "a.fa").write_text("x")
    params |= {"fasta": f"{PUBLIC}a.fa"}
    mirror(spec(tmp_path, web, reach=Reach(prefixes={PUBLIC: f"file://{tmp_path}/"})))
    assert (tmp_path / "blobs/sha256" / sha(b"x") / "a.fa").is_file()
    params |= {"fasta": f"file://{tmp_path}/a.fa"}
    with pytest.raises(SourceError, match="below a folder"):
        mirror(spec(tmp_path, web))


def test_the_real_nextflow_tells_hello_s_params(tmp_path: Path, web: Web,
                                                runtime: maven.Runtime) -> None:
    source = ROOT / "examples/hello"
    stage.from_folder(stage.FolderStage(
        pipeline="hello", source=str(source), revision=None, listing=folder.listing(source),
        archive=tmp_path / "code.tar", manifest=tmp_path / "manifest.json"))
    public = "https://data.hello.example.org/"
    web.files = {"/hello/samplesheet.csv": f"sample,fastq_1,fastq_2\na,{public}r.fq,\n".encode(),
                 "/r.fq": READS}
    hello = spec(tmp_path, web, reach=Reach(prefixes={public: f"{web.url}/"}),
                 runtime=runtime.archive)
    mirror(hello)
    assert (tmp_path / "inputs.csv").read_text().endswith(f"a,data/{sha(READS)}/r.fq,\n")
    with pytest.raises(SourceError, match="'nosuch'") as caught:
        mirror(dataclasses.replace(hello, profile="nosuch"))
    assert "Unknown configuration profile" in str(caught.value)
