"""The files of an image, flattened: what its layers add and take away, in memory without content.

Follows the OCI image specification ("Image Layer Filesystem Changeset"): whiteouts and opaque
folders hide what lower layers have, and nothing of their own layer. Where a path's parents are
links they are followed within the image, as engines do when they unpack one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tasks.core.errors import ImageError

FOLDER: Final = "folder"
FILE: Final = "file"
LINK: Final = "link"
PIPE: Final = "pipe"

MAX_LINKS = 40
"""Links that a path may lead through, as Linux has it (MAXSYMLINKS)."""
MAX_DEPTH = 200
"""Folders in each other; the deepest of public images have some 40."""
MAX_NODES = 5_000_000
"""Files and folders of an image; the largest public ones have some 500,000."""

OURS = -1
"""The layer of what is in no layer: folders that only a path named, and what a SIF adds."""


@dataclass(eq=False, slots=True)
class Node:
    """A file, folder, link or pipe. Several names may lead to one: hard links.

    `layer` is the number of the layer that it came with, and `place` which member of it. `children`
    are a folder's, by name; `target` is where a link leads.
    """

    kind: str
    mode: int
    layer: int = OURS
    place: int = 0
    size: int = 0
    target: bytes = b""
    children: dict[bytes, Node] = field(default_factory=dict)


class Tree:
    """All files of an image. Paths are bytes, relative to its root."""

    def __init__(self) -> None:
        self.root = Node(FOLDER, 0o755)
        self._count = 1

    def put(self, path: bytes, node: Node) -> None:
        """Add what a layer has under a path, in place of what was there.

        A folder over a folder keeps what that holds.
        """
        *parents, name = parts(path) or [b""]
        if not name:
            self.root.mode, self.root.layer = node.mode, node.layer
            return
        folder = self.folder(parents, node.layer)
        held = folder.children.get(name)
        if node.kind == FOLDER and held is not None and held.kind == FOLDER:
            held.mode, held.layer = node.mode, node.layer
            return
        self._counted(path)
        folder.children[name] = node

    def link(self, path: bytes, target: bytes, layer: int) -> None:
        """Add a hard link: one more name of what stands under `target` now."""
        node = self.at(target)
        if node is None or node.kind == FOLDER:
            raise _refusal(f"a hard link leads to what is no file: {_shown(target)}", path)
        *parents, name = parts(path) or [b""]
        folder = self.folder(parents, layer)
        if name and folder.children.get(name) is not node:
            self._counted(path)
            folder.children[name] = node

    def hide(self, path: bytes, layer: int) -> None:
        """Take away what lower layers have under a path: a whiteout."""
        *parents, name = parts(path) or [b""]
        folder = self._existing(parents)
        if folder is not None and name in folder.children and _is_below(folder.children[name],
                                                                       layer):
            del folder.children[name]

    def hide_all(self, path: bytes, layer: int) -> None:
        """Take away what lower layers have in a folder: it is opaque."""
        folder = self._existing(parts(path))
        if folder is not None:
            _keep(folder, layer)

    def at(self, path: bytes) -> Node | None:
        """What stands under a path, the last part of which is not followed."""
        *parents, name = parts(path) or [b""]
        folder = self._existing(parents)
        if folder is None or not name:
            return folder
        return folder.children.get(name)

    def folder(self, path: list[bytes], layer: int = OURS) -> Node:
        """The folder of these parts; it is made where it is missing."""
        def made(parent: Node, name: bytes) -> Node:
            if name in parent.children:
                raise _refusal("a layer has a path that leads through what is no folder",
                               b"/".join(path))
            self._counted(b"/".join(path))
            child = parent.children[name] = Node(FOLDER, 0o755, layer)
            return child

        return self._walk(path, made)

    def _existing(self, path: list[bytes]) -> Node | None:
        def refuse(parent: Node, name: bytes) -> Node:
            raise KeyError(name)

        try:
            return self._walk(path, refuse)
        except KeyError:
            return None

    def _walk(self, path: list[bytes], missing: Callable[[Node, bytes], Node]) -> Node:
        """Go down a path; links on the way are followed within the image."""
        trail, waiting, links = [self.root], path[::-1], 0
        while waiting:
            name, folder = waiting.pop(), trail[-1]
            if name == b"..":
                trail = trail[:-1] or trail
                continue
            child = folder.children.get(name)
            if child is not None and child.kind == LINK:
                links += 1
                if links > MAX_LINKS:
                    raise _refusal("a path leads through too many links", b"/".join(path))
                trail = trail[:1] if child.target.startswith(b"/") else trail
                waiting += _steps(child.target)[::-1]
                continue
            if child is None or child.kind != FOLDER:
                child = missing(folder, name)
            if len(trail) > MAX_DEPTH:
                raise _refusal(f"it has folders more than {MAX_DEPTH} deep in each other",
                               b"/".join(path))
            trail.append(child)
        return trail[-1]

    def _counted(self, path: bytes) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise _refusal(f"it has more than {MAX_NODES} files", path)


def walk(folder: Node, path: bytes = b"") -> Iterator[tuple[bytes, Node]]:
    """All that is below a folder with its path, by the bytes of the names; parents come first."""
    for name, child in sorted(folder.children.items()):
        place = path + b"/" + name if path else name
        yield place, child
        yield from walk(child, place)


def parts(path: bytes) -> list[bytes]:
    """The parts of a layer's path, which is relative to the image's root.

    ImageError where it leads out, or a part is longer than Linux allows.
    """
    named = _steps(path)
    if b".." in named:
        raise _refusal("a layer has a path that leads out of it", path)
    if any(len(part) > 255 for part in named):
        raise _refusal("a layer has a name of more than 255 bytes", path)
    return named


def _steps(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def _is_below(node: Node, layer: int) -> bool:
    """Whether nothing of `layer` is left at or in a node, once what is below has gone."""
    if node.kind != FOLDER:
        return node.layer != layer
    _keep(node, layer)
    return node.layer != layer and not node.children


def _keep(folder: Node, layer: int) -> None:
    """Take out of a folder all that isn't of `layer`."""
    for name, child in list(folder.children.items()):
        if _is_below(child, layer):
            del folder.children[name]


def _refusal(why: str, path: bytes) -> ImageError:
    return ImageError(why, where=_shown(path), todo="ask those who published the image")


def _shown(path: bytes) -> str:
    return path.decode(errors="backslashreplace")[:500]
