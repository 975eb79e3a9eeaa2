"""The layers of an image, read twice: for the names of all its files, then for their content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tasks.core.archives import compressed, tars
from tasks.core.errors import ImageError, IntegrityError
from tasks.core.sif.tree import FILE, FOLDER, LINK, PIPE, Node, Tree, walk

MAX_LAYER = 1 << 40
"""Bytes of a layer that is unpacked."""
WHITEOUT, AUFS, OPAQUE = b".wh.", b".wh..wh.", b".wh..wh..opq"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer's digest, and the blob on disk."""

    digest: str
    path: Path


@dataclass(kw_only=True)
class Dropped:
    """Paths of what a SIF can't hold: devices, and files whose extended attributes are left out."""

    devices: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)


def flatten(layers: Sequence[Layer]) -> tuple[Tree, Dropped]:
    """The files of an image as its layers leave them, the lowest first.

    IntegrityError where a blob has not the bytes of its digest. ImageError where it isn't a layer.
    """
    tree, dropped = Tree(), Dropped()
    for number, layer in enumerate(layers):
        if f"sha256:{files.sha256(layer.path)}" != layer.digest:
            raise IntegrityError("a layer's bytes have changed", where=layer.path,
                                 todo="remove it, so that it is fetched again")
        with _members(layer) as (reader, _):
            for place, member in enumerate(reader):
                _apply(tree, member, number, place, dropped)
    return tree, dropped


def contents(layers: Sequence[Layer], tree: Tree) -> Iterator[
        tuple[Node, Callable[[int], bytes]]]:
    """Every file of the tree with what reads its content, in the order of the layers."""
    wanted = {(node.layer, node.place): node for _, node in walk(tree.root) if node.kind == FILE}
    for number, layer in enumerate(layers):
        with _members(layer) as (reader, content):
            for place, _ in enumerate(reader):
                if (node := wanted.get((number, place))) is not None:
                    yield node, content


@contextmanager
def _members(layer: Layer) -> Iterator[tuple[tars.Reader, Callable[[int], bytes]]]:
    try:
        with compressed.opened(layer.path, most=MAX_LAYER) as stream:
            reader = tars.Reader(stream=stream, has_sparse=True)
            yield reader, reader.content
    except compressed.ERRORS as error:
        raise ImageError(f"a layer can't be read: {error}", where=layer.digest,
                         todo="ask those who published the image") from error


def _apply(tree: Tree, member: tars.Member, number: int, place: int, dropped: Dropped) -> None:
    path = os.fsencode(member.name)
    folder, _, name = path.rstrip(b"/").rpartition(b"/")
    if name == OPAQUE:
        tree.hide_all(folder, number)
    elif name.startswith(AUFS):
        return  # of a file system that engines had once
    elif name.startswith(WHITEOUT):
        tree.hide(folder + b"/" + name.removeprefix(WHITEOUT), number)
    elif member.is_hard_link:
        tree.link(path, os.fsencode(member.link), number)
    elif (kind := _kind(member)) is None:
        dropped.devices.append(member.name)
    else:
        if member.has_attributes:
            dropped.attributes.append(member.name)
        # A folder that its owner can't enter could not be entered by anyone in a SIF.
        mode = member.mode | 0o700 if kind == FOLDER else 0o777 if kind == LINK else member.mode
        tree.put(path, Node(kind, mode, number, place, member.size,
                            os.fsencode(member.link) if kind == LINK else b""))


def _kind(member: tars.Member) -> str | None:
    kinds: Mapping[str, bool] = {FILE: member.is_file, FOLDER: member.is_folder,
                                 LINK: member.is_link, PIPE: member.is_pipe}
    return next((kind for kind, is_it in kinds.items() if is_it), None)
