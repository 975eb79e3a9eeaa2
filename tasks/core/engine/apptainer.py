"""Apptainer and Singularity: which version is here, and whether it runs an image file, tried.

What a host needs for that hangs on how the program was installed (with setuid or in user
namespaces, with squashfuse beside it or on the PATH) and on the kernel's settings, so an image is
run as Nextflow runs it; what the settings say is told where that fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks.core import processes
from tasks.core.errors import HostError, plain_lines
from tasks.core.frozen import frozen

OLDEST = {"apptainer": (1, 0), "singularity": (3, 8)}
"""The first versions that are taken: Apptainer's own first, and the last that was Singularity
alone, before it was parted into Apptainer and SingularityCE."""
SAID = re.compile(r"(apptainer|singularity)\S* version (\d+)\.(\d+)(\S*)")
"""What `--version` prints: `apptainer version 1.3.4`, `singularity-ce version 4.1.5-focal`."""
ABSENT = re.compile(r"lstat (/etc/\S+): no such file or directory")
"""What is said of a file that `apptainer.conf` has each container see, and the host hasn't."""
WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "apptainer": ((), ("--userns",), ("--unsquash",)),
    "singularity": ((), ("--userns",), ("--no-privs",))}
"""Options of `exec` that are tried in turn: a root without all its capabilities needs a user
namespace, or with SingularityCE 4.5 may hand tasks none; and who may not use /dev/fuse has the
image unpacked (Apptainer 1.1 and later; SingularityCE does so by itself)."""
SECONDS = 120
"""For the start of an image, which may be unpacked first, on a shared file system."""
NAMESPACES = (("user/max_user_namespaces", "0"), ("kernel/unprivileged_userns_clone", "0"),
              ("kernel/apparmor_restrict_unprivileged_userns", "1"))
"""Settings below /proc/sys that keep users from making user namespaces."""


@frozen
class Program:
    """An engine that is on the PATH `search`: its place, and what it calls itself, by `name`."""

    path: str
    name: str
    version: str
    numbers: tuple[int, int]
    search: str


def find(kind: str, path: str) -> Program:
    """Return the program of this kind; HostError where there is none, or it is too old."""
    place = processes.find(kind, path=path, todo=(
        f"install {kind.capitalize()}, or load its module (module load {kind}); on a cluster whose "
        "login node has none, `doit role=prod prod:submit:<pipeline>` writes a batch script for a "
        "node that has it"))
    printed = _answer([place, "--version"])
    match = SAID.search(printed)
    if match is None:
        raise HostError(f"this doesn't tell its version as {kind} does: {printed[:100]!r}",
                        where=place, todo=f"put {kind} first on the PATH")
    program = Program(path=place, name=match[1], version=f"{match[2]}.{match[3]}{match[4]}",
                      numbers=(int(match[2]), int(match[3])), search=path)
    oldest = OLDEST[program.name]
    if program.numbers < oldest:
        raise HostError(f"{program.name} {program.version} is too old: {oldest[0]}.{oldest[1]} or "
                        "later is needed", where=place, todo="install a later one, or load its "
                                                             "module")
    return program


def way_to_run(program: Program, image: Path) -> tuple[str, ...]:
    """Return the options by which the program runs an image file on this host, none at best.

    HostError with the program's own words, and what this host lacks, where it doesn't.
    """
    faults = []
    for options in WAYS[program.name]:
        fault = _fault(program, image, options)
        if fault is None:
            return options
        faults.append(fault)
    absent = ABSENT.search(" ".join(faults))
    cures = [f"create {absent[1]} on this host: each task is shown it, and it may be empty"] \
        if absent else [lack for _, lack in lacks(program)]
    raise HostError(f"{program.name} {program.version} can't run this image file: "
                    f"{' / '.join(dict.fromkeys(faults))}", where=image,
                    todo="; ".join(cures) or f"mend what {program.name} names")


def _fault(program: Program, image: Path, options: Sequence[str]) -> str | None:
    """What is said where an image doesn't start as Nextflow starts it: without an environment.

    An image without `true` has started, too.
    """
    command = [program.path, "exec", "--no-home", "--pid", "-B", os.fspath(image.parent), *options,
               os.fspath(image), "true"]
    try:
        done = subprocess.run(command, env={"PATH": program.search}, stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"it has not started within {SECONDS} s"
    except OSError as error:
        return str(error.strerror)
    printed = plain_lines(done.stderr)
    if done.returncode == 0 or re.search(r"true\W+executable file not found", printed):
        return None
    lines = [line for line in printed.splitlines() if re.match(r"(FATAL|ERROR)\b", line)]
    return " / ".join(re.sub(r"^\w+\s*:\s*", "", line)
                      for line in lines or printed.splitlines()[-1:]) or f"status {done.returncode}"


def lacks(program: Program) -> list[tuple[bool, str]]:
    """What this host lacks for image files, as far as its settings and programs tell: whether
    none runs without it, and what to do."""
    if is_setuid(program):
        return []
    squashfuse = _squashfuse(program)
    needs = [(True, _namespaces(program)), (not squashfuse, _fuse()), (False, squashfuse)]
    return [(is_needed, lack) for is_needed, lack in needs if lack]


def is_setuid(program: Program) -> bool:
    """Whether it was installed with a setuid helper, which needs neither namespaces nor FUSE."""
    return any(path.stat().st_uid == 0 and path.stat().st_mode & 0o4000 for path in _libexec(
        program, "starter-suid"))


def _libexec(program: Program, name: str) -> list[Path]:
    """A helper's place in the folders that packages and `make install` put them into."""
    prefix = Path(program.path).resolve().parent.parent
    return [path for top in ("libexec", "lib") for owner in ("apptainer", "singularity")
            if (path := prefix / top / owner / "bin" / name).is_file()]


def _namespaces(program: Program) -> str | None:
    """What keeps users from making user namespaces; root makes them always."""
    set_so = [f"{name.replace('/', '.')}={value}" for name, value in NAMESPACES
              if _setting(name) == value]
    return (f"let users make user namespaces ({', '.join(set_so)} forbids it), or have "
            f"{program.name} installed with setuid ({program.name}-suid)") if set_so else None


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _fuse() -> str | None:
    device = Path("/dev/fuse")
    if not device.exists():
        return f"have the kernel's module fuse loaded: there is no {device}"
    return None if os.access(device, os.R_OK | os.W_OK) else (
        f"let users read and write {device} (mode 0666, as udev gives it)")


def _squashfuse(program: Program) -> str | None:
    names = ("squashfuse_ll", "squashfuse")
    there = any(shutil.which(name, path=program.search) or _libexec(program, name)
                for name in names)
    return None if there else (
        "install squashfuse, by which image files are mounted; without it each task unpacks its "
        "image first")


def _answer(command: Sequence[str]) -> str:
    """What a command prints; HostError where it can't be started."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"this can't be started: {error}", where=command[0],
                        todo="see that it runs by hand") from error
    return plain_lines(done.stdout + done.stderr).strip()
