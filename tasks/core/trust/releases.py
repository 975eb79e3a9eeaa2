"""The releases of a store: which there are, and what one says once its signature was verified."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, parsing
from tasks.core.errors import ConfigError, IntegrityError, OldToolError, StoreError
from tasks.core.schema import from_bytes
from tasks.core.store.interface import Store, bring
from tasks.core.tool_version import RELEASE_FORMAT, TOOL_VERSION
from tasks.core.trust import checksums, promotions, signature
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import CARRY_AGAIN, Subject, Trust

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of a store, signed by a trusted key: its id, its list, and release.json.

    `digests` are the SHA-256 of its files by their paths there, release.json's among them.
    """

    subject: Subject
    id: str
    digests: Mapping[str, str]
    content: Mapping[str, Any]


def ids(store: Store, subject: Subject) -> list[str]:
    """The ids of all releases in the store, sorted; none where nothing was pushed.

    Nothing of them is verified.
    """
    named = (key.removeprefix(f"{subject.place}/").split("/")
             for key in promotions.keys(store, subject))
    return sorted(parts[0] for parts in named
                  if parts[1:] == ["SHA256SUMS"] and ID.fullmatch(parts[0]))


def read(store: Store, subject: Subject, name: str, trust: Trust) -> Release:
    """A release by its id; IntegrityError where it isn't what a trusted key has signed."""
    if ID.fullmatch(name) is None:
        raise IntegrityError("this is no release's id", todo=CARRY_AGAIN,
                             where=_where(store, subject, name, "SHA256SUMS"))
    return asked(store, subject, name, trust)


def asked(store: Store, subject: Subject, name: str, trust: Trust) -> Release:
    """The same of a name that somebody has typed: StoreError names those that there are."""
    listed = _signed_list(store, subject, name, trust)
    digests = checksums.parse_sums(listed, where=_where(store, subject, name, "SHA256SUMS"))
    where = _where(store, subject, name, "release.json")
    if "release.json" not in digests:
        raise IntegrityError("the signed list names no release.json", where=where, todo=CARRY_AGAIN)
    data = bring(store, f"{subject.place}/{name}/release.json", MAX_LIST)
    if files.sha256_bytes(data) != digests["release.json"]:
        raise IntegrityError("its bytes have changed", where=where, todo=CARRY_AGAIN)
    content = described(data, where=where)
    _refuse_other(store, subject, name, listed, content)
    return Release(subject=subject, id=name, digests=digests, content=content)


def described(data: bytes, *, where: object) -> dict[str, Any]:
    """What release.json says.

    OldToolError where only a newer tool reads it, IntegrityError where it is none.
    """
    try:
        _refuse_newer(parsing.from_json(data), where)
        content: dict[str, Any] = from_bytes(data, "release", where=where)
    except (ConfigError, ValueError) as error:
        what = error.what if isinstance(error, ConfigError) else str(error)
        raise IntegrityError(f"this is no release that this version of nf-airlock reads: {what}",
                             where=where, todo="read it with the version that made it") from error
    return content


def _refuse_newer(content: Any, where: object) -> None:
    """OldToolError by the number alone: what else a newer form says isn't known here."""
    number = content.get("format") if isinstance(content, dict) else None
    if isinstance(number, int) and number > RELEASE_FORMAT:
        made = content.get("tool")
        by = f", as nf-airlock {made} makes them" if isinstance(made, str) else ""
        raise OldToolError(
            f"this tool is too old: nf-airlock {TOOL_VERSION} reads releases up to format "
            f"{RELEASE_FORMAT}, and this one is of format {number}{by}", where=where,
            todo="use a newer one: an offline host copies its folder, tool/ID/, out of the store; "
                 "a checkout is brought there by `git pull`")


def get(store: Store, release: Release, path: str, target: Path) -> None:
    """Bring one of its files, as the list has it; IntegrityError where the store's is another."""
    size = next(file["size"] for file in release.content["files"] if file["path"] == path)
    key = checksums.blob_key(path, release.digests[path])
    store.get(key, target, most=size)
    if files.sha256(target) != release.digests[path]:
        target.unlink()
        raise IntegrityError(f"{path} of the release {release.id} has other bytes than were "
                             "signed", where=f"{store.url}: {key}", todo=CARRY_AGAIN)


def _signed_list(store: Store, subject: Subject, name: str, trust: Trust) -> bytes:
    """A release's SHA256SUMS, once a trusted key has signed it; nothing else is read before."""
    place = f"{subject.place}/{name}"
    files.inside(Path(), place)
    where = _where(store, subject, name, "SHA256SUMS")
    try:
        listed = bring(store, f"{place}/SHA256SUMS", MAX_LIST)
    except StoreError as error:
        known = sorted({key.split("/")[2] for key in store.list(f"{subject.place}/")
                        if key.endswith("/SHA256SUMS")})
        raise StoreError(f"there is no release {name!r}: {error.what}", where=where,
                         todo=f"known: {', '.join(known) or 'none'}") from error
    try:
        signed = bring(store, f"{place}/SHA256SUMS.sig")
    except StoreError as error:
        raise IntegrityError(f"the signature is missing: {error.what}", where=f"{where}.sig",
                             todo=CARRY_AGAIN) from error
    trust.verify(listed, signed, namespace=signature.RELEASE, subject=subject, where=where)
    return listed


def _refuse_other(store: Store, subject: Subject, name: str, listed: bytes,
                 content: Mapping[str, Any]) -> None:
    """IntegrityError where release.json isn't of the pipeline, id and files that were signed."""
    where = _where(store, subject, name, "release.json")
    if content["pipeline"] != subject.pipeline:
        raise IntegrityError(f"this is a release of another pipeline, {content['pipeline']!r}",
                             where=where, todo=CARRY_AGAIN)
    own = checksums.release_id(content["revision"], listed)
    if own != name:
        raise IntegrityError(f"the release under the name {name} is {own}", where=where,
                             todo=CARRY_AGAIN)
    named = {file["path"]: file["sha256"] for file in content["files"]}
    digests = checksums.parse_sums(listed, where=where)
    if named != {path: digest for path, digest in digests.items() if path != "release.json"}:
        raise IntegrityError("release.json and SHA256SUMS do not list the same files", where=where,
                             todo=CARRY_AGAIN)


def _where(store: Store, subject: Subject, name: str, path: str) -> str:
    return f"{store.url}: {subject.place}/{name}/{path}"
