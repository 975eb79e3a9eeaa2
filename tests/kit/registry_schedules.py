"""Many mirrors, each with faults of its own, drawn by its number: none may record what is wrong.

    PYTHONPATH=. .venv/bin/python -m tests.kit.registry_schedules 500 [FIRST]

Client, fault-injecting proxies, and two real docker-registry. A schedule locks and mirrors four
images that share a layer. It has to end complete and correct, or in an AirlockError without a
receipt, and without a manifest at the destination that isn't whole; the next run, without faults,
has to complete it. What lies at the destination is read from the registry's own files.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import AirlockError
from tasks.core.net import pace, pools, request
from tasks.core.registry import uploads
from tasks.core.registry.client import Access, Manifest, Registries
from tasks.core.registry.uploads import Opener
from tasks.images import lock, mirror
from tasks.images.destination import Destination
from tests.kit import registries as servers
from tests.kit.images import OciLayout
from tests.kit.locks import lock_at
from tests.kit.registries import Server
from tests.kit.registry_proxy import KINDS, Fault, Proxy, serve

SHARED = random.Random(1).randbytes(300_000)
NAMES = ("one", "two", "three", "empty")
ON_SOURCE = ("GET manifest", "GET blob")
ON_TARGET = ("GET manifest", "HEAD manifest", "PUT manifest", "HEAD blob", "POST upload",
             "PUT upload", "PATCH upload", "GET api")
ONLY_ON = {"lying HEAD": "HEAD blob", "redirect": "GET blob", "refused upload": "PUT upload",
           "finished upload": "PUT upload"}


@dataclass(frozen=True, kw_only=True)
class World:
    """The real registries, with what is in the source; `expected` are manifests by image."""

    source: Server
    target: Server
    sizes: dict[str, int]
    expected: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a schedule ended: `complete` or `error`, what it met, and what is wrong with that."""

    number: int
    ended: str
    met: Counter[str]
    wrong: str = ""


@contextmanager
def world(root: Path) -> Iterator[World]:
    """Two registries; one image is an index, one has a layer of no bytes."""
    with ExitStack() as stack:
        source = stack.enter_context(servers.registry(root / "source"))
        target = stack.enter_context(servers.registry(root / "target"))
        sizes: dict[str, int] = {}
        expected = {}
        for number, name in enumerate(NAMES):
            layout = OciLayout(root / name)
            dice = random.Random(name)
            layers = [SHARED, b"" if name == "empty" else dice.randbytes(20_000 * 4 ** number)]
            manifests = [layout.image([*layers, architecture.encode()], architecture=architecture)
                    for architecture in (("amd64", "arm64") if name == "three" else ("amd64",))]
            layout.finish(manifests)
            expected[f"quay.io/a/{name}:1"] = manifests[0]["digest"]
            sizes |= push(source, f"quay.io/a/{name}", layout.folder)
        yield World(source=source, target=target, sizes=sizes, expected=expected)


def push(server: Server, path: str, folder: Path) -> dict[str, int]:
    """Push a layout as it is (skopeo would compress its layers); the sizes of its blobs."""
    registry = Registries(Access(registries={"source": server.url}, ca=None,
                                 authfile=None)).at("source")
    index = json.loads((folder / "index.json").read_bytes())
    sizes = {}

    def manifest(digest: str, reference: str) -> None:
        data = (folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        value = json.loads(data)
        for child in value.get("manifests", []):
            manifest(child["digest"], child["digest"])
        for blob in (value["config"], *value["layers"]) if "config" in value else ():
            inner = (folder / "blobs/sha256" / blob["digest"].removeprefix("sha256:")).read_bytes()
            registry.upload(path, blob["digest"], len(inner), handed(inner))
            sizes[blob["digest"]] = len(inner)
        registry.put_manifest(path, reference, Manifest(data=data, media_type=value["mediaType"]))

    manifest(index["manifests"][0]["digest"], "1")
    return sizes


def handed(data: bytes) -> Opener:
    """An opener of these bytes."""
    @contextmanager
    def source() -> Iterator[list[bytes]]:
        yield [data]

    return source


@dataclass(frozen=True, kw_only=True)
class Run:
    """The two steps of one schedule; `in_chunks` sends all but the smallest blobs in chunks."""

    lock: lock.LockSpec
    mirror: mirror.MirrorSpec
    in_chunks: bool

    def carry(self) -> None:
        """Lock and mirror, within short waits."""
        with pytest.MonkeyPatch.context() as patch:
            hurry(patch)
            patch.setattr(uploads, "LARGE", 50_000 if self.in_chunks else 1 << 30)
            lock.lock_images(self.lock)
            mirror.mirror_images(self.mirror)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Short waits and small chunks, so that hundreds of schedules take a minute."""
    patch.setattr(pools, "TIMEOUT", 0.3)
    patch.setattr(request, "backoff", lambda attempt: 0.002 * attempt)
    patch.setattr(pace, "MAX_INTERVAL", 0.01)
    patch.setattr(uploads, "CHUNK", 100_000)


def run(at: World, folder: Path, number: int, near: str, far: str, authfile: Path, *,
        in_chunks: bool) -> Run:
    """The steps, with the registries at these URLs."""
    (folder / "images.txt").write_text("".join(f"{name}\n" for name in sorted(at.expected)))
    access = Access(registries={"quay.io": f"{far}/quay.io", at.target.address: near}, ca=None,
                    authfile=authfile)
    committed = lock_at(folder / "locks", "images")
    common: dict[str, Any] = {"pipeline": "test", "lock": folder / "lock.json", "access": access}
    return Run(lock=lock.LockSpec(**{**common, "lock": committed},
                                  merged=folder / "lock.json", images=folder / "images.txt",
                                  relock=False, pinned=folder / "pinned.txt",
                                  platform="linux/amd64"),
               mirror=mirror.MirrorSpec(**common, committed=committed,
                                        receipt=folder / "receipt.json",
                                        labels=folder / "labels.json",
                                        destination=Destination(address=at.target.address,
                                                                prefix=f"s{number}")),
               in_chunks=in_chunks)


def draw(dice: random.Random, side: Sequence[str], most: int) -> list[Fault]:
    """Some faults for one side; now and then one that never ends."""
    faults = []
    for _ in range(dice.randint(0, most)):
        kind = dice.choice(KINDS)
        on = ONLY_ON.get(kind) or dice.choice(side)
        faults.append(Fault(kind=kind, on=on, skip=dice.choice((0, 0, 1, 2, 5)),
                            times=10_000 if dice.random() < 0.1 else dice.choice((1, 1, 2, 4))))
    return faults


def schedule(at: World, number: int) -> Outcome:
    """Carry out one schedule, and judge what it left."""
    dice = random.Random(number)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        elsewhere = stack.enter_context(serve(Proxy(
            upstream=at.source.address, faults=[], sizes=at.sizes)))
        far = stack.enter_context(serve(Proxy(
            upstream=at.source.address, faults=draw(dice, ON_SOURCE, 3), sizes=at.sizes,
            elsewhere=elsewhere.url, asks_token=dice.random() < 0.5)))
        near = stack.enter_context(serve(Proxy(
            upstream=at.target.address, faults=draw(dice, ON_TARGET, 3), sizes=at.sizes,
            elsewhere=elsewhere.url, asks_token=dice.random() < 0.5)))
        authfile = servers.login_files(folder / "login", [far.url[7:], near.url[7:]])
        in_chunks = dice.random() < 0.4
        spoiled = run(at, folder, number, near.url, far.url, authfile, in_chunks=in_chunks)
        met: Counter[str] = Counter()
        wrong, error = "", None
        try:
            if dice.random() < 0.08:
                far.faults.clear()
                near.faults.clear()
                met["kill -9"] += killed(spoiled, (far, near), dice.randint(1, 90))
            else:
                spoiled.carry()
        except AirlockError as caught:
            error = caught
        except Exception as caught:
            wrong = f"{type(caught).__name__}: {caught}"
        for fault in (*far.faults, *near.faults):
            met[fault.kind] += fault.met
        complete = spoiled.mirror.receipt.exists()
        if error and (complete or not (error.what and "\n" in str(error))):
            wrong = wrong or f"a receipt in spite of an error, or an unclear one: {error}"
        if elsewhere.leaked:
            wrong = wrong or "credentials leaked to another host"
        wrong = wrong or judge(at, spoiled, number, complete=complete)
        if not complete and not wrong:
            plain = run(at, folder, number, at.target.url, at.source.url, authfile,
                        in_chunks=in_chunks)
            try:
                plain.carry()
            except AirlockError as caught:
                wrong = f"the next run failed: {caught}"
            wrong = wrong or judge(at, plain, number, complete=True)
    return Outcome(number=number, ended="complete" if complete else "error", met=met, wrong=wrong)


def killed(at: Run, proxies: Sequence[Proxy], requests: int) -> bool:
    """Run in a process of its own, killed after so many requests; whether it was still at work."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer).carry()"],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    if process.stdin is not None:
        process.stdin.write(pickle.dumps(at))
        process.stdin.close()
    while process.poll() is None and sum(proxy.seen for proxy in proxies) < requests:
        time.sleep(0.001)
    at_work = process.poll() is None
    process.kill()
    process.wait()
    return at_work


def judge(at: World, done: Run, number: int, *, complete: bool) -> str:
    """What is wrong with lock, receipt and the destination's own files; empty where nothing is."""
    if done.lock.merged.exists():
        images = json.loads(done.lock.merged.read_bytes())["images"]
        if {image["source"]: image["manifest"] for image in images} != at.expected:
            return "the lock is wrong"
    store = at.target.data / "docker/registry/v2"
    base = store / f"repositories/s{number}/quay.io/a"
    for link in base.glob("*/_manifests/revisions/sha256/*/link"):
        repository = link.parents[4]
        value = json.loads(content(store, link.parent.name) or b"null")
        if value is None:
            return f"manifest {link.parent.name} is damaged"
        for blob in (value["config"], *value["layers"]):
            plain = blob["digest"].removeprefix("sha256:")
            data = content(store, plain)
            if (data is None or len(data) != blob["size"]
                    or not (repository / f"_layers/sha256/{plain}/link").exists()):
                return f"manifest {link.parent.name} of {repository.name} lacks {plain}"
    if complete:
        receipt = json.loads(done.mirror.receipt.read_bytes())["images"]
        if {image["source"]: image["digest"] for image in receipt} != at.expected:
            return "the receipt is wrong"
        for source, digest in at.expected.items():
            name = source.rpartition("/")[2].partition(":")[0]
            current = base / name / "_manifests/tags/1/current/link"
            if not current.exists() or current.read_text() != digest:
                return f"{source} has not arrived"
    return ""


def content(store: Path, plain: str) -> bytes | None:
    """A blob's bytes, or None where they are missing or not what their name says."""
    path = store / f"blobs/sha256/{plain[:2]}/{plain}/data"
    data = path.read_bytes() if path.exists() else None
    return data if data is not None and hashlib.sha256(data).hexdigest() == plain else None


def many(at: World, numbers: Sequence[int], workers: int = 3) -> list[Outcome]:
    """Several schedules at a time, each process with limits of its own."""
    import multiprocessing
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(schedule, [at] * len(numbers), numbers, chunksize=4))


def report(outcomes: Sequence[Outcome]) -> str:
    """The counts: how they ended, and how often each kind of fault was met."""
    ended = Counter(outcome.ended for outcome in outcomes)
    met: Counter[str] = sum((outcome.met for outcome in outcomes), Counter())
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    return "\n".join([
        f"{len(outcomes)} schedules: {ended['complete']} complete and correct in spite of their "
        f"faults, {ended['error']} in a clear error (or killed) and completed by the next run, "
        f"{len(wrong)} wrong",
        *(f"  {count:6} x {kind}" for kind, count in sorted(met.items())),
        *(f"  schedule {outcome.number}: {outcome.wrong}" for outcome in wrong)])


def main() -> int:
    """Run as many as the first argument says, from the second on."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, world(Path(name)) as at:
        outcomes = many(at, range(first, first + count))
    print(report(outcomes))
    print(f"{time.monotonic() - begun:.0f} s")
    return any(outcome.wrong for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
