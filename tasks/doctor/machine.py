"""This machine: git, Java, Python, and whether a pipeline's code can be confined."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from tasks.core import processes
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, OK, WARN, Finding, failed
from tasks.core.nextflow import isolation, java
from tasks.core.nextflow.environment import Inherited

SECONDS = 10.0
"""Of a program that only tells its version."""


def git(*, needed: Sequence[str]) -> Iterator[Finding]:
    """`needed` are the pipelines whose code comes by git."""
    if shutil.which("git") is None:
        yield Finding(check="git", status=FAIL if needed else WARN,
                      text="git is not on the PATH" + (
                          f", and {', '.join(needed)} come by it" if needed else ""),
                      cure="install it (on Debian: apt-get install git)")
        return
    try:
        yield Finding(check="git", status=OK,
                      text=processes.run(["git", "--version"], timeout=SECONDS).strip())
    except (AirlockError, subprocess.TimeoutExpired):
        yield Finding(check="git", status=FAIL, text="`git --version` fails or hangs",
                      cure="mend its installation, or what stands first on the PATH")


def java_for(nextflow: Mapping[str, Sequence[str]], inherited: Inherited) -> Iterator[Finding]:
    """Whether there is a Java for each version of Nextflow, each with its pipelines."""
    for version, pipelines in sorted(nextflow.items()):
        first, last = java.majors(version)
        try:
            place = java.find(version, inherited)
        except AirlockError as error:
            yield failed("java", error, f"install a Java of {first} to {last} (on Debian: "
                         "apt-get install openjdk-17-jre-headless), or set JAVA_HOME to one")
            continue
        yield Finding(check="java", status=OK,
                      text=f"Java {java.major_of(place)} ({place}) runs Nextflow {version} "
                           f"({', '.join(pipelines)})")


def python(wanted: Sequence[str]) -> Iterator[Finding]:
    """This Python; `wanted` are the versions that wheels came for, where that matters here."""
    version = ".".join(platform.python_version_tuple()[:2])
    fits = not wanted or version in wanted
    yield Finding(check="python", status=OK if fits else FAIL,
                  text=f"Python {platform.python_version()}" + (
                      "" if fits else f", and the tool came with packages for "
                                      f"{' and '.join(wanted)}"),
                  cure=None if fits else f"install Python {wanted[0]}, or name {version} in "
                                         "`python` of the site's file and push the tool again")


def namespaces(least: str) -> Iterator[Finding]:
    """Whether a pipeline's code can be confined here."""
    try:
        level = isolation.level(least)
    except AirlockError as error:
        yield failed("isolation", error)
        return
    is_none = level == isolation.NONE
    yield Finding(check="isolation", status=WARN if is_none else OK,
                  text="pipelines' code is not confined, as the site allows" if is_none
                  else "pipelines' code can be confined (namespaces)",
                  cure="run as root, or let users make namespaces" if is_none else None)
