"""`prod:report`: the page of the release in place, made on the offline host.

It is made of the release's own files, once more held against the signed list. Who proved and
promoted it, and what it changed, comes from the signed report beside it in the store; without one
that can be verified, from the promotion by which it came here. The page lists its runs here, too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.commands.runs import in_words
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.offline_paths import OfflinePaths
from tasks.core.schema import check, read_json
from tasks.core.store.folder import FolderStore
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store
from tasks.core.trust import promotions, releases
from tasks.core.trust.promotions import Subject, Trust
from tasks.offline_host import at_work, run_page, runs
from tasks.offline_host.runs import Run
from tasks.report import beside, page
from tasks.report.content import Content
from tasks.report.document import BEFORE, CURRENT, NEVER, Standing, document

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OfflineReportSpec:
    """The pipeline whose release is told of, whom this host believes, and where runs are."""

    pipeline: str
    layout: OfflinePaths
    store: StoreAt
    trust: Path
    identity: str
    runs: Path


def report(spec: OfflineReportSpec) -> str:
    """Write the page and the JSON; IntegrityError where a file in place isn't what was signed."""
    at, subject = spec.layout, Subject(pipeline=spec.pipeline)
    trust = Trust(allowed=spec.trust / "allowed_signers", identity=spec.identity)
    name = read_json(at.current, "current")["id"]
    memory = FolderStore(f"{spec.store.url}, as remembered", at.of_site.store_memory)
    release = releases.read(memory, subject, name, trust)
    content = Content(id=name, about=release.content, files=_in_place(at.release(name), release))
    published = _published(spec, subject, name, trust)
    now = datetime.now(timezone.utc).strftime(promotions.TIME_FORMAT)
    standing = _standing(published) if published else _known(at, memory, name, trust)
    written = document(content, standing, identity=spec.identity,
                       made=published["made"] if published else now, trust=str(spec.trust),
                       graph=published["graph"] if published else None)
    files.write_json(at.report, check(written, "report", where=at.report))
    files.write_text(at.report_page, page.html(written, _runs(spec, name)))
    return f"{name}: {at.report_page}" + (
        "" if published else "; no report beside it in the store could be verified, so who proved "
                             "it and what it changed stand only in the promotion")


def _in_place(folder: Path, release: releases.Release) -> dict[str, Path]:
    """The release's files that are read, each with the bytes that were signed."""
    places = {path: files.inside(folder, path) for path in Content.wanted(release.digests)}
    for path, place in places.items():
        if not place.is_file() or files.sha256(place) != release.digests[path]:
            raise IntegrityError(f"{path} of the release in place is not what was signed",
                                 where=place, todo="run prod:fetch, which mends it")
    return places


def _published(spec: OfflineReportSpec, subject: Subject, name: str,
               trust: Trust) -> Mapping[str, Any] | None:
    try:
        return beside.newest(open_store(spec.store), subject, name, trust)
    except AirlockError as error:
        logger.warning("the store's report of %s can't be read: %s", name, error.what)
        return None


def _standing(published: Mapping[str, Any]) -> Standing:
    return Standing(**{key: published[key] for key in (
        "state", "promotions", "proof", "withdrawn", "changes")})


def _known(at: OfflinePaths, memory: Store, name: str, trust: Trust) -> Standing:
    """What this host knows itself: by which promotion the release came here."""
    promotion = promotions.read(at.promotion(name))
    if promotion is None:
        return Standing(state=NEVER)
    try:
        current = promotions.current(memory, promotion.subject, trust).id
    except AirlockError:
        current = None
    return Standing(state=CURRENT if current == name else BEFORE, promotions=[{
        "by": None, "key": None, "approved": None, **{
            key: getattr(promotion, key) for key in (
                "number", "signed", "expires", "proof", "unproven", "back")}}])


def _runs(spec: OfflineReportSpec, name: str) -> list[dict[str, Any]]:
    """The runs of a release on this host, the newest first, with where each one's page lies."""
    known, _ = runs.all_runs(spec.runs, spec.pipeline)
    _tell_killed(known)
    start = spec.layout.report_page.absolute().parent
    return [{"name": run.folder.name, "state": run.state, "who": run.who,
             "process": run.record["outcome"]["process"],
             "started": f"{run.record['started'][:19].replace('T', ' ')} UTC",
             "seconds": run.seconds, "took": in_words(run.seconds),
             "page": quote(os.fsencode(os.path.relpath(run.folder.page, start)))
             if run.folder.page.is_file() else None}
            for run in reversed(known) if run.record["release"]["id"] == name]


def _tell_killed(known: Sequence[Run]) -> None:
    """Write the pages of this user's killed runs, but those whose next run did so as it went on."""
    continued = {run.record["continues"] for run in known}
    for run in known:
        if (run.was_killed and run.folder.name not in continued
                and run.record["user"]["id"] == os.geteuid()):
            run_page.write_interrupted(run, at_work.session_of(run.folder.launch))
