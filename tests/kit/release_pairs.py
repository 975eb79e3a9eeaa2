"""A second release that differs from the first in everything, and texts that no name should be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.commands.release_diff import DiffSpec, diff
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
        resolved=at.resolved, blobs=at.of_site.blobs, lock=at.locks("data"), relock=False)
    files.write_text(Path("toggles/offline.config"), "docker.enabled = true\n")
    files.write_text(Path("toggles/docker.config"), "")
    return NowSpec(
        pipeline=at.pipeline, layout=at, configs=False, by_hand=(), asks_registry=asks,
        toggles=Path("toggles/offline.config"), engine="docker",
        engine_toggles=Path("toggles/docker.config"),
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
    image = f"quay.io/airlock/tool:{word}"
    for path in (at.lock("images"), at.images_receipt):
        edit(path, lambda lock: lock["images"].append({**lock["images"][0], "source": image}))
    edit(at.lock("images"), lambda lock: lock["images"][0].update(
        manifest=OTHER, layers=[{**lock["images"][0]["layers"][0], "digest": OTHER, "size": 7}]))
    edit(at.images_receipt, lambda receipt: receipt["images"][0].update(digest=OTHER))
    files.write_text(at.images, f"{at.images.read_text()}{image}\n")
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


def report(asked: DiffSpec) -> dict[str, Any]:
    """What a comparison says, for programs; its schema was held against it."""
    diff(asked)
    content: dict[str, Any] = json.loads(asked.layout.release_diff.read_bytes())
    return content


def parts(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in content["parts"]}


def two(ready: Staged, word: str = "other") -> tuple[str, str]:
    first = ready.publish()
    change_all(ready, word)
    ready.publish()
    return first, current(ready)


def current(ready: Staged) -> str:
    """The current release's id."""
    store = ready.store.folder
    assert store is not None
    return str(json.loads((store / "releases/hello/current.json").read_bytes())["id"])


ALL = {
    "release": set(), "code": {("changed", "main.nf"), ("changed", "revision")},
    "images": {("changed", "quay.io/airlock/tool:1"), ("added", "quay.io/airlock/tool:other")},
    "plugins": {("changed", "nf-hello")},
    "data": {("gone", "https://data.example.org/reads_2.fq"),
             ("added", "https://data.example.org/other.fq")},
    "runtime": set(), "params": {("added", "genome")}, "config": {("added", "// other")},
    "reach": {("added", "bin/other.sh:3  curl other  (process other)")},
    "files": {("changed", "images.pinned.txt"), ("changed", "images.receipt.json"),
              ("changed", "images.txt")},
}
"""What change_all changes, by the part that tells it."""


def rows_of(content: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    return {part["name"]: {(row["change"], row["name"]) for row in part["changes"]}
            for part in content["parts"]}


def hostile(ready: Staged) -> None:
    """A release whose every name is one that no name should be."""
    at = ready.layout
    change_code(ready, b"workflow { 2 }\n")
    files.write_tar(at.code, Path(), [], extra={f"{HOSTILE.replace('/', '')}.nf": b"1"})
    edit(at.code_manifest, lambda manifest: manifest.update(
        sha256=files.sha256(at.code), source=HOSTILE, revision=HOSTILE, commit="a" * 40))
    for path in (at.lock("images"), at.images_receipt):
        edit(path, lambda lock: lock["images"][0].update(source=HOSTILE))
    edit(at.lock("images"), lambda lock: lock["images"][0].update(licence=HOSTILE))
    files.write_text(at.images, "")
    edit(at.data_manifest, lambda manifest: (
        manifest["files"][0].update(url=HOSTILE),
        manifest["params"].update({HOSTILE: {"kind": "value", "value": HOSTILE}})))
    files.write_text(at.offline_config, f"// {HOSTILE}\n")
    edit(at.reach, lambda reach: reach["findings"].append({
        "file": HOSTILE, "line": 1, "kind": "url", "what": HOSTILE, "process": HOSTILE,
        "param": HOSTILE, "count": 1, "answer": {"by": "data", "what": HOSTILE}}))
