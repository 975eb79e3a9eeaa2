"""What is looked at from within the offline host: stands alone, and is fed to its Python.

    python - probe '{"engine": "docker",
                     "asked": [{"kind": "tcp", "target": "127.0.0.1:80", "image": null}, …]}'
    python - list FOLDER
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PATIENCE = 3.0
"""Seconds after which an address that does not answer counts as out of reach."""

IN_CONTAINER = """\
for address; do
    said=$(timeout 3 bash -c "exec 3<>/dev/tcp/${address%:*}/${address##*:}" 2>&1)
    echo "$? ${said%%$'\\n'*}"
done
"""
"""Status and first words of each attempt, by bash's own sockets: Nextflow needs bash anyway."""

TIMED_OUT = (124, 143)
"""What `timeout` of coreutils and of busybox ends with."""


def probe(asked: dict[str, Any]) -> dict[str, Any]:
    """`asked` with `refused` and, in words, what the attempt met."""
    try:
        met = ATTEMPTS[asked["kind"]](asked)
    except OSError as error:
        return {**asked, "refused": True, "detail": error.strerror or str(error)}
    return {**asked, "refused": False, "detail": met}


def _tcp(asked: dict[str, Any]) -> str:
    host, _, port = asked["target"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE):
        return "connected"


def _name(asked: dict[str, Any]) -> str:
    return str(socket.getaddrinfo(asked["target"], 443)[0][4][0])


def _path(asked: dict[str, Any]) -> str:
    os.lstat(asked["target"])
    return "it is there"


ATTEMPTS = {"tcp": _tcp, "name": _name, "path": _path}


def probe_in_container(engine: str, image: str,
                       asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same for addresses and names, from a container as Nextflow starts them."""
    addresses = [probe["target"] if probe["kind"] == "tcp" else f"{probe['target']}:443"
                 for probe in asked]
    done = subprocess.run(
        [engine, "run", "--rm", "--pull", "never", "--entrypoint", "bash", image, "-c",
         IN_CONTAINER, "bash", *addresses], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(asked):
        sys.exit(f"the container ended with {done.returncode}: {done.stderr}{done.stdout}")
    return [{**probe, **_met(line)} for probe, line in zip(asked, lines, strict=True)]


def _met(line: str) -> dict[str, Any]:
    status, _, message = line.partition(" ")
    if int(status) in (126, 127):
        sys.exit(f"the image cannot try to connect: {message}")
    if int(status) in TIMED_OUT:
        return {"refused": True, "detail": "timed out"}
    return {"refused": status != "0", "detail": message.removeprefix("bash: ") or "connected"}


def probe_all(engine: str, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every attempt, at once, those of an image from one container."""
    here = [attempt for attempt in asked if not attempt["image"]]
    images = dict.fromkeys(attempt["image"] for attempt in asked if attempt["image"])
    with ThreadPoolExecutor(16) as pool:
        met = list(pool.map(probe, here))
    for image in images:
        met += probe_in_container(
            engine, image, [attempt for attempt in asked if attempt["image"] == image])
    return met


def listing(folder: Path) -> list[dict[str, Any]]:
    """Path, SHA-256 and size of every file below `folder`, sorted; links are followed."""
    listed = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            data = path.read_bytes()
            listed.append({"path": path.relative_to(folder).as_posix(), "size": len(data),
                          "sha256": hashlib.sha256(data).hexdigest()})
    return sorted(listed, key=lambda file: str(file["path"]))


if __name__ == "__main__":
    verb, argument = sys.argv[1:]
    answer = probe_all(**json.loads(argument)) if verb == "probe" else listing(Path(argument))
    print(json.dumps(answer))
