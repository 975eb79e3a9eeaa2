"""Locks: what was resolved from the mutable world, and the one answer to a change of it.

All sites share locks/<pipeline>/<kind>.json of the configuration. What a site resolved at a place
of its own (a proxy, a mirror, an index) and found otherwise stands over it, in
locks/<pipeline>/<site>/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from tasks.core import files, schema
from tasks.core.config_places import BUNDLED
from tasks.core.errors import SourceError
from tasks.core.frozen import frozen

ROOT = BUNDLED / "locks"
"""The locks that come with this project, and its bundled local site's."""
VERBS = {"code": "stage", "configs": "stage:configs", "runtime": "runtime", "images": "images:lock",
         "plugins": "plugins:cache", "data": "mirror:data"}
"""The verb that renews a lock, by its kind."""
OWN_DATA = "own-"
"""Before the name of a user's own samplesheet: that kind of lock is renewed with input=SHEET."""
ABOUT = frozenset(("reached_at", "resolved", "url", "licence", "because", "asked"))
"""Keys that say how an entry was come by: entries that differ in these alone are the same."""

Entry = Mapping[str, Any]
Entries = Mapping[str, Entry]
"""Entries of a lock by the name of what was resolved."""
WHOLE = ""
"""The name of the one entry of a lock that is about one thing, such as a commit."""


@frozen
class LockFiles:
    """The two files of a pipeline's lock of one kind."""

    site: str
    pipeline: str
    kind: str
    root: Path = ROOT

    @property
    def shared(self) -> Path:
        """What all sites share."""
        return Path(f"{self.root}/{self.pipeline}/{self.kind}.json")

    @property
    def standing(self) -> Path:
        """The file that says it now: a user's own locks lack what only comes with this project."""
        bundled = ROOT / self.pipeline / self.shared.name
        return self.shared if self.shared.is_file() or not bundled.is_file() else bundled

    @property
    def own(self) -> Path:
        """What this site resolved at places of its own, where that differs."""
        return Path(f"{self.root}/{self.pipeline}/{self.site}/{self.kind}.json")

    @property
    def paths(self) -> tuple[Path, Path]:
        """Both, whether they are there or not."""
        return self.shared, self.own

    @property
    def renewing(self) -> str:
        """The command that takes what is there now."""
        kind, sheet = (("data", " input=SHEET") if self.kind.startswith(OWN_DATA)
                       else (self.kind, ""))
        return f"./doit site={self.site}{sheet} relock=1 {VERBS[kind]}:{self.pipeline}"


@frozen
class Locked:
    """The entries of a lock: those that all sites share, and the site's own over them."""

    shared: Entries
    own: Entries

    @property
    def entries(self) -> dict[str, Entry]:
        """What holds for this site."""
        return {**self.shared, **self.own}

    def renewed(self, now: Entries, fresh: Collection[str],
                reached_at: Mapping[str, str | None]) -> Locked:
        """Return what is to be written, once `now` is all that holds for this site.

        `fresh` are those that were resolved just now, and `reached_at` names the places of the
        site's own where some of them were, None for a public one. Such a one never changes what
        all share: where it is the same it needs no entry of its own, else it gets one. What
        nothing names any more goes.
        """
        shared: dict[str, Entry] = {}
        own: dict[str, Entry] = {}
        for name, entry in now.items():
            before = self.shared.get(name)
            is_own = name in reached_at if name in fresh else name in self.own
            if not is_own:
                shared[name] = entry
                continue
            if before is not None:
                shared[name] = before
            if name not in fresh:
                own[name] = _placed(entry, self.own[name].get("reached_at"))
            elif before is None or not is_same(entry, before):
                own[name] = _placed(entry, reached_at[name])
        return Locked(shared=shared, own=own)


def _placed(entry: Entry, reached_at: str | None) -> Entry:
    return entry if reached_at is None else {**entry, "reached_at": reached_at}


def is_same(one: Entry, other: Entry) -> bool:
    """Whether two entries stand for the same bytes."""
    plain, against = ({key: value for key, value in entry.items() if key not in ABOUT}
                      for entry in (one, other))
    return plain == against


def read(path: Path, name: str) -> Any | None:
    """Return the lock at `path`, checked against schema `name`; None where there is none yet."""
    return schema.read_json(path, name) if path.is_file() else None


def read_both(at: LockFiles, name: str) -> tuple[Any | None, Any | None]:
    """Return what all sites share, and the site's own, each as read() does."""
    return read(at.standing, name), read(at.own, name)


def write(at: LockFiles, locked: Locked, form: Callable[[Entries], Any]) -> None:
    """Write both files in the `form` of their kind; a site's own that holds nothing goes."""
    if locked.shared or at.shared.is_file() or not locked.own:
        files.write_json(at.shared, form(locked.shared))
    if locked.own:
        files.write_json(at.own, form(locked.own))
    else:
        at.own.unlink(missing_ok=True)


def compare(locked: Mapping[str, str], current: Mapping[str, str], *, lock: LockFiles,
            relock: bool, own: Collection[str] = ()) -> None:
    """Refuse what differs from the lock; both map a thing's name to its digest or commit.

    Things that stand in one of the two alone are no difference; `own` are those that the site's
    own lock holds. Raises SourceError that lists every difference with both values, unless the
    user asked to take what is there now.
    """
    changed = [name for name in sorted({*locked} & {*current}) if locked[name] != current[name]]
    if not changed or relock:
        return
    places = dict.fromkeys(lock.own if name in own else lock.shared for name in changed)
    raise SourceError(
        "what the lock holds has changed at its source:\n" + "\n".join(
            f"    {name}\n      locked: {locked[name]}\n      found:  {current[name]}"
            for name in changed), where=", ".join(map(str, places)),
        todo=f"find out why; to take what is there now: {lock.renewing}")
