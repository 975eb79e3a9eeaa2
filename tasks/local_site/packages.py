"""Debian packages that the sandbox needs: named first, then installed, and nobody's replaced."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files, processes
from tasks.core.config import engines
from tasks.core.errors import CommandError, HostError, quoted

logger = logging.getLogger(__name__)

LISTS = Path("/var/lib/apt/lists")
LISTS_LAST = 24 * 3600
"""Seconds after which apt's lists are fetched anew."""

PROGRAMS = {
    "apache2-utils": "htpasswd",
    "default-jdk-headless": "javac",
    "docker-registry": "docker-registry",
    "docker.io": "dockerd",
    "git": "git",
    "iproute2": "ip",
    "iptables": "iptables-restore",
    "maven": "mvn",
    "openssh-client": "ssh-keygen",
    "openssl": "openssl",
    "skopeo": "skopeo",
    "util-linux": "unshare",
}
"""What is installed, and the program that shows that it is there, whoever brought it."""

OF_PODMAN = {"podman": "podman", "uidmap": "newuidmap"}
"""Installed too, where Podman runs the offline host's images."""

CARRIED = {
    "bash-static": ("bin/bash-static", "usr/bin/bash-static"),
    "busybox-static": ("bin/busybox", "usr/bin/busybox"),
    "seqkit-examples": ("usr/share/doc/seqkit-examples/tests/reads_1.fq.gz",),
}
"""What is only unpacked into the sandbox's folder, for some files' sake: busybox-static would
replace busybox, and container images of Debian drop all documentation when they install."""


@dataclass(frozen=True, kw_only=True)
class PackagesSpec:
    """Where packages that are only unpacked go; `kind` is that of the offline host's engine."""

    unpacked: Path
    kind: str = engines.DOCKER


def provide(spec: PackagesSpec) -> str:
    """Install and unpack what is missing; HostError names all of it where that can't be done."""
    with files.locked(spec.unpacked.with_name("packages.lock")):
        return _provide(spec)


def _provide(spec: PackagesSpec) -> str:
    wanted = {**PROGRAMS, **(OF_PODMAN if spec.kind == engines.PODMAN else {})}
    missing = [package for package, program in wanted.items() if find_program(program) is None]
    absent = [package for package in CARRIED if not _holds(spec.unpacked / package, package)]
    if missing or absent:
        _demand_apt(missing, absent)
    if missing:
        ensure(missing)
    if absent:
        _unpack(absent, spec.unpacked)
    return ", ".join([*(f"{package} installed" for package in missing),
                      *(f"{package} unpacked" for package in absent)]) or "all there"


def ensure(names: Sequence[str]) -> None:
    """Install Debian packages as root, without removing any; their names are printed first."""
    if os.geteuid() != 0:
        raise HostError(f"packages are missing: {' '.join(names)}",
                        where="only root may install them", todo=_command(names))
    logger.info("installing Debian packages: %s", " ".join(names))
    _update()
    _apt("apt-get", "install", "--no-remove", "--no-install-recommends", "-y", *names,
         todo=_command(names))


def find_program(name: str) -> Path | None:
    """A program on the PATH or where only root's PATH leads."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    program = shutil.which(name, path=path)
    return Path(program) if program else None


def carried(unpacked: Path, package: str) -> Path:
    """The first of a carried package's files that is there."""
    root = unpacked / package
    for name in CARRIED[package]:
        if (root / name).is_file():
            return root / name
    raise HostError(f"the Debian package {package} is not unpacked", where=root,
                    todo="`doit sandbox:packages` fetches it")


def _holds(root: Path, package: str) -> bool:
    return any((root / name).is_file() for name in CARRIED[package])


def _command(names: Sequence[str]) -> str:
    return f"apt-get install --no-remove --no-install-recommends {' '.join(names)}"


def _demand_apt(missing: Sequence[str], absent: Sequence[str]) -> None:
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return
    wanted = [f"{(PROGRAMS | OF_PODMAN)[package]} (Debian package {package})"
              for package in missing]
    wanted += [f"files of the Debian package {package}" for package in absent]
    raise HostError("the local site needs what is not here, and this is not a Debian or Ubuntu "
                    "that could install it: " + ", ".join(wanted),
                    todo="install these programs, or use a site without a sandbox")


def _update() -> None:
    newest = max((path.stat().st_mtime for path in LISTS.glob("*_Packages*")), default=0.0)
    if time.time() - newest > LISTS_LAST:
        _apt("apt-get", "update", todo="check the network, and /etc/apt/sources.list")


def _unpack(names: Sequence[str], folder: Path) -> None:
    logger.info("unpacking Debian packages below %s: %s", folder, " ".join(names))
    if os.geteuid() == 0:
        _update()
    for name in names:
        files.atomic_folder(folder / name, _downloader(name))


def _downloader(name: str) -> Callable[[Path], None]:
    def download(place: Path) -> None:
        _apt("apt-get", "download", name, cwd=place,
             todo=f"`apt-get update` as root, then again: apt-get download {name}")
        archive, = place.glob("*.deb")
        processes.run(["dpkg-deb", "-x", archive, place])
        archive.unlink()
    return download


def unpack_together(names: Sequence[str], folder: Path) -> None:
    """Unpack Debian packages, as this machine's apt has them, into one folder; once."""
    if folder.is_dir():
        return
    logger.info("unpacking Debian packages below %s: %s", folder, " ".join(names))
    if os.geteuid() == 0:
        _update()

    def unpack(place: Path) -> None:
        for name in names:
            _downloader(name)(place)
    files.atomic_folder(folder, unpack)


def _apt(*words: str, todo: str, cwd: Path | None = None) -> None:
    try:
        processes.run(words, cwd=cwd, todo=todo,
                      env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    except CommandError as error:
        raise HostError(f"{' '.join(words[:2])} failed:\n{quoted(error.tail)}",
                        todo=todo) from error
