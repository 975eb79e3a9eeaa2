"""What tests need of the machine: installed before `./doit test`, or why a test is skipped.

    python -m tests.kit.machine

How a reason begins says what the machine lacks; tests/allowed-skips.txt lists where that may be.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tasks.core.errors import HostError
from tasks.local_site import host, packages
from tests.kit.project import ROOT

UNPACKED = ROOT / "build/tests/packages"
"""Where Debian packages lie that are only unpacked."""
PACKAGES = {**{program: package for package, program in packages.PROGRAMS.items()},
            "chromium": "chromium",
            "containerd": "containerd", "ctr": "containerd", "docker": "docker.io",
            "newuidmap": "uidmap", "podman": "podman", "runc": "runc", "shellcheck": "shellcheck",
            "umoci": "umoci", "unsquashfs": "squashfs-tools"}
"""The Debian package of each program that tests start."""
NOT_ROOT = "not root: only root may do what this test does"


def provide() -> str:
    """Install what is missing, where this user of this machine may; else say why not."""
    try:
        provided = packages.provide(packages.PackagesSpec(unpacked=UNPACKED))
        missing = sorted({package for program, package in PACKAGES.items()
                          if packages.find_program(program) is None})
        if missing:
            packages.ensure(missing)
    except HostError as error:
        return f"{error}\nTests that need these are skipped."
    return ", ".join([provided, *(f"{package} installed" for package in missing)])


def need(*programs: str) -> None:
    """Skip the test where a program is not here."""
    missing = [program for program in programs if packages.find_program(program) is None]
    if missing:
        pytest.skip(_why_missing(" ".join(missing)))


def need_root() -> None:
    """Skip the test where others than root run it."""
    if os.geteuid() != 0:
        pytest.skip(NOT_ROOT)


def need_namespaces() -> None:
    """Skip the test where this user can make none that hide files."""
    from tasks.core.nextflow import isolation
    if not isolation._means().hides:
        pytest.skip("no namespaces: this system makes none for this user")


def no_host() -> str:
    """Why no offline host can be made here: for a mark, where it is empty if one can."""
    if os.geteuid() != 0:
        return NOT_ROOT
    denied = host.denied()
    return f"no namespaces: {denied}" if denied else ""


def busybox() -> Path:
    """A static busybox: the machine's own, or one that was unpacked for the tests."""
    try:
        return packages.find_program("busybox") or packages.carried(UNPACKED, "busybox-static")
    except HostError:
        pytest.skip(_why_missing("busybox"))


def _why_missing(names: str) -> str:
    if shutil.which("apt-get") is None:
        return f"not Debian: nothing here could install {names}"
    if os.geteuid() != 0:
        return f"not root: only root could install {names}"
    return f"`./doit test` would have installed {names}"


if __name__ == "__main__":
    print(provide())
