"""Reference data: below their base, as wished, or parts of folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, schema
from tasks.core.errors import ConfigError, SourceError
from tasks.core.inputs import staged_data
from tasks.data.mirror import mirror
from tasks.data.references import Wish
from tasks.data.sources import Reach
from tests.kit.data import PUBLIC, data_spec
from tests.kit.web import Web


def test_references_are_carried_below_their_base(tmp_path: Path, web: Web,
                                                 params: dict[str, Any]) -> None:
    """Those that the code reads and no param overrides; brace groups; what others leave out."""
    base = f"{PUBLIC}igenomes"
    params |= {"genome": "tiny", "igenomes_base": f"{base}/", "gtf": f"{PUBLIC}own.gtf",
               "genomes": {"tiny": {
                   "fasta": f"{base}//Tiny/genome.fa", "gtf": f"{base}/Tiny/genes.gtf",
                   "known": f"{base}/Tiny/{{a,sub/b}}.vcf.gz", "unused": f"{base}/Tiny/unused.bed",
                   "mito": "MT"}, "huge": {"fasta": f"{base}/huge.fa"}}}
    (tmp_path / "project/main.nf").write_text(
        "params.fasta = getGenomeAttribute('fasta')\nparams.gtf = getGenomeAttribute('gtf')\n"
        "params.known = params.genomes[params.genome]?.known\n")
    web.files = {"/own.gtf": b"own", "/igenomes/Tiny/genome.fa": b">t\n",
                 "/igenomes/Tiny/genome.fa.fai": b"fai", "/igenomes/Tiny/a.vcf.gz": b"a",
                 "/igenomes/Tiny/sub/b.vcf.gz": b"b", "/igenomes/Tiny/sub/b.vcf.gz.tbi": b"tbi",
                 "/igenomes/Tiny/unused.bed": b"-"}
    mirror(data_spec(tmp_path, web))
    manifest_path = tmp_path / "data.manifest.json"
    manifest = schema.read_json(manifest_path, "data-manifest")
    assert {file["path"].partition("trees/igenomes_base/")[2] for file in manifest["files"]
            if file["path"].startswith("trees/")} == {
        "Tiny/genome.fa", "Tiny/genome.fa.fai", "Tiny/a.vcf.gz", "Tiny/sub/b.vcf.gz",
        "Tiny/sub/b.vcf.gz.tbi"}
    locate = staged_data.lay_out(manifest_path, tmp_path / "blobs/sha256", tmp_path / "laid")
    rendered = staged_data.render(manifest_path, locate, tmp_path / "run")
    assert (Path(rendered["igenomes_base"]) / "Tiny/genome.fa").read_bytes() == b">t\n"
    assert set(staged_data.shared(manifest_path)) == {"igenomes_base"}


def test_params_of_attributes_that_are_not_carried_are_null_offline(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    """Else the path that the code makes of the base leads nowhere, and the plugin refuses it."""
    base = f"{PUBLIC}igenomes"
    params |= {"genome": "tiny", "igenomes_base": base, "gtf": "/own.gtf", "genomes": {"tiny": {
        "fasta": f"{base}/t.fa", "star": f"{base}/star/", "bwa": f"{base}/bwa",
        "gtf": f"{base}/t.gtf", "ploidy": "2"}}}
    (tmp_path / "project/main.nf").write_text("".join(
        f"params.{param} = getGenomeAttribute('{name}')\n" for param, name in (
            ("fasta", "fasta"), ("star", "star"), ("bwa", "bwa"), ("bwa_mem", "bwa"),
            ("gtf", "gtf"), ("ploidy", "ploidy"))))
    web.files = {"/igenomes/t.fa": b">t\n"}
    said = mirror(data_spec(tmp_path, web, references=Wish(genome="tiny", attributes=("fasta",))))
    assert "bwa, bwa_mem, star: not among references.attributes, so null offline" in said
    staged = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")["params"]
    assert {name for name, value in staged.items() if value["kind"] == "none"} == {
        "star", "bwa", "bwa_mem"}
    assert staged["bwa"] == {"kind": "none", "every": True, "was": f"{base}/bwa"}
    shared = staged_data.shared(tmp_path / "data.manifest.json")
    assert {"igenomes_base", "star", "bwa", "bwa_mem"} == set(shared)


def test_a_wish_for_references_is_held_against_the_pipeline(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    base = f"{PUBLIC}igenomes"
    params |= {"igenomes_base": base, "genomes": {"tiny": {"fasta": f"{base}/t.fa",
                                                          "star": f"{base}/star/"}}}
    web.files = {"/igenomes/t.fa": b">t\n"}
    mirror(data_spec(tmp_path, web, references=Wish(genome="tiny", attributes=("fasta",))))
    assert [file["path"] for file in schema.read_json(
        tmp_path / "data.manifest.json", "data-manifest")["files"]] == [
        "trees/igenomes_base/t.fa"]
    for wish, said in ((Wish(genome="other"), "no genome 'other'"),
                       (Wish(genome="tiny", attributes=("bwa",)), "'tiny' has no bwa")):
        with pytest.raises(ConfigError, match=said):
            mirror(data_spec(tmp_path, web, references=wish))
    web.files.clear()
    with pytest.raises(SourceError, match="there is no such file; as a folder: HTTP can't list"):
        mirror(data_spec(tmp_path, web, references=Wish(genome="tiny", attributes=("fasta",)),
                    relock=True))


def test_parts_of_a_folder_are_carried_and_other_folders_are_left_out(
        tmp_path: Path, web: Web, params: dict[str, Any]) -> None:
    for name in ("113_GRCh38/info.txt", "113_GRCh38/x/y z.vcf.gz", "112_GRCh38/info.txt",
                 "113_GRCh38/x/y z.vcf.gz.tbi", "113_GRCh38/y 1.bam", "113_GRCh38/y 1.bam.bai"):
        files.write_text(tmp_path / "cache" / name, name)
    params |= {"vep_cache": "s3://annotation/vep/", "snpeff_cache": "s3://annotation/snpeff/"}
    (tmp_path / "project/nextflow_schema.json").write_text(json.dumps({"$defs": {"a": {
        "properties": {name: {"type": "string", "format": "directory-path"}
                       for name in ("vep_cache", "snpeff_cache")}}}}))
    reach = Reach(prefixes={"s3://annotation/vep/": f"file://{tmp_path}/cache/"})
    mirror(data_spec(tmp_path, web, reach=reach, folders={
        "vep_cache": ("113_GRCh38/*.txt", "113_GRCh38/x", "113_GRCh38/*.bam")}))
    manifest = schema.read_json(tmp_path / "data.manifest.json", "data-manifest")
    assert {file["path"] for file in manifest["files"]} == {
        f"trees/vep_cache/113_GRCh38/{name}" for name in (
            "info.txt", "x/y z.vcf.gz", "x/y z.vcf.gz.tbi", "y 1.bam", "y 1.bam.bai")}
    assert manifest["params"] == {
        "vep_cache": {"kind": "folder", "path": "trees/vep_cache", "every": True,
                      "was": "s3://annotation/vep/"},
        "snpeff_cache": {"kind": "none", "was": "s3://annotation/snpeff/", "every": True}}
