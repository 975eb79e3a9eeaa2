"""`runs:verify`: a run's record and results against the list that was signed when it ended."""

from __future__ import annotations

from pathlib import Path

from tasks.core import files
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.frozen import frozen
from tasks.core.trust import checksums, signature
from tasks.offline_host import results, runs
from tasks.offline_host.run_folder import RunFolder

SIGNERS = "run_signers"
"""In an offline host's trust folder: which hosts' keys may sign records of runs."""


@frozen
class Verified:
    """What was looked at: differences, of a kind and what they are of; and who has signed.

    `signed` says it in words, whether or not it can be held against a key.
    """

    differences: tuple[tuple[str, str], ...]
    count: int
    signed: str


def verify(folder: RunFolder, signers: Path | None) -> Verified:
    """Hold a run's files against its record, and that against its signed list.

    `signers` names the keys that may have signed it. Where that file is there, a record without
    a signature counts as changed. IntegrityError where there is nothing to hold them against.
    """
    record = runs.whole(folder)
    if record["results"] is None or not folder.sums.is_file():
        raise IntegrityError("this run has no list of its results: it is under way, or it was "
                             "ended before it had one", where=folder.path,
                             todo="`runs:show` says how it ended")
    listed = folder.sums.read_bytes()
    differences = [*_of_record(folder, listed, results.digests(record["results"]))]
    differences += results.differences(folder.results, record["results"], record["unlisted"])
    signed, is_good = signed_by(folder, listed, record["host"]["name"], signers)
    if not is_good:
        differences.append(("not trusted", folder.signature.name))
    return Verified(differences=tuple(differences), count=len(record["results"]), signed=signed)


def _of_record(folder: RunFolder, listed: bytes,
               made: dict[str, str]) -> list[tuple[str, str]]:
    """How record and list differ from each other."""
    try:
        digests = checksums.parse_sums(listed, where=folder.sums)
    except IntegrityError:
        return [("changed", folder.sums.name)]
    differences = []
    if digests.pop(folder.record.name, None) != files.sha256(folder.record):
        differences.append(("changed", folder.record.name))
    listed_page = digests.pop(folder.page.name, None)
    if listed_page and not folder.page.is_file():
        differences.append(("missing", folder.page.name))
    elif listed_page and listed_page != files.sha256(folder.page):
        differences.append(("changed", folder.page.name))
    if digests != made:
        differences.append(("changed", folder.sums.name))
    return differences


def signed_by(folder: RunFolder, listed: bytes, host: str,
              signers: Path | None) -> tuple[str, bool]:
    """Who has signed a list, in words, and whether that is as it must be."""
    known = signers if signers is not None and signers.is_file() else None
    if not folder.signature.is_file():
        return "not signed" + (f", and {known} names who must" if known else ""), known is None
    if known is None:
        return "signed, and no list of signers says by whom it may be", True
    try:
        signature.verify(listed, folder.signature.read_bytes(), namespace=signature.RUN,
                         allowed=known, signer=host, where=folder.signature)
    except AirlockError as error:
        return error.what, False
    return f"signed by the key that {known} names for {host}", True
