"""How long an image file takes, beside `apptainer build` and mksquashfs.

    PYTHONPATH=. python tests/bench/sif.py [MEGABYTES]

The image is made of this machine's own programs and libraries, in three layers of gzip, as a
registry has them, until it has so many megabytes unpacked (600 without the argument). All begin
with the same OCI layout on disk and take turns; the median of three rounds is printed with the
process's own greatest memory. mksquashfs begins with a folder that tar has unpacked, which is timed
with it. A peer that isn't on the PATH is left out, and that is said.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tasks.core import files
from tests.kit.images import OCI, OCI_CONFIG, OCI_LAYER, OciLayout

ROUNDS = 3
SOURCES = ("/usr/lib", "/usr/share", "/usr/bin")
OURS = """
import json, sys
from pathlib import Path
from tasks.core.sif.layers import Layer
from tasks.core.sif.make import make
blobs = Path(sys.argv[1]) / "blobs/sha256"
read = lambda digest: json.loads((blobs / digest.removeprefix("sha256:")).read_bytes())
top = json.loads((Path(sys.argv[1]) / "index.json").read_bytes())["manifests"][0]["digest"]
manifest = read(top)
make([Layer(digest=layer["digest"], path=blobs / layer["digest"].removeprefix("sha256:"))
      for layer in manifest["layers"]], read(manifest["config"]["digest"]), digest=top,
     output=Path(sys.argv[2]))
"""


def paths(most: int) -> Iterator[Path]:
    """Files of this machine until they have so many bytes."""
    held = 0
    for source in SOURCES:
        for path in sorted(Path(source).rglob("*")):
            if not path.is_symlink() and not path.is_file():
                continue
            size = path.lstat().st_size
            if held + size <= most:
                held += size
                yield path


def lay_out(folder: Path, most: int) -> int:
    """An image's layout; the bytes that it has unpacked."""
    layout, listed = OciLayout(folder), list(paths(most))
    third = len(listed) // 3 + 1
    layers, unpacked = [], []
    for number in range(3):
        plain, packed = folder.with_name("layer.tar"), folder.with_name("layer.tar.gz")
        with tarfile.open(plain, "w") as tar:
            for file in listed[number * third:(number + 1) * third]:
                tar.add(file, arcname=str(file).lstrip("/"), recursive=False)
        with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as stream:
            shutil.copyfileobj(source, stream)
        unpacked.append(f"sha256:{files.sha256(plain)}")
        plain.unlink()
        # Moved and not read: what this process has once held would count as its children's memory.
        digest = files.sha256(packed)
        layers.append({"mediaType": f"{OCI_LAYER}+gzip", "digest": f"sha256:{digest}",
                       "size": packed.stat().st_size})
        packed.rename(folder / "blobs/sha256" / digest)
    config = {"os": "linux", "architecture": "amd64", "config": {},
              "rootfs": {"type": "layers", "diff_ids": unpacked}}
    manifest = {"schemaVersion": 2, "mediaType": OCI, "layers": layers,
                "config": layout.add(json.dumps(config).encode(), OCI_CONFIG)}
    layout.finish([layout.add(json.dumps(manifest).encode(), OCI)])
    return sum(path.lstat().st_size for path in listed)


def measured(command: Sequence[str | Path]) -> tuple[float, int]:
    """Seconds, and the greatest memory in bytes, of a process with all that it starts."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} ended with {status}: {said.decode()[-2000:]}")
    return time.perf_counter() - begun, used.ru_maxrss * 1024


def contestants(layout: Path, scratch: Path) -> dict[str, Callable[[], Sequence[str | Path]]]:
    """What is started, by its name."""
    def ours() -> Sequence[str | Path]:
        return [sys.executable, "-c", OURS, layout, scratch / "ours.sif"]

    def apptainer() -> Sequence[str | Path]:
        return ["apptainer", "build", "--force", scratch / "theirs.sif", f"oci:{layout}"]

    def mksquashfs(kind: str) -> Sequence[str | Path]:
        tree, image = scratch / "tree", scratch / f"{kind}.squashfs"
        shutil.rmtree(tree, ignore_errors=True)
        image.unlink(missing_ok=True)
        tree.mkdir()
        blobs = " ".join(f"'{path}'" for path in sorted(
            (layout / "blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)[:3])
        return ["sh", "-ec", f"for layer in {blobs}; do tar -xzf $layer -C '{tree}'; done; "
                f"mksquashfs '{tree}' '{image}' -no-progress -quiet -comp {kind}"]

    known: dict[str, Callable[[], Sequence[str | Path]]] = {"nf-airlock": ours}
    if shutil.which("apptainer"):
        known["apptainer build"] = apptainer
    if shutil.which("mksquashfs"):
        known["tar + mksquashfs gzip"] = lambda: mksquashfs("gzip")
        known["tar + mksquashfs zstd"] = lambda: mksquashfs("zstd")
    for peer in ("apptainer", "mksquashfs"):
        if not shutil.which(peer):
            print(f"{peer} is not on the PATH, and is left out")
    return known


def main() -> None:
    most = int(sys.argv[1]) << 20 if sys.argv[1:] else 600 << 20
    with tempfile.TemporaryDirectory() as name:
        layout, scratch = Path(name) / "layout", Path(name) / "scratch"
        scratch.mkdir()
        size = lay_out(layout, most)
        known = contestants(layout, scratch)
        seen: dict[str, list[tuple[float, int]]] = {peer: [] for peer in known}
        for _ in range(ROUNDS):
            for peer, command in known.items():
                seen[peer].append(measured(command()))
        base = statistics.median(seconds for seconds, _ in seen["nf-airlock"])
        packed = sum(path.stat().st_size for path in (layout / "blobs/sha256").iterdir())
        print(f"{size >> 20} MB in files, {packed >> 20} MB as layers; {os.cpu_count()} cores")
        for peer, rounds in seen.items():
            seconds = statistics.median(seconds for seconds, _ in rounds)
            print(f"{peer:<24} {seconds:7.1f} s  {base / seconds:5.2f} of it is ours  "
                  f"{max(memory for _, memory in rounds) >> 20:5} MB of memory")
        for image in sorted(scratch.glob("*.s*")):
            print(f"{image.name:<24} {image.stat().st_size >> 20:5} MB")


if __name__ == "__main__":
    main()
