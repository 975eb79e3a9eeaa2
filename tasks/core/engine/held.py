"""What an engine holds: its version, and images by the digests that stand behind their names.

A run's record is made from this, so another kind of engine is another answer here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tasks.core.engine import daemon
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError
from tasks.core.frozen import frozen

PATIENCE = 10
"""Seconds: who asks has a run to begin or to end."""


@frozen
class Held:
    """An image as the engine knows it by a name: its id, which is its config's digest, and the
    digests that it was pulled by; `why_not` says why there are none."""

    id: str | None
    digests: tuple[str, ...]
    why_not: str | None = None


def version(engine: Engine) -> str:
    """Return the engine's version; HostError where none answers."""
    from docker.errors import DockerException
    try:
        return str(daemon.connect(engine, timeout=PATIENCE).version()["Version"])
    except (DockerException, OSError) as error:  # docker-py lets errors of requests through
        raise HostError(f"the engine tells no version: {error}", where=engine.url) from error


def images(engine: Engine, references: Iterable[str]) -> Mapping[str, Held]:
    """Return what the engine holds under each name that tasks ran in."""
    wanted = sorted(set(references))
    if not wanted:
        return {}
    from docker.errors import DockerException, ImageNotFound
    try:
        client = daemon.connect(engine, timeout=PATIENCE)
    except (HostError, OSError) as error:
        return dict.fromkeys(wanted, Held(id=None, digests=(), why_not=str(error)))
    known = {}
    for reference in wanted:
        try:
            image = client.images.get(reference)
        except ImageNotFound:
            known[reference] = Held(id=None, digests=(), why_not="the engine holds no such image")
        except (DockerException, OSError) as error:
            known[reference] = Held(id=None, digests=(), why_not=str(error))
        else:
            known[reference] = Held(id=image.id, digests=tuple(sorted(
                image.attrs.get("RepoDigests") or ())))
    return known
