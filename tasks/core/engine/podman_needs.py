"""What Podman needs of a host, read from what it tells of itself (podman-info(1)).

What keeps every container from running is FAIL; what keeps some of them, or costs much, is WARN.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core import ownership
from tasks.core.disk import REMOTE, file_system
from tasks.core.findings import FAIL, OK, WARN, Finding

LEAST = (4, 0)
"""The oldest line that is taken. Tests run 4.3; those before 4.0 tell less by `podman info`, and
make rootless containers by other means."""
MANY_IDS = 65534
"""Subordinate ids with which images can be unpacked up to `nobody`, the highest id that they have;
`useradd` gives a user two more."""
LINGERING = Path("/var/lib/systemd/linger")
"""Has a file for each user whose processes outlive their login (loginctl(1))."""
CURES = (
    (re.compile(r"newuidmap|newgidmap"),
     "install newuidmap and newgidmap (Debian, Ubuntu: uidmap; Red Hat: shadow-utils)"),
    (re.compile(r"user namespace|max_user_namespaces|cannot clone"),
     "let users make namespaces (kernel.unprivileged_userns_clone=1, user.max_user_namespaces "
     "above 0, and with AppArmor kernel.apparmor_restrict_unprivileged_userns=0)"),
    (re.compile(r"runtime dir|/run/user|XDG_RUNTIME_DIR"),
     "log in by ssh or a console, which makes /run/user/<uid>, or set XDG_RUNTIME_DIR to a folder "
     "that is this user's alone"),
    (re.compile(r"database|storage driver|graph driver"),
     "have one storage driver and one graphroot for this user (storage.conf); `podman system "
     "reset` begins anew, and removes this user's images and containers"),
)
"""What to do, by Podman's own words."""


def too_old(version: str) -> Finding | None:
    """Return the line for a version that is too old, if it is."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers >= LEAST:
        return None
    return Finding(status=FAIL, text=f"podman is {version}, and {LEAST[0]}.{LEAST[1]} or later is "
                                     "needed",
                   cure="install a newer one, or name another engine in the site's "
                        "`offline.engine`")


def no_answer(fault: str) -> Finding:
    """Return the line for a Podman that can't even tell of itself, with what its words call for."""
    return Finding(status=FAIL, text=fault, cure=next(
        (cure for words, cure in CURES if words.search(fault)), "`podman info` says more"))


def of_host(version: str, info: Mapping[str, Any]) -> list[Finding]:
    """Return a line on what it is, and one for each thing that it lacks or could have better."""
    host, store = info["host"], info["store"]
    rootless = bool(host["security"]["rootless"])
    first = Finding(status=OK, text=f"podman {version}, {'rootless' if rootless else 'rootful'}: "
                    f"images at {store['graphRoot']} ({store['graphDriverName']}), control groups "
                    f"{host['cgroupVersion']}, {host['ociRuntime']['name']}")
    return [first, *(_rootless(host, store) if rootless else ()), *_of_store(store)]


def _rootless(host: Mapping[str, Any], store: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _ids(host, store)
    yield from _control_groups(host)
    yield from _login(store)
    if not any((host.get(name) or {}).get("executable") for name in ("slirp4netns", "pasta")):
        yield Finding(status=WARN, text="neither slirp4netns nor pasta is here, one of which makes "
                                        "a rootless container's network",
                      cure="install slirp4netns or passt; or, as tasks need no network, set "
                           '`netns = "none"` below [containers] in containers.conf')
    place = Path(store["graphRoot"])
    kind = file_system(place, Path("/proc/self/mounts").read_text())
    if kind in REMOTE:
        yield Finding(status=WARN, text=f"images lie at {place}, which is on another machine "
                                        f"({kind}): rootless containers can't be unpacked there",
                      cure="set `graphroot` in ~/.config/containers/storage.conf (or an "
                           "administrator `rootless_storage_path` in /etc/containers/storage.conf) "
                           "to a disk of this host")


def _ids(host: Mapping[str, Any], store: Mapping[str, Any]) -> Iterator[Finding]:
    """Subordinate ids; a store that is set not to mind owners (storage.conf(5)) does without."""
    mappings = host.get("idMappings") or {}
    if any("ignore_chown_errors" in name for name in store.get("graphOptions") or {}):
        return
    for name, file in (("uidmap", "/etc/subuid"), ("gidmap", "/etc/subgid")):
        held = sum(entry["size"] for entry in mappings.get(name) or ()) - 1
        if held < MANY_IDS:
            user = ownership.user_name(os.geteuid())
            yield Finding(
                status=FAIL, text=f"{user} has {held} subordinate ids in {file}, too few to unpack "
                                  "images with",
                cure="have an administrator give a range that is nobody else's: usermod "
                     f"--add-subuids 100000-165535 --add-subgids 100000-165535 {user}; then "
                     "`podman system migrate`")


def _control_groups(host: Mapping[str, Any]) -> Iterator[Finding]:
    if host["cgroupVersion"] != "v2":
        yield Finding(status=WARN, text="control groups are of version 1, in which a rootless "
                                        "container's memory and processors have no limit",
                      cure="boot with systemd.unified_cgroup_hierarchy=1, where others use this "
                           "host as well")
        return
    missing = {"cpu", "memory"} - set(host.get("cgroupControllers") or ())
    if missing:
        yield Finding(status=WARN, text=f"the control groups {' and '.join(sorted(missing))} are "
                                        "not this user's to set: tasks with limits may fail",
                      cure="have an administrator delegate them: [Service] Delegate=cpu cpuset io "
                           "memory pids in /etc/systemd/system/user@.service.d/delegate.conf, "
                           "then systemctl daemon-reload; and log in anew")


def _login(store: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether what Podman keeps of running containers goes with the login."""
    place, user = Path(store["runRoot"]), ownership.user_name(os.geteuid())
    if place.is_relative_to("/run/user") and Path("/run/systemd/system").is_dir() and not (
            LINGERING / user).exists():
        yield Finding(status=WARN, text=f"a run ends with this login: {place} goes with it",
                      cure=f"loginctl enable-linger {user}")


def _of_store(store: Mapping[str, Any]) -> Iterator[Finding]:
    if store["graphDriverName"] == "vfs":
        yield Finding(status=WARN, text="the storage driver vfs copies an image whole for each of "
                                        "its layers and each container",
                      cure="set `driver = \"overlay\"` in storage.conf, with fuse-overlayfs "
                           "installed where the kernel is older than 5.13")
