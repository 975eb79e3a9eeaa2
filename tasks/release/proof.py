"""The proof of a promotion: how a release was tried, by whom, when, and from which commit.

It is a signed statement beside the release, whose id follows from content alone. It names who made
it by identity and key, not by user and machine: those would stay readable in the closed network.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.core import config_places, files
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, IntegrityError
from tasks.core.frozen import frozen
from tasks.core.schema import check, read_json
from tasks.core.store.interface import Store
from tasks.core.store.send import Upload, send
from tasks.core.tool_version import TOOL_VERSION
from tasks.core.trust import promotions, proofs, signature
from tasks.core.trust.promotions import Subject
from tasks.release import checkout


@frozen
class Tried:
    """How a release was tried: what dev:validate wrote, and the folder of the smoke run.

    `validate` is None where it wasn't asked, and `no_smoke` says why there was no smoke run.
    """

    validate: Path | None
    smoke: Path | None
    no_smoke: str | None = None


def describe(subject: Subject, name: str, tried: Tried, signing: Signing, now: datetime, *,
             unproven: str | None) -> dict[str, Any]:
    """What the proof says; IntegrityError where what was tried has not gone well."""
    at = checkout.of(subject.pipeline)
    return {
        "kind": "proof", "pipeline": subject.pipeline, "id": name,
        "made": now.strftime(promotions.TIME_FORMAT), "identity": signing.identity,
        "key": signature.fingerprint(signature.public_key(signing.key)),
        "checkout": {"commit": at.commit, "dirty": bool(at.changed)}, "version": _version(),
        "validation": _validation(tried.validate), "smoke": _smoke(tried),
        **({"unproven": unproven} if unproven else {})}


def _version() -> str:
    """This project's version; where the configuration is another repository, with its commit."""
    if config_places.own() is None:
        return TOOL_VERSION
    at = checkout.of_project()
    commit = f"commit {at.commit[:12]}" if at.commit else "no git commit"
    return f"{TOOL_VERSION}, {commit}{', with changes' if at.changed else ''}"


def _validation(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    report = read_json(path, "validate")
    failed = [subject["subject"] for subject in report["subjects"] if not subject["ok"]]
    if failed or not report["subjects"]:
        raise IntegrityError(f"the validation has not gone well: {', '.join(failed) or 'empty'}",
                             where=path, todo="run the same command again, without -s or -a")
    return {"sha256": files.sha256(path), "subjects": len(report["subjects"]),
            "warnings": len(report["warnings"])}


def _smoke(tried: Tried) -> dict[str, Any]:
    if tried.smoke is None:
        return {"run": "none", "why": tried.no_smoke}
    log, trace = tried.smoke / "smoke.log", tried.smoke / "trace.txt"
    for path in (log, trace):
        if not path.is_file():
            raise ConfigError("the smoke run has left no such file", where=path,
                              todo="run `doit forget dev:smoke`, then the same command again")
    return {"run": "stub", "log": files.sha256(log), "trace": files.sha256(trace)}


def push(store: Store, folder: Path, described: dict[str, Any], signing: Signing) -> str:
    """Write, sign and send a proof; the SHA-256 by which a promotion names it."""
    path = folder / "proof.json"
    subject = Subject(pipeline=described["pipeline"])
    files.write_json(path, check(described, "proof", where=path))
    signature.seal(path, signing.key, namespace=signature.PROOF)
    digest = files.sha256(path)
    key = proofs.place(subject, described["id"], digest)
    send(store, [Upload.of(key, path),
                 Upload.of(f"{key}.sig", path.with_name("proof.json.sig"))])
    return digest
