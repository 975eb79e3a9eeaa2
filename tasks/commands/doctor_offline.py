"""What `doit doctor role=prod` looks at on an offline host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from tasks.core import ownership
from tasks.core.config import engines
from tasks.core.config.settings import TOOL, Config
from tasks.core.disk import existing
from tasks.core.engine.address import Engine, Podman
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, failed
from tasks.core.net.network import Network
from tasks.core.nextflow.environment import Inherited
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import SitePaths
from tasks.core.schema import read_json
from tasks.core.store.store import open_store
from tasks.core.trust import promotions
from tasks.doctor import apptainer, disk, engine, machine, podman, reach, registry, stores
from tasks.doctor.checks import Check
from tasks.doctor.registry import RegistrySpec
from tasks.offline_host import freshness, image_files, library, memory
from tasks.offline_host.freshness import Host
from tasks.offline_host.image_files import ImageFiles

BY_HAND = "an administrator fills it by hand, as INSTALL.txt of the folder says that came with it"
INSTALL = {"bash": "bash", "ssh-keygen": "openssh-client", "sha256sum": "coreutils"}


def checks(config: Config) -> list[Check]:
    """All checks, in the order in which they are shown."""
    site = config.site
    host = Host(trust=site.offline.trust, identity=site.signing.identity,
                seen=freshness.state_folder(site.name, config.environment))
    names = [name for name in config.names
             if OfflinePaths(site=site.name, pipeline=name).current.is_file()]
    return [
        Check(name="trust", look=lambda: _trust(
            host, asks_registry=site.offline.engine not in engines.SIF_KINDS)),
        Check(name="store", look=lambda: stores.readable(site.offline.store)),
        *(Check(name="release", look=partial(_release, config, host, name))
          for name in config.names),
        *_registries(config),
        _engine(config, host, names),
        *_library(config),
        Check(name="java", look=lambda: _java(config, names)),
        Check(name="programs", look=_programs),
        Check(name="disk", look=lambda: [disk.room(SitePaths(site=site.name).root,
                                                   "releases and work")]),
        Check(name="memory", look=lambda: _memory(host)),
        Check(name="python", look=lambda: machine.python(
            site.python if TOOL.is_file() else ())),
    ]


def _engine(config: Config, host: Host, names: list[str]) -> Check:
    """The engine that the site says; Docker is asked by its socket, all others by their program."""
    site = config.site
    if site.offline.engine in engines.SIF_KINDS:
        return Check(name="engine", look=lambda: _image_files(config, names), cure=(
            f"start an image by hand: {site.offline.engine} exec IMAGE true"))
    if site.offline.engine == engines.PODMAN:
        return Check(name="engine", cure="look at what `podman info` says", look=lambda: (
            podman.podman(Podman.of(config.environment), site.platform)))
    return Check(name="engine", look=lambda: engine.engine(engine.EngineSpec(
        engine=Engine.of(config.environment), platform=site.platform,
        registry=site.own_registry.address, authfile=host.trust / "config.json", pulls=True,
        without="")), cure="look at the engine's log, and restart it")


def _library(config: Config) -> Iterator[Check]:
    """The folder of image files that users share, where the site names one."""
    root = config.site.offline.library
    if root:
        def look() -> Iterator[Finding]:
            library.usable(root)
            fills = library.is_writable(root)
            yield Finding(check="library", status=OK, text=f"{root} can be read" + (
                " and filled: by prod:fetch" if fills else
                f"; {ownership.owner(root.stat())} fills it"))
            if fills:
                yield disk.room(root, "the library")

        yield Check(name="library", look=look)


def _image_files(config: Config, names: list[str]) -> Iterator[Finding]:
    """The engine, then whether it runs the image files of the releases in place."""
    kind, path = config.site.offline.engine, Inherited.of(config.environment).path
    findings = list(apptainer.engine(kind, path, config.site.platform))
    yield from findings
    if findings[0].status == FAIL:
        return
    for name in names:
        at = OfflinePaths(site=config.site.name, pipeline=name)
        current = read_json(at.current, "current")["id"]
        release, shared = at.release(current), config.site.offline.library
        folder = library.image_folder(at, current, shared)
        try:
            for look in ImageFiles(release=release, kind=kind, path=path, folder=folder,
                                   shared=shared).looks():
                look()
        except AirlockError as error:
            yield failed("engine", AirlockError(f"{name}: {error.what}", where=error.where,
                                                todo=error.todo))
        else:
            yield Finding(check="engine", status=OK, text=f"{name}: its image files are in place"
                          f"{f' in {folder}' if shared else ''}, {image_files.size(release)}, and "
                          "run here")


def _trust(host: Host, *, asks_registry: bool) -> Iterator[Finding]:
    """Each file of the trust folder: there, and nobody else's to change."""
    if not host.trust.is_dir():
        yield Finding(check="trust", status=FAIL, cure=BY_HAND,
                      text=f"there is no trust folder {host.trust}")
        return
    allowed = host.trust / "allowed_signers"
    of_registry = [(host.trust / "ca.crt", None), (host.trust / "config.json", None)]
    for path, missing in ((allowed, BY_HAND), *(of_registry if asks_registry else [])):
        try:
            ownership.refuse_writable_by_others(path)
            if path.is_file():
                path.open("rb").close()
        except AirlockError as error:
            yield failed("trust", error)
        except OSError as error:
            yield Finding(check="trust", status=FAIL, text=f"{path}: {error.strerror}",
                          cure="let this user read it, and no other change it")
        else:
            yield _of_file(path, missing, host)
    try:
        least = freshness.minimum(host, promotions.Subject(pipeline=None))
    except ConfigError as error:
        yield failed("trust", error, 'have it be as {"tool": 3, "pipelines": {"NAME": 12}}, or '
                                     "take it away: an administrator's word")
    except AirlockError as error:
        yield failed("trust", error)
    else:
        if (host.trust / "minimum.json").exists():
            yield Finding(check="trust", status=OK, text="minimum.json can be read; of the tool it "
                          f"asks for number {least} at least")


def _of_file(path: Path, missing: str | None, host: Host) -> Finding:
    if not path.is_file():
        without = {"ca.crt": "this system's own CAs are trusted alone",
                   "config.json": "the registry is asked without a login"}
        return Finding(check="trust", status=FAIL if missing else WARN,
                       text=f"{path} is missing" + (
                           "" if missing else f": {without[path.name]}"), cure=BY_HAND)
    if path.name == "allowed_signers" and not _names(path, host.identity):
        return Finding(check="trust", status=FAIL, text=f"{path} names no key for {host.identity}",
                       cure="put the line there that allowed_signers of the folder holds which "
                            "came with the site")
    if path.name == "config.json" and path.stat().st_mode & 0o077:
        return Finding(check="trust", status=WARN, cure=f"chmod 600 {path}",
                       text=f"others can read the login in {path}")
    return Finding(check="trust", status=OK, text=f"{path}, which nobody else can change")


def _names(allowed: Path, identity: str) -> bool:
    """Whether a line is for the identity: its principals are patterns (ssh-keygen(1))."""
    lines = [line.split() for line in allowed.read_text(errors="replace").splitlines()]
    return any(fnmatchcase(identity, pattern) for words in lines if len(words) > 2
               and not words[0].startswith("#") for pattern in words[0].strip('"').split(","))


def _release(config: Config, host: Host, pipeline: str) -> Iterator[Finding]:
    """What would be fetched: promoted, signed by a trusted key, not over and not older."""
    at = config.site.offline.store
    folder = at.folder
    if folder is not None and not folder.is_dir():
        yield Finding(check="release", status=UNKNOWN, cure="mend what is before it",
                      text=f"{pipeline}: its release waits for the store")
        return
    store = open_store(at)
    try:
        promotion = freshness.current(store, host, pipeline)
    except AirlockError as error:
        yield failed("release", AirlockError(f"{pipeline}: {error.what}", where=error.where,
                                             todo=error.todo))
        return
    yield from _kept_from(host, promotion, pipeline)
    until = f", until {promotion.expires}" if promotion.expires else ""
    yield Finding(check="release", status=OK, text=f"{pipeline}: {promotion.id} is the current one,"
                  f" number {promotion.number}{until}; a trusted key signed that")
    early = promotions.time(promotion.signed) - datetime.now(timezone.utc)
    if early.total_seconds() > reach.MUCH_SKEW:
        yield Finding(check="clock", status=FAIL, cure=reach.SET_CLOCK,
                      text=f"{promotion.id} was signed at {promotion.signed}, which is still to "
                           "come by this clock")


def _kept_from(host: Host, promotion: promotions.Promotion, pipeline: str) -> Iterator[Finding]:
    """Why this host doesn't run the current release: it was withdrawn, or the host is held."""
    reason = next((entry.reason for entry in promotion.withdrawn if entry.id == promotion.id), None)
    if reason is not None:
        yield Finding(check="release", status=FAIL, cure="ask those who withdrew it for the next",
                      text=f"{pipeline}: {promotion.id}, the current one, was withdrawn: {reason}")
    if held := memory.held(host.seen, pipeline):
        yield Finding(check="release", status=WARN, cure="hold=0 goes on to the current one",
                      text=f"{pipeline}: this host is held at {held.id} since {held.since}")


def _registries(config: Config) -> Iterator[Check]:
    site, trust = config.site, config.site.offline.trust
    if site.images.carry == engines.FILES:
        return  # the release has them
    ca, login = trust / "ca.crt", trust / "config.json"
    for address in dict.fromkeys([site.own_registry.address, *(
            place.partition("/")[0] for place in site.own_registry.repositories.values())]):
        spec = RegistrySpec(
            address=address, path=site.own_registry.prefix, ca=ca if ca.is_file() else None,
            authfile=login if login.is_file() else None, network=Network.of(config),
            pushes=site.images.carry == engines.STORE, login_cure=(
                f"put the login for {address} into {login}, as `docker login` writes it"))
        yield Check(name="registry", look=partial(registry.registry, spec))


def _java(config: Config, names: list[str]) -> Iterator[Finding]:
    """Java for the releases in place; before the first there is none to fit."""
    by_version: dict[str, list[str]] = {}
    for name in names:
        at = OfflinePaths(site=config.site.name, pipeline=name)
        release = read_json(at.release(read_json(at.current, "current")["id"]) / "release.json",
                            "release")
        by_version.setdefault(release["nextflow"], []).append(name)
    if not by_version:
        yield Finding(check="java", status=UNKNOWN, cure=None,
                      text="which one is needed shows with the first release; one comes along")
    yield from machine.java_for(by_version, Inherited.of(config.environment))


def _programs() -> Iterator[Finding]:
    missing = [name for name in INSTALL if shutil.which(name) is None]
    for name in missing:
        yield Finding(check="programs", status=FAIL, text=f"{name} is not on the PATH",
                      cure=f"install it (on Debian: {INSTALL[name]})")
    if not missing:
        yield Finding(check="programs", status=OK, text=f"{', '.join(INSTALL)} are here")


def _memory(host: Host) -> Iterator[Finding]:
    """Whether what this host has seen can be read, and be added to."""
    standing = existing(host.seen)
    if not os.access(standing, os.W_OK) or os.statvfs(standing).f_flag & os.ST_RDONLY:
        yield Finding(check="memory", status=FAIL, text=f"this user can't write below {standing}",
                      cure="mend the rights there, or name another folder in XDG_STATE_HOME: what "
                           "this host has seen is kept there")
        return
    try:
        numbers = {path.relative_to(host.seen).with_suffix("").as_posix():
                   read_json(path, "seen")["number"] for path in sorted(host.seen.rglob("*.json"))}
    except AirlockError as error:
        yield failed("memory", error, "find out who changed it; once it is removed, this host "
                                      "forgets, and takes an older release for a newer one")
        return
    shown = ", ".join(f"{subject} {number}" for subject, number in numbers.items())
    yield Finding(check="memory", status=OK, text=f"{host.seen}: this host has seen "
                  + (f"number {shown}" if shown else "no release yet"))


