"""The offline host: namespaces of its own, a root made of what is named here, its own engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.core import processes
from tasks.core.config.settings import Site
from tasks.core.errors import HostError, plain_lines
from tasks.core.paths import SitePaths
from tasks.local_site import daemons, engines, host_user, network
from tasks.local_site.daemons import Daemon
from tasks.local_site.plan import Plan

HOME = Path("/home/airlock")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOCKET = Path("/run/docker.sock")
READY = Path("/run/airlock-ready")
"""Is there once the host's root is made."""

SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
"""What the host shares of its system, read-only."""

ETC = ("alternatives", "bash.bashrc", "debian_version", "fonts", "group", "java-*", "ld.so.cache",
       "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release",
       "passwd", "profile", "protocols", "python3*", "services", "ssh/ssh_config", "ssl/certs",
       "ssl/openssl.cnf", "terminfo", "timezone")
"""What it gets of /etc: no keys, no passwords, no settings of the online engine."""

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")


@dataclass(frozen=True, kw_only=True)
class Python:
    """An interpreter for the offline host, and the folder that must be seen there for it."""

    path: Path
    version: str
    prefix: Path

    @property
    def is_system(self) -> bool:
        """Whether it lies where the host's system is shared anyway."""
        return Path("/usr") in self.prefix.parents or self.prefix == Path("/usr")


def find_python(versions: Sequence[str]) -> Python:
    """A Python of the site's versions that can make virtual environments; HostError without."""
    unfit = []
    running = Path(sys.base_prefix) / f"bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    for candidate in (Path("/usr/bin/python3"), running):
        answer = _ask(candidate)
        if answer is None:
            unfit.append(f"{candidate}: cannot make virtual environments")
        elif answer[0] not in versions:
            unfit.append(f"{candidate}: {answer[0]}")
        else:
            return Python(path=candidate, version=answer[0], prefix=Path(answer[1]))
    raise HostError("no Python on this machine fits the offline host, which wants "
                    + " or ".join(versions), where="; ".join(unfit),
                    todo="install python3-venv, or name this machine's version under `python` in "
                         "the site's file")


def _ask(python: Path) -> tuple[str, str] | None:
    """Version and prefix, where the modules for virtual environments are there."""
    question = ("import ensurepip, venv, sys; "
                "print('%d.%d' % sys.version_info[:2], sys.base_prefix)")
    try:
        done = subprocess.run([python, "-I", "-c", question], check=False,
                              capture_output=True, text=True, env={"PATH": PATH})
    except OSError:
        return None
    version, _, prefix = done.stdout.strip().partition(" ")
    return None if done.returncode else (version, prefix)


def offline(plan: Plan, python: Python) -> Daemon:
    """The host as a daemon: PID 1 of its namespaces is a shell that waits for its engine.

    Where that is none that waits, a program does that does nothing.
    """
    folder = plan.folder("host")
    settings = engines.settings_of(hosts=[f"unix://{SOCKET}"], data=Path("/var/lib/docker"),
                                   run=Path("/run/docker"), cgroup=f"/{plan.cgroup}/offline")
    return Daemon(
        name="offline host", folder=folder,
        command=("nsenter", f"--net={network.namespace(plan)}", "unshare", *engines.NAMESPACES,
                 "--uts", "--ipc", "sh", str(folder / "start.sh")),
        settings={"daemon.json": json.dumps(settings, indent=2) + "\n",
                  "hosts": "127.0.0.1 localhost\n127.0.1.1 offline\n",
                  **({} if plan.has_daemon else host_user.settings()),
                  "start.sh": engines.script(*commands(plan, python)),
                  "init.sh": _init(plan)},
        ready=lambda: _is_ready(plan))


def _init(plan: Plan) -> str:
    return engines.script(["touch", str(READY)]) + engines.wait_for(
        *(("dockerd",) if plan.has_daemon else ("sleep", "infinity")))


def commands(plan: Plan, python: Python) -> Iterator[list[str]]:
    """What PID 1 does, in turn: build the root, go there, leave the old one behind."""
    folder = plan.folder("host")
    root = folder / "root"
    etc = root / "etc"
    certificates = etc / "docker/certs.d" / plan.registry_address
    yield ["mount", "-t", "tmpfs", "-o", "mode=0755", "airlock", str(root)]
    for name in SYSTEM:
        yield from _share_system(root, name)
    if not python.is_system:
        yield from _bind(python.prefix, root / python.prefix.relative_to("/"))
    yield ["mkdir", "-p", *(str(root / folder) for folder in (
        "etc/ssh", "etc/ssl", "proc", "sys", "dev/pts", "dev/shm", "tmp", "run", "mnt", "opt",
        "var/lib", "var/log", "var/tmp", "old"))]
    yield ["ln", "-s", "/run", str(root / "var/run")]
    yield ["chmod", "1777", str(root / "tmp"), str(root / "var/tmp"), str(root / "dev/shm")]
    for pattern in ETC:
        for path in sorted(Path("/etc").glob(pattern)):
            yield ["cp", "-a", str(path), str(root / path.relative_to("/"))]
    yield ["mkdir", "-p", str(certificates)]
    yield ["cp", str(plan.ca), str(certificates / "ca.crt")]
    yield ["cp", str(folder / "daemon.json"), str(etc / "docker/daemon.json")]
    yield ["cp", str(folder / "hosts"), str(etc / "hosts")]
    yield ["cp", str(folder / "init.sh"), str(root / "init.sh")]
    if not plan.has_daemon:
        yield from host_user.commands(folder, root)
    yield from _bind(plan.trust, root / plan.trust_inside.relative_to("/"))
    if plan.store and plan.store_inside:
        yield from _bind(plan.store, root / plan.store_inside.relative_to("/"))
    yield from _bind(plan.disk, root / HOME.relative_to("/"), writable=True)
    yield from _bind(folder / plan.images, root / "var/lib" / plan.images, writable=True)
    yield from _kernel(root)
    yield ["cd", str(root)]
    yield ["pivot_root", ".", "old"]
    yield ["umount", "-l", "/old"]
    yield ["rmdir", "/old"]
    yield ["exec", "env", "-i", f"PATH={PATH}", "HOME=/root", f"{daemons.MARK}={folder}",
           "sh", "/init.sh"]


def _share_system(root: Path, name: str) -> Iterator[list[str]]:
    source = Path("/") / name
    if source.is_symlink():
        yield ["ln", "-s", str(source.readlink()), str(root / name)]
    elif source.is_dir():
        yield from _bind(source, root / name)


def _bind(source: Path, target: Path, *, writable: bool = False) -> Iterator[list[str]]:
    yield ["mkdir", "-p", str(target)]
    yield ["mount", "--bind", str(source), str(target)]
    if not writable:
        yield ["mount", "-o", "remount,bind,ro", str(target)]


def _kernel(root: Path) -> Iterator[list[str]]:
    """The kernel's own file systems: the engine needs control groups, and few devices."""
    yield ["mount", "-t", "proc", "proc", str(root / "proc")]
    yield ["mount", "--rbind", "/sys", str(root / "sys")]
    for name in DEVICES:
        device = root / "dev" / name
        yield ["touch", str(device)]
        yield ["mount", "--bind", f"/dev/{name}", str(device)]
    yield ["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts",
           str(root / "dev/pts")]
    for name, target in {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
                         "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}.items():
        yield ["ln", "-s", target, str(root / "dev" / name)]
    # IPv6 would give the host's end an address that answers on the wire.
    yield ["sh", "-c", "echo 1 2>/dev/null > /proc/sys/net/ipv6/conf/all/disable_ipv6 || :"]
    yield ["sh", "-c", "echo offline > /proc/sys/kernel/hostname"]


def prepare(plan: Plan) -> None:
    """Make the folders that the host sees; end a host that can't be used as it is.

    It may see folders which are no more, have another engine, or still be at work on a crossing
    that was killed here.
    """
    for shown in (plan.folder("host") / "root", plan.folder("host") / plan.images, plan.disk,
                  plan.store):
        if shown:
            shown.mkdir(parents=True, exist_ok=True)
    host_user.give(plan)
    folder = plan.folder("host")
    outer = daemons.running(folder)
    inner = outer and daemons.child_of(outer)
    init = folder / "init.sh"
    is_other = init.is_file() and init.read_text() != _init(plan)
    if cut_off(folder) or is_other or (inner and _is_ready(plan) and not _sees(plan, inner)):
        daemons.stop(folder)


@contextmanager
def at_work(folder: Path, pipeline: str) -> Iterator[None]:
    """Note in the host's folder that this process is at a pipeline's crossing."""
    note = folder / "crossing" / pipeline
    daemons.record(note, os.getpid())
    try:
        yield
    finally:
        daemons.pid_file(note).unlink(missing_ok=True)


def cut_off(folder: Path) -> bool:
    """Whether a crossing's process ended without its `at_work`; tells so once."""
    notes = [note for note in (folder / "crossing").glob("*/pid")
             if daemons.recorded(note.parent) is None]
    for note in notes:
        note.unlink()
    return bool(notes)


def _sees(plan: Plan, inner: int) -> bool:
    shown = [(plan.disk, HOME), (plan.trust, plan.trust_inside)]
    if plan.store and plan.store_inside:
        shown.append((plan.store, plan.store_inside))
    try:
        return all(here.samefile(f"/proc/{inner}/root{there}") for here, there in shown)
    except OSError:
        return False


def _is_ready(plan: Plan) -> bool:
    outer = daemons.running(plan.folder("host"))
    inner = outer and daemons.child_of(outer)
    if not inner:
        return False
    there = Path(f"/proc/{inner}/root")
    return (there / READY.relative_to("/")).exists() and (
        not plan.has_daemon or engines.answers(Path(f"{there}{SOCKET}")))


def run_inside(site: Site | str, command: Sequence[str | Path], *, cwd: Path = HOME,
               env: Mapping[str, str] | None = None, log: Path | None = None,
               stdin: bytes | None = None, timeout: float | None = None,
               rootless: bool = False) -> str:
    """Run a command on the offline host as core's `processes.run` does on this one.

    Its environment is PATH and HOME, with `env` added; `rootless` it is the host's user's, else
    root's. HostError where the host isn't up.
    """
    inner = first_process(site if isinstance(site, str) else site.name)
    enter = ["nsenter", "--target", str(inner), "--mount", "--uts", "--ipc", "--net", "--pid",
             "--root", *((f"--setuid={host_user.ID}", f"--setgid={host_user.ID}")
                         if rootless else ()), "env", f"--chdir={cwd}"]
    own = {"XDG_RUNTIME_DIR": str(host_user.RUNTIME)} if rootless else {}
    return processes.run([*enter, *command], log=log, stdin=stdin, timeout=timeout,
                         env={"PATH": PATH, "HOME": str(HOME), "LANG": "C.UTF-8", **own,
                              **(env or {})})


def first_process(site: str) -> int:
    """PID 1 of the offline host, as it is called here; HostError where the host isn't up."""
    folder = SitePaths(site=site).sandbox.absolute() / "host"
    outer = daemons.running(folder)
    inner = outer and daemons.child_of(outer)
    if not inner:
        raise HostError("the offline host is not running", where=folder, todo="doit sandbox:up")
    return inner


def path_with(prefix: Path) -> str:
    """The offline host's PATH, with the Python below `prefix` in it."""
    programs = str(prefix / "bin")
    return PATH if programs in PATH.split(":") else f"{programs}:{PATH}"


def denied() -> str | None:
    """Say why no namespaces can be made here; None where they can."""
    if os.geteuid() != 0:
        return "this user is not root"
    done = subprocess.run(["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork",
                           "true"], check=False, capture_output=True, text=True)
    return None if done.returncode == 0 else plain_lines(done.stderr).strip() or "unshare failed"
