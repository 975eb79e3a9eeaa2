"""Signed proofs beside releases: how each was tried, by whom, from which commit.

A promotion, which is verified, names its proof by digest, so that is how a proof is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError, StoreError
from tasks.core.schema import from_bytes
from tasks.core.store.interface import Store, bring
from tasks.core.trust.promotions import Promotion, Subject


def place(subject: Subject, name: str, sha256: str) -> str:
    """The key of a proof; its signature lies beside it."""
    return f"{subject.place}/{name}/proofs/{sha256}.json"


def of(store: Store, promotion: Promotion) -> dict[str, Any] | None:
    """The proof that a promotion names; None where it names none, or that isn't there as named."""
    if promotion.proof is None:
        return None
    here = place(promotion.subject, promotion.id, promotion.proof)
    try:
        data = bring(store, here)
    except StoreError:
        return None
    if files.sha256_bytes(data) != promotion.proof:
        return None
    try:
        value: dict[str, Any] = from_bytes(data, "proof", where=here)
    except ConfigError:
        return None
    return value


def lines(proof: Mapping[str, Any]) -> list[str]:
    """What it says, for people."""
    at, validation, smoke = proof["checkout"], proof["validation"], proof["smoke"]
    commit = f"commit {at['commit']}" if at["commit"] else "no git commit"
    dirty = ", with changes that were not committed" if at["dirty"] else ""
    return [
        f"made by {proof['identity']} with the key {proof['key']}, {commit}{dirty}",
        *([f"validation: {validation['subjects']} subjects, all well; "
           f"{validation['warnings']} warnings"] if validation else []),
        "smoke run: " + (smoke["why"] if smoke["run"] == "none" else
                         f"{smoke['run']} run, ended well; log {smoke['log']}")]
