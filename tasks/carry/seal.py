"""`carry`: the list of a carried folder, signed; with it the folder is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.carry import lay, place
from tasks.carry.place import Place
from tasks.core import files
from tasks.core.config.settings import Signing
from tasks.core.errors import HostError
from tasks.core.paths import SitePaths
from tasks.core.process_shared import Shared
from tasks.core.trust import checksums, signature
from tasks.core.trust.carried import README, RECORD, SEAL, SUMS, WHOLE_SEAL, WHOLE_SUMS
from tasks.core.trust.checksums import MAX_LIST


@dataclass(frozen=True, kw_only=True)
class SealSpec:
    """A folder that was laid out, and what it is signed with."""

    pipeline: str
    layout: SitePaths
    to: str | None
    signing: Signing
    shared: Shared


def seal(spec: SealSpec) -> str:
    """Sign the list and write it, last; show what to type on the other side.

    HostError where the folder isn't what was laid out.
    """
    root = Path(spec.to or "").expanduser().absolute()
    pending = lay.pending(spec.layout, spec.to)
    with place.held(root, spec.shared):
        to = Place(root, spec.shared)
        digests = checksums.parse_sums(pending.read_bytes(), where=pending)
        record = place.content(root, RECORD, MAX_LIST)
        if record is None or files.sha256_bytes(record) != digests[RECORD]:
            raise HostError("the folder is not what was laid out", where=root,
                            todo="somebody changed it meanwhile: run the same command again")
        signature.ready(spec.signing.key, create=spec.signing.create,
                        identity=spec.signing.identity)
        if WHOLE_SUMS in digests:
            whole = pending.with_name(f"whole.{SUMS}").read_bytes()
            digests[WHOLE_SEAL] = files.sha256_bytes(_sign(to, spec.signing, whole, WHOLE_SEAL))
        listed = checksums.format_sums(digests)
        _sign(to, spec.signing, listed, SEAL)
        to.have(SUMS, listed)
        to.flush()
        page = (place.content(root, README, MAX_LIST) or b"").decode()
    print(page.partition("WHERE THE TOOL")[2] and page[page.index("WHERE THE TOOL"):], flush=True)
    return f"{root}: {len(digests)} files listed, signed as {spec.signing.identity}"


def _sign(to: Place, signing: Signing, data: bytes, path: str) -> bytes:
    """The signature of a list, which is written; one that is there and fits stays."""
    there = place.content(to.root, path, MAX_LIST)
    if there is None or not signature.is_own(signing.key, data, there, namespace=signature.CARRY):
        there = signature.sign(signing.key, data, namespace=signature.CARRY)
        to.have(path, there)
    return there
