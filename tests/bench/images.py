"""What a mirror of sarek's shape costs: 47 images, 349 MB, three layers that all of them share.

    PYTHONPATH=. .venv/bin/python tests/bench/images.py [ROUNDS]

Between two docker-registry on loopback, the destination empty for each cold run. Peers: skopeo, one
image and eight at a time; crane, eight at a time; regsync with `parallel: 8`. crane and regsync
come by `go install` at the versions below; what can't be had is left out. Whole commands
are measured, process start included; ours is `doit images:mirror:sarek` with nothing built and no
lock: it stages and scans the code, resolves every tag as the others do, and reads everything back
as none of them does. `again` is the same command for the others; for ours it is `doit
images:verify:sarek`, which asks the destination for every manifest and blob, and the source for
every tag. CPU is what a cold run takes of the processor, both registries included: the measure
that other work on the machine disturbs least. Memory is the largest process of the command: of one
of the eight where it is eight.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tasks.core.registry import uploads
from tasks.core.registry.client import Access, Manifest, Registries
from tasks.core.registry.uploads import Opener
from tests.bench.delay import behind
from tests.kit import go, images
from tests.kit import registries as servers
from tests.kit import registry_streams as streams
from tests.kit.project import copy
from tests.kit.registries import Server
from tests.kit.tls import certificates

IMAGES, SIZE = 47, 349_000_000
SHARED = (20_000_000, 1_500_000, 1_024)
"""Bytes of the three shared layers: base system, environment, settings."""
PEERS = {"crane": ("github.com/google/go-containerregistry/cmd/crane", "v0.22.1"),
         "regsync": ("github.com/regclient/regclient/cmd/regsync", "v0.11.7")}


@dataclass(kw_only=True)
class Took:
    """Seconds and bytes of one command's runs; `cpu` are a cold run's, both registries' too."""

    cold: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: int = 0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one run works: servers, names, a folder for the tool's files, and the CA."""

    source: Server
    target: Server
    names: Sequence[str]
    folder: Path
    ca: Path | None


Command = Callable[[Place, bool], tuple[list[str], dict[str, str], Path]]
"""Words, environment and folder of a run; the flag says that it isn't the first."""


def main() -> None:
    """Measure plain and with TLS, then twice the images."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        commands = available(root)
        ca, certificate, key = certificates(root / "tls")
        print(f"{IMAGES} images, {SIZE / 1e6:.0f} MB; {os.cpu_count()} cores; load "
              f"{os.getloadavg()[0]:.1f} at the start; medians of {rounds}")
        for kind, tls in (("plain", None), ("TLS", (certificate, key))):
            with servers.registry(root / f"source-{kind}", tls=tls) as source:
                names = filled(source, IMAGES, SIZE, ca if tls else None)
                table(kind, measure(commands, source, names, root, rounds,
                                    tls=tls, ca=ca if tls else None))
        with servers.registry(root / "double") as source:
            names = filled(source, 2 * IMAGES, 2 * SIZE, None)
            table("twice the images, plain", measure(
                {"nf-airlock": commands["nf-airlock"]}, source, names, root, rounds,
                tls=None, ca=None))
        for size, large in ((10 << 30, 11 << 30), (10 << 30, uploads.LARGE)):
            seconds, memory = streams.carry(size, large)
            way = "in one piece" if large > size else "in chunks"
            print(f"one layer of {size >> 30} GiB, {way}: {seconds:.1f} s, "
                  f"{memory / 1e6:.0f} MB of memory", flush=True)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


def available(root: Path) -> dict[str, Command]:
    """The commands that can be had here."""
    peers = {name: go.program(*peer) for name, peer in PEERS.items()}
    commands: dict[str, Command] = {"nf-airlock": airlock(root / "project")}
    if shutil.which("skopeo"):
        commands["skopeo, 1 at a time"] = skopeo(1)
        commands["skopeo, 8 at a time"] = skopeo(8)
    if peers["crane"]:
        commands["crane, 8 at a time"] = crane(peers["crane"])
    if peers["regsync"]:
        commands["regsync, parallel: 8"] = regsync(peers["regsync"])
    return commands


def filled(source: Server, count: int, size: int, ca: Path | None) -> list[str]:
    """`fill` in a process of its own, since a child's memory is never less than its parent's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(fill, source, count, size, ca).result()


def fill(source: Server, count: int, size: int, ca: Path | None) -> list[str]:
    """Push images of random bytes, own layers of very different sizes; the repositories' names."""
    dice = random.Random(47)
    registry = Registries(Access(registries={"source": source.url}, ca=ca,
                                 authfile=None)).at("source")
    shared = [dice.randbytes(length) for length in SHARED]
    weights = [dice.lognormvariate(0, 1) for _ in range(count)]
    left = size - sum(SHARED)
    names: list[str] = []
    for number, weight in enumerate(weights):
        path = f"quay.io/biocontainers/tool{number:03}"
        layers = [*shared, dice.randbytes(int(left * weight / sum(weights)))]
        config = json.dumps({"os": "linux", "architecture": "amd64", "number": number}).encode()
        descriptions = []
        for data in (config, *layers):
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            if number == 0 or data not in shared or not registry.mount(path, digest, names[0]):
                registry.upload(path, digest, len(data), handed(data))
            descriptions.append({"digest": digest, "size": len(data), "mediaType":
                                 images.DOCKER_CONFIG if data is config else
                                 images.DOCKER_LAYER})
        manifest = {"schemaVersion": 2, "mediaType": images.DOCKER, "config": descriptions[0],
                    "layers": descriptions[1:]}
        registry.put_manifest(path, "1.0", Manifest(data=json.dumps(manifest).encode(),
                                                    media_type=images.DOCKER))
        names.append(path)
    return names


def handed(data: bytes) -> Opener:
    """An opener of these bytes."""
    @contextmanager
    def source() -> Iterator[list[bytes]]:
        yield [data]

    return source


def airlock(folder: Path) -> Command:
    """doit itself, in a copy of the project with a site of its own."""
    project = copy(folder, number=60)
    hello = (folder / "config/pipelines/hello.yml").read_text()
    (folder / "config/pipelines/sarek.yml").write_text(
        hello.replace("examples/hello", "examples/sarek"))
    code = folder / "examples/sarek"
    code.mkdir()
    (code / "nextflow.config").write_text("manifest { version = '1.0.0' }\n")
    site = project.site()
    del site["sandbox"]

    def command(place: Place, again: bool) -> tuple[list[str], dict[str, str], Path]:
        host, _, port = place.target.address.partition(":")
        site.update(pipelines=["sarek"],
                    registry={"host": host, "port": int(port),
                              **({"ca": str(place.ca)} if place.ca else {})},
                    hosts={"registries": {"quay.io": f"{place.source.url}/quay.io",
                                          place.target.address: place.target.url}})
        (folder / "config/sites/bench.yml").write_text(yaml.safe_dump(site))
        words = ["images:verify:sarek"]
        if not again:
            (code / "main.nf").write_text("".join(
                f'process TOOL{number} {{\n    container "{name}:1.0"\n'
                '    script:\n    "true"\n}\n' for number, name in enumerate(place.names)))
            for made in (folder / "config/locks", folder / "build"):
                shutil.rmtree(made, ignore_errors=True)
            words = ["images:mirror:sarek"]
        return (project.command(*words), project.environment({
            "AIRLOCK_SITE": "bench", "PYTHONDONTWRITEBYTECODE": ""}), folder)

    return command


def for_all(place: Place, words: str, at_once: int) -> list[str]:
    """A command line over all images, several at a time; `{}` is the repository."""
    listed = place.folder / "names"
    listed.write_text("".join(f"{name}\n" for name in place.names))
    return ["xargs", "-a", str(listed), "-P", str(at_once), "-I", "{}", *words.split()]


def skopeo(at_once: int) -> Command:
    """One process for each image."""
    def command(place: Place, again: bool) -> tuple[list[str], dict[str, str], Path]:
        trust = "--src-tls-verify=false --dest-tls-verify=false"
        if place.ca:
            certificates = place.folder / "certs"
            certificates.mkdir(exist_ok=True)
            shutil.copy(place.ca, certificates)
            trust = f"--src-cert-dir {certificates} --dest-cert-dir {certificates}"
        return for_all(place, f"skopeo --insecure-policy copy --quiet --preserve-digests {trust} "
                       f"docker://{place.source.address}/{{}}:1.0 "
                       f"docker://{place.target.address}/{{}}:1.0", at_once), environment(place), \
            place.folder

    return command


def crane(program: Path) -> Command:
    """One process for each image."""
    def command(place: Place, again: bool) -> tuple[list[str], dict[str, str], Path]:
        trust = "" if place.ca else "--insecure"
        return for_all(place, f"{program} copy {trust} {place.source.address}/{{}}:1.0 "
                       f"{place.target.address}/{{}}:1.0", 8), environment(place), place.folder
    return command


def regsync(program: Path) -> Command:
    """One process for all, by its configuration file."""
    def command(place: Place, again: bool) -> tuple[list[str], dict[str, str], Path]:
        _write_regsync(place)
        return ([str(program), "once", "-c", "regsync.yml"], environment(place), place.folder)
    return command


def _write_regsync(place: Place) -> None:
    reach = {"tls": "enabled", "regcert": place.ca.read_text()} if place.ca else {
        "tls": "disabled"}
    (place.folder / "regsync.yml").write_text(yaml.safe_dump({
        "version": 1, "defaults": {"parallel": 8},
        "creds": [{"registry": server.address, "reqConcurrent": 8, **reach}
                  for server in (place.source, place.target)],
        "sync": [{"source": f"{place.source.address}/{name}:1.0", "type": "image",
                  "target": f"{place.target.address}/{name}:1.0"} for name in place.names]}))


def environment(place: Place) -> dict[str, str]:
    """Ours, with the CA for Go's programs."""
    return {**os.environ, **({"SSL_CERT_FILE": str(place.ca)} if place.ca else {})}


def measure(commands: dict[str, Command], source: Server, names: Sequence[str], root: Path,
            rounds: int, *, tls: tuple[Path, Path] | None, ca: Path | None,
            round_trip: float = 0.0) -> dict[str, Took]:
    """All commands in turn, so that a busy minute of the machine meets all of them.

    `round_trip` are the seconds that every request waits for its way to a registry and back.
    """
    took = {name: Took() for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
                target = stack.enter_context(servers.registry(folder / "target", tls=tls))
                far_source, far_target = ((
                    stack.enter_context(behind(server, round_trip)) for server in (source, target))
                    if round_trip else (source, target))
                place = Place(source=far_source, target=far_target, names=names, folder=folder,
                              ca=ca)
                for runs, again in ((took[name].cold, False), (took[name].again, True)):
                    before = spent(source.pid) + spent(target.pid)
                    seconds, usage = run(*command(place, again))
                    runs.append(seconds)
                    took[name].memory = max(took[name].memory, usage.ru_maxrss * 1024)
                    if not again:
                        took[name].cpu.append(usage.ru_utime + usage.ru_stime + spent(source.pid)
                                              + spent(target.pid) - before)
                check(target, len(names))
    return took


def spent(pid: int) -> float:
    """Seconds of CPU that a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(words: list[str], env: dict[str, str],
        folder: Path) -> tuple[float, resource.struct_rusage]:
    """Seconds of a command, and what it and its children used."""
    with tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        process = subprocess.Popen(words, env=env, cwd=folder, stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(words)[:300]} ended with {process.returncode}:\n"
                     f"{log.read().decode()[-3000:]}")
    return seconds, usage


def check(target: Server, count: int) -> None:
    """Stop where a command that ended well has not brought every image."""
    found = len(list(target.data.glob("docker/registry/v2/repositories/**/_manifests/tags/1.0")))
    if found != count:
        sys.exit(f"{found} of {count} images arrived")


def table(title: str, took: dict[str, Took]) -> None:
    """Medians, and each command's ratio to ours."""
    ours, cpu = (statistics.median(seconds) for seconds in (took["nf-airlock"].cold,
                                                            took["nf-airlock"].cpu))
    print(f"\n{title:<26}{'cold':>9}{'to ours':>9}{'again':>9}"
          f"{'CPU':>9}{'to ours':>9}{'memory':>10}")
    for name, cost in took.items():
        cold, used = statistics.median(cost.cold), statistics.median(cost.cpu)
        print(f"  {name:<24}{cold:8.2f}s{cold / ours:8.2f}x{statistics.median(cost.again):8.2f}s"
              f"{used:8.2f}s{used / cpu:8.2f}x"
              f"{cost.memory / 1e6:7.0f} MB", flush=True)


if __name__ == "__main__":
    main()
