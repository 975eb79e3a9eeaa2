"""Who may enter and who may write: what is private on a machine that others use too.

What is built for a site holds carried data, logs and logins, so build/<site> is its user's alone
(mode 0700), whatever the umask says: nothing below it can be reached, so what lies there may keep
the plain modes that containers with a user of their own need of the files mounted into them. The
umask itself is left alone: results are the user's to share. Copies of a file are never open to
more than the file is (`files.copy`), and in a folder store the store's own folder says who reads.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from tasks.core.errors import HostError

MAX_LINKS = 40
"""Symbolic links on the way to a file, as Linux follows them (path_resolution(7))."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_folder(path: Path) -> None:
    """Make the folder for this user alone, or close the one that is there.

    HostError where it belongs to somebody else.
    """
    for parent in reversed(path.parents):
        parent.mkdir(mode=0o755, exist_ok=True)  # nobody else may put another in its place
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.stat()
    if stat.S_IMODE(status.st_mode) & 0o077:
        try:
            path.chmod(0o700)
        except PermissionError as error:
            raise HostError(f"others may look into what is built here, and it belongs to "
                            f"{owner(status)}", where=path.absolute(),
                            todo=f"its owner closes it: chmod 700 {path.absolute()}") from error


def own_folder(path: Path) -> None:
    """Make a folder for this user alone where others make theirs too, such as /var/tmp.

    HostError where somebody else was first, by a folder, a link or anything else.
    """
    refuse_writable_by_others(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise HostError("this must be a folder, and no link to one", where=path,
                        todo=f"find out who put it there; then remove it: rm {path}")
    if status.st_uid != os.geteuid():
        raise HostError(f"this folder belongs to {owner(status)}, who could change what runs here",
                        where=path, todo="have it removed, or name another work folder: "
                                         "NXF_WORK=/folder")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise HostError(f"this folder is open to others (mode {_mode(status)}), who may have "
                        "changed what it holds", where=path,
                        todo=f"look into it, then remove it: rm -r {path}")


def refuse_writable_by_others(path: Path, *, also: int | None = None) -> None:
    """HostError unless root and this user alone can change the file, or what its path leads to;
    or, `also`, the user who fills what others read.

    As sshd's StrictModes: the file and each folder up to / belong to root or to this user, and
    are writable for nobody else, but for folders of root's where each removes only what is theirs
    (the sticky bit, /tmp). Where a link stands on the way, its own folder and what it leads to
    both count. What isn't there is no fault here. Where another user is trusted by what is theirs,
    /tmp won't do: there anybody could be the first.
    """
    waiting = list(reversed(path.absolute().parts[1:]))
    at, links = Path("/"), 0
    _refuse(at, at.lstat(), also)
    while waiting:
        name = waiting.pop()
        if name == "..":
            at = at.parent
            continue
        try:
            status = (at / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
        _refuse(at / name, status, also)
        if not stat.S_ISLNK(status.st_mode):
            at = at / name
            continue
        links += 1
        if links > MAX_LINKS:
            raise HostError("too many links on the way", where=path)
        target = (at / name).readlink()
        waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        at = Path("/") if target.is_absolute() else at


def _refuse(path: Path, status: os.stat_result, also: int | None) -> None:
    own = (0, os.geteuid())
    if status.st_uid not in (*own, also):
        raise HostError(f"this belongs to {owner(status)}, who could change what is trusted here "
                        f"(mode {_mode(status)})", where=path, todo=f"chown -h root {path}")
    if stat.S_ISLNK(status.st_mode) or not status.st_mode & OTHERS_WRITE:
        return
    sticky = (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
              and status.st_uid == 0 and also in (None, *own))
    if not sticky and (status.st_mode & stat.S_IWOTH or not _is_own_group(status)):
        raise HostError(f"others can write here, and so change what is trusted (mode "
                        f"{_mode(status)}, {owner(status)})", where=path,
                        todo=f"chmod go-w {path}")


def _is_own_group(status: os.stat_result) -> bool:
    """Return whether the group is the owner's own: of the same name, without other members.

    Where users have such groups, as on Debian and Red Hat, the umask may leave them the writing.
    """
    import grp
    import pwd
    try:
        user, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return (user.pw_gid == status.st_gid and user.pw_name == group.gr_name
            and set(group.gr_mem) <= {user.pw_name})


def owner(status: os.stat_result) -> str:
    """Return the owner's name, or number where it has no name."""
    name = user_name(status.st_uid)
    return f"the user {name}" if name.isdecimal() else name


def user_name(user: int) -> str:
    """Return a user's name, or number where there is no name."""
    import pwd
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
