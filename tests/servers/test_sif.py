"""SIFs beside what others read and flatten: unsquashfs, Linux, GNU tar and umoci."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import stat
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from tasks.core import files
from tasks.core.errors import ImageError, IntegrityError
from tasks.core.sif import container
from tasks.core.sif.layers import Layer
from tasks.core.sif.make import make
from tests.kit import machine
from tests.kit.images import OciLayout

NAMES = ["a", "b", "c", "d é", os.fsdecode(b"e\xff")]
MODES = [0o644, 0o755, 0o600, 0o4755, 0o1777]
ADDED = {b".singularity.d", b"dev", b"etc", b"home", b"mnt", b"opt", b"proc", b"root", b"srv",
         b"sys", b"tmp", b"var"}
"""What a SIF has at its root besides the image's own files."""
CONFIG = {"architecture": "amd64"}
DIGEST = "sha256:" + "0" * 64
KINDS = {"folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
         "pipe": tarfile.FIFOTYPE}


def info(name: str, kind: str = "file", *, mode: int = 0o644, link: str = "",
         size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = KINDS.get(kind, tarfile.REGTYPE), mode
    member.linkname, member.size = link, size
    return member


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8",
                      errors="surrogateescape") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def random_layer(choose: random.Random) -> bytes:
    """Some of everything that a layer may have, under few names, so that much meets."""
    members: list[tuple[tarfile.TarInfo, bytes]] = []
    named: list[str] = []
    for _ in range(choose.randint(1, 9)):
        path = "/".join(choose.choice(NAMES) for _ in range(choose.randint(1, 3)))
        folder, _, name = path.rpartition("/")
        kind = choose.choice(["file", "file", "file", "folder", "folder", "link", "hard", "pipe",
                              "whiteout", "whiteout", "opaque"])
        mode, data, link = choose.choice(MODES), b"", ""
        if kind == "file":
            data = choose.choice([b"", b"x", choose.randbytes(50) * choose.choice([1, 3000, 6000]),
                                  bytes(400_000) + b"y"])
            named.append(path)
        elif kind == "folder":
            mode |= 0o700
        elif kind == "link":
            link = choose.choice(["", "/", "../"]) + "/".join(choose.choices(NAMES, k=2))
        elif kind == "hard":
            link = choose.choice(named or [path])
            if f"{link}/".startswith(f"{path}/"):  # umoci removes it first
                continue
        elif kind == "whiteout":
            path = f"{folder}/.wh.{name}" if folder else f".wh.{name}"
        elif kind == "opaque":
            path += "/.wh..wh..opq"
        members.append((info(path, kind, mode=mode, link=link), data))
    return tar(*members, form=choose.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))


def laid(folder: Path, *layers: bytes) -> list[Layer]:
    """Layers on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for layer in layers:
        path = folder / hashlib.sha256(layer).hexdigest()
        path.write_bytes(layer)
        paths.append(Layer(digest=f"sha256:{path.name}", path=path))
    return paths


def unpacked(sif: Path, target: Path) -> Path:
    """What unsquashfs finds in a SIF."""
    machine.need("unsquashfs")
    subprocess.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-o", str(container.DATA_AT),
                    "-d", target, sif], check=True, capture_output=True)
    return target


def listing(root: Path) -> dict[bytes, list[Any]]:
    """Each file's kind, mode, content or target, and the names that share it."""
    listed: dict[bytes, list[Any]] = {}
    shared: dict[int, list[bytes]] = {}
    for place in root.rglob("*"):
        about = place.lstat()
        kind = stat.S_IFMT(about.st_mode)
        path = os.fsencode(place.relative_to(root))
        content: object = None
        if kind == stat.S_IFLNK:
            content = os.fsencode(place.readlink())
        elif kind == stat.S_IFREG:
            content = files.sha256(place)
        listed[path] = [kind, kind == stat.S_IFLNK or stat.S_IMODE(about.st_mode), content]
        if kind != stat.S_IFDIR:
            shared.setdefault(about.st_ino, []).append(path)
    for names in shared.values():
        for name in names:
            listed[name].append(sorted(names))
    return listed


def own(root: Path) -> dict[bytes, list[Any]]:
    return {path: about for path, about in listing(root).items()
            if path.split(b"/")[0] not in ADDED}


@pytest.mark.parametrize("seed", range(30))
def test_layers_are_flattened_as_another_program_does(tmp_path: Path, seed: int) -> None:
    """Images that umoci can't unpack are refused here too."""
    machine.need("umoci")
    choose = random.Random(seed)
    image = OciLayout(tmp_path / "oci")
    layers = [random_layer(choose) for _ in range(choose.randint(1, 4))]
    described = image.image(layers)
    (image.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {**described, "annotations": {"org.opencontainers.image.ref.name": "x"}}]}))
    theirs = subprocess.run(["umoci", "unpack", "--image", f"{image.folder}:x",
                             tmp_path / "umoci"], check=False, capture_output=True)
    try:
        make(laid(tmp_path / "blobs", *layers), CONFIG, digest=DIGEST, output=tmp_path / "x.sif")
    except ImageError:
        assert theirs.returncode != 0
    else:
        assert theirs.returncode == 0, theirs.stderr
        assert own(unpacked(tmp_path / "x.sif", tmp_path / "ours")) == listing(
            tmp_path / "umoci/rootfs")


@pytest.mark.parametrize("form", ["--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1",
                                  "--sparse-version=1.0"])
def test_sparse_files_are_whole_and_stay_sparse(tmp_path: Path, form: str) -> None:
    with (tmp_path / "sparse").open("wb") as sparse:
        for number in range(40):
            sparse.seek(number * 1_000_003 + 5000)
            sparse.write(b"abc" * 1000)
        sparse.truncate(60_000_000)
    (tmp_path / "after").write_bytes(b"x" * 700)
    pax = [] if form == "--format=gnu" else ["--format=pax"]
    subprocess.run(["tar", "-S", *pax, form, "-cf", "layer.tar", "sparse", "after"], check=True,
                   cwd=tmp_path)
    layer = (tmp_path / "layer.tar").read_bytes()
    assert len(layer) < 400_000
    make(laid(tmp_path / "blobs", layer), CONFIG, digest=DIGEST, output=tmp_path / "x.sif")
    out = unpacked(tmp_path / "x.sif", tmp_path / "out")
    for name in ("sparse", "after"):
        assert files.sha256(out / name) == files.sha256(tmp_path / name)
    assert (out / "sparse").stat().st_blocks * 512 < 20_000_000


def test_long_names_large_folders_and_every_compression(tmp_path: Path) -> None:
    """More entries than one listing or block of metadata holds."""
    names = [f"{number:04}-{'n' * 240}" for number in range(3000)]
    deep = "/".join(["f" * 100] * 20)
    plain = tar(*((info(name), name.encode()) for name in names), (info(f"{deep}/x"), b"deep"),
                (info("to", "link", link="t/" * 1500), b""))
    for number, layer in enumerate([plain, gzip.compress(plain), zstd.compress(plain)]):
        sif = tmp_path / f"{number}.sif"
        make(laid(tmp_path / "blobs", layer), CONFIG, digest=DIGEST, output=sif)
        assert sif.read_bytes() == (tmp_path / "0.sif").read_bytes()
    out = unpacked(tmp_path / "0.sif", tmp_path / "out")
    assert {path.name for path in out.iterdir() if path.is_file()} == set(names)
    assert all((out / name).read_text() == name for name in names)
    assert (out / deep / "x").read_text() == "deep"
    assert str((out / "to").readlink()) == "/".join("t" * 1500)


def test_linux_mounts_it_and_reads_the_same(tmp_path: Path) -> None:
    machine.need_root()
    content = random.Random(1).randbytes(3_000_000)
    layer = tar((info("d/x"), content), (info("d/y", "hard", link="d/x"), b""),
                (info("holes"), bytes(1_000_000) + b"x"), (info("empty"), b""))
    make(laid(tmp_path / "blobs", layer), CONFIG, digest=DIGEST, output=tmp_path / "x.sif")
    place = tmp_path / "mounted"
    place.mkdir()
    options = f"ro,loop,offset={container.DATA_AT}"
    done = subprocess.run(["mount", "-t", "squashfs", "-o", options, tmp_path / "x.sif", place],
                          check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no namespaces: this kernel mounts no squashfs: {done.stderr.strip()}")
    try:
        assert listing(place) == listing(unpacked(tmp_path / "x.sif", tmp_path / "out"))
        assert (place / "d/y").read_bytes() == content
        assert (place / "d/y").stat().st_nlink == 2
    finally:
        subprocess.run(["umount", place], check=True)


def test_the_header_says_what_apptainer_reads(tmp_path: Path) -> None:
    layer = tar((info("x"), b"x"))
    make(laid(tmp_path, layer), {"architecture": "arm64"}, digest=DIGEST,
         output=tmp_path / "x.sif")
    data = (tmp_path / "x.sif").read_bytes()
    header = container.HEADER.unpack(data[:container.HEADER.size])
    assert header[:4] == (b"#!/usr/bin/env run-singularity\n\0", b"SIF_MAGIC\0", b"01\0", b"04\0")
    created, changed, free, places, table, table_size, begin, size = header[5:]
    assert (created, changed, free, places) == (0, 0, 47, 48)
    assert begin + size == len(data)
    assert table + table_size == begin
    descriptor = container.DESCRIPTOR.unpack(data[table:table + container.DESCRIPTOR.size])
    assert descriptor[5] + descriptor[6] == len(data)
    assert data[descriptor[5]:descriptor[5] + 4] == b"hsqs"
    assert struct.unpack("<ii3s", descriptor[-1][:11]) == (1, 2, b"04\0")


def test_what_a_sif_can_not_hold_is_named(tmp_path: Path) -> None:
    device, capable = info("dev/sda"), info("bin/ping", mode=0o755)
    device.type = tarfile.BLKTYPE
    capable.pax_headers = {"SCHILY.xattr.security.capability": "\1"}
    dropped = make(laid(tmp_path, tar((device, b""), (capable, b"x"))), CONFIG, digest=DIGEST,
                   output=tmp_path / "x.sif")
    assert (dropped.devices, dropped.attributes) == (["dev/sda"], ["bin/ping"])


def cut(layer: bytes) -> bytes:
    return layer[:700]


@pytest.mark.parametrize(("change", "said"), [
    (cut, "cut off"), (lambda layer: gzip.compress(layer, 0)[:5000], "cut off"),
    (lambda layer: b"\x28\xb5\x2f\xfd" + layer[4:], "can't be read"),
    (lambda layer: b"", "can't be read")])
def test_a_torn_layer_is_refused_and_leaves_nothing(
        tmp_path: Path, change: Callable[[bytes], bytes], said: str) -> None:
    torn = laid(tmp_path / "blobs", change(tar((info("x"), b"x" * 5000))))
    with pytest.raises(ImageError, match=said):
        make(torn, CONFIG, digest=DIGEST, output=tmp_path / "x.sif")
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_a_layer_that_changed_and_an_unknown_architecture_are_refused(tmp_path: Path) -> None:
    layers = laid(tmp_path / "blobs", tar((info("x"), b"x")))
    with pytest.raises(ImageError, match="'vax'"):
        make(layers, {"architecture": "vax"}, digest=DIGEST, output=tmp_path / "x.sif")
    layers[0].path.write_bytes(layers[0].path.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="bytes have changed"):
        make(layers, CONFIG, digest=DIGEST, output=tmp_path / "x.sif")
    assert not (tmp_path / "x.sif").exists()
