"""A pipeline in a git repository: what a revision means, and the files of a commit."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tasks.core import files, processes, urls
from tasks.core.errors import CommandError, IntegrityError, SourceError

INSTALL_GIT = "install git (on Debian: apt-get install git)"
TOKEN = "AIRLOCK_GIT_TOKEN"  # noqa: S105 - its name, not its value
"""The environment's variable with a token for https; any user's name goes with it at the forges."""
SUBMODULE, LINK, EXECUTABLE = "160000", "120000", "100755"


def resolve(cache: Path, url: str, revision: str, *, log: Path) -> tuple[str, int]:
    """Fetch `url` into the bare repository `cache`; the commit of `revision` and its time.

    A revision is a tag, else a branch, else a commit's digits (seven or more). The time is the
    committer's, in seconds since 1970.
    """
    _git(cache, "init", "--quiet", "--bare", str(cache.absolute()), at=False)
    for stale in cache.rglob("*.lock"):  # of a fetch that was killed; no other run is at work
        stale.unlink()
    local = ["-c", "protocol.file.allow=always"] if url.startswith("file://") else []
    local += _login(url)
    try:
        _git(cache, *local, "fetch", "--quiet", "--force",
             "--prune", "--no-write-fetch-head", "--no-auto-gc", "--", url,
             "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", log=log)
    except CommandError as error:
        said = "\n".join(f"    | {line}" for line in error.tail)
        raise SourceError(f"the pipeline's repository can't be fetched:\n{said}",
                          where=urls.redact(url),
                          todo="look at `source` in the pipeline's config, hosts.urls in the "
                               f"site's, {TOKEN} (https) or the SSH agent (ssh), and git's proxy"
                          ) from error
    commit = _commit(cache, revision)
    if commit is None:
        raise SourceError(f"the repository has no tag, branch or commit {revision!r}"
                          + _nearest(cache, revision), where=urls.redact(url),
                          todo="look at `revision` in the pipeline's config")
    return commit, int(_git(cache, "show", "--no-patch", "--format=%ct", commit))


def _login(url: str) -> list[str]:
    """Let git ask for the token where this very host wants a login, over TLS alone.

    The token stands in git's environment, never on a command line. Git asks the helper for the host
    it talks to, so that one it was redirected to gets nothing.
    """
    if not os.environ.get(TOKEN) or not url.startswith("https://"):
        return []
    place = f"credential.{urlunsplit((*urlsplit(url)[:2], '', '', ''))}"
    answer = f'test "$1" = get && printf "username=token\\npassword=%s\\n" "${TOKEN}"'
    return ["-c", f"{place}.helper=", "-c", f"{place}.helper=!f() {{ {answer}; }}; f"]


def write_tree(cache: Path, commit: str, root: Path) -> None:
    """Write the files of `commit` below the empty folder `root`, byte for byte as committed.

    No filter, attribute or hook is applied. Submodules are refused.
    """
    entries = []
    told = processes.read([*_command(cache), "ls-tree", "-r", "-z", "--full-tree", commit],
                          env=_environment())
    for line in os.fsdecode(told).split("\0"):
        if line:
            about, _, name = line.partition("\t")
            mode, _, blob = about.split()
            entries.append((mode, blob, name))
    submodules = [name for mode, _, name in entries if mode == SUBMODULE]
    if submodules:
        raise SourceError(f"the pipeline has submodules: {', '.join(submodules)}",
                          todo="submodules are not supported; use a revision that holds the "
                               "files themselves")
    contents = _blobs(cache, [blob for _, blob, _ in entries])
    # Links come last: a tree made to deceive could name a file behind one.
    for (mode, _, name), content in sorted(zip(entries, contents, strict=True),
                                           key=lambda each: each[0][0] == LINK):
        _write(root, name, mode, content)


def _write(root: Path, name: str, mode: str, content: bytes) -> None:
    target = files.inside(root, name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == LINK:
            target.symlink_to(os.fsdecode(content))
            return
        with target.open("xb") as stream:
            stream.write(content)
    except FileExistsError as error:
        raise IntegrityError(f"the commit names {name!r} twice", where=root) from error
    target.chmod(0o755 if mode == EXECUTABLE else 0o644)


def _blobs(cache: Path, names: list[str]) -> list[bytes]:
    """The contents of blobs, in order; the format is that of `git cat-file --batch`."""
    told = processes.read([*_command(cache), "cat-file", "--batch"], env=_environment(),
                          stdin="".join(f"{name}\n" for name in names).encode())
    contents, at = [], 0
    for name in names:
        end = told.index(b"\n", at)
        _, kind, size = told[at:end].decode().split()
        if kind != "blob":
            raise IntegrityError(f"{name} is a {kind}, not a file", where=cache)
        contents.append(told[end + 1:end + 1 + int(size)])
        at = end + 1 + int(size) + 1
    return contents


def _commit(cache: Path, revision: str) -> str | None:
    candidates = [f"refs/tags/{revision}", f"refs/heads/{revision}"]
    if re.fullmatch(r"[0-9a-f]{7,64}", revision):
        candidates.append(revision)
    for candidate in candidates:
        with contextlib.suppress(CommandError):
            return _git(cache, "rev-parse", "--verify", "--quiet", "--end-of-options",
                        f"{candidate}^{{commit}}").strip()
    return None


def _nearest(cache: Path, revision: str) -> str:
    known = _git(cache, "for-each-ref", "--format=%(refname:lstrip=2)").split()
    near = difflib.get_close_matches(revision, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _git(cache: Path, *words: str, at: bool = True, log: Path | None = None) -> str:
    command = [*(_command(cache) if at else _command(None)), *words]
    return processes.run(command, env=_environment(), log=log)


def _command(cache: Path | None) -> list[str]:
    program = processes.find("git", todo=INSTALL_GIT)
    safe = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "log.showSignature=false",
            "protocol.allow=never",
            *(f"protocol.{each}.allow=always" for each in ("https", "http", "ssh"))]
    return [program, *(word for each in safe for word in ("-c", each)),
            *(["--git-dir", str(cache.absolute())] if cache else [])]


def _environment() -> dict[str, str]:
    """Ours, without what would point git elsewhere, and without questions to a terminal."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                            "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
                            "GIT_CEILING_DIRECTORIES", "GIT_ASKPASS", "SSH_ASKPASS")}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
            "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")}
