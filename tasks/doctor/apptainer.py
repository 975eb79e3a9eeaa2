"""Apptainer or Singularity on an offline host: which one, and what it lacks for image files."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.engine import apptainer
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, OK, WARN, Finding, failed
from tasks.core.machine_names import architecture
from tasks.doctor import platforms


def engine(kind: str, path: str, platform: str) -> Iterator[Finding]:
    """Look at the program on this PATH, and at what it needs of this host.

    Whether an image runs shows with the first release in place.
    """
    try:
        program = apptainer.find(kind, path)
    except AirlockError as error:
        yield failed("engine", error)
        return
    way = "with setuid" if apptainer.is_setuid(program) else "in user namespaces"
    yield Finding(check="engine", status=OK,
                  text=f"{program.name} {program.version} at {program.path}, {way}")
    for status, lack in apptainer.lacks(program):
        yield Finding(check="engine", status=FAIL if status else WARN, cure=lack,
                      text=f"{program.name} runs no image files here" if status else
                      f"{program.name} unpacks an image file for each task here")
    yield from platforms.see(f"linux/{architecture()}", platform)
