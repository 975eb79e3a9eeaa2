"""Bring the wheels that tool.json names, each by its digest, and open nothing else.

`doit` runs this file by itself, with a bare Python, before any package is installed:
    python3 -I -S tasks/offline_host/wheels.py FROM TO
It ends with 1 and a message where a wheel is missing or changed, or where the tool's folder holds
a file that was not signed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

OWN_FOLDERS = {".venv", "build", "results", "runs", "wheels"}
"""What its user makes at its top; `results` is where params often put an outdir."""

LISTED_APART = {"SHA256SUMS", "tool.json"}
"""Members of the archive that its own list doesn't name."""


MAX_MESSAGE = 2000
"""Characters of a message: a name may be as long as the file that holds it."""
WHEEL = re.compile(r"[A-Za-z0-9_.+-]+\.whl", re.ASCII)


class Refused(Exception):
    """What lies here is not what was signed."""


def bring(wheel: dict[str, Any], source: Path, target: Path) -> None:
    """Copy one wheel, at most the bytes that it has; Refused where it is not the one named."""
    if not WHEEL.fullmatch(wheel["name"]) or wheel["size"] < 1:
        raise Refused(f"tool.json names a wheel {wheel['name']!r}, which is none")
    try:
        opened = os.open(source / wheel["name"], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Refused(f"{source / wheel['name']}: {error.strerror}") from error
    with os.fdopen(opened, "rb") as stream:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise Refused(f"{source / wheel['name']}: this is no regular file")
        data = stream.read(wheel["size"] + 1)
    if len(data) != wheel["size"] or hashlib.sha256(data).hexdigest() != wheel["sha256"]:
        raise Refused(f"{source / wheel['name']}: its bytes are not those that were signed")
    (target / wheel["name"]).write_bytes(data)


def unlisted(root: Path) -> list[str]:
    """Files of the tool's folder that its own list doesn't name."""
    listed = {line[66:] for line in (root / "SHA256SUMS").read_text().splitlines()}
    names_here = []
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in OWN_FOLDERS]
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        names_here += [(Path(folder) / name).relative_to(root).as_posix() for name in names + links]
    return sorted(set(names_here) - listed - LISTED_APART)


def main(source: Path, target: Path, root: Path = Path()) -> int:
    """Make the folder `target` and fill it."""
    try:
        if strange := unlisted(root):
            raise Refused(f"not part of the tool, and not signed: {', '.join(strange[:10])}; "
                          "unpack it into a new folder")
        target.mkdir()
        for wheel in json.loads((root / "tool.json").read_bytes())["wheels"]:
            bring(wheel, source, target)
    except Refused as refused:
        sys.stderr.write(f"{str(refused)[:MAX_MESSAGE]}\n")
        return 1
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        sys.stderr.write(f"tool.json and SHA256SUMS can't be read: {error!r}\n"[:MAX_MESSAGE])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
