"""Test data from a real web server: faults, locks, and the sheets that come of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.code import folder, stage
from tasks.core import schema
from tasks.core.errors import ConfigError, SourceError
from tasks.core.inputs import staged_data
from tasks.data.mirror import PlanSpec, mirror, show_plan
from tasks.data.sources import Reach
from tasks.resolve.resolve import ResolveSpec, resolve
from tasks.runtime import build as runtimes
from tests.kit.data import PUBLIC, READS, data_spec, sha256
from tests.kit.locks import lock_at
from tests.kit.project import ROOT
from tests.kit.web import Web

pytestmark = pytest.mark.usefixtures("quick")


def test_params_and_sheet_are_staged(tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "fasta": f"{PUBLIC}a%20b.fa?download=1",
               "hook_url": f"{PUBLIC}hook.json"}
    web.files = {"/sheet.csv": (f"sample,fastq,extra\na,{PUBLIC}x/r.fq.gz,assets/local.fa\n"
                                f"b, {PUBLIC}y/r.fq.gz ,\nc,{PUBLIC}none.fq.gz,\n").encode(),
                 "/a%20b.fa": b">b\n", "/x/r.fq.gz": READS, "/y/r.fq.gz": READS[1:]}
    mirror(data_spec(tmp_path, web, samples=2))
    first, second, local = sha256(READS), sha256(READS[1:]), sha256(b">a\nACGT\n")
    assert (tmp_path / "inputs.csv").read_text() == (
        "sample,fastq,extra\n"
        f"a,data/{first}/r.fq.gz,data/{local}/local.fa\nb,data/{second}/r.fq.gz,\n")
    assert (tmp_path / "inputs3.csv").read_text().splitlines()[2] == (
        f"b,s3://bucket/prefix/blobs/sha256/{second}/r.fq.gz,")
    manifest = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")
    assert manifest["params"] == {
        "input": {"path": "inputs.csv", "kind": "sheet", "was": f"{PUBLIC}sheet.csv"},
        "fasta": {"path": f"data/{sha256(b'>b' + bytes([10]))}/a_b.fa", "kind": "file",
                  "was": f"{PUBLIC}a%20b.fa?download=1"},
        "hook_url": {"kind": "none", "was": f"{PUBLIC}hook.json", "every": True}}
    assert {file["url"] for file in manifest["files"]} == {
        f"{PUBLIC}x/r.fq.gz", f"{PUBLIC}y/r.fq.gz", f"{PUBLIC}a%20b.fa?download=1",
        "code:assets/local.fa"}
    lock = schema.read_json(lock_at(tmp_path / "locks", "data").own, "data-lock")
    assert f"{PUBLIC}sheet.csv" in {file["url"] for file in lock["files"]}
    assert not [*(tmp_path / "blobs/sha256/.partial").iterdir()]
    (tmp_path / "data").symlink_to("blobs/sha256")
    done = subprocess.run(["sha256sum", "--check", "--strict", "data.SHA256SUMS"], cwd=tmp_path,
                          check=True, capture_output=True, text=True)
    assert done.stdout.count(": OK") == 4


def test_what_the_lock_knows_and_the_cache_holds_is_not_fetched_again(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv"}
    web.files = {"/sheet.csv": f"a\n{PUBLIC}r.fq\n".encode(), "/r.fq": READS}
    mirror(data_spec(tmp_path, web))
    blob = tmp_path / "blobs/sha256" / sha256(READS) / "r.fq"
    mirror(data_spec(tmp_path, web))
    assert web.asked("/r.fq") == 1
    blob.write_bytes(b"rotten")
    mirror(data_spec(tmp_path, web))
    assert (web.asked("/r.fq"), blob.read_bytes()) == (2, READS)


def test_changed_bytes_are_refused_with_both_digests_until_relock(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"fasta": f"{PUBLIC}a.fa", "gtf": f"{PUBLIC}a.gtf"}
    web.files = {"/a.fa": b"1", "/a.gtf": b"2"}
    mirror(data_spec(tmp_path, web))
    del params["gtf"]
    web.files["/a.fa"] = b"changed"
    mirror(data_spec(tmp_path, web))  # the cache holds what the lock says
    (tmp_path / "blobs/sha256" / sha256(b"1") / "a.fa").unlink()
    with pytest.raises(SourceError) as caught:
        mirror(data_spec(tmp_path, web))
    assert all(part in str(caught.value) for part in (sha256(b"1"), sha256(b"changed"), "relock=1"))
    mirror(data_spec(tmp_path, web, relock=True))
    lock = json.loads((lock_at(tmp_path / "locks", "data").own).read_text())
    assert lock == {"files": [{"url": f"{PUBLIC}a.fa", "sha256": sha256(b"changed"), "size": 7,
                               "reached_at": f"{web.url}/a.fa"}]}


def test_all_faults_are_named_at_once_with_their_places(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "model": "az://models/x.model"}
    web.files = {"/sheet.csv": (f"sample,fastq_1,fastq_2\na,{PUBLIC}r.fq,{PUBLIC}gone.fq\n"
                                f"b,gs://bucket/z.fq,{PUBLIC}gone.fq\n").encode(),
                 "/r.fq": READS}
    with pytest.raises(SourceError) as caught:
        mirror(data_spec(tmp_path, web))
    said = str(caught.value)
    for part in ("3 of 4 files", "gone.fq: there is no such file",
                 "sheet.csv, row 1, column fastq_2", "gs:// is not supported",
                 "row 2, column fastq_1", "az:// is not supported", "params.model"):
        assert part in said
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".csv", ".json")] == []


def test_sheets_in_sheets_are_followed_and_keep_their_form(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    """A headerless list of a name and a URL; a list that lies in the code; a sheet in YAML."""
    params |= {"input": f"{PUBLIC}sheet.yml", "bbsplit_fasta_list": f"{PUBLIC}list.txt",
               "rrna": "assets/rrna.txt"}
    (tmp_path / "project/assets/rrna.txt").write_text(f"{PUBLIC}rrna/a.fa\n{PUBLIC}rrna/b.fa\n")
    web.files = {
        "/sheet.yml": f"- sample: a\n  reads: ['{PUBLIC}1.fq', '{PUBLIC}2.fq']\n"
                      f"  more: {PUBLIC}more.tsv\n".encode(),
        "/list.txt": f"virus,{PUBLIC}v/genome.fa\nhuman,{PUBLIC}h/genome.fa\n".encode(),
        "/more.tsv": f"x\ty\n1\t{PUBLIC}deep.bam\n".encode(), "/deep.bam": b"bam",
        "/deep.bam.bai": b"bai", "/1.fq": b"1", "/2.fq": b"2", "/v/genome.fa": b"v",
        "/h/genome.fa": b"h", "/rrna/a.fa": b"a", "/rrna/b.fa": b"b"}
    mirror(data_spec(tmp_path, web))
    manifest_path = tmp_path / "data.manifest.json"
    manifest = schema.read_json(manifest_path, "data-manifest")
    assert {name: param["path"] for name, param in manifest["params"].items()} == {
        "input": "sheets/input/sheet.yml", "rrna": "sheets/rrna/rrna.txt",
        "bbsplit_fasta_list": "sheets/bbsplit_fasta_list/list.txt"}
    locate = staged_data.lay_out(manifest_path, tmp_path / "blobs/sha256", tmp_path / "laid")
    rendered = staged_data.render(manifest_path, locate, tmp_path / "run")
    assert set(rendered) == {"input", "bbsplit_fasta_list", "rrna"}
    record, = yaml.safe_load(Path(rendered["input"]).read_text())
    assert [Path(path).read_bytes() for path in record["reads"]] == [b"1", b"2"]
    rows = [line.split("\t") for line in Path(record["more"]).read_text().splitlines()]
    assert rows[0] == ["x", "y"]
    bam = Path(rows[1][1])
    assert (bam.read_bytes(), bam.with_name("deep.bam.bai").read_bytes()) == (b"bam", b"bai")
    pairs = [line.split(",") for line in Path(rendered["bbsplit_fasta_list"]).read_text().split()]
    assert {name: Path(path).read_bytes() for name, path in pairs} == {"virus": b"v",
                                                                      "human": b"h"}
    lines = Path(rendered["rrna"]).read_text().split()
    assert [Path(path).read_bytes() for path in lines] == [b"a", b"b"]
    assert not [path for path in (tmp_path / "run").rglob("*")
                if path.is_file() and PUBLIC in path.read_text()]


def test_pairs_and_partners_stay_together(tmp_path: Path, web: Web,
                                          params: dict[str, Any]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv"}
    rows = [("p1", "normal", "L1"), ("p1", "tumour", "L1"), ("p1", "tumour", "L2"),
            ("p2", "other", "L1")]
    web.files = {"/sheet.csv": b"patient,sample,lane,bam\n" + "".join(
        f"{patient},{sample},{lane},{PUBLIC}{sample}{lane}.bam\n"
        for patient, sample, lane in rows).encode(),
        **{f"/{sample}{lane}.bam": f"{sample}{lane}".encode() for _, sample, lane in rows}}
    mirror(data_spec(tmp_path, web, samples=1))
    kept = (tmp_path / "inputs.csv").read_text().splitlines()[1:]
    assert [line.rpartition(",")[0] for line in kept] == ["p1,normal,L1", "p1,tumour,L1",
                                                          "p1,tumour,L2"]
    assert web.asked("/otherL1.bam") == 0


def test_the_plan_fetches_nothing_but_sheets_and_holds_the_limit(
        tmp_path: Path, web: Web, params: dict[str, Any],
        capsys: pytest.CaptureFixture[str]) -> None:
    params |= {"input": f"{PUBLIC}sheet.csv", "fasta": f"{PUBLIC}large.fa"}
    web.files = {"/sheet.csv": f"sample,fastq\na,{PUBLIC}r.fq\n".encode(), "/r.fq": b"r" * 1000,
                 "/large.fa": READS}
    planned = data_spec(tmp_path, web, limit=10_000)
    asked = PlanSpec(pipeline="p", selection=planned.selection, source=planned.source,
                     report=tmp_path / "plan.json")
    with pytest.raises(ConfigError, match=r"2\.0 MB, more than the 10\.0 kB") as caught:
        show_plan(asked)
    assert f"{PUBLIC}large.fa\n               in params.fasta" in str(caught.value)
    assert (web.asked("/r.fq"), web.asked("/large.fa")) == (0, 0)
    plan = schema.read_json(tmp_path / "plan.json", "data-plan")
    assert (plan["bytes"], plan["coming"], plan["limit"]) == (len(READS) + 1000,
                                                              len(READS) + 1000, 10_000)
    assert "2.0 MB  https://data.example.org/large.fa  (params.fasta)" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"data\.limit"):
        mirror(planned)
    assert web.asked("/large.fa") == 0
    mirror(data_spec(tmp_path, web))
    assert show_plan(PlanSpec(pipeline="p", selection=data_spec(tmp_path, web).selection,
                              source=planned.source, report=tmp_path / "plan.json")) == (
        "2 files, 2.0 MB in all; 0 B to fetch")


def test_params_that_the_config_sets_hold_on_both_sides(tmp_path: Path, web: Web,
                                                        params: dict[str, Any]) -> None:
    """`resolve` reports the params given, as the real Nextflow does (test_resolve)."""
    given = {"model": None, "depth": 30, "fasta": f"{PUBLIC}mine.fa"}
    params |= given
    web.files = {"/mine.fa": b">m\n"}
    mirror(data_spec(tmp_path, web, given=given))
    staged = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")["params"]
    assert staged["model"] == {"kind": "none", "every": True}
    assert staged["depth"] == {"kind": "value", "value": 30, "every": True}
    assert (staged["fasta"]["kind"], staged["fasta"]["every"]) == ("file", True)


def test_a_pipeline_without_data_gets_empty_files(tmp_path: Path, web: Web,
                                                  params: dict[str, Any]) -> None:
    mirror(data_spec(tmp_path, web))
    for name in ("inputs.csv", "inputs3.csv", "data.SHA256SUMS"):
        assert (tmp_path / name).read_bytes() == b""
    assert schema.read_json(tmp_path / "data.manifest.json", "data-manifest")["files"] == []


def test_no_secret_of_a_url_is_written_or_said(tmp_path: Path, web: Web, params: dict[str, Any],
                                               capsys: pytest.CaptureFixture[str]) -> None:
    host = web.url.removeprefix("http://")
    params |= {"fasta": f"http://someone:s3cret@{host}/a.fa",
               "gtf": f"{web.url}/a.gtf?token=s3cret"}
    web.files = {"/a.fa": b"1", "/a.gtf": b"2"}
    mirror(data_spec(tmp_path, web))
    login = next(entry[2] for entry in web.seen if entry[0] == "/a.fa")
    assert login is not None
    assert login.startswith("Basic ")
    web.files.clear()
    with pytest.raises(SourceError) as caught:
        mirror(data_spec(tmp_path, web, relock=True))
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    texts += [str(caught.value), capsys.readouterr().out]
    assert not any("s3cret" in text for text in texts)


@pytest.mark.parametrize("url", [f"{PUBLIC}a{{1,2.fa", f"{PUBLIC}*.fa", f"{PUBLIC}a\x07.fa"])
def test_odd_urls_are_refused(tmp_path: Path, web: Web, params: dict[str, Any], url: str) -> None:
    params |= {"fasta": url}
    with pytest.raises(SourceError):
        mirror(data_spec(tmp_path, web))
    assert web.seen == []


def test_a_file_is_read_only_where_the_site_maps_to_it(tmp_path: Path, web: Web,
                                                       params: dict[str, Any]) -> None:
    (tmp_path / "a.fa").write_text("x")
    params |= {"fasta": f"{PUBLIC}a.fa"}
    mirror(data_spec(tmp_path, web, reach=Reach(prefixes={PUBLIC: f"file://{tmp_path}/"})))
    assert (tmp_path / "blobs/sha256" / sha256(b"x") / "a.fa").is_file()
    params |= {"fasta": f"file://{tmp_path}/a.fa"}
    with pytest.raises(SourceError, match="below a folder"):
        mirror(data_spec(tmp_path, web))


def test_the_real_nextflow_resolves_hello_s_params(tmp_path: Path, web: Web,
                                                   runtime: runtimes.Runtime) -> None:
    source = ROOT / "examples/hello"
    stage.from_folder(stage.FolderStage(
        pipeline="hello", source=str(source), revision=None, listing=folder.listing(source),
        archive=tmp_path / "code.tar", manifest=tmp_path / "manifest.json"))
    public = "https://data.hello.example.org/"
    web.files = {"/hello/samplesheet.csv": f"sample,fastq_1,fastq_2\na,{public}r.fq,\n".encode(),
                 "/r.fq": READS}
    resolve(ResolveSpec(pipeline="hello", profile="test", given={}, code=tmp_path / "code.tar",
                        runtime=runtime.archive, output=tmp_path / "resolved.json",
                        log=tmp_path / "log"))
    mirror(data_spec(tmp_path, web, reach=Reach(prefixes={public: f"{web.url}/"})))
    assert (tmp_path / "inputs.csv").read_text().endswith(f"a,data/{sha256(READS)}/r.fq,\n")
