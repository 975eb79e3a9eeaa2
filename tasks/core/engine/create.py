"""A container as the gate lets it be made: another request, written from what may be asked.

The keys are those of the Engine API's `ContainerCreate`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core.engine.http import Refused

LABEL = "nf-airlock.launch"
MAX_PROCESSES = 4096
"""Processes and threads that a container may have at a time."""
LARGEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a run's containers may be: these images, these folders, this user.

    The folder `launch` is shown read-only, and `writable`, below it, can be written. Neither name
    lies where the run can write, so neither can be turned into a link.
    """

    images: frozenset[str]
    launch: Path
    writable: Path
    user: str


def rebuilt(asked: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Return the body of the create that is sent for one with the body `asked`.

    Whatever is not taken over must be at its default, else Refused names it.
    """
    rest = dict(asked)
    host = rest.pop("HostConfig", None) or {}
    if not isinstance(host, dict):
        raise Refused("HostConfig is no object")
    host = dict(host)
    kept = _kept(rest, TOP, "")
    kept_host = _kept(host, HOST, "HostConfig.")
    _hold_image(kept.get("Image"), rules)
    _hold_folder(kept.get("WorkingDir") or "", rules)
    binds = host.pop("Binds", None) or []
    if not _is_texts(binds):
        raise Refused("HostConfig.Binds is not of the form that is allowed")
    for bind in binds:
        _hold_bind(bind, rules)
    for key, fits in REPLACED.items():
        if not fits(host.pop(key, None)):
            raise Refused(f"HostConfig.{key} is not allowed to be what it is")
    for left, where in ((rest, ""), (host, "HostConfig.")):
        for key, value in left.items():
            if not _is_default(key, value):
                raise Refused(f"{where}{key} is not allowed")
    return {**kept, "User": rules.user, "Labels": {LABEL: str(rules.launch)},
            "HostConfig": {**kept_host, **_forced(rules)}}


def _forced(rules: Rules) -> dict[str, Any]:
    """Return what is set whatever was asked: no network, no capability, no new right, two folders.

    Mounts are made in the order of their depth. Output goes to whoever is attached, and into no
    file of the engine's.
    """
    mounts = [{"Type": "bind", "Source": str(path), "Target": str(path), "ReadOnly": read_only,
               "BindOptions": {"Propagation": "rprivate"}}
              for path, read_only in ((rules.launch, True), (rules.writable, False))]
    return {"NetworkMode": "none", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": MAX_PROCESSES, "IpcMode": "private", "LogConfig": {"Type": "none"},
            "Mounts": mounts}


def _kept(asked: dict[str, Any], known: Mapping[str, Callable[[Any], bool]],
          where: str) -> dict[str, Any]:
    """Take out of `asked`, and return, what is taken over as it is."""
    kept = {key: asked.pop(key) for key in known if asked.get(key) is not None}
    for key, value in kept.items():
        if not known[key](value):
            raise Refused(f"{where}{key} is not of the form that is allowed")
    return kept


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= LARGEST


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_set(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9,-]*", value) is not None


TOP: Mapping[str, Callable[[Any], bool]] = {
    "Image": _is_text, "Cmd": _is_texts, "Entrypoint": _is_texts, "Env": _is_texts,
    "WorkingDir": _is_text, "User": _is_text,
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce"),
                    _is_flag)}
HOST: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("Memory", "MemoryReservation", "MemorySwap", "MemorySwappiness", "CpuShares",
                     "NanoCpus", "CpuPeriod", "CpuQuota", "ShmSize"), _is_count),
    **dict.fromkeys(("CpusetCpus", "CpusetMems"), _is_set),
    "Init": _is_flag}
REPLACED: Mapping[str, Callable[[Any], bool]] = {
    "NetworkMode": lambda value: value in (None, "", "default", "bridge", "none"),
    "IpcMode": lambda value: value in (None, "", "none", "private"),
    "CgroupnsMode": lambda value: value in (None, "", "private"),
    "CapDrop": lambda value: value is None or _is_texts(value),
    "SecurityOpt": lambda value: value in (None, [], ["no-new-privileges"]),
    "PidsLimit": lambda value: value is None or _is_count(value),
}
"""Keys whose value is ours; what is asked must not be more."""


def _is_default(key: str, value: Any) -> bool:
    """Whether a value says nothing, as far as Docker's client spells that out."""
    if key in ("MaskedPaths", "ReadonlyPaths"):  # an empty list shows all of /proc
        return value is None
    if key == "ConsoleSize":
        return isinstance(value, list) and all(map(_is_count, value))
    if key == "RestartPolicy" and isinstance(value, dict):
        return value.get("Name") in (None, "", "no") and _is_empty({**value, "Name": ""})
    if isinstance(value, dict) and key not in ("LogConfig", "NetworkingConfig"):
        return not value  # a key alone may say something: a volume's place
    return _is_empty(value)


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value in (None, "", 0, []) and not isinstance(value, float)


def _hold_image(name: Any, rules: Rules) -> None:
    if name not in rules.images:
        raise Refused(f"the image {name} is not one that this run's mirror holds by that digest")


def _hold_folder(path: str, rules: Rules) -> None:
    if path and not _below(path, rules.launch):
        raise Refused(f"WorkingDir {path} is not in the launch folder")


def _hold_bind(bind: str, rules: Rules) -> None:
    """A folder of the launch, at its own path: the whole of it is shown in its place."""
    parts = bind.split(":")
    fits = len(parts) in (2, 3) and parts[0] == parts[1] and _below(parts[0], rules.launch)
    if not fits or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise Refused(f"Binds of {bind} is not allowed: only folders of the launch, at their own "
                      "paths")


def _below(path: str, root: Path) -> bool:
    """Whether a path lies in a folder by its letters alone; the file system is not asked."""
    return (path.startswith("/") and posixpath.normpath(path) == path
            and all(32 <= ord(letter) != 127 for letter in path)
            and PurePosixPath(path).is_relative_to(root))
