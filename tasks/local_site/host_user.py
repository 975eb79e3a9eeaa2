"""The offline host's user, who runs what needs no daemon: rootless Podman, its ids and settings.

Numbers that no system gives to its users (systemd, "Users, Groups, UIDs and GIDs"): what this user
writes lies in the project's folder, too, where it must belong to nobody of this machine.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from tasks.local_site.plan import Plan

NAME, ID = "airlock", 60789
SUBORDINATE = 1_900_000_000
"""The first of its 65,536 subordinate ids."""
RUNTIME = Path(f"/run/user/{ID}")
LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
"""containers-policy.json(5): images are held against digests that a release names."""


def settings() -> dict[str, str]:
    """The files of the host's /etc, by name, that make the user and set up Podman.

    Containers have no network, as Docker's here, and their processes the limits that we have:
    Podman's own defaults are more than may be given where we lack CAP_SYS_RESOURCE.
    """
    ids = f"{NAME}:{SUBORDINATE}:65536\n"
    limits = [f'"{name}={":".join(str(number) for number in resource.getrlimit(kind))}"'
              for name, kind in LIMITS.items()]
    return {"user": f"{NAME}:x:{ID}:{ID}::/home/airlock:/bin/sh\n", "group": f"{NAME}:x:{ID}:\n",
            "subuid": ids, "subgid": ids, "policy.json": POLICY,
            "containers.conf": f'[containers]\nnetns = "none"\ndefault_ulimits = '
                               f'[{", ".join(limits)}]\n[engine]\ncgroup_manager = "cgroupfs"\n'
                               'events_logger = "file"\nruntime = "runc"\n'}


def commands(folder: Path, root: Path) -> Iterator[list[str]]:
    """What lays these files, from the host's `folder`, into its `root`, and the user's own."""
    etc = root / "etc"
    yield ["mkdir", "-p", str(etc / "containers"), str(root / RUNTIME.relative_to("/"))]
    yield ["touch", str(etc / "resolv.conf")]  # Apptainer shows it to tasks; it names nobody
    for name in ("subuid", "subgid"):
        yield ["cp", str(folder / name), str(etc / name)]
    for name in ("policy.json", "containers.conf"):
        yield ["cp", str(folder / name), str(etc / "containers" / name)]
    for name, into in (("user", "passwd"), ("group", "group")):
        yield ["sh", "-c", 'cat "$1" >> "$2"', "sh", str(folder / name), str(etc / into)]
    own = str(root / RUNTIME.relative_to("/"))
    yield ["chown", f"{ID}:{ID}", own]
    yield ["chmod", "0700", own]


def give(plan: Plan) -> None:
    """Let who runs things on the host have its disk, and this user read the trust folder.

    Outside, both are root's; and the disk is another's where the engine was another before.
    """
    before, owner = plan.disk.stat().st_uid, 0 if plan.has_daemon else ID
    if owner != before:
        for folder, folders, names in os.walk(plan.disk):
            for name in (".", *folders, *names):
                path = Path(folder, name)
                if path.lstat().st_uid == before:  # and no subordinate one's
                    os.chown(path, owner, owner, follow_symlinks=False)
    if plan.has_daemon:
        return
    for path in (plan.trust, *plan.trust.iterdir()):
        os.chown(path, 0, ID)
        owner = path.stat().st_mode & 0o700
        path.chmod(owner | (owner & 0o500) >> 3)
