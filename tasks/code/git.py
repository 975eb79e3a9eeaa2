"""A pipeline in a git repository: what a revision means, and the files of a commit."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tasks.code import tree
from tasks.core import files, processes
from tasks.core.errors import CommandError, SourceError, quoted
from tasks.core.nearest import hint
from tasks.core.net import urls
from tasks.core.net.unreachable import unreachable

INSTALL_GIT = "install git (on Debian: apt-get install git)"
TOKEN = "AIRLOCK_GIT_TOKEN"  # noqa: S105 - its name, not its value
"""The environment's variable with a token for https; any user's name goes with it at the forges."""
FETCHED, FILES = 5 * 10**9, 100_000
"""Bytes and files that a repository may take up here, with its whole history."""
PATIENCE = 3600.0
"""Seconds for a fetch, and for the reading of a commit."""
ASKING, MAX_REFS = 120.0, 8 << 20
"""Seconds for a question, and bytes of its answer: some 100,000 branches and tags."""
HEAD = "HEAD"
MEMORY = 4 * 2**30
"""Bytes of address space for each of git's programs, which hold what is no file in memory whole."""
UNREACHED = re.compile(
    "could(?:n't| not) resolve (?:host|hostname|proxy)|could(?:n't| not) connect to server|"
    "connection refused|no route to host|network is unreachable|timed out|failed to connect to",
    re.IGNORECASE)
"""How curl and ssh say that there is no way to a host."""
NAMED = 5000
"""Revisions among which a near one is looked for."""
FETCHED_AS = "refs/airlock/revision"
"""The name in our own repository of the revision that was fetched."""
NOT_SHALLOW = re.compile(r"shallow|unadvertised|not our ref|[Cc]ouldn't find remote ref|--depth")
"""What git or a server says that can't give one commit, or not by its name (fetch-pack.c)."""
LIMITED = 'ulimit -f "$1" 2>/dev/null; ulimit -v "$2" 2>/dev/null; shift 2; exec "$@"'
"""A script that runs a program with bounds on each file (512 bytes) and on memory (KiB); where the
system's own are lower already, those hold."""


def resolve(cache: Path, url: str, revision: str, *, log: Path) -> tuple[str, int]:
    """Fetch a revision from `url` into the bare repository `cache`; its commit and that one's time.

    A revision is a tag, else a branch, else a commit's digits (seven or more). The time is the
    committer's, in seconds since 1970. No more than its files are fetched where the server can
    do that: one that can't brings the revision's history as well, and digits that aren't all of a
    commit's name bring all branches and tags.
    """
    _open(cache)
    try:
        commit = _revision(cache, url, revision, log)
    except processes.TooMuch as error:
        shutil.rmtree(cache, ignore_errors=True)
        raise SourceError(f"the repository has more than {files.human_size(FETCHED)} or {FILES} "
                          "files, and is not fetched", where=urls.redact(url),
                          todo="name an archive of the revision in `source`, with its sha256; if "
                               "the repository is a small one, run this again: what was kept of "
                               "it before is gone") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the repository was not fetched within {PATIENCE:.0f} seconds",
                          where=urls.redact(url), todo="look at the network, or name an archive "
                          "of the revision in `source`, with its sha256") from error
    except CommandError as error:
        raise _unfetched(url, error) from error
    if commit is None:
        raise SourceError(f"the repository has no tag, branch or commit {revision!r}"
                          + _nearest(url, revision), where=urls.redact(url),
                          todo="look at `revision` in the pipeline's config")
    # Not `git show`, which walks all of the tree even where it shows none of it.
    return commit, int(_git(cache, "rev-list", "--no-walk", "--format=%ct", commit).split()[-1])


def _open(cache: Path) -> None:
    """Make the repository that is fetched into; what a killed fetch left there goes."""
    _git(cache, "init", "--quiet", "--bare", str(cache.absolute()), at=False)
    for stale in (*cache.rglob("*.lock"), *cache.glob("objects/pack/tmp_*")):
        stale.unlink()  # no other run is at work


def _revision(cache: Path, url: str, revision: str, log: Path) -> str | None:
    """The commit of a revision, once it is in `cache`; None where the repository lacks it."""
    places = (f"refs/tags/{revision}", f"refs/heads/{revision}")
    advertised = _advertised(url, *places)
    wanted = next((place for place in places if place in advertised), None)
    digits = re.fullmatch(r"[0-9a-f]{7,64}", revision) if wanted is None else None
    if digits and len(revision) in (40, 64):
        wanted = revision
    if wanted is None:
        return _of_all(cache, url, revision, log) if digits else None
    try:
        _fetch(cache, url, "--depth=1", "--no-tags", refspecs=[f"+{wanted}:{FETCHED_AS}"], log=log)
    except CommandError as error:
        if not any(NOT_SHALLOW.search(line) for line in error.tail):
            raise
        if digits:
            return _of_all(cache, url, revision, log)
        _fetch(cache, url, "--no-tags", refspecs=[f"+{wanted}:{FETCHED_AS}"], log=log)
    return _commit(cache, FETCHED_AS)


def _of_all(cache: Path, url: str, revision: str, log: Path) -> str | None:
    """The commit of some of its digits, or of digits that the server doesn't let be asked for."""
    if (cache / "shallow").exists():  # what is cut off would be missing here
        shutil.rmtree(cache)
        _open(cache)
    _fetch(cache, url, "--prune", log=log,
           refspecs=["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
    return _commit(cache, revision)


def _advertised(url: str, *patterns: str) -> list[str]:
    """The names of a repository's branches and tags that fit; processes.TooMuch for too many."""
    listed = _git(None, *_access(url), "ls-remote", "--heads", "--tags", "--", url, *patterns,
                  most=MAX_REFS, timeout=min(ASKING, PATIENCE))
    return [line.partition("\t")[2] for line in listed.splitlines()]


def remote_refs(url: str) -> dict[str, str]:
    """The branches and tags of a repository, each with its commit; HEAD with its branch instead.

    Only a server of git's protocol 2 gives the name of HEAD's branch.
    """
    try:
        listing = _git(None, *_access(url), "ls-remote", "--symref", "--", url, HEAD,
                       "refs/heads/*", "refs/tags/*", most=MAX_REFS, timeout=ASKING)
    except processes.TooMuch as error:
        raise SourceError(f"the repository tells more than {files.human_size(MAX_REFS)} of "
                          "branches and tags", where=urls.redact(url),
                          todo="name a revision: revision=TAG") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"the repository didn't answer within {ASKING:.0f} seconds",
                          where=urls.redact(url), todo="look at the network") from error
    except CommandError as error:
        raise _unfetched(url, error) from error
    refs: dict[str, str] = {}
    for commit, _, name in (line.partition("\t") for line in listing.splitlines()):
        if not name.endswith("^{}"):  # what an annotated tag stands for
            refs.setdefault(name, commit.removeprefix("ref: "))
    if not refs.get(HEAD, "").startswith("refs/"):
        refs.pop(HEAD, None)
    return refs


def _access(url: str) -> list[str]:
    """What git is told for this URL alone: which protocols it may take, and our token."""
    local = ["-c", "protocol.file.allow=always"] if url.startswith("file://") else []
    if url.startswith("https://"):
        local += ["-c", "protocol.http.allow=never"]  # a redirect must not lead off TLS
    return local + _login(url)


def _unfetched(url: str, error: CommandError) -> SourceError:
    """Why a repository can't be asked, in git's own words."""
    if match := UNREACHED.search("\n".join(error.tail)):
        return unreachable(url, match[0])
    return SourceError(f"the pipeline's repository can't be fetched:\n{quoted(error.tail)}",
                       where=urls.redact(url),
                       todo="look at `source` in the pipeline's config, hosts.urls in the "
                            f"site's, {TOKEN} (https) or the SSH agent (ssh), and git's proxy")


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


def _fetch(cache: Path, url: str, *options: str, refspecs: Sequence[str], log: Path) -> None:
    """Run a fetch; processes.TooMuch where it brings more than it may, and TimeoutExpired."""
    def check() -> None:
        size = count = 0
        for folder, _, names in os.walk(cache):
            count += len(names)
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    size += os.lstat(f"{folder}/{name}").st_size
            if size >= FETCHED or count > FILES:
                raise processes.TooMuch(FETCHED)

    try:
        _git(cache, *_access(url), "fetch", "--quiet", "--force", "--no-write-fetch-head",
             "--no-auto-gc", *options, "--", url, *refspecs, log=log, check=check,
             timeout=PATIENCE)
    finally:
        check()  # a file that may not grow any more ends git with an error of its own
        for partial in cache.glob("objects/pack/tmp_*"):
            partial.unlink(missing_ok=True)


def between(cache: Path, old: str, new: str, *, most: int) -> tuple[int, list[list[str]]] | None:
    """How many commits lead from `old` to `new`, and the newest `most` of them: commit, time and
    first line.

    None where the repository doesn't know both, or holds too little history to tell.
    """
    if not (cache / "HEAD").is_file():
        return None
    try:
        if _git(cache, "rev-parse", "--is-shallow-repository").strip() == "true":
            _git(cache, "merge-base", "--is-ancestor", old, new)
        count = int(_git(cache, "rev-list", "--count", "--end-of-options", f"{old}..{new}"))
        lines = _git(cache, "log", f"--max-count={most}", "--format=%H%x09%cI%x09%s",
                     "--end-of-options", f"{old}..{new}", most=MAX_REFS)
    except (CommandError, processes.TooMuch):
        return None
    return count, [line.split("\t", 2) for line in lines.splitlines() if line.count("\t") >= 2]


def write_tree(cache: Path, commit: str, root: Path) -> None:
    """Write the files of `commit` below the empty folder `root`, as tree.write does."""
    tree.write(partial(_piped, cache), commit, root, where=cache)


def _commit(cache: Path, name: str) -> str | None:
    with contextlib.suppress(CommandError):
        return _git(cache, "rev-parse", "--verify", "--quiet", "--end-of-options",
                    f"{name}^{{commit}}").strip()
    return None


def _nearest(url: str, revision: str) -> str:
    known: list[str] = []
    with contextlib.suppress(CommandError, subprocess.TimeoutExpired, processes.TooMuch):
        known = [name.removesuffix("^{}").split("/", 2)[2] for name in _advertised(url)]
    return hint(revision[:100], (name for name in known[:NAMED] if len(name) < 100))


def _git(cache: Path | None, *words: str, at: bool = True, log: Path | None = None,
         check: Callable[[], None] | None = None, timeout: float = PATIENCE,
         most: int | None = None) -> str:
    command = [*(_command(cache) if at else _command(None)), *words]
    with _named():
        return processes.run(command, env=_environment(), log=log, check=check, timeout=timeout,
                             most=most)


@contextlib.contextmanager
def _piped(cache: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with _named(), processes.piped([*_command(cache), *words], env=_environment(),
                                   timeout=PATIENCE) as git:
        yield git


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Name git in an error, not the shell that holds it within bounds."""
    try:
        yield
    except CommandError as error:
        raise CommandError(f"git ended with status {error.status}", status=error.status,
                           tail=error.tail, where=error.where) from error


def _command(cache: Path | None) -> list[str]:
    program = processes.find("git", todo=INSTALL_GIT)
    safe = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "log.showSignature=false",
            "protocol.allow=never",
            # One pack for all that a fetch brings, whose size has a bound; and little memory:
            # large files go by as a stream, and packs are not mapped whole.
            "fetch.unpackLimit=1", "core.bigFileThreshold=64m", "pack.threads=2",
            "core.packedGitWindowSize=32m", "core.packedGitLimit=512m",
            "http.lowSpeedLimit=1000", "http.lowSpeedTime=120",
            *(f"protocol.{scheme}.allow=always" for scheme in ("https", "http", "ssh"))]
    return ["/bin/sh", "-c", LIMITED, "git", str(FETCHED // 512), str(MEMORY // 1024), program,
            *(word for setting in safe for word in ("-c", setting)),
            *(["--git-dir", str(cache.absolute())] if cache else [])]


def _environment() -> dict[str, str]:
    """Ours, without what would point git elsewhere, and without questions to a terminal."""
    kept = {name: value for name, value in os.environ.items()
            if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                            "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
                            "GIT_CEILING_DIRECTORIES", "GIT_ASKPASS", "SSH_ASKPASS")}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
            "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")}
