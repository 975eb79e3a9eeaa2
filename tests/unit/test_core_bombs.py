"""Archives that mean to fill a disk, a memory or a day end early, and leave nothing."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files
from tasks.core.archives import tars, unpacking
from tasks.core.archives.limits import Bounds
from tasks.core.errors import IntegrityError
from tests.kit.bounded import limited

GB = 10**9
UNPACK = """
from tasks.core.archives import limits, unpacking
unpacking.unpack(Path(sys.argv[1]), Path(sys.argv[2]),
                allowed=limits.Bounds(size=50_000_000, members=2_000))
print('unpacked')
"""


def head(name: str, kind: bytes = b"0", size: int = 0, rest: bytes = b"") -> bytes:
    """One header block; `rest` stands where GNU tar keeps what it adds."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[-512:])
    block[345:345 + len(rest)] = rest
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(kind: bytes = b"x", **records: str) -> bytes:
    lines = b""
    for name, value in records.items():
        body = f" {name.replace('__', '.')}={value}\n".encode()
        length = len(body) + len(str(len(body)))
        lines += str(length + (len(str(length)) > len(str(len(body))))).encode() + body
    return head("x", kind, len(lines)) + padded(lines)


def old_gnu_sparse() -> bytes:
    """One hole of 3 GB: the real size stands at 483, the map of what is there at 386."""
    rest = bytes(386 - 345) + b"%011o\0" % (3 * GB) + b"%011o\0" % 0
    rest = rest.ljust(483 - 345, b"\0") + b"%011o\0" % (3 * GB)
    return head("hole", b"S", 0, rest)


SPARSE = {
    "old": old_gnu_sparse(),
    "0.0": pax(GNU__sparse__size=str(3 * GB), GNU__sparse__numblocks="0") + head("hole"),
    "0.1": pax(GNU__sparse__size=str(3 * GB), GNU__sparse__map=f"{3 * GB},0") + head("hole"),
    "1.0": pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__name="hole",
               GNU__sparse__realsize=str(3 * GB)) + head("hole", b"0", 512)
    + padded(f"1\n{3 * GB}\n0\n".encode()),
    "star": pax(SCHILY__realsize=str(3 * GB)) + head("hole"),
}


def many(name: Callable[[int], str], count: int) -> bytes:
    return b"".join(head(name(number)) for number in range(count))


TARS: dict[str, tuple[Callable[[], bytes], str]] = {
    **{f"sparse {form}": (partial(bytes, data), "sparse members")
       for form, data in SPARSE.items()},
    "long name": (lambda: head("x", b"L", 450_000_000) + bytes(450_000_000), "bytes of headers"),
    "long link": (lambda: head("x", b"K", 450_000_000) + bytes(450_000_000), "bytes of headers"),
    "PAX": (lambda: head("x", b"x", 450_000_000) + b"9" * 450_000_000, "bytes of headers"),
    "PAX, a number": (lambda: head("x", b"x", 200_000) + padded(b"9" * 200_000), "no length"),
    "PAX, a thousand headers": (lambda: 5000 * pax(path="a" * 600), "bytes of headers"),
    "PAX, a size": (lambda: pax(size=str(3 * GB)) + head("x"), "more than the 50.0 MB"),
    "a size in binary": (lambda: head("x", b"0", 2**70), "more than the 50.0 MB"),
    "members": (lambda: many(lambda number: f"f{number}", 2_001), "more than the 2000"),
    "folders": (lambda: b"".join(
        pax(path=f"{number}/" + "a/" * 57 + "f") + head("x") for number in range(40)),
                "more than the 2000"),
    "depth": (lambda: pax(path="a/" * 2000 + "f") + head("x"), "deep in each other"),
    "a name": (lambda: pax(path="a" * 300) + head("x"), "more than 255 bytes"),
    "a name for all": (lambda: pax(b"g", path="a") + head("x"), "all members one name"),
    "zeros": (lambda: head("x", b"0", 40_000_000) + bytes(40_000_000) + head("y", b"0", 40_000_000),
              "more than the 50.0 MB"),
}


@pytest.mark.parametrize("attack", TARS)
def test_a_tar_that_stands_for_more_than_it_has_is_refused(tmp_path: Path, attack: str) -> None:
    make, said = TARS[attack]
    packer = zlib.compressobj(1, wbits=31)
    data = make()
    with (tmp_path / "x.tar.gz").open("wb") as stream:
        for at in range(0, len(data), 1 << 24):
            stream.write(packer.compress(data[at:at + (1 << 24)]))
        stream.write(packer.compress(bytes(1024)) + packer.flush())
    # The zeros are written up to the bound; all else is refused by its headers.
    output = limited(UNPACK, tmp_path / "x.tar.gz", tmp_path / "out", seconds=40,
                     size=40_000_000 if attack == "zeros" else 1_000_000)
    assert output.startswith("IntegrityError")
    assert said in output
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_xz_gets_no_more_memory_than_its_strongest_preset_takes(tmp_path: Path) -> None:
    tar = head("main.nf", b"0", 3) + padded(b"abc") + bytes(1024)
    packed = bytearray(lzma.compress(tar))
    (tmp_path / "good").write_bytes(lzma.compress(tar, preset=9 | lzma.PRESET_EXTREME))
    assert "unpacked" in limited(UNPACK, tmp_path / "good", tmp_path / "out")
    # The block's header (12 bytes from the start): size, flags, filter, its length, dictionary.
    length = (packed[12] + 1) * 4
    assert packed[14:16] == b"\x21\x01"
    packed[16] = 40  # 4 GiB
    packed[12 + length - 4:12 + length] = struct.pack(
        "<I", zlib.crc32(packed[12:12 + length - 4]))
    (tmp_path / "bad").write_bytes(packed)
    output = limited(UNPACK, tmp_path / "bad", tmp_path / "bad.out")
    assert "IntegrityError" in output
    assert "Memory usage limit" in output


def test_a_file_of_very_many_compressed_parts_ends(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(b"") * 3_000_000)
    assert "more than 100000 parts" in limited(UNPACK, tmp_path / "x.tar.gz", tmp_path / "out")


def entry(name: bytes, *, size: int = 0, packed: int = 0, at: int = 0, method: int = 0,
          data: bytes = b"") -> bytes:
    """One entry of a zip's list of members (APPNOTE.TXT 4.3.12)."""
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, method, 0, 0, zlib.crc32(data),
                       packed or len(data), size or len(data),
                       len(name), 0, 0, 0, 0, 0, at) + name


def zipped(local: bytes, entries: bytes, count: int) -> bytes:
    return local + entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entries),
                                         len(local), 0)


def header(name: bytes, data: bytes, method: int = 0) -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, method, 0, 0, zlib.crc32(data), len(data),
                       len(data), len(name), 0) + name + data


ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "millions of members": (lambda: zipped(b"", b"".join(
        entry(b"%07d" % number) for number in range(2_000_000)), 65535), "its list of members"),
    "members": (lambda: zipped(b"", b"".join(
        entry(b"%d" % number, at=number * 30) for number in range(2_001)), 2_001),
        "more than the 2000"),
    "content within content": (lambda: zipped(
        header(b"a", header(b"b", bytes(9))), entry(b"a", data=header(b"b", bytes(9)))
        + entry(b"b", data=bytes(9), at=31), 2), "lies within"),
    "LZMA": (lambda: zipped(header(b"a", bytes(9), 14),
                            entry(b"a", size=9, packed=9, method=14), 1), "a method"),
    "a size": (lambda: zipped(header(b"a", b""), entry(b"a", size=3 * GB), 1), "3.0 GB"),
}


@pytest.mark.parametrize("attack", ZIPS)
def test_a_zip_that_stands_for_more_than_it_has_is_refused(tmp_path: Path, attack: str) -> None:
    make, said = ZIPS[attack]
    (tmp_path / "x.zip").write_bytes(make())
    output = limited(UNPACK, tmp_path / "x.zip", tmp_path / "out", size=1_000_000)
    assert output.startswith("IntegrityError")
    assert said in output
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "a/"), ("a", "a")])
@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_and_a_folder_of_one_name_are_refused(tmp_path: Path, kind: str,
                                                     names: tuple[str, str]) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "x", "w") as out:
            for name in names:
                out.writestr(name, b"")
    else:
        (tmp_path / "x").write_bytes(b"".join(
            head(name.rstrip("/"), b"5" if name.endswith("/") else b"0") for name in names))
    with pytest.raises(IntegrityError, match="refused"):
        unpacking.unpack(tmp_path / "x", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_not_called_a_broken_archive(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(head("a", b"0", 9000) + padded(bytes(9000)))
    output = limited("from tasks.core.archives import unpacking\n"
                     "try:\n    unpacking.unpack(Path(sys.argv[1]), Path(sys.argv[2]))\n"
                     "except OSError as error:\n    print(error.strerror)",
                     tmp_path / "x", tmp_path / "out", size=4096)
    assert output == "File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


NAMES = st.lists(st.text(st.characters(blacklist_characters="/\\", blacklist_categories=(
    "Cs", "Cc")), min_size=1, max_size=60).filter(lambda name: name not in (".", "..")),
    min_size=1, max_size=5).map("/".join)
TREES = st.dictionaries(NAMES, st.tuples(st.binary(max_size=1200), st.booleans(),
                                         st.none() | st.text("ab/é", min_size=1, max_size=150)),
                        max_size=6)
FORMS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


def written(tree: dict[str, tuple[bytes, bool, str | None]], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, (data, is_executable, link) in tree.items():
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o755 if is_executable else 0o644, 1.5
            if form != tarfile.PAX_FORMAT:
                info.mtime = 1
            if link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, link
            info.size = 0 if link is not None else len(data)
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:  # a name that USTAR can't hold
                continue
    return out.getvalue()


@given(TREES, FORMS)
def test_a_tar_is_read_as_python_s_own_reader_does(
        tree: dict[str, tuple[bytes, bool, str | None]], form: int) -> None:
    data = written(tree, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        wanted = []
        for info in tar:
            content = tar.extractfile(info) if info.isfile() else None
            wanted.append((info.name, info.linkname, bool(info.mode & 0o100),
                           content.read() if content else b""))
    reader = tars.Reader(stream=io.BytesIO(data))
    found = []
    for member in reader:
        content_read = b""
        while block := reader.content(100):
            content_read += block
        found.append((member.name, member.link, member.is_executable, content_read))
    assert found == wanted


@settings(max_examples=200)
@given(st.data(), TREES, FORMS)
def test_whatever_is_done_to_an_archive_ends_in_files_or_an_error_of_ours(
        data: st.DataObject, tree: dict[str, tuple[bytes, bool, str | None]], form: int) -> None:
    kind = data.draw(st.sampled_from(["tar", "tar.gz", "tar.xz", "zip"]))
    plain = bytearray(written(tree, form))
    if kind == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, (content, _, _) in tree.items():
                packed.writestr(name, content)
        plain = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(plain) - 1))
        plain[at] = data.draw(st.integers(0, 255))
        if kind != "zip" and data.draw(st.booleans()):  # a header whose checksum is right
            at -= at % 512
            block = plain[at:at + 512]
            block[148:156] = b" " * 8
            plain[at + 148:at + 156] = b"%06o\0 " % sum(block)
    raw = bytes(plain)
    raw = {"tar.gz": gzip.compress(raw), "tar.xz": lzma.compress(raw)}.get(kind, raw)
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    with tempfile.TemporaryDirectory() as temporary:
        path, place = Path(temporary) / "x", Path(temporary) / "out"
        path.write_bytes(raw[:cut])
        try:
            unpacking.unpack(path, place, allowed=Bounds(size=20_000, members=50))
        except IntegrityError:
            assert [path.name for path in Path(temporary).iterdir()] == ["x"]
        else:
            assert sum(file.lstat().st_size for file in files.tree(place)) <= 40_000
