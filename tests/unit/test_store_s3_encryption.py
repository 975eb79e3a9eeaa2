"""Which encryption of an answer fits what the site asks for, and what errors and configs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.load import load
from tasks.core.errors import ConfigError
from tasks.core.store.interface import Stored, difference
from tasks.core.store.s3_encryption import ALGORITHM, KEY, encryption_fault
from tasks.core.store.s3_faults import Refusal, explain

PLACE = "arn:aws:kms:us-west-2:111122223333"
ARN = f"{PLACE}:key/0a1b2c3d"
OTHER = f"{PLACE}:key/ffffffff"
ELSEWHERE = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d"
FOREIGN = "arn:aws:kms:us-west-2:444455556666:key/0a1b2c3d"


def at(encryption: str | None = "aws:kms", key: str | None = None) -> StoreAt:
    return StoreAt(url="s3://bucket", encryption=encryption, kms_key=key)


@pytest.mark.parametrize(("asked", "key", "resolved", "fits"), [
    (ARN, ARN, None, True), (ARN, OTHER, None, False), (ARN, None, None, False),
    (ARN, "0a1b2c3d", None, True), (ARN, "ffffffff", None, False),  # some name the id alone
    (ARN, ELSEWHERE, None, False), (ARN, FOREIGN, None, False), (ARN, "alias/a", None, False),
    ("alias/a", ARN, None, True), ("alias/a", OTHER, ARN, False), ("alias/a", ARN, ARN, True),
    ("alias/a", "alias/a", None, True), ("alias/a", None, None, False),
    (f"{PLACE}:alias/a", ARN, None, True), (f"{PLACE}:alias/a", f"{PLACE}:alias/a", None, True),
    (f"{PLACE}:alias/a", ELSEWHERE, None, False), (f"{PLACE}:alias/a", FOREIGN, None, False),
    (f"{PLACE}:alias/a", OTHER, ARN, False), (f"{PLACE}:alias/a", "0a1b2c3d", None, True),
    (None, ARN, None, True), (None, None, None, True), (None, ARN, OTHER, False),
    (None, None, ARN, False)])
def test_which_key_may_be_the_one_that_was_asked_for(
        asked: str | None, key: str | None, resolved: str | None, fits: bool) -> None:
    answer = {ALGORITHM: "aws:kms", **({KEY: key} if key else {})}
    fault = encryption_fault(at(key=asked), answer, resolved)
    assert (fault is None) == fits
    assert fits or (key or "names no key") in str(fault)


@pytest.mark.parametrize(("asked", "answered", "fits"), [
    (None, None, True), ("none", "AES256", True), ("none", None, True),
    ("AES256", "AES256", True), ("AES256", None, False), ("AES256", "aws:kms", False),
    ("aws:kms", "AES256", False), ("aws:kms", "aws:kms:dsse", False), ("aws:kms", None, False)])
def test_which_algorithm_fits(asked: str | None, answered: str | None, fits: bool) -> None:
    answer = {ALGORITHM: answered} if answered else {}
    assert (encryption_fault(at(asked), answer) is None) == fits


@pytest.mark.parametrize(("held", "said"), [
    (None, "nothing is there"), (Stored(key="k", size=2, sha256="a"), "2 bytes are there, not 3"),
    (Stored(key="k", size=3, sha256=None), "tells no SHA-256"),
    (Stored(key="k", size=3, sha256="b"), "its SHA-256 there is b, not a"),
    (Stored(key="k", size=3, sha256="a", fault="no encryption"), "no encryption")])
def test_what_differs_is_said_in_words(held: Stored | None, said: str) -> None:
    text = difference(held, Stored(key="k", size=3, sha256="a"))
    assert said in text
    assert "Stored(" not in text


@pytest.mark.parametrize(("refusal", "asked", "said"), [
    (Refusal(status=403), None, "set store.encryption"),
    (Refusal(status=403, code="AccessDenied"), "AES256", "another encryption than AES256"),
    (Refusal(status=403, code="AccessDenied", message="no kms:GenerateDataKey on it"), "aws:kms",
     "kms:Decrypt to the pushing role"),
    (Refusal(status=400, code="KMS.NotFoundException"), "aws:kms", "correct store.kms_key"),
    (Refusal(status=400, code="KMS.DisabledException"), "aws:kms", "enable it"),
    (Refusal(status=501, code="NotImplemented"), None, "set store.checksums to metadata"),
    (Refusal(status=501), None, "store.conditional to none")])
def test_a_refusal_names_the_keys_of_the_site(
        refusal: Refusal, asked: str | None, said: str) -> None:
    assert said in str(explain(refusal, "s3://bucket: k", at(asked), "us-east-1"))


def test_a_servers_words_are_shown_in_part() -> None:
    long = Refusal(status=403, code="AccessDenied", message="x" * 10_000 + "\x1b[2J")
    assert len(str(explain(long, "s3://bucket: k", at(None), "us-east-1"))) < 1000


@pytest.mark.parametrize(("keys", "fits"), [
    ({"encryption": "aws:kms", "kms_key": ARN}, True),
    ({"encryption": "aws:kms", "kms_key": "alias/airlock/store"}, True),
    ({"encryption": "aws:kms", "kms_key": f"{PLACE}:alias/airlock"}, True),
    ({"encryption": "aws:kms"}, True), ({"encryption": "none"}, True),
    ({"encryption": "AES256", "checksums": "metadata", "conditional": "none"}, True),
    ({"encryption": "AES256", "kms_key": ARN}, False), ({"kms_key": ARN}, False),
    ({"encryption": "aws:kms", "kms_key": "0a1b2c3d"}, False),
    ({"encryption": "aws:kms", "kms_key": "key/0a1b2c3d"}, False),
    ({"encryption": "aws:kms", "kms_key": f"{PLACE}:alias/a\nb"}, False),
    ({"encryption": "SSE-C"}, False), ({"checksums": "none"}, False),
    ({"conditional": "metadata"}, False)])
def test_what_a_site_may_say_of_its_store(project: Path, keys: dict[str, Any], fits: bool) -> None:
    path = project / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    raw["store"] |= keys
    path.write_text(yaml.safe_dump(raw))
    if fits:
        store = load({}).site.store
        assert {name: getattr(store, name) for name in keys} == keys
        offline = load({}).site.offline.store  # which only reads, from a folder here
        assert {getattr(offline, name) for name in keys} == {None}
        return
    with pytest.raises(ConfigError, match=r"kms_key|encryption|checksums|conditional"):
        load({})
