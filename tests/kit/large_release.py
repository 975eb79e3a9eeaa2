"""A release as large as those of nf-core's largest pipelines: 90 images that share their layers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.nextflow import reports
from tests.kit.release_pairs import edit
from tests.kit.releases import Staged

TOOLS = ("align", "annotate", "assemble", "basecount", "binning", "call", "classify", "cluster",
         "compress", "concat", "consensus", "contamination", "convert", "coverage", "decoy",
         "dedup", "depth", "dictionary", "extract", "fastqscreen", "filter", "genotype", "hapcount",
         "index", "insertsize", "intervals", "joint", "lift", "markduplicates", "merge", "metrics",
         "mosaic", "normalise", "phase", "pileup", "recalibrate", "realign", "sexcheck", "somatic",
         "sort", "split", "structural", "summarise", "trim", "view")
COUNT = 90
LICENCES: tuple[list[str], ...] = (
    ["MIT"], ["BSD-3-Clause"], ["GPL-3.0-only"], [], ["Apache-2.0", "MIT"])
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _number(text: str, most: int) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % most + 1


def names() -> list[str]:
    """The sources of all images, sorted."""
    hosts = ("quay.io/biocontainers/{}:{}", "community.wave.example.org/library/{}_htslib:{}")
    return sorted(hosts[version].format(tool, f"{version + 1}.{len(tool)}--h{_digest(tool)[7:15]}")
                  for tool in TOOLS for version in (0, 1))


def _image(source: str) -> dict[str, Any]:
    bases = [f"base{_number(source, 5)}", f"runtime{_number(source + 'r', 9)}"]
    layers: list[dict[str, Any]] = [
        {"digest": _digest(name), "size": 9_000_000 * _number(name, 8), "media_type": LAYER}
        for name in bases]
    own: list[dict[str, Any]] = [
        {"digest": _digest(f"{source}{part}"), "media_type": LAYER,
         "size": 2_000_000 * _number(f"{source}{part}", 1 + 90 // (part + 1))}
        for part in range(_number(source, 4))]
    config = {"digest": _digest(f"{source} config"), "size": 4000 + _number(source, 5000)}
    return {"source": source, "index": None, "manifest": _digest(source),
            "platform": "linux/amd64", "config": config, "layers": layers + own,
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "size": config["size"] + sum(layer["size"] for layer in layers + own),
            "resolved": "2026-01-01T00:00:00Z"}


def enlarge(staged: Staged) -> None:
    """Give a staged pipeline 90 images, 40 data files, and a graph of its processes."""
    at, images = staged.layout, [_image(source) for source in names()]
    edit(at.lock("images"), lambda lock: lock.update(images=images))
    edit(at.images_receipt, lambda receipt: receipt.update(images=[{
        "source": image["source"], "digest": image["manifest"], "platform": "linux/amd64",
        "destination": f"10.0.0.1:5443/{image['source'].rpartition(':')[0]}",
        "size": image["size"]} for image in images]))
    files.write_text(at.images, "".join(f"{name}\n" for name in names()))
    files.write_text(at.images_pinned, "".join(
        f"{image['source'].rpartition(':')[0]}@{image['manifest']}\n" for image in images))
    processes = [{"name": f"{tool.upper()}_{step}", "aliases": [], "line": 3, "container": source,
                  "file": f"modules/{tool}/{step.lower()}/main.nf"}
                 for source in names()
                 for tool in [source.rpartition("/")[2].split(":")[0].removesuffix("_htslib")]
                 for step in ("RUN", "INDEX", "REPORT", "CHECK")[:_number(source, 4)]]
    edit(at.images_scan, lambda scan: scan.update(images=names(), processes=processes))
    _data(staged)
    _graph(at.smoke / reports.MERMAID)


def _data(staged: Staged) -> None:
    at, rows = staged.layout, []
    for place in range(40):
        name = f"sample_{place // 2}_{place % 2 + 1}.fastq.gz"
        content = name.encode() * _number(name, 9000)
        digest = files.sha256_bytes(content)
        files.write_bytes(at.of_site.blobs / digest / name, content)
        rows.append({"url": f"https://data.example.org/testdata/fastq/{name}", "sha256": digest,
                     "size": len(content), "path": f"data/{digest}/{name}"})
    edit(at.data_manifest, lambda manifest: (manifest["files"].extend(rows), manifest["files"].sort(
        key=lambda row: row["path"])))


def _graph(path: Path) -> None:
    """As Nextflow writes it: each tool follows two or three of those before it."""
    lines = ["flowchart TB", "subgraph BIG", "subgraph FLOW"]
    lines += [f"v{place}([{tool.upper()}_RUN])" for place, tool in enumerate(TOOLS)]
    lines += ["end", "end", *(
        f"v{before} --> v{place}" for place, tool in enumerate(TOOLS) if place for before in sorted(
            {_number(f"{tool}{try_}", place) - 1 for try_ in range(2)}))]
    files.write_text(path, "\n".join(lines) + "\n")


def bill(path: Path) -> None:
    """A bill of materials, as a release has it: of some images no licence is known."""
    components: list[dict[str, Any]] = [{
        "type": "container", "name": source, "version": "1",
        "licenses": [{"license": {"id": name}} for name in LICENCES[place % 5]],
        "properties": [{"name": "airlock:kind", "value": "image"},
                       {"name": "airlock:source", "value": source},
                       *([{"name": "airlock:base", "value": "docker.io/library/debian:12-slim"}]
                         if place % 3 else [])]} for place, source in enumerate(names())]
    components += [{
        "type": "library", "name": f"part-{place}", "version": f"1.{place}",
        "licenses": [{"expression": "Apache-2.0 OR MIT"}] if place % 4 else [],
        "hashes": [{"alg": "SHA-256", "content": _digest(str(place))[7:]}],
        "properties": [{"name": "airlock:kind", "value": "jar" if place else "runtime"}]}
        for place in range(60)]
    files.write_text(path, json.dumps({"bomFormat": "CycloneDX", "components": components}))
