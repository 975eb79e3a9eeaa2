"""What a host has seen of promotions, which releases it may not run, and where it is held.

It stands in the user's state folder, outside of the tool's own, so that a fresh copy of the tool
remembers it. Each function takes that folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.config.settings import offline_command
from tasks.core.errors import ConfigError, HostError, IntegrityError
from tasks.core.schema import check, read_json
from tasks.core.trust.promotions import TIME_FORMAT, Promotion, Subject


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The highest promotion whose release was in place, or whose tool has run; 0 for none.

    `sha256` is None where an older tool has noted the number alone. `linked` says that it named
    its predecessor, as all do that follow such a one.
    """

    number: int = 0
    sha256: str | None = None
    linked: bool = False


@dataclass(frozen=True, kw_only=True)
class Held:
    """The release that this host stays at, and since when (UTC)."""

    id: str
    since: str


def seen(folder: Path, subject: Subject) -> Seen:
    """What this host has seen of a pipeline's promotions, or of the tool's."""
    value = _read(folder / f"{subject.place}.json", lambda path: read_json(path, "seen"),
                  "removed, this host forgets, and takes an older release for a newer one")
    return Seen(**value) if value else Seen()


def note(folder: Path, promotion: Promotion | None) -> None:
    """Remember a promotion whose release is in place, or whose tool has run."""
    if promotion is None:
        return
    path = folder / f"{promotion.subject.place}.json"
    with _locked(path):
        before = seen(folder, promotion.subject)
        if promotion.number > before.number or (
                promotion.number == before.number and before.sha256 is None):
            _write(path, "seen", {"number": promotion.number, "sha256": promotion.sha256,
                                  "linked": promotion.predecessor is not None})


def withdrawn(folder: Path, pipeline: str) -> dict[str, str]:
    """The ids of the pipeline's releases that no host may run, with the reasons."""
    value = _read(_withdrawn(folder, pipeline), lambda path: read_json(path, "withdrawn"),
                  "removed, this host learns it again at its next fetch, and until then runs them")
    return {entry["id"]: entry["reason"] for entry in value["withdrawn"]} if value else {}


def note_withdrawn(folder: Path, promotion: Promotion) -> dict[str, str]:
    """Remember what a promotion says was withdrawn; what of it is new, with the reasons."""
    if promotion.pipeline is None or not promotion.withdrawn:
        return {}
    path = _withdrawn(folder, promotion.pipeline)
    with _locked(path):
        before = withdrawn(folder, promotion.pipeline)
        new = {entry.id: entry.reason for entry in promotion.withdrawn if entry.id not in before}
        if new:
            now = {**before, **new}
            _write(path, "withdrawn", {"withdrawn": [
                {"id": name, "reason": now[name]} for name in sorted(now)]})
    return new


def refuse_withdrawn(folder: Path, pipeline: str, name: str, todo: str | None = None) -> None:
    """IntegrityError where a release was withdrawn: nothing may fetch or run it any more."""
    reason = withdrawn(folder, pipeline).get(name)
    if reason is not None:
        raise IntegrityError(
            f"{name} was withdrawn, and is not run any more; the reason given: {reason}",
            where=_withdrawn(folder, pipeline), todo=todo or (
                f"bring the current one in: {offline_command(f'pipeline={pipeline}')}; if that is "
                "the one, ask those who withdrew it for the next"))


def held(folder: Path, pipeline: str) -> Held | None:
    """At which release this host is held, if at any."""
    value = _read(_held(folder, pipeline), lambda path: read_json(path, "held"),
                  "removed, this host goes on to the current release")
    return Held(**value) if value else None


def hold(folder: Path, pipeline: str, name: str) -> None:
    """Let every later call take this release; one that it is held at already stays so since then.
    """
    before = held(folder, pipeline)
    if before is None or before.id != name:
        _write(_held(folder, pipeline), "held", {
            "id": name, "since": datetime.now(timezone.utc).strftime(TIME_FORMAT)})


def let_go(folder: Path, pipeline: str) -> None:
    """Let later calls take the current release again."""
    _held(folder, pipeline).unlink(missing_ok=True)


def _withdrawn(folder: Path, pipeline: str) -> Path:
    return folder / f"releases/{pipeline}.withdrawn.json"


def _held(folder: Path, pipeline: str) -> Path:
    return folder / f"releases/{pipeline}.held.json"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let no other call, of this process or another, change the file meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with files.locked(path.with_name(f".{path.name}.lock")):
        yield


def _write(path: Path, schema: str, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_json(path, check(value, schema, where=path), mode=0o600)


def _read(path: Path, read: Callable[[Path], Any], removed: str) -> dict[str, Any] | None:
    """A file's content, None where there is no file; HostError where it can't be read."""
    if not path.exists():
        return None
    try:
        value: dict[str, Any] = read(path)
    except ConfigError as error:
        raise HostError(f"what this host has seen can't be read: {error.what}", where=path,
                        todo=f"find out who changed it; {removed}") from error
    return value
