"""Reports beside releases in a store: the newest that a trusted key has signed, and a new one.

A report tells who promoted a release, which comes after the release itself, so it is signed apart.
Nothing below releases/ is ever replaced: each report has a folder of its own, named by its time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError, ConfigError, IntegrityError
from tasks.core.schema import from_bytes
from tasks.core.store.interface import Store, bring
from tasks.core.trust import promotions, signature
from tasks.core.trust.promotions import Subject, Trust

logger = logging.getLogger(__name__)

JSON, PAGE = "report.json", "report.html"
TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
MAX_BYTES = 64 * 2**20
MAX_TRIED = 5
"""Reports that are looked at, the newest first, to find one that a trusted key has signed."""


def folder(subject: Subject, name: str, made: str) -> str:
    """Where a report lies that was made at that time; its files have their signatures beside them.
    """
    return f"{subject.place}/{name}/reports/{re.sub('[-:]', '', made)}"


def newest(store: Store, subject: Subject, name: str, trust: Trust) -> Mapping[str, Any] | None:
    """The newest report of a release that a trusted key has signed; None where there is none.

    One that isn't trusted is told, and no more: nothing that runs hangs on a report.
    """
    below = f"{name}/reports/"
    times = {key.removeprefix(f"{subject.place}/{below}").split("/")[0]
             for key in promotions.keys(store, subject, below)}
    for made in sorted(filter(TIME.fullmatch, times), reverse=True)[:MAX_TRIED]:
        key = f"{subject.place}/{below}{made}/{JSON}"
        try:
            return _verified(store, subject, name, key, trust)
        except AirlockError as error:
            logger.warning("%s: %s can't be used: %s", store.url, key, error.what)
    return None


def _verified(store: Store, subject: Subject, name: str, key: str,
              trust: Trust) -> Mapping[str, Any]:
    where = f"{store.url}: {key}"
    data, seal = bring(store, key, MAX_BYTES), bring(store, f"{key}.sig")
    trust.verify(data, seal, namespace=signature.REPORT, subject=subject, where=where)
    try:
        report: Mapping[str, Any] = from_bytes(data, "report", where=where)
    except ConfigError as error:
        raise IntegrityError(f"this is no report that this version reads: {error.what}",
                             where=where) from error
    if (report["pipeline"], report["id"]) != (subject.pipeline, name):
        raise IntegrityError(f"this is the report of {report['id']}", where=where)
    return report


def seal(place: Path, signing: Signing) -> bool:
    """Sign a file with the site's key; False with an approver's, which no host believes here."""
    signature.ready(signing.key, create=signing.create, identity=signing.identity)
    own = signature.public_key(signing.key)
    if own in (" ".join(key.split()[:2]) for key in signing.approvers.values()):
        return False
    signature.seal(place, signing.key, namespace=signature.REPORT)
    return True
