"""Starting a program whose code nobody has read: what it may see, write and reach is named.

Where the system gives us namespaces, the program has a file system of its own (programs, libraries
and the few files of /etc that they need, read-only, and what the caller names), an empty network,
a list of processes that holds its own alone, and no capability; whatever it started ends with it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
            "/gnu/store")
SETTINGS = ("alternatives", "crypto-policies", "fonts", "group", "hosts", "java", "jvm",
            "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "nsswitch.conf", "passwd",
            "pki/ca-trust", "pki/java", "pki/tls", "ssl/certs", "timezone")
"""What programs read below /etc; Java's folders there are found by their names."""

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
    [ "$mode" = write ] || mount -o remount,bind,ro "$root$path"
done
shift
cd $root
pivot_root . .before
umount -l /.before
rmdir /.before
mount -o remount,bind,ro /
cd "$here"
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
"""
"""`link` shows a path as the symbolic link that it may be, `read` and `write` what it leads to.

Root without capabilities still owns root's files, hence /proc read-only: it holds switches of the
kernel that ask for no more than the owner.
"""

NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts")


@dataclass(frozen=True, kw_only=True)
class Means:
    """How programs are confined here: words that start one, and whether those hide files."""

    words: tuple[str, ...]
    hides: bool


def confined(command: Sequence[str | Path], *, cwd: Path, reads: Iterable[Path] = (),
             writes: Iterable[Path] = ()) -> list[str]:
    """The words that start `command` in the folder `cwd`, confined as far as the system lets us.

    All paths are absolute; `reads` and `writes` are what it may see besides the system's programs.
    What can't be confined is printed, once in a process.
    """
    means = _means()
    words = [os.fspath(word) for word in command]
    if not means.hides:
        _say(bool(means.words))
        return [*means.words, *words]
    shown = [*(("link", Path(path)) for path in _system()), *(("read", path) for path in reads),
             *(("write", path) for path in writes)]
    listed = [word for mode, path in sorted(shown, key=lambda each: each[1].parts)
              for word in (mode, os.fspath(path))]
    return [*means.words, "sh", "-c", SCRIPT, "sh", os.fspath(cwd), *listed, "--", *words]


@lru_cache
def _system() -> tuple[str, ...]:
    etc = Path("/etc")
    settings = [etc / name for name in SETTINGS] + sorted(etc.glob("java-*"))
    return tuple(str(path) for path in (*map(Path, PROGRAMS), *settings) if path.exists())


@lru_cache
def _means() -> Means:
    """The strongest means that work here, which is tried."""
    with tempfile.TemporaryDirectory() as folder:
        for rights in ((), ("--map-root-user",)):
            means = Means(words=("unshare", *rights, *NAMESPACES), hides=True)
            tried = [*means.words, "sh", "-c", SCRIPT, "sh", "/", "link", "/usr", "link", "/bin",
                     *(word for path in ("/lib", "/lib64") if Path(path).exists()
                       for word in ("link", path)), "write", folder, "--", "true"]
            if _works(tried):
                return means
    return Means(words=without_network(), hides=False)


@lru_cache
def without_network() -> tuple[str, ...]:
    """The words that start a command in a network namespace of its own, or none."""
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if _works([*words, "true"]):
            return words
    return ()


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@lru_cache
def _say(network: bool) -> None:
    print("NOT ISOLATED: this system lets us make no namespaces, so the pipeline's code is read "
          f"with a clean environment{' and no network' if network else ''}, but sees this user's "
          "files", flush=True)
