"""Files: atomic writes, digests, normalised archives, paths from outside."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tasks.core.errors import IntegrityError

CHUNK = 1 << 20
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@contextlib.contextmanager
def atomic(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Yield a temporary file in `path`'s folder that replaces `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` whole or not at all."""
    with atomic(path, mode=mode) as stream:
        stream.write(data)


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode(), mode=mode)


def json_bytes(value: Any) -> bytes:
    """The project's one form of JSON: sorted keys, two spaces, a newline at the end."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write `value` as JSON, whole or not at all."""
    write_bytes(path, json_bytes(value), mode=mode)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return sha256_of(stream)


def sha256_of(stream: IO[bytes]) -> str:
    """The SHA-256 of what a stream still has, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    while block := stream.read(CHUNK):
        digest.update(block)
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[Path]) -> dict[Path, str]:
    """The SHA-256 of each file, in the order of the paths; large ones are read side by side."""
    from tasks.core.parallel import run_all
    listed = list(paths)
    return dict(zip(listed, run_all(sha256, listed, threads=os.cpu_count() or 1), strict=True))


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def inside(root: Path, relative: str) -> Path:
    """`root/relative`, or IntegrityError where `relative` would leave `root`.

    Also refuses control characters: a newline in a name would forge a line of SHA256SUMS.
    """
    pure = PurePosixPath(relative)
    if (not relative or pure.is_absolute() or ".." in pure.parts
            or CONTROL.search(relative)):
        raise IntegrityError(f"the path {relative!r} is not allowed here", where=root,
                             todo="it must be relative, without '..' and control characters")
    return root / pure


def points_inside(name: str, link: str) -> bool:
    """Whether the symbolic link `name` of an archive or tree, to `link`, stays inside it.

    A `..` after a name counts as leaving: that name may be a link too, and its parent elsewhere.
    What no link can hold, nothing at all or a NUL, leads nowhere, so not inside.
    """
    if not link or "\0" in link:
        return False
    to = PurePosixPath(link)
    up = next((at for at, part in enumerate(to.parts) if part != ".."), len(to.parts))
    return (not to.is_absolute() and ".." not in to.parts[up:]
            and up < len(PurePosixPath(name).parts))


def copied_mode(source: os.stat_result) -> int:
    """The mode of a file's copy: no more open than the file itself, and its owner's to write."""
    return 0o600 | source.st_mode & 0o044


def copy(source: Path, target: Path) -> None:
    """Copy a file whole or not at all; others may read the copy if they may read the file."""
    with source.open("rb") as reader, \
            atomic(target, mode=copied_mode(os.fstat(reader.fileno()))) as writer:
        shutil.copyfileobj(reader, writer, CHUNK)


def write_new(path: Path, text: str) -> None:
    """Write a text file whole or not at all; FileExistsError where there is one already."""
    with scratch(path.parent, path.name) as folder:
        write_text(folder / path.name, text)
        os.link(folder / path.name, path)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, by hard link where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}.link"
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        copy(source, target)
    else:
        os.replace(temporary, target)
        temporary.unlink(missing_ok=True)  # rename() of two links to one file leaves both


def tree(root: Path) -> list[Path]:
    """All files and symbolic links below `root`, sorted, without version control's own folder."""
    paths = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        paths += [Path(folder) / name for name in [*names, *links]]
    return sorted(paths)


def write_tar(target: Path, root: Path, paths: Iterable[Path], *, mtime: int = 0,
              prefix: str = "", extra: dict[str, bytes] | None = None) -> None:
    """Write an uncompressed tar of `paths` (below `root`) whose bytes depend on content alone.

    Sorted names, `mtime` (seconds since 1970) for all, owner 0, modes 0644 or 0755 (after the
    owner's execute bit). `extra` adds files from memory. GNU format, so long names are whole.
    """
    import tarfile
    extra = extra or {}
    members = {f"{prefix}{path.relative_to(root).as_posix()}": path for path in paths}
    with atomic(target) as stream, \
            tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted({*members, *(f"{prefix}{key}" for key in extra)}):
            path = members.get(name)
            info = tarfile.TarInfo(name)
            info.mtime = mtime
            if path is None:
                data = extra[name[len(prefix):]]
                info.size, info.mode = len(data), 0o644
                archive.addfile(info, io.BytesIO(data))
            elif path.is_symlink():
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                archive.addfile(info)
            else:
                status = path.stat()
                info.size = status.st_size
                info.mode = 0o755 if status.st_mode & 0o100 else 0o644
                with path.open("rb") as reader:
                    archive.addfile(info, reader)


def atomic_folder(folder: Path, build: Callable[[Path], None]) -> None:
    """Fill a temporary folder by `build`, then let it take the place of `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part",
                                      dir=folder.parent))
    try:
        temporary.chmod(0o755)
        build(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextlib.contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """A temporary folder in `folder`, by its absolute path, which is gone when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".part", dir=folder) as made:
        yield Path(made).absolute()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs, after whoever holds it, in this process or another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def human_size(count: int) -> str:
    """Bytes for people, in powers of 1000: 38.4 kB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
