"""What it costs to carry by disk: 5,000 files of 1 to 20 kB and 5 of 200 MB, from a folder store.

    PYTHONPATH=. .venv/bin/python tests/bench/carry.py [ROUNDS]

Into a folder of the same disk, first and again after one large and 50 small files have changed.
Peers are `cp -r` and `rsync -a --checksum` of the same store, which neither hash for a list nor
sign. All are whole commands with the start of the process, until `sync --file-system` says that
the bytes are on the disk; what is read is in memory by then. `take` is `prod:take` of that folder
into a store that is empty, and again with nothing new; beside it, `sha256sum -c` of the folder,
then rsync into the other store. Commands take turns.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import PipelinePaths
from tasks.core.trust import checksums, signature
from tasks.core.trust.promotions import Promotion
from tasks.offline_host.take import TakeSpec, take
from tests.kit.carrying import carry, host, push_tool
from tests.kit.releases import Staged

ROOT = Path(__file__).resolve().parents[2]
SMALL, LARGE, LARGE_SIZE = 5_000, 5, 200_000_000
CHANGED_SMALL, CHANGED_LARGE = 50, 1
STICK, FAR = Path("stick"), Path("far")


def staged() -> Staged:
    """The site of this bench, in the current folder."""
    return Staged(layout=PipelinePaths(site="here", pipeline="hello"),
                  prod=OfflinePaths(site="there", pipeline="hello"), store=StoreAt(url="store"),
                  signing=Signing(key=Path("keys/key"), identity="airlock", create=True),
                  trust=Path("trust"))


def blob(number: int, size: int) -> dict[str, object]:
    """One file in the store, and what a release says of it."""
    data = random.Random(number).randbytes(size)
    digest, name = files.sha256_bytes(data), f"file{number}.dat"
    path = Path("store") / checksums.blob_key(name, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"path": f"data/{digest}/{name}", "sha256": digest, "size": size, "kind": "data"}


def publish(site: Staged, number: int) -> None:
    """A release of all files in the store; the second one has others among them."""
    small, large = (CHANGED_SMALL, CHANGED_LARGE) if number > 1 else (0, 0)
    chance = random.Random(7)
    listed = [blob(at + (100_000 if at < large else 0), LARGE_SIZE) for at in range(LARGE)]
    listed += [blob(LARGE + at + (100_000 if at < small else 0), chance.randint(1_000, 20_000))
               for at in range(SMALL)]
    about = files.json_bytes({
        "kind": "release", "smoke": "none", "isolation": "none", "pipeline": "hello",
        "revision": "1", "source": "bench", "commit": None, "tool": "0.1.0",
        "nextflow": "24.10.5", "profile": "test", "run": "test", "platform": "linux/amd64",
        "registry": "none", "configs": None, "tested": True,
        "reach": {"findings": [], "counted": []}, "files": listed})
    digests = {str(file["path"]): str(file["sha256"]) for file in listed}
    digests["release.json"] = files.sha256_bytes(about)
    sums = checksums.format_sums(digests)
    name = checksums.release_id("1", sums)
    place = Path("store/releases/hello") / name
    files.write_bytes(Path("store") / checksums.blob_key("release.json", digests["release.json"]),
                      about)
    files.write_bytes(place / "release.json", about)
    files.write_bytes(place / "SHA256SUMS", sums)
    signature.seal(place / "SHA256SUMS", site.signing.key, namespace=signature.RELEASE)
    promotion = Promotion(pipeline="hello", id=name, number=number, signed="2026-01-01T00:00:00Z",
                          expires=None)
    path = Path("store") / promotion.subject.key(number)
    files.write_bytes(path, promotion.data())
    signature.seal(path, site.signing.key, namespace=signature.PROMOTION)
    files.write_bytes(Path("store") / promotion.subject.pointer, promotion.pointer())


OURS = [sys.executable, __file__]
COMMANDS: dict[str, list[list[str]]] = {
    "nf-airlock": [[*OURS, "carry"]],
    "cp -r": [["cp", "-r", "store/.", "stick-cp"]],
    "rsync -a --checksum": [["rsync", "-a", "--checksum", "store/", "stick-rsync/"]],
}
TAKES: dict[str, list[list[str]]] = {
    "nf-airlock take": [[*OURS, "take"]],
    "sha256sum, rsync": [["sh", "-c", "cd stick && sha256sum --quiet -c SHA256SUMS"],
                         ["rsync", "-a", "--checksum", "stick/", "far-rsync/"]],
}


def timed(commands: list[list[str]]) -> tuple[float, float]:
    """Seconds, and those of the processor, with what the disk's flushing takes."""
    subprocess.run(["sync"], check=True)
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "PYTHONPATH": str(ROOT)})
    subprocess.run(["sync", "--file-system", "."], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begun, (after.ru_utime + after.ru_stime
                                      - before.ru_utime - before.ru_stime)


def one_round(site: Staged, seconds: dict[tuple[str, str], list[tuple[float, float]]],
              turn: int) -> None:
    """Let all do the same in turns, beginning with another one each time."""
    for path in Path().iterdir():
        if path.name != "keys":
            shutil.rmtree(path)
    publish(site, 1)
    site.trust_key()
    push_tool(site)
    for place in ("stick-cp", "far", "far-rsync"):
        Path(place).mkdir()
    names = [*COMMANDS][turn % 3:] + [*COMMANDS][:turn % 3]
    for name in names:
        seconds[name, "first"].append(timed(COMMANDS[name]))
    for name, commands in TAKES.items():
        seconds[name, "first"].append(timed(commands))
    for name in names:
        seconds[name, "again"].append(timed(COMMANDS[name]))
    for name, commands in TAKES.items():
        seconds[name, "again"].append(timed(commands))
    publish(site, 2)
    for name in names:
        seconds[name, "changed"].append(timed(COMMANDS[name]))


def main() -> None:
    """Do one of ours, or take turns with the peers and print a table."""
    words = sys.argv[1:]
    site = staged()
    if words == ["carry"]:
        carry(site, STICK)
    elif words == ["take"]:
        print(take(TakeSpec(carried=str(STICK), store=StoreAt(url=str(FAR)), into=FAR,
                            host=host(site), back=False)))
    else:
        seconds: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
            os.chdir(folder)
            signature.ready(site.signing.key, create=True, identity="airlock")
            for turn in range(int(words[0]) if words else 3):
                one_round(site, seconds, turn)
            os.chdir(ROOT)
        for (name, when), taken in seconds.items():
            wall, cpu = (statistics.median(part) for part in zip(*taken, strict=True))
            print(f"{name:<22} {when:<8} {wall:6.2f} s  CPU {cpu:6.2f} s   "
                  + " ".join(f"{one:.2f}" for one, _ in taken))


if __name__ == "__main__":
    main()
