"""What a SIF has besides the image's own files: its environment, its command, and places to mount.

Apptainer and Singularity read them below .singularity.d ("Build a Container", "Environment and
Metadata" in Apptainer's user guide). An image's WorkingDir and User have no meaning there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from tasks.core import files
from tasks.core.sif.tree import FILE, Tree, parts

MOUNTS = ("dev", "etc", "home", "mnt", "opt", "proc", "root", "srv", "sys", "tmp", "var/tmp")
"""Folders that engines mount over; what isn't there can't be mounted where overlays are off."""
MOUNTED_FILES = ("etc/group", "etc/hosts", "etc/localtime", "etc/passwd", "etc/resolv.conf")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ENVIRONMENT = ".singularity.d/env/10-docker2singularity.sh"


def extra_files(config: Mapping[str, Any], digest: str) -> dict[str, tuple[bytes, int]]:
    """Content and mode, by path, of the files that a SIF adds to the image of a digest."""
    settings = config.get("config") or {}
    labels = {**(settings.get("Labels") or {}), "org.opencontainers.image.base.digest": digest}
    return {
        ENVIRONMENT: (_environment(settings.get("Env") or []), 0o755),
        ".singularity.d/runscript": (
            _runscript(settings.get("Entrypoint") or [], settings.get("Cmd") or []), 0o755),
        ".singularity.d/labels.json": (files.json_bytes(labels), 0o644),
    }


def add_mounts(tree: Tree) -> dict[str, tuple[bytes, int]]:
    """Make the folders that are mounted over, and return the empty files that are missing."""
    for name in (".singularity.d/env", ".singularity.d/libs", *MOUNTS):
        if (held := tree.at(name.encode())) is None or held.kind == FILE:
            tree.folder(parts(name.encode()))
    return {name: (b"", 0o644) for name in MOUNTED_FILES if tree.at(name.encode()) is None}


def _environment(variables: list[str]) -> bytes:
    """A script that exports the image's variables; all but PATH give way to the caller's own."""
    lines = ["#!/bin/sh"]
    for variable in variables:
        name, _, value = variable.partition("=")
        if NAME.fullmatch(name) and "\0" not in value:
            setting = f"export {name}={shlex.quote(value)}"
            lines.append(setting if name == "PATH" else f'[ -n "${{{name}:-}}" ] || {setting}')
    return ("\n".join(lines) + "\n").encode()


def _runscript(entry: list[str], command: list[str]) -> bytes:
    lines = ["#!/bin/sh"]
    if command:
        lines.append(f"if [ $# -eq 0 ]; then set -- {shlex.join(command)}; fi")
    lines.append(f'exec {shlex.join(entry)} "$@"' if entry else 'exec "$@"')
    return ("\n".join(lines) + "\n").encode()
