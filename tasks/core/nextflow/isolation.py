"""Starting a program whose code nobody has read: what it may see, write and reach is named.

It has a file system of its own (programs, libraries and the few files of /etc that they need,
read-only, and what the caller names), an empty network, a list of processes that holds its own
alone, and no capability; whatever it started ends with it. Where the system gives us no namespaces
for that, it isn't started, unless the site allows it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import HostError, plain_lines

logger = logging.getLogger(__name__)

FULL, NONE = "namespaces", "none"
"""What a site's key `isolation` may say, and a release of how its code was read."""

PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
            "/gnu/store")
SETTINGS = ("alternatives", "crypto-policies", "fonts", "group", "hosts", "java", "jvm",
            "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "nsswitch.conf", "passwd",
            "pki/ca-trust", "pki/java", "pki/tls", "ssl/certs", "timezone")
"""What programs read below /etc; Java's folders there are found by their names."""
RESOLVER = ("resolv.conf", "host.conf", "gai.conf", "services")
"""What those read besides that have a network."""

SCRIPT = """\
set -eu
PATH=$PATH:/usr/sbin:/sbin
unset TMPDIR
root=/sys  # it is there on every system, and nothing that is shown lies below it
mount -t tmpfs -o mode=755 tmpfs $root
mkdir $root/tmp $root/proc $root/dev $root/dev/shm $root/.before
mount -t tmpfs -o mode=1777,nosuid,nodev,size=1g tmpfs $root/tmp
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $root/dev/shm
mount -t proc -o ro,nosuid,nodev,noexec proc $root/proc
for name in null zero full random urandom; do
    : > $root/dev/$name
    mount --bind /dev/$name $root/dev/$name
done
ln -s /proc/self/fd $root/dev/fd
here=$1
shift
while [ "$1" != -- ]; do
    mode=$1 path=$2
    shift 2
    if [ -L "$path" ] && [ "$mode" = link ]; then
        mkdir -p "$root${path%/*}"
        ln -s "$(readlink "$path")" "$root$path"
        continue
    fi
    if [ ! -e "$root$path" ]; then
        if [ -d "$path" ]; then mkdir -p "$root$path"
        else mkdir -p "$root${path%/*}"; : > "$root$path"
        fi
    fi
    mount --rbind "$path" "$root$path"
    if [ "$mode" = write ]; then mount -o remount,bind,nosuid,nodev "$root$path"
    else mount -o remount,bind,ro "$root$path"
    fi
done
shift
cd $root
pivot_root . .before
umount -l /.before
rmdir /.before
mount -o remount,bind,ro /
cd "$here"
ulimit -f 8388608
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
"""
"""`link` shows a path as the symbolic link that it may be, `read` and `write` what it leads to.

Root without capabilities still owns root's files, hence /proc read-only: it holds switches of the
kernel that ask for no more than the owner. No file may grow beyond 4 GiB (in units of 512 bytes).
"""

NETWORK = "--net"
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", NETWORK, "--ipc", "--uts")


@dataclass(frozen=True, kw_only=True)
class Means:
    """How programs are confined here: words that start one, and whether those hide files.

    `why_not` is what the system said where they don't.
    """

    words: tuple[str, ...]
    hides: bool
    why_not: str = ""


def confined(command: Sequence[str | Path], *, cwd: Path, reads: Iterable[Path] = (),
             writes: Iterable[Path] = (), network: bool = False, least: str = FULL) -> list[str]:
    """The words that start `command` in the folder `cwd`, confined.

    All paths are absolute; `reads` and `writes` are what it may see besides the system's programs,
    and what lies below another one is as it says itself. With `network` it has this host's.
    Raises HostError where this system can't confine it, unless `least` is NONE: then that is
    printed, and as much is kept from it as can be.
    """
    means = _means()
    words = [os.fspath(word) for word in command]
    if _held(means, least) == NONE:
        _say(bool(means.words))
        return [*(() if network else means.words), *words]
    shown = [*(("link", Path(path)) for path in _system()), *(("read", path) for path in reads),
             *(("write", path) for path in writes)]
    if network:
        shown += [("read", Path("/etc") / name) for name in RESOLVER
                  if (Path("/etc") / name).exists()]
    listed = [word for mode, path in sorted(shown, key=lambda entry: entry[1].parts)
              for word in (mode, os.fspath(path))]
    start = [word for word in means.words if not (network and word == NETWORK)]
    return [*start, "sh", "-c", SCRIPT, "sh", os.fspath(cwd), *listed, "--", *words]


def level(least: str) -> str:
    """Return how far programs are confined here: FULL, or NONE where `least` allows it.

    Raises HostError where this system makes no namespaces and `least` is not NONE.
    """
    return _held(_means(), least)


def _held(means: Means, least: str) -> str:
    if means.hides:
        return FULL
    if least == NONE:
        return NONE
    raise HostError(
        "this system makes no namespaces for us, so a pipeline's code can't be kept from this "
        f"user's files, keys and network: it was not run ({means.why_not})", where="unshare",
        todo="run as root, or let users make them (kernel.unprivileged_userns_clone=1, "
             "user.max_user_namespaces above 0, and with AppArmor "
             "kernel.apparmor_restrict_unprivileged_userns=0); in a container, allow unshare and "
             "mount (its seccomp and AppArmor profiles, CAP_SYS_ADMIN); or, where every "
             "pipeline's code is trusted, set `isolation: none` in the site's file, which "
             "each release then tells")


def _system() -> tuple[str, ...]:
    etc = Path("/etc")
    settings = [etc / name for name in SETTINGS] + sorted(etc.glob("java-*"))
    return tuple(str(path) for path in (*map(Path, PROGRAMS), *settings) if path.exists())


def _means() -> Means:
    """The strongest means that work here, which is tried."""
    reasons = []
    with tempfile.TemporaryDirectory() as folder:
        for rights in ((), ("--map-root-user",)):
            means = Means(words=("unshare", *rights, *NAMESPACES), hides=True)
            tried = [*means.words, "sh", "-c", SCRIPT, "sh", "/", "link", "/usr", "link", "/bin",
                     *(word for path in ("/lib", "/lib64") if Path(path).exists()
                       for word in ("link", path)), "write", folder, "--", "true"]
            why_not = _fault(tried)
            if why_not is None:
                return means
            reasons.append(why_not)
    return Means(words=without_network(), hides=False, why_not="; ".join(dict.fromkeys(reasons)))


def without_network() -> tuple[str, ...]:
    """The words that start a command in a network namespace of its own, or none."""
    for words in (("unshare", NETWORK), ("unshare", "--map-root-user", NETWORK)):
        if _fault([*words, "true"]) is None:
            return words
    return ()


def _fault(command: Sequence[str]) -> str | None:
    """What a command says last where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if done.returncode == 0:
        return None
    return (plain_lines(done.stderr).strip().splitlines() or [f"status {done.returncode}"])[-1]


def _say(network: bool) -> None:
    logger.warning("NOT ISOLATED: this system lets us make no namespaces, and the site allows "
                   "that: the pipeline's code runs with a clean environment%s, but sees this "
                   "user's files", " and no network" if network else "")
