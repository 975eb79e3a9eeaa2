"""A squashfs 4.0 image (Linux's Documentation/filesystems/squashfs.rst), written as a stream.

Zlib's format, blocks of 128 KiB, fragments, hard links; all belongs to root, all times are 0. The
same files give the same bytes on every machine: libdeflate, whose wheel is pinned, compresses in
one way on all of them, which no two versions of zlib or mksquashfs do.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO

from deflate import zlib_compress

from tasks.core.sif.tree import FILE, FOLDER, LINK, PIPE, Node

BLOCK = 128 * 1024
METADATA = 8192
"""Bytes of a block of inodes, folders or tables, before it is compressed."""
LEVEL = 6
NONE = 0xFFFFFFFFFFFFFFFF
NO_FRAGMENT = NO_XATTRS = 0xFFFFFFFF
STORED = 1 << 24
"""In a block's size: it isn't compressed. In the size of a block of metadata it is 1 << 15."""
SUPERBLOCK = struct.Struct("<IIIIIHHHHHHQQQQQQQQ")
MAGIC, ZLIB, WITHOUT_XATTRS = 0x73717368, 1, 0x0200
ZEROS = bytes(BLOCK)
EXTENDED_FOLDER, EXTENDED_FILE, BASIC_LINK, BASIC_PIPE = 8, 9, 3, 6
IN_LISTING = {FOLDER: 1, FILE: 2, LINK: 3, PIPE: 6}
"""A listing names the basic type of what it lists, whatever its inode's is."""


@dataclass(slots=True)
class Content:
    """Where a file's bytes lie: whole blocks from `start` on, and the rest in a fragment.

    `start` is None as long as there was none but blocks of zeros: those take no room, and `holes`
    is how many bytes they stand for.
    """

    size: int
    start: int | None = None
    blocks: array[int] = field(default_factory=lambda: array("I"))
    fragment: int = NO_FRAGMENT
    offset: int = 0
    holes: int = 0


class Writer:
    """Writes file contents as they come, then everything else, from where the stream stands."""

    def __init__(self, stream: IO[bytes], *, threads: int) -> None:
        self._stream = stream
        self._begin = stream.tell()
        self._write(bytes(SUPERBLOCK.size))
        self._pool = ThreadPoolExecutor(threads)
        self._waiting: deque[tuple[Future[bytearray], bytes, Callable[[int, int], None]]] = deque()
        self._most = threads * 4
        self._tails = bytearray()
        self._fragments: list[tuple[int, int]] = []
        self._contents: dict[int, Content] = {}

    def add(self, node: Node, read: Callable[[int], bytes]) -> None:
        """Take a file's content, which `read` brings in order, by up to so many bytes."""
        content = self._contents[id(node)] = Content(node.size)
        left = node.size
        while left >= BLOCK:
            self._add_block(content, _exactly(read, BLOCK))
            left -= BLOCK
        if left:
            if len(self._tails) + left > BLOCK:
                self._cut()
            content.fragment, content.offset = len(self._fragments), len(self._tails)
            self._tails += _exactly(read, left)

    def finish(self, root: Node) -> None:
        """Write the tables for the tree below `root`, whose files have all been added."""
        self._cut()
        while self._waiting:
            self._write_next()
        self._pool.shutdown()
        tables = _Tables(self._contents)
        at = tables.add(root)
        inodes_at = self._write(tables.inodes.end())
        folders_at = self._write(tables.folders.end())
        fragments_at = self._write_table(b"".join(
            struct.pack("<QII", place, size, 0) for place, size in self._fragments))
        owners_at = self._write_table(struct.pack("<I", 0))
        used = self._write(b"")
        self._write(bytes(-used % 4096))
        self._stream.seek(self._begin)
        self._stream.write(SUPERBLOCK.pack(
            MAGIC, tables.count, 0, BLOCK, len(self._fragments), ZLIB, BLOCK.bit_length() - 1,
            WITHOUT_XATTRS, 1, 4, 0, at, used, owners_at, NONE, inodes_at, folders_at,
            fragments_at, NONE))

    def close(self) -> None:
        """End the threads, also where the writing has failed."""
        self._pool.shutdown(cancel_futures=True)

    def _add_block(self, content: Content, data: bytes) -> None:
        number = len(content.blocks)
        content.blocks.append(0)
        if data == ZEROS:
            content.holes += BLOCK
            return

        def note(at: int, size: int) -> None:
            content.blocks[number] = size
            if content.start is None:
                content.start = at

        self._queue(data, note)

    def _cut(self) -> None:
        """Have the fragment that is being filled written."""
        if not self._tails:
            return
        number = len(self._fragments)
        self._fragments.append((0, 0))
        self._queue(bytes(self._tails),
                    lambda at, size: self._fragments.__setitem__(number, (at, size)))
        self._tails = bytearray()

    def _queue(self, data: bytes, note: Callable[[int, int], None]) -> None:
        self._waiting.append((self._pool.submit(zlib_compress, data, LEVEL), data, note))
        while len(self._waiting) > self._most:
            self._write_next()

    def _write_next(self) -> None:
        squeezed, data, note = self._waiting.popleft()
        body, size = _smaller(squeezed.result(), data, STORED)
        note(self._write(body), size)

    def _write_table(self, rows: bytes) -> int:
        """Write a table in blocks, then where they are; returns the place of that index."""
        places = [self._write(_metadata_block(rows[at:at + METADATA]))
                  for at in range(0, len(rows), METADATA)]
        return self._write(struct.pack(f"<{len(places)}Q", *places)) if places else NONE

    def _write(self, data: bytes | bytearray) -> int:
        """Write some bytes; returns their place in the image."""
        at = self._stream.tell() - self._begin
        self._stream.write(data)
        return at


class _Metadata:
    """Blocks of inodes or folders."""

    def __init__(self) -> None:
        self._written, self._waiting = bytearray(), bytearray()

    @property
    def at(self) -> tuple[int, int]:
        """Where the next byte goes: its block's place, and its own in the unpacked block."""
        return len(self._written), len(self._waiting)

    def add(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= METADATA:
            self._written += _metadata_block(bytes(self._waiting[:METADATA]))
            del self._waiting[:METADATA]

    def end(self) -> bytes:
        if self._waiting:
            self._written += _metadata_block(bytes(self._waiting))
            self._waiting.clear()
        return bytes(self._written)


class _Tables:
    """The inodes, and the folders that list them; a folder comes after all that it holds."""

    def __init__(self, contents: Mapping[int, Content]) -> None:
        self.inodes, self.folders = _Metadata(), _Metadata()
        self.count = 0
        self._contents = contents
        self._numbers: dict[int, int] = {}
        self._names: Counter[int] = Counter()
        self._places: dict[int, tuple[int, int]] = {}

    def add(self, root: Node) -> int:
        """Add a whole tree; returns where the root's inode is, as the superblock has it."""
        self._count(root)
        self._add_folder(root, parent=self.count + 1)
        block, offset = self._places[id(root)]
        return block << 16 | offset

    def _count(self, folder: Node) -> None:
        """Number all inodes, and count the names of each."""
        for _, child in sorted(folder.children.items()):
            self._names[id(child)] += 1
            if child.kind == FOLDER:
                self._count(child)
            elif id(child) not in self._numbers:
                self._number(child)
        self._number(folder)

    def _number(self, node: Node) -> None:
        self.count += 1
        self._numbers[id(node)] = self.count

    def _add_folder(self, folder: Node, *, parent: int) -> None:
        listed = sorted(folder.children.items())
        for _, child in listed:
            if child.kind == FOLDER:
                self._add_folder(child, parent=self._numbers[id(folder)])
            elif id(child) not in self._places:
                self._add_inode(child)
        block, offset = self.folders.at
        size = sum(self._list(run) for run in self._runs(listed))
        folders = sum(child.kind == FOLDER for _, child in listed)
        # The size counts three bytes for "." and "..", which no listing has.
        self._place(folder, EXTENDED_FOLDER, struct.pack(
            "<IIIIHHI", folders + 2, size + 3, block, parent, 0, offset, NO_XATTRS))

    def _add_inode(self, node: Node) -> None:
        names = self._names[id(node)]
        if node.kind == FILE:
            content = self._contents[id(node)]
            # No file may be all holes, by the kernel's count of its blocks.
            holes = min(content.holes, max(content.size - 1, 0))
            self._place(node, EXTENDED_FILE, struct.pack(
                "<QQQIIII", content.start or 0, content.size, holes, names, content.fragment,
                content.offset, NO_XATTRS)
                + struct.pack(f"<{len(content.blocks)}I", *content.blocks))
        elif node.kind == LINK:
            self._place(node, BASIC_LINK,
                        struct.pack("<II", names, len(node.target)) + node.target)
        else:
            self._place(node, BASIC_PIPE, struct.pack("<I", names))

    def _place(self, node: Node, kind: int, rest: bytes) -> None:
        self._places[id(node)] = self.inodes.at
        self.inodes.add(struct.pack("<HHHHII", kind, node.mode & 0o7777, 0, 0, 0,
                                    self._numbers[id(node)]) + rest)

    def _runs(self, listed: Sequence[tuple[bytes, Node]]) -> Iterator[list[tuple[bytes, Node]]]:
        """Entries that one header can stand for: 256 at most, of one block, with near numbers."""
        run: list[tuple[bytes, Node]] = []
        for name, node in listed:
            if run and not (len(run) < 256 and self._is_near(run[0][1], node)):
                yield run
                run = []
            run.append((name, node))
        if run:
            yield run

    def _is_near(self, first: Node, node: Node) -> bool:
        distance = self._numbers[id(node)] - self._numbers[id(first)]
        return (self._places[id(first)][0] == self._places[id(node)][0]
                and -32768 <= distance <= 32767)

    def _list(self, run: Sequence[tuple[bytes, Node]]) -> int:
        """Add entries with their header; returns their bytes."""
        first = id(run[0][1])
        data = struct.pack("<III", len(run) - 1, self._places[first][0], self._numbers[first])
        for name, node in run:
            data += struct.pack("<HhHH", self._places[id(node)][1],
                                self._numbers[id(node)] - self._numbers[first],
                                IN_LISTING[node.kind], len(name) - 1) + name
        self.folders.add(data)
        return len(data)


def _metadata_block(data: bytes) -> bytes:
    body, size = _smaller(zlib_compress(data, LEVEL), data, 1 << 15)
    return struct.pack("<H", size) + body


def _smaller(squeezed: bytes | bytearray, data: bytes,
             stored: int) -> tuple[bytes | bytearray, int]:
    """What is written of a block, with its size as a table has it."""
    if len(squeezed) < len(data):
        return squeezed, len(squeezed)
    return data, len(data) | stored


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """So many bytes; EOFError where there are fewer."""
    data = bytearray()
    while len(data) < size:
        block = read(size - len(data))
        if not block:
            raise EOFError("a file of the image ends too early")
        data += block
    return bytes(data)
