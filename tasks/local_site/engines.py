"""The two Docker engines: the online one, and what both have in common."""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.local_site import daemons
from tasks.local_site.daemons import Daemon
from tasks.local_site.plan import Plan

NAMESPACES = ("--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
"""unshare's words: PID 1 of a namespace takes everything that it started along when it ends."""

WAIT = """\
trap : TERM
{command} &
engine=$!
while wait "$engine"; status=$?; kill -0 "$engine" 2>/dev/null; do :; done
exit "$status"
"""
"""PID 1: a shell that reaps orphans, lets the engine end in its own time, and ends with it."""


def online(plan: Plan) -> Daemon:
    """The engine of the online side: the host's network and files, its own socket and data.

    It trusts the private CA through SSL_CERT_DIR (Go's crypto/x509), so /etc/docker stays as it is.
    """
    folder = plan.folder("engine")
    run = plan.engine.parent if plan.engine else Path()
    settings = settings_of(
        hosts=[f"unix://{plan.engine}"], data=folder / "data", run=run,
        cgroup=f"/{plan.cgroup}/online")
    # A containerd of the host would be used, if its socket could be seen.
    hide = [["mount", "-t", "tmpfs", "tmpfs", folder] for folder in ("/run/containerd",)
            if Path(folder).is_dir()]
    return Daemon(
        name="online engine", folder=folder,
        command=("unshare", *NAMESPACES, "--propagation", "slave", "sh", str(folder / "start.sh")),
        environment={"SSL_CERT_DIR": f"{plan.ca.parent}:/etc/ssl/certs"},
        settings={"daemon.json": json.dumps(settings, indent=2) + "\n",
                  # A killed engine's pid would be taken for the new one's own.
                  "start.sh": script(["rm", "-rf", str(run)], ["mkdir", "-m", "0700", str(run)],
                                     *hide)
                  + wait_for("dockerd", "--config-file", str(folder / "daemon.json"))},
        ready=lambda: plan.engine is not None and answers(plan.engine))


def settings_of(*, hosts: list[str], data: Path, run: Path, cgroup: str) -> dict[str, Any]:
    """daemon.json: no bridge and no firewall rules, since the host may have another engine."""
    return {"hosts": hosts, "data-root": str(data), "exec-root": str(run / "exec"),
            "pidfile": str(run / "docker.pid"), "bridge": "none", "iptables": False,
            "ip6tables": False, "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": cgroup, "log-level": "warn", "shutdown-timeout": 3}


def script(*commands: Sequence[str]) -> str:
    """A shell script that runs the commands in turn and ends at the first that fails."""
    return "set -eu\n" + "".join(shlex.join(command) + "\n" for command in commands)


def wait_for(*command: str) -> str:
    """The script's last part: run the engine as the namespace's one purpose."""
    return WAIT.format(command=shlex.join(command))


def answers(path: Path) -> bool:
    """Whether a Docker engine answers at a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in client.recv(64)
        except OSError:
            return False


def stop(plan: Plan) -> bool:
    """End the online engine, and remove its socket's folder."""
    ended = daemons.stop(plan.folder("engine"))
    if plan.engine and plan.engine.parent.is_dir():
        for path in sorted(plan.engine.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        plan.engine.parent.rmdir()
    return ended


def remove_cgroups(plan: Plan) -> None:
    """Remove the control groups that ended containers leave behind."""
    root = Path("/sys/fs/cgroup")
    for top in (root / plan.cgroup, *root.glob(f"*/{plan.cgroup}")):
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                return
