"""The engine as a confined run may use it: through the gate, by Docker's client."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.core.engine import daemon, gate
from tasks.core.engine.address import Engine
from tasks.core.engine.create import Rules


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What a run is given: `variables` of its environment, and the files that it must see."""

    variables: Mapping[str, str]
    reads: tuple[Path, ...]


@contextmanager
def reached(engine: Engine, images: Iterable[str], *, launch: Path, writable: Path,
            path: str) -> Iterator[Reached]:
    """Open a gate for a run in the folder `launch` that may use these images, by their digests.

    `path` is the PATH on which Docker's client is looked for. HostError where the engine can't be
    reached by a gate.
    """
    rules = Rules(images=frozenset(images), launch=launch, writable=writable,
                  user=_user(engine))
    with gate.opened(daemon.dialling(engine), rules) as place:
        client = shutil.which("docker", path=path)
        # Where /bin is a link to /usr/bin, nothing can be shown below /bin itself.
        shown = (Path(client).parent.resolve() / Path(client).name,) if client else ()
        yield Reached(variables={"DOCKER_HOST": f"unix://{place}"}, reads=(place.parent, *shown))


def _user(engine: Engine) -> str:
    """Who owns what containers write: this user; of a rootless engine its root, which is its user.

    Any other id of a rootless engine's is one of its user's subordinate ids, which owns nothing
    here. Docker says so among its security options, Podman by a key of its own (`GET /info`).
    """
    info = daemon.connect(engine).info()
    rootless = info.get("Rootless") or "name=rootless" in (info.get("SecurityOptions") or ())
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"
