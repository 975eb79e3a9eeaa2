"""What is looked at from within the offline host: stands alone, and is fed to its Python.

    python - probe '[{"kind": "tcp", "target": "127.0.0.1:80"}, …]'
    python - list FOLDER
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

PATIENCE = 3.0
"""Seconds after which an address that does not answer counts as out of reach."""


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


def listing(folder: Path) -> list[dict[str, Any]]:
    """Path, SHA-256 and size of every file below `folder`, sorted; links are followed."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            data = path.read_bytes()
            found.append({"path": path.relative_to(folder).as_posix(), "size": len(data),
                          "sha256": hashlib.sha256(data).hexdigest()})
    return sorted(found, key=lambda each: str(each["path"]))


if __name__ == "__main__":
    verb, argument = sys.argv[1:]
    answer = ([probe(each) for each in json.loads(argument)] if verb == "probe"
              else listing(Path(argument)))
    print(json.dumps(answer))
