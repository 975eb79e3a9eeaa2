"""What the offline host and a container on it try to reach during the run, and must not."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.config import engines
from tasks.core.errors import IntegrityError
from tasks.local_site import daemons, host
from tasks.local_site.plan import State

PUBLIC = "198.41.0.4:53"
"""A root name server (https://root-servers.org): an address that any network with a way out has."""

CACHES = {
    "Maven's cache": ("", ".m2"),
    "Nextflow's folder": ("NXF_HOME", ".nextflow"),
    "pip's cache": ("PIP_CACHE_DIR", ".cache/pip"),
    "the user's caches": ("XDG_CACHE_HOME", ".cache"),
    "the user's logins": ("DOCKER_CONFIG", ".docker"),
}
"""The variable that names a folder, and the folder's usual place below the home folder."""

Attempt = dict[str, Any]
"""As crossing.schema.json has it: what is tried; then also what it met."""


@dataclass(kw_only=True)
class Probed:
    """What the attempts met, and whether the pipeline ran from the first to the last of them."""

    attempts: list[Attempt] = field(default_factory=list)
    during_run: bool = False


@contextmanager
def during_run(site: str, folder: Path, attempt: Callable[[], list[Attempt]]) -> Iterator[Probed]:
    """While the block runs, wait until Nextflow works below the host's `folder`, then `attempt`.

    Where it was never seen at work, the attempts are made after the block.
    """
    probed, ended = Probed(), threading.Event()

    def watch() -> None:
        while (before := running(site, folder)) is None:
            if ended.wait(0.1):
                return
        probed.attempts = attempt()
        probed.during_run = running(site, folder) == before

    with ThreadPoolExecutor(1, thread_name_prefix="probes") as pool:
        watching = pool.submit(watch)
        try:
            yield probed
        finally:
            ended.set()
        watching.result()
    if not probed.attempts:
        probed.attempts = attempt()


def running(site: str, folder: Path) -> tuple[int, int | None] | None:
    """Pid and start time of the `nextflow run` that works below `folder` on the offline host."""
    namespace = Path(f"/proc/{host.first_process(site)}/ns/pid").stat().st_ino
    for pid in daemons.pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if (b"nextflow.cli.Launcher" in words and b"run" in words
                    and Path(f"/proc/{pid}/ns/pid").stat().st_ino == namespace
                    and Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)):
                return pid, daemons.start_time(pid)
        except OSError:
            continue  # it has ended
    return None


def attempt(state: State, look: Callable[[str, str], Any], *, own: Mapping[str, Path],
            image: str | None, kind: str = engines.DOCKER) -> list[Attempt]:
    """Try all `targets` by `look` (host_probe.py's verb and argument); what each attempt met.

    `kind` is the engine that runs `image` there. A listener of ours waits on another port of the
    address that the offline host reaches.
    """
    with socket.create_server((state.address, 0)) as other:
        asked = targets(state, own=own, other_port=other.getsockname()[1], image=image)
        met: list[Attempt] = look("probe", json.dumps({"engine": kind, "asked": asked}))
    return met


def targets(state: State, *, own: Mapping[str, Path], other_port: int,
            image: str | None) -> list[Attempt]:
    """What must be out of reach: the internet, and this side's files.

    `own` are the project's, by what they are. Addresses and names are tried from the host, and
    from a container of `image`, where that is given.
    """
    network = [
        ("the internet's file server", "tcp", f"127.0.0.1:{state.files_port}", None),
        ("the internet's registry", "tcp", f"127.0.0.1:{state.registry_port}", None),
        ("an address of the internet", "tcp", PUBLIC, None),
        ("a name of the internet", "name", "quay.io", None),
        ("another port of the registry's address", "tcp", f"{state.address}:{other_port}",
         state.open_because),
    ]
    paths = [*own.items(), *_of_user(Path(state.python_prefix))]
    if state.engine:
        paths.append(("the online engine's socket", Path(state.engine)))
    return [{"what": what, "kind": kind, "target": target, "open_because": why, "image": place}
            for place in dict.fromkeys((None, image)) for what, kind, target, why in network] + [
            {"what": what, "kind": "path", "target": str(path), "open_because": None,
             "image": None} for what, path in paths]


def _of_user(python: Path) -> Iterator[tuple[str, Path]]:
    """The user's caches, and the home folder: its entries where it holds the shared Python."""
    home = Path.home()
    caches = {what: Path(os.environ.get(variable) or home / usual)
              for what, (variable, usual) in CACHES.items()}
    yield from ((what, path) for what, path in caches.items() if path.exists())
    if home not in python.parents:
        yield "the home folder", home
        return
    yield from (("the home folder", path) for path in sorted(home.iterdir())
                if path not in (python, *python.parents, *caches.values()))


def refuse_reached(attempts: list[Attempt]) -> None:
    """IntegrityError that names all that was reached, but for what this machine can't close."""
    reached = [f"  {attempt['what']}: {attempt['target']}: {attempt['detail']}"
               + (f", from a container of {attempt['image']}" if attempt["image"] else "")
               for attempt in attempts if not (attempt["refused"] or attempt["open_because"])]
    if reached:
        raise IntegrityError("the offline host reaches what it must not:\n" + "\n".join(reached),
                             todo="`doit sandbox:down`, then the same command again")
