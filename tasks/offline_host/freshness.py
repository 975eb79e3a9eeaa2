"""Whether a host may take what is promoted: it isn't over, and nothing goes back unasked.

What this host has seen stands in its user's state folder, outside of the tool's own, so that a
fresh copy of the tool remembers it. An administrator can ask for a minimum in the trust folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tasks.core import files, ownership
from tasks.core.errors import ConfigError, HostError, IntegrityError, StoreError
from tasks.core.schema import read_json
from tasks.core.store.interface import Store
from tasks.core.trust import approvals, promotions
from tasks.core.trust.promotions import Promotion, Subject, Trust


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a host knows by itself: the administrator's trust folder, and what it has seen."""

    trust: Path
    identity: str
    seen: Path

    @property
    def signers(self) -> Trust:
        return Trust(allowed=self.trust / "allowed_signers", identity=self.identity,
                     approvers=approvals.needed(self.trust))


def state_folder(site: str, environment: Mapping[str, str]) -> Path:
    """Return where what was seen is kept: $XDG_STATE_HOME, else ~/.local/state (XDG's rule)."""
    home = environment.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(home) / "airlock" / site


def current(store: Store, host: Host, pipeline: str) -> Promotion:
    """The promoted release, if this host may take it; nothing is noted yet."""
    subject = Subject(pipeline=pipeline)
    promotion = promotions.current(store, subject, host.signers)
    _refuse_over(promotion, store)
    seen = _seen(host, subject)
    if promotion.number < seen:
        raise IntegrityError(
            f"the store shows {promotion.id}, promoted as number {promotion.number}, and this "
            f"host has seen number {seen}: it is older",
            where=f"{store.url}: {subject.pointer}",
            todo=f"ask those who pushed it; if you want to go back, say so: "
                 f"release={promotion.id}")
    _refuse_below(promotion, minimum(host, subject), host, store)
    return promotion


def asked(store: Store, host: Host, pipeline: str, name: str) -> Promotion | None:
    """The newest promotion of a release that was asked for by its id, or None.

    IntegrityError where it is below the administrator's minimum. A store that lists nothing is
    only a fault where there is a minimum.
    """
    subject = Subject(pipeline=pipeline)
    least = minimum(host, subject)
    try:
        promotion = promotions.naming(store, subject, name, host.signers)
    except StoreError:
        if least or host.signers.approvers:
            raise
        return None
    if least:
        _refuse_below(promotion, least, host, store)
    approvals.refuse_none(promotion, host.signers.approvers, name, store.url)
    return promotion


def check_tool(store: Store, host: Host, own: Path, *, asked: bool) -> tuple[Promotion | None, str]:
    """Refuse a tool that is older than what this host has run; its promotion, and a notice.

    `own` is tool.json; where there is none this is a checkout, which its user brought here.
    `asked` says that the user named this very tool, so it may be an older one.
    """
    subject = Subject(pipeline=None)
    if not own.is_file():
        return None, ""
    name = read_json(own, "tool")["id"]
    if asked:
        promotion = promotions.naming(store, subject, name, host.signers)
        if least := minimum(host, subject):
            _refuse_below(promotion, least, host, store)
        approvals.refuse_none(promotion, host.signers.approvers, name, store.url)
        return promotion, ""
    newest = _newest_tool(store, subject, host)
    promotion = (newest if newest.id == name
                 else promotions.naming(store, subject, name, host.signers))
    seen = _seen(host, subject)
    if promotion is None or promotion.number < seen:
        raise IntegrityError(
            f"this tool, {name}, is older than one that this host has run" if promotion else
            f"this tool, {name}, was never the current one of this store", where=own,
            todo=f"copy tool/{newest.id} out of the store; if you mean this one, say so: "
                 f"tool={name}")
    _refuse_below(promotion, minimum(host, subject), host, store)
    notice = "" if newest.id == name else f"a newer tool is in the store: tool/{newest.id}/"
    return promotion, notice


def note(host: Host, promotion: Promotion | None) -> None:
    """Remember a promotion whose release is in place, or whose tool has run."""
    if promotion and promotion.number > _seen(host, promotion.subject):
        path = _memory(host, promotion.subject)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_json(path, {"number": promotion.number}, mode=0o600)


def minimum(host: Host, subject: Subject) -> int:
    """The lowest number that the administrator allows; 0 where none is set."""
    path = host.trust / "minimum.json"
    ownership.refuse_writable_by_others(path)
    if not path.exists():
        return 0
    value = read_json(path, "minimum")
    least = value.get("pipelines", {}).get(subject.pipeline) if subject.pipeline else (
        value.get("tool"))
    return int(least or 0)


def _memory(host: Host, subject: Subject) -> Path:
    return host.seen / f"{subject.place}.json"


def _seen(host: Host, subject: Subject) -> int:
    path = _memory(host, subject)
    if not path.exists():
        return 0
    try:
        return int(read_json(path, "seen")["number"])
    except ConfigError as error:
        raise HostError(f"what this host has seen can't be read: {error.what}", where=path,
                        todo="find out who changed it; removed, this host forgets, and takes an "
                             "older release for a newer one") from error


def _newest_tool(store: Store, subject: Subject, host: Host) -> Promotion:
    try:
        newest = promotions.current(store, subject, host.signers)
    except StoreError as error:
        raise IntegrityError(f"the store doesn't say which tool is the current one: {error.what}",
                             where=f"{store.url}: {subject.pointer}",
                             todo="carry the whole store (`push:tool` writes it), or name the "
                                  "tool that you mean: tool=ID") from error
    _refuse_over(newest, store)
    return newest


def _refuse_over(promotion: Promotion, store: Store) -> None:
    now = datetime.now(timezone.utc)
    if promotion.is_over(now):
        subject = promotion.subject
        way = f", or name it: release={promotion.id}" if subject.pipeline else (
            f", or name it: tool={promotion.id}")
        raise IntegrityError(
            f"the promotion of {promotion.id} ended at {promotion.expires}, and it is "
            f"{now.strftime(promotions.TIME_FORMAT)} here: a newer one may be kept from this host",
            where=f"{store.url}: {subject.key(promotion.number)}",
            todo=f"see that this clock is right; have it pushed again on the online side{way}")


def _refuse_below(promotion: Promotion | None, least: int, host: Host, store: Store) -> None:
    number = promotion.number if promotion else 0
    if number < least:
        raise IntegrityError(
            f"{promotion.id} was promoted as number {number}" if promotion else
            "no trusted promotion names it", where=store.url,
            todo=f"the administrator asks for number {least} at least, in "
                 f"{host.trust / 'minimum.json'}")
