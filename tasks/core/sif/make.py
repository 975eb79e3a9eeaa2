"""One image's layers as one SIF."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.sif import container, environment
from tasks.core.sif.layers import Dropped, Layer, contents, flatten
from tasks.core.sif.squashfs import Writer
from tasks.core.sif.tree import FILE, Node


def make(layers: Sequence[Layer], config: Mapping[str, Any], *, digest: str,
         output: Path) -> Dropped:
    """Write the image of a manifest's digest as a SIF; returns what it can't hold.

    `config` is the image's own, and `layers` are those of its manifest, the lowest first. Equal
    images give equal bytes. IntegrityError where a layer's bytes aren't those of its digest;
    ImageError where it can't be a SIF.
    """
    tree, dropped = flatten(layers)
    added = {**environment.extra_files(config, digest), **environment.add_mounts(tree)}
    own = {}
    for path, (content, mode) in sorted(added.items()):
        node = own[path] = Node(FILE, mode, size=len(content))
        tree.put(path.encode(), node)
    with files.atomic(output, mode=0o755) as stream:
        container.begin(stream)
        writer = Writer(stream, threads=os.cpu_count() or 1)
        try:
            for node, read in contents(layers, tree):
                writer.add(node, read)
            for path, node in own.items():
                writer.add(node, io.BytesIO(added[path][0]).read)
            writer.finish(tree.root)
        finally:
            writer.close()
        container.finish(stream, architecture=config.get("architecture", ""), digest=digest)
    return dropped
