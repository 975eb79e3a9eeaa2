"""The policies of a locked down bucket: valid, true to their promises, and nothing without use."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.aws import documents
from tasks.aws.lockdown import FOLDERS, WRITTEN_ONCE, Lockdown
from tasks.aws.policies import DOCUMENTS, PoliciesSpec, write_policies
from tasks.aws.tried_requests import tried_requests
from tasks.aws.wanted import differs, wanted
from tasks.core.aws.conditions import matches
from tasks.core.aws.evaluate import Access, Policies, decide
from tasks.core.aws.paths import AwsPaths
from tasks.core.aws.policy import statements
from tasks.core.aws.policy_grammar import check_policy
from tasks.core.config.aws_settings import AwsRoles
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.store.interface import is_blob, is_immutable

KEY = "arn:aws:kms:us-west-2:111122223333:key/0a1b"
ROLES = AwsRoles(online="airlock-online", offline="airlock-offline", admin="airlock-admin")
FULL = Lockdown(url="s3://carried/some/prefix", region="us-west-2", account="111122223333",
                encryption="aws:kms", kms_key=KEY, vpc_endpoints=("vpce-0a1b2c3d4e5f60718",),
                roles=ROLES)


def lockdowns() -> list[Lockdown]:
    """Every combination of what a site may leave out."""
    without_admin = AwsRoles(online=ROLES.online, offline="arn:aws:iam::444455556666:role/reads")
    return [dataclasses.replace(FULL, url=url, encryption=encryption, kms_key=key,
                                vpc_endpoints=endpoints, roles=roles)
            for url, (encryption, key), endpoints, roles in itertools.product(
                ("s3://carried", "s3://carried/some/prefix/"),
                (("none", None), ("AES256", None), ("aws:kms", KEY), ("aws:kms", "alias/carried")),
                ((), FULL.vpc_endpoints), (ROLES, without_admin))]


@pytest.mark.parametrize("lock", lockdowns())
def test_every_document_is_one_that_aws_takes_and_keeps_its_promises(lock: Lockdown) -> None:
    for kind, make in DOCUMENTS.values():
        check_policy(make(lock), kind)
    bucket = documents.bucket_policy(lock)
    for trial in tried_requests(lock):
        decision = trial.decide(bucket, documents.endpoint_policy(lock)
                                if trial.through_endpoint else None)
        assert decision.allowed is trial.allowed, f"{trial.text}: {decision.reason}"


@pytest.mark.parametrize("lock", lockdowns())
def test_no_statement_of_the_bucket_policy_is_without_use(lock: Lockdown) -> None:
    """Each one that is taken away lets something through, or keeps somebody out.

    What a bucket holds of another encryption or key is tried below.
    """
    whole = documents.bucket_policy(lock)
    for statement in whole["Statement"]:
        if statement["Sid"] in ("AirlockNoOtherEncryption", "AirlockListByEndpointOnly"):
            continue
        rest = {**whole, "Statement": [other for other in whole["Statement"]
                                       if other is not statement]}
        assert any(trial.decide(rest).allowed != trial.allowed for trial in tried_requests(lock)), (
            statement["Sid"])


def put(lock: Lockdown, key: str, **context: str) -> bool:
    """Whether the bucket lets an administrator of everything put a file."""
    trial = next(tried for tried in tried_requests(lock)
                 if tried.text == "the pushing role puts a release")
    access = dataclasses.replace(
        trial.access, resource=f"{lock.arn}/{lock.prefix}{key}",
        context={**trial.access.context, **{name.replace("__", ":").replace("_", "-"): value
                                            for name, value in context.items()}})
    everything = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    return dataclasses.replace(trial, access=access, identity=everything).decide(
        documents.bucket_policy(lock)).allowed


def test_another_encryption_or_key_is_denied_everywhere_and_none_at_all_below_work_is_not() -> None:
    sse = {"s3__x_amz_server_side_encryption": "AES256"}
    key = {"s3__x_amz_server_side_encryption_aws_kms_key_id": f"{KEY}2"}
    assert put(FULL, "blobs/sha256/a/f")
    assert not put(FULL, "blobs/sha256/a/f", **sse)
    assert not put(FULL, "blobs/sha256/a/f", **key)
    assert not put(FULL, "work/ab/f", **sse)
    assert not put(dataclasses.replace(FULL, kms_key="alias/carried"), "blobs/sha256/a/f", **sse)
    trial = next(iter(tried_requests(dataclasses.replace(FULL, encryption="none"))))
    bare = dataclasses.replace(trial.access, resource=f"{FULL.arn}/{FULL.prefix}work/ab/f")
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    assert dataclasses.replace(trial, access=bare, identity=everything).decide(
        documents.bucket_policy(FULL)).allowed


def test_a_listing_past_the_endpoint_is_denied() -> None:
    listing = next(trial for trial in tried_requests(FULL)
                   if trial.text == "the pushing role lists releases")
    context = {key: value for key, value in listing.access.context.items()
               if key != "aws:sourcevpce"}
    past = dataclasses.replace(listing, access=dataclasses.replace(listing.access,
                                                                   context=context))
    assert listing.decide(documents.bucket_policy(FULL)).allowed
    assert "ListByEndpointOnly" in past.decide(documents.bucket_policy(FULL)).reason


@pytest.mark.parametrize("key", [
    "blobs/sha256/ab/reads.fq", "releases/hello/1.0-ab/release.json",
    "releases/hello/1.0-ab/SHA256SUMS", "releases/hello/1.0-ab/SHA256SUMS.sig",
    "releases/hello/promotions/00000001.json", "releases/hello/promotions/00000001.json.sig",
    "releases/hello/current.json", "tool/ab/airlock.tar", "tool/ab/airlock.tar.sig",
    "tool/ab/wheels/doit-1.whl", "tool/promotions/00000001.json", "tool/current.json",
    "tool/promotions/00000001.json.sig", "smoke/hello/1.0-ab/trace.txt", "work/ab/cd/f"])
def test_what_never_changes_is_the_same_to_the_store_and_to_its_bucket(key: str) -> None:
    in_policy = any(matches(pattern, key) for pattern in WRITTEN_ONCE)
    assert in_policy == (is_immutable(key) or is_blob(key))


@pytest.mark.parametrize("work", ["s3://carried", "s3://carried/", "s3://carried/some",
                                  "s3://carried/some/prefix", "s3://carried/some/prefix/releases",
                                  "s3://carried/some/prefix/blobs/sha256"])
def test_a_work_folder_that_would_take_the_releases_with_it_is_refused(work: str) -> None:
    lock = dataclasses.replace(FULL, work=work)
    with pytest.raises(ConfigError, match="would be deleted"):
        wanted("lifecycle", None, lock)


@pytest.mark.parametrize(("work", "prefix"), [
    (None, "some/prefix/work/"), ("s3://other/work", "some/prefix/work/"),
    ("s3://carried/scratch", "scratch/"), ("s3://carried/some/prefix/work/", "some/prefix/work/")])
def test_only_the_work_folder_ends(work: str | None, prefix: str) -> None:
    lock = dataclasses.replace(FULL, work=work, work_days=3)
    rules = wanted("lifecycle", None, lock)["Rules"]
    ending = [rule for rule in rules if "Expiration" in rule]
    assert {rule["Filter"]["Prefix"] for rule in ending} == {prefix}
    assert ending[0]["Expiration"] == {"Days": 3}
    assert not any(f"{lock.prefix}{folder}/".startswith(prefix) for folder in FOLDERS)


def test_statements_and_rules_of_others_stay_and_old_ones_of_ours_go() -> None:
    theirs = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": "444455556666"},
              "Action": "s3:GetObject", "Resource": "arn:aws:s3:::carried/public/*"}
    current = {"Version": "2008-10-17", "Id": "kept", "Statement": [
        theirs, {**theirs, "Sid": "AirlockOld"}]}
    policy = wanted("policy", current, FULL)
    assert (policy["Version"], policy["Id"], policy["Statement"][0]) == (
        "2008-10-17", "kept", theirs)
    assert "AirlockOld" not in [statement["Sid"] for statement in statements(policy)]
    assert differs("policy", current, policy)
    assert not differs("policy", policy, wanted("policy", policy, FULL))
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"},
            "Expiration": {"Date": "2030-01-01T00:00:00+00:00"}}
    before = {"Rules": [rule, {**rule, "ID": "airlock-old"}],
              "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    after = wanted("lifecycle", before, FULL)
    assert after["Rules"][0] == rule
    assert "airlock-old" not in [entry["ID"] for entry in after["Rules"]]
    assert after["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    assert differs("lifecycle", before, after)
    assert not differs("lifecycle", after, wanted("lifecycle", after, FULL))


@pytest.mark.parametrize(("change", "expected"), [
    ({"url": "/srv/store"}, "store is a folder"), ({"account": ""}, "account"),
    ({"roles": None}, "know the roles"), ({"conditional": False}, "written conditionally")])
def test_what_the_documents_need_is_asked_for(change: dict[str, Any], expected: str,
                                              tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              ) -> None:
    monkeypatch.chdir(tmp_path)
    spec = PoliciesSpec(layout=AwsPaths(site="here"), lock=dataclasses.replace(FULL, **change),
                        names=tuple(DOCUMENTS))
    with pytest.raises(ConfigError, match=expected):
        write_policies(spec)
    assert not AwsPaths(site="here").root.exists()


def test_each_document_is_a_file_of_its_own(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    at = AwsPaths(site="here")
    write_policies(PoliciesSpec(layout=at, lock=FULL, names=tuple(DOCUMENTS)))
    first = {path.name: path.read_bytes() for path in at.root.iterdir()}
    assert set(first) == {f"{name}.json" for name in DOCUMENTS}
    assert json.loads(first["offline-role.json"])["Statement"][0]["Action"] == "s3:GetObject"
    assert b"Delete" not in first["online-role.json"]
    write_policies(PoliciesSpec(layout=at, lock=FULL, names=tuple(DOCUMENTS)))
    assert {path.name: path.read_bytes() for path in at.root.iterdir()} == first


def test_one_role_for_both_sides_is_refused(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """The offline side's hosts could push, then."""
    monkeypatch.chdir(tmp_path)
    lock = dataclasses.replace(FULL, roles=AwsRoles(online="same", offline="same"))
    with pytest.raises(AirlockError, match="role of its own"):
        write_policies(PoliciesSpec(layout=AwsPaths(site="here"), lock=lock,
                                    names=tuple(DOCUMENTS)))


@pytest.mark.parametrize(("context", "service", "expected"), [
    ("arn:aws:s3:::scratch", "s3", True), ("arn:aws:s3:::carried", "s3", True),
    ("arn:aws:s3:::elsewhere", "s3", False), ("arn:aws:s3:::scratch", "ebs", False)])
def test_jobs_use_the_key_for_their_own_buckets_alone(context: str, service: str,
                                                      expected: bool) -> None:
    lock = dataclasses.replace(FULL, work="s3://scratch/work", roles=dataclasses.replace(
        ROLES, jobs=("batch-instance",)))
    policy = check_policy(documents.key_policy(lock), "key")
    access = Access(principal="arn:aws:iam::111122223333:role/batch-instance", resource=KEY,
                    action="kms:GenerateDataKey", owner="111122223333", context={
                        "kms:viaservice": f"{service}.us-west-2.amazonaws.com",
                        "kms:encryptioncontext:aws:s3:arn": context})
    assert decide(access, Policies(resource=policy)).allowed is expected
    assert not decide(access, Policies(resource=documents.key_policy(FULL))).allowed


def test_the_documents_of_another_partition_name_it() -> None:
    lock = dataclasses.replace(FULL, region="cn-north-1", kms_key=KEY.replace(":aws:", ":aws-cn:"))
    for kind, make in DOCUMENTS.values():
        policy = check_policy(copy.deepcopy(make(lock)), kind)
        assert "arn:aws:" not in json.dumps(policy)
    assert "amazonaws.com.cn" in json.dumps(documents.key_policy(lock))
