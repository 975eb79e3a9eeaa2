"""`release:list`: what the store holds of a pipeline's releases, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError, IntegrityError, StoreError, shown
from tasks.core.parallel import try_all
from tasks.core.paths import PipelinePaths
from tasks.core.schema import check
from tasks.core.store.interface import bring
from tasks.core.store.store import open_store
from tasks.core.trust import approvals, promotions, proofs
from tasks.core.trust.promotions import Promotion, Subject
from tasks.release import chain, stored
from tasks.release.chain import Chain

HEADER = ("Release", "Revision", "Promoted", "By", "Proofs", "State")
MAX_SHOWN = 1000
"""Promotions that are read, the newest first."""


@dataclass(frozen=True, kw_only=True)
class HistorySpec:
    """A pipeline whose releases are listed, and who is believed."""

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing


def show(spec: HistorySpec) -> str:
    """Print a row for each release that the store holds, and write the same as JSON.

    IntegrityError, after that, where what is current has no signature to trust.
    """
    at = spec.layout
    with looking(spec.pipeline, spec.store, spec.signing, at) as here:
        history = describe(here)
        files.write_json(at.releases, check(history, "releases", where=at.releases))
    print(shown("\n".join(table(history))), flush=True)  # several pipelines print at once
    if history["fault"]:
        raise IntegrityError(history["fault"], where=f"{spec.store.url}: {here.subject.pointer}",
                             todo="find out who changed it; offline hosts refuse it as well")
    return f"{len(history['releases'])} releases in {spec.store.url}; {_in_a_line(history)}"


def _in_a_line(history: Mapping[str, Any]) -> str:
    current = history["current"]
    if current is None:
        return "none is the current one"
    if any(release["id"] == current["id"] and release["withdrawn"] is not None
           for release in history["releases"]):
        return f"{current['id']} was withdrawn, and no other has taken its place: no host runs any"
    return f"the current one is {current['id']} since {current['since']}"


@contextmanager
def looking(pipeline: str, at: StoreAt, signing: Signing,
            layout: PipelinePaths) -> Iterator[Chain]:
    """The chain of promotions of a pipeline, to look at: no signing key is needed."""
    with chain.trusted(signing, layout.of_site.trusted) as trust:
        yield Chain(store=open_store(at), subject=Subject(pipeline=pipeline), signing=signing,
                    trust=trust, memory=layout.promoted)


def describe(here: Chain) -> dict[str, Any]:
    """What schemas/releases.schema.json has: nothing in it that no trusted key has signed, but for
    what is said to be so."""
    fault, tip = None, None
    try:
        tip = chain.tip(here)
    except IntegrityError as error:
        fault = error.what
    numbers = promotions.numbers(here.store, here.subject)[:MAX_SHOWN]
    read = dict(zip(numbers, try_all(lambda number: promoted(here, number), numbers), strict=True))
    made = {number: entry for number, entry in read.items() if isinstance(entry, Promoted)}
    newest = tip.promotion if tip else None
    current = next((entry.promotion for entry in made.values()
                    if tip and entry.promotion.pointer() == tip.pointer), None)
    if newest and tip and tip.pointer and not current:  # signed by a key of before
        fault = _line(read.get(newest.number, "what the pointer leads to is not to be trusted"))
    withdrawn = {entry.id: entry.reason for entry in newest.withdrawn} if newest else {}
    names = {*stored.ids(here), *(entry.promotion.id for entry in made.values())}
    releases = [_release(here, name, [entry for entry in made.values()
                                      if entry.promotion.id == name], withdrawn.get(name))
                for name in names]
    return {
        "pipeline": here.subject.pipeline, "store": here.store.url, "fault": fault,
        "current": current and {"id": current.id, "number": current.number,
                                "since": _since(list(made.values()), current)},
        "proposed": newest.number if newest and newest != current else None,
        "releases": sorted(releases, key=_newest_first),
        "unverified": [{"number": number, "fault": _line(entry)} for number, entry in read.items()
                       if isinstance(entry, Exception)]}


def _newest_first(release: Mapping[str, Any]) -> tuple[int, str]:
    return -max((entry["number"] for entry in release["promotions"]), default=0), release["id"]


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """A promotion that a trusted key has signed, by whom, and who has approved it."""

    promotion: Promotion
    by: str
    key: str
    approved: str | None


def promoted(here: Chain, number: int) -> Promoted:
    read = promotions.verified(here.store, here.subject, number, here.trust)
    return Promoted(promotion=read.promotion, key=read.key,
                    by=chain.signer(here.signing, read.key) or here.signing.identity,
                    approved=_approved(here, number, read.data, read.key))


def _approved(here: Chain, number: int, data: bytes, maker: str) -> str | None:
    if not here.signing.approvers:
        return None
    where = here.subject.approval(number)
    try:
        return approvals.verify(
            data, bring(here.store, where), allowed=here.trust.allowed, signed_by=maker,
            approvers=tuple(here.signing.approvers), pipeline=here.subject.pipeline, where=where)
    except (IntegrityError, StoreError):
        return None


def _since(made: Sequence[Promoted], current: Promotion) -> str:
    """When the current release became that, without another one between."""
    since = current.signed
    for promotion in (entry.promotion for entry in made if entry.promotion.number < current.number):
        if promotion.id != current.id:
            break
        since = promotion.signed
    return since


def _release(here: Chain, name: str, made: Sequence[Promoted],
             withdrawn: str | None) -> dict[str, Any]:
    """One release; `made` are its promotions, the newest first."""
    held, fault = None, None
    try:
        held = stored.read(here, name)
    except AirlockError as error:
        fault = _line(error)
    tried = [proof for entry in made if (proof := proofs.of(here.store, entry.promotion))]
    return {
        "id": name, "revision": held.content["revision"] if held else None, "fault": fault,
        "withdrawn": withdrawn, "proof": tried[0] if tried else None,
        "promotions": [{
            "number": entry.promotion.number, "signed": entry.promotion.signed,
            "expires": entry.promotion.expires, "by": entry.by, "key": entry.key,
            "approved": entry.approved, "unproven": entry.promotion.unproven,
            "back": entry.promotion.back} for entry in made]}


def _line(error: object) -> str:
    what = error.what if isinstance(error, AirlockError) else str(error)
    return " ".join(what.split())


def table(history: Mapping[str, Any]) -> list[str]:
    """Markdown for people and their documents; what has no signature to trust says so."""
    rows = [HEADER, tuple("---" for _ in HEADER),
            *(_row(history, release) for release in history["releases"])]
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in rows]
    return [f"{history['pipeline']} in {history['store']}", "", *lines,
            *(f"promotion {entry['number']} doesn't count: {entry['fault']}"
              for entry in history["unverified"])]


def _row(history: Mapping[str, Any], release: Mapping[str, Any]) -> tuple[str, ...]:
    made = release["promotions"]
    return (release["id"], release["revision"] or "–",
            ", ".join(f"{entry['number']} ({entry['signed']})" for entry in made[:3])
            + (f" and {len(made) - 3} more" if len(made) > 3 else "") or "–",
            _by(release), _proofs(release), _state(history, release))


def _by(release: Mapping[str, Any]) -> str:
    """Who signed, and the commit of the configuration that it was made from last."""
    names = ", ".join(dict.fromkeys(entry["by"] for entry in release["promotions"]))
    at = release["proof"]["checkout"] if release["proof"] else {"commit": None}
    if at["commit"]:
        names += f" at {at['commit'][:12]}" + (" with changes" if at["dirty"] else "")
    return names or "–"


def _proofs(release: Mapping[str, Any]) -> str:
    made, tried = release["promotions"], release["proof"]
    parts = []
    if made and made[0]["unproven"]:
        parts.append(f"NOT PROVEN: {made[0]['unproven']}")
    elif tried:
        validation, smoke = tried["validation"], tried["smoke"]
        parts += [f"validated ({validation['subjects']} subjects, "
                  f"{validation['warnings']} warnings)" if validation else "not validated",
                  "smoke run" if smoke["run"] != "none" else f"no smoke run: {smoke['why']}"]
    approved = next((entry["approved"] for entry in made if entry["approved"]), None)
    return ", ".join([*parts, *([f"approved by {approved}"] if approved else [])]) or "–"


def _state(history: Mapping[str, Any], release: Mapping[str, Any]) -> str:
    current, made = history["current"], release["promotions"]
    asked: list[tuple[bool, Callable[[], str]]] = [
        (bool(release["fault"]), lambda: f"NOT VERIFIED: {release['fault']}"),
        (bool(current) and current["id"] == release["id"],
         lambda: f"current since {current['since']}{_why_back(made, current['number'])}"),
        (release["withdrawn"] is not None, lambda: f"withdrawn: {release['withdrawn']}"),
        (any(entry["number"] == history["proposed"] for entry in made),
         lambda: f"proposed as promotion {history['proposed']}"),
        (not made and not release["fault"], lambda: "pushed, never promoted")]
    return "; ".join(say() for holds, say in asked if holds) or "promoted before"


def _why_back(made: Sequence[Mapping[str, Any]], number: int) -> str:
    back = next((entry["back"] for entry in made if entry["number"] == number), None)
    return f", went back: {back}" if back else ""
