"""A second release that differs from the first in everything, and texts that no name should be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.commands.release_diff import DiffSpec
from tasks.commands.release_now import NowSpec
from tasks.core import files
from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.data import mirror as data
from tasks.data.sources import Reach
from tasks.images import mirror as images
from tasks.images.destination import Destination
from tests.kit.releases import VERSION, Staged, change_code

HOSTILE = "<script>alert(1)</script>\"'>&\x1b]0;owned\x07\u202egnp.exe\u200b${7*7}{{7*7}}"
"""For HTML, terminals and templates at once."""
OTHER = "sha256:" + "b" * 64
FRESH = ("release", "images:lock", "mirror:data", "plugins:cache", "config", "reach")


def spec(staged: Staged, before: str | None, after: str, *, fresh: tuple[str, ...] = FRESH,
         **changes: Any) -> DiffSpec:
    """What is compared in a staged pipeline; `fresh` are the steps that doit calls so."""
    now = now_spec(staged, fresh) if "now" in (before, after) else None
    return dataclasses.replace(DiffSpec(
        pipeline=staged.layout.pipeline, layout=staged.layout, store=staged.store,
        signing=staged.signing, signers=Path("none"), before=before, after=after, now=now),
        **changes)


def now_spec(staged: Staged, fresh: tuple[str, ...] = FRESH, *, asks: bool = False) -> NowSpec:
    at = staged.layout
    access = Access(registries={}, ca=None, authfile=None, network=Network())
    source = data.Source(
        reach=Reach(prefixes={}, buckets={}, folders=(), network=Network()), code=at.code,
        resolved=at.resolved, blobs=at.of_site.blobs, lock=at.lock("data"), relock=False)
    files.write_text(Path("toggles/offline.config"), "docker.enabled = true\n")
    return NowSpec(
        pipeline=at.pipeline, layout=at, configs=False, by_hand=(), asks_registry=asks,
        toggles=Path("toggles/offline.config"),
        about={"nextflow": VERSION, "profile": "test", "run": "test", "platform": "linux/amd64",
               "registry": "10.0.0.1:5443", "smoke": "stub"},
        standing={f"{step}:{at.pipeline}": "fresh" for step in fresh},
        images=images.PlanSpec(
            pipeline=at.pipeline, lock=at.lock("images"), locks=(), receipt=at.images_receipt,
            report=at.images_plan, access=access, destination=Destination(
                address="127.0.0.1:1", prefix="", repositories={}, connections=4)),
        data=data.PlanSpec(
            pipeline=at.pipeline, source=source, report=at.data_plan, selection=data.Selection(
                profile="test", samples=2, given={}, references=None, folders={}, limit=None)))


def change_all(staged: Staged, word: str = "other") -> None:
    """Give every part other content; `word` stands in each of its names."""
    at = staged.layout
    change_code(staged, f"params.depth = 2 // {word}\nworkflow {{}}\n".encode())
    edit(at.code_manifest, lambda manifest: manifest.update(revision=f"2.0-{word}"))
    image, place = f"quay.io/airlock/tool:{word}", f"quay.io/airlock/tool:{word}"
    for path in (at.lock("images"), at.images_receipt):
        edit(path, lambda lock: lock["images"].append({**lock["images"][0], "source": image}))
    edit(at.lock("images"), lambda lock: lock["images"][0].update(
        manifest=OTHER, layers=[{**lock["images"][0]["layers"][0], "digest": OTHER, "size": 7}]))
    edit(at.images_receipt, lambda receipt: receipt["images"][0].update(digest=OTHER))
    files.write_text(at.images, f"{at.images.read_text()}{place}\n" if " " not in word else
                     at.images.read_text())
    files.write_text(at.images_pinned, at.images_pinned.read_text()
                     + f"quay.io/airlock/tool@{OTHER}\n")
    _plugin(staged)
    _data(staged, word)
    files.write_text(at.offline_config, f"// {word}\nprofiles {{ offline {{}} }}\n")
    edit(at.reach, lambda reach: reach["findings"].append({
        "file": f"bin/{word}.sh", "line": 3, "kind": "download", "what": f"curl {word}",
        "process": word, "count": 1, "answer": None, "todo": "set it"}))


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file as `change` changes its content."""
    content = json.loads(path.read_bytes())
    change(content)
    files.write_json(path, content)


def _plugin(staged: Staged) -> None:
    at = staged.layout
    files.write_text(at.plugins_list, "nf-hello@1.1.0\n")
    files.write_tar(at.plugins, Path(), [], extra={
        "nf-hello-1.1.0/classes/META-INF/MANIFEST.MF": b"Plugin-Id: nf-hello\n"})
    edit(at.lock("plugins"), lambda lock: lock["plugins"][0].update(
        version="1.1.0", sha512=hashlib.sha512(b"x").hexdigest()))


def _data(staged: Staged, word: str) -> None:
    at, content = staged.layout, b"@r\nGGGG\n+\nIIII\n"
    digest = files.sha256_bytes(content)
    files.write_bytes(at.of_site.blobs / digest / "reads_3.fq", content)

    def change(manifest: Any) -> None:
        manifest["files"] = [manifest["files"][0], {
            "url": f"https://data.example.org/{word}.fq", "sha256": digest, "size": len(content),
            "path": f"data/{digest}/reads_3.fq"}]
        manifest["params"]["genome"] = {"kind": "value", "value": word}

    edit(at.data_manifest, change)
