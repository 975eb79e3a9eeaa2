"""One image's layers as one SIF."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.sif import container, environment
from tasks.core.sif.layers import Dropped, Layer, contents, flatten
from tasks.core.sif.squashfs import Writer
from tasks.core.sif.tree import FILE, Node, walk

WRITER = 1
"""Of the bytes that an image gives: one more with each change here that changes them."""


def writer() -> str:
    """What a file was made by: with another writer the same image may give other bytes."""
    return f"{WRITER}, deflate {metadata.version('deflate')}"


def make(layers: Sequence[Layer], config: Mapping[str, Any], *, digest: str, output: Path,
         report: Callable[[int, int], None] = lambda done, of: None) -> Dropped:
    """Write the image of a manifest's digest as a SIF; returns what it can't hold.

    `config` is the image's own, and `layers` are those of its manifest, the lowest first. Equal
    images give equal bytes. IntegrityError where a layer's bytes aren't those of its digest;
    ImageError where it can't be a SIF. `report` gets the bytes of its files that are written, and
    those of all.
    """
    tree, dropped = flatten(layers)
    added = {**environment.extra_files(config, digest), **environment.add_mounts(tree)}
    total = sum({id(node): node.size for _, node in walk(tree.root)}.values()) or 1
    own, done = {}, 0
    for path, (content, mode) in sorted(added.items()):
        node = own[path] = Node(FILE, mode, size=len(content))
        tree.put(path.encode(), node)
    with files.atomic(output, mode=0o755) as stream:
        container.begin(stream)
        squashfs = Writer(stream, threads=os.cpu_count() or 1)
        try:
            for node, read in contents(layers, tree):
                squashfs.add(node, read)
                done += node.size
                report(done, total)
            for path, node in own.items():
                squashfs.add(node, io.BytesIO(added[path][0]).read)
            squashfs.finish(tree.root)
        finally:
            squashfs.close()
        container.finish(stream, architecture=config.get("architecture", ""), digest=digest)
    return dropped
