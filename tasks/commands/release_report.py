"""`report`: what a release is, as a page and as JSON, signed and beside it in the store."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.commands import release_diff
from tasks.commands.release_diff import DiffSpec
from tasks.core import dag, files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError, HostError
from tasks.core.nextflow import reports
from tasks.core.paths import PipelinePaths
from tasks.core.schema import check
from tasks.core.store import lease
from tasks.core.store.send import Upload, send
from tasks.core.trust import links, promotions, proofs, releases
from tasks.core.trust.promotions import Promotion
from tasks.release import chain, history, release_name
from tasks.release.chain import Chain
from tasks.report import beside, page
from tasks.report.content import Content
from tasks.report.document import (
    BEFORE,
    CURRENT,
    NEVER,
    PROPOSED,
    Standing,
    document,
    says_the_same,
    shortened,
)

logger = logging.getLogger(__name__)

MAX_LINKS = 1000
MAX_OWN = 20
"""Promotions of the release that the report lists."""


@dataclass(frozen=True, kw_only=True)
class ReportSpec:
    """Which release is told of: `asked` is its id, or the beginning; None for the newest promoted.

    `trust` is the trust folder as the offline hosts have it.
    """

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    trust: Path
    asked: str | None


def report(spec: ReportSpec) -> str:
    """Write the page and the JSON, and push them where they say anything new."""
    at = spec.layout
    with history.looking(spec.pipeline, spec.store, spec.signing, at) as here:
        chained = _chained(here)
        name = _name(spec, here, chained)
        before = beside.newest(here.store, here.subject, name, here.trust)
        with _content(here, name, at) as content:
            made = _time(before)
            new = document(
                content, _standing(spec, here, chained, name), identity=spec.signing.identity,
                trust=str(spec.trust), made=made, graph=_graph(at, name, before))
        is_new = before is None or not says_the_same(new, before)
        written = new if is_new or before is None else dict(before)
        files.write_json(at.report, check(written, "report", where=at.report))
        shown = at.report.with_suffix(".html")
        files.write_text(shown, page.html(written))
        pushed = _push(spec, here, name, made) if is_new else "the one in the store says the same"
    return f"{name}: {shown}; {pushed}"


def _push(spec: ReportSpec, here: Chain, name: str, made: str) -> str:
    """Sign both files, and send them with their signatures."""
    places = (spec.layout.report, spec.layout.report.with_suffix(".html"))
    if not all(beside.seal(place, spec.signing) for place in places):
        return (f"not pushed: {spec.signing.key} approves and doesn't sign; who signs types "
                f"`doit report:{spec.pipeline}`")
    key = beside.folder(here.subject, name, made)
    with lease.pushing(here.store) as held:
        send(here.store, [Upload.of(f"{key}/{path.name}", path) for place in places for path in (
            place, place.with_name(f"{place.name}.sig"))])
        held.see_held()
    return f"signed, and in {spec.store.url}: {key}"


@dataclass(frozen=True, kw_only=True)
class _Chained:
    """Promotions in their chain, the newest first; which release is the current one; and the ids
    of all that the store has."""

    links: tuple[Promotion, ...]
    current: str | None
    known: tuple[str, ...]


def _chained(here: Chain) -> _Chained:
    known = tuple(releases.ids(here.store, here.subject))
    tip = chain.tip(here)
    if tip.promotion is None:
        return _Chained(links=(), current=None, known=known)
    made = (tip.promotion, *islice(links.back(here.store, tip.promotion), MAX_LINKS))
    return _Chained(links=made, known=known, current=next(
        (link.id for link in made if link.pointer() == tip.pointer), None))


def _name(spec: ReportSpec, here: Chain, chained: _Chained) -> str:
    """The id of the release that is told of."""
    if spec.asked is None and chained.links:
        return chained.links[0].id
    known = chained.known
    fitting = [name for name in known if spec.asked and name.startswith(spec.asked)]
    if spec.asked in known:
        return spec.asked or ""
    if len(fitting) == 1:
        return fitting[0]
    raise HostError(
        "nothing was promoted yet, so there is no release to tell of" if spec.asked is None else
        f"{len(fitting) or 'no'} releases begin with {spec.asked!r}", where=here.store.url,
        todo=f"name one by release=ID; known: {', '.join(fitting or known) or 'none'}")


@contextmanager
def _content(here: Chain, name: str, at: PipelinePaths) -> Iterator[Content]:
    """A release of the store, verified, with those of its files that are read."""
    release = releases.read(here.store, here.subject, name, here.trust)
    with files.scratch(at.root, "report") as scratch:
        places = {path: scratch / str(number) / path.rpartition("/")[2]
                  for number, path in enumerate(Content.wanted(release.digests))}
        for path, place in places.items():
            place.parent.mkdir()
            releases.get(here.store, release, path, place)
        yield Content(id=name, about=release.content, files=places)


def _standing(spec: ReportSpec, here: Chain, chained: _Chained, name: str) -> Standing:
    own = [link for link in chained.links if link.id == name]
    newest = chained.links[0] if chained.links else None
    withdrawn = next((entry.reason for entry in newest.withdrawn if entry.id == name),
                     None) if newest else None
    state = NEVER
    if own:
        state = CURRENT if chained.current == name else (
            PROPOSED if own[0] is newest else BEFORE)
    return Standing(state=state, withdrawn=withdrawn, proof=next(
                        (proof for link in own if (proof := proofs.of(here.store, link))), None),
                    promotions=[_promoted(here, link) for link in own[:MAX_OWN]],
                    changes=_changes(spec, chained, name))


def _promoted(here: Chain, link: Promotion) -> dict[str, Any]:
    """A promotion with who has signed it; one whose key is trusted no more has only its bytes."""
    by: dict[str, Any] = {"by": None, "key": None, "approved": None}
    try:
        read = history.promoted(here, link.number)
        by = {"by": read.by, "key": read.key, "approved": read.approved}
    except AirlockError as error:
        logger.warning("promotion %d: %s", link.number, error.what)
    return {"number": link.number, "signed": link.signed, "expires": link.expires, **by,
            "proof": link.proof, "unproven": link.unproven, "back": link.back}


def _changes(spec: ReportSpec, chained: _Chained, name: str) -> Mapping[str, Any] | None:
    """What differs from the release that was current before this one; None where none was."""
    later = [link.id for link in chained.links]
    rest = later[later.index(name):] if name in later else later
    before = next((other for other in rest if other != name and other in chained.known), None)
    if before is None:
        return None
    try:
        return shortened(release_diff.compare(DiffSpec(
            pipeline=spec.pipeline, layout=spec.layout, store=spec.store, signing=spec.signing,
            signers=spec.layout.of_site.trusted, before=before, after=name, now=None),
            datetime.now(timezone.utc), chained.known))
    except AirlockError as error:
        logger.warning("what differs from %s isn't known: %s", before, error.what)
        return None


def _graph(at: PipelinePaths, name: str,
           before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """As the smoke run here has drawn it, of this very release; else as the report before has it.
    """
    drawn = None
    if (at.release / "SHA256SUMS").is_file() and release_name.made(at) == name:
        drawn = dag.read(at.smoke / reports.MERMAID)
    known: Mapping[str, Any] | None = before["graph"] if before else None
    return drawn or known


def _time(before: Mapping[str, Any] | None) -> str:
    """Now, and after the report before: each has a folder named by its time."""
    now = datetime.now(timezone.utc)
    if before:
        now = max(now, promotions.time(before["made"]) + timedelta(seconds=1))
    return now.strftime(promotions.TIME_FORMAT)
