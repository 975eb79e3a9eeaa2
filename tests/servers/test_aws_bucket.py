"""A bucket planned, made and locked down, against what stands in for AWS."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.aws.apply import apply
from tasks.aws.check import check_bucket
from tasks.aws.plan import show_plan
from tasks.core.errors import AwsError, ConfigError
from tasks.core.schema import check, read_json
from tests.kit import aws
from tests.kit.aws import Fault, Front
from tests.kit.aws_bucket import (
    AT,
    LOCK,
    THEIR_RULE,
    THEIRS,
    changes,
    make_bucket,
    prepare,
    s3,
    spec,
)
from tests.kit.aws_requests import Request, Response


@pytest.fixture
def front(shared_front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Front:
    return prepare(shared_front, tmp_path, monkeypatch)


def test_a_plan_shows_what_would_be_set_and_changes_nothing(
        front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    assert "5 settings would be set" in show_plan(spec(front))
    assert "isn't there, and would be made" in capsys.readouterr().out
    assert changes(front) == []
    assert not AT.journal.exists()
    plan = read_json(AT.plan, "aws-plan")
    assert (plan["exists"], plan["account"]) == (False, aws.ACCOUNT)
    assert all(setting["differs"] and setting["current"] is None for setting in plan["settings"])


def test_a_bucket_is_made_and_set_and_a_second_apply_changes_nothing(front: Front) -> None:
    assert "set" in apply(spec(front))
    assert changes(front) == [f"s3:{name}" for name in (
        "CreateBucket", "PutPublicAccessBlock", "PutBucketEncryption", "PutBucketVersioning",
        "PutBucketLifecycleConfiguration", "PutBucketPolicy")]
    receipt = AT.receipt.read_bytes()
    assert not any(setting["differs"] for setting in read_json(AT.receipt, "aws-plan")["settings"])
    lines = [check(json.loads(line), "aws-journal", where=AT.journal)
             for line in AT.journal.read_text().splitlines()]
    assert [line["state"] for line in lines] == ["begun", "done"] * 6
    front.calls.clear()
    assert "all was set already" in apply(spec(front))
    assert changes(front) == []
    assert AT.receipt.read_bytes() == receipt
    assert "would change nothing" in show_plan(spec(front))
    client = s3(front)
    assert client.get_bucket_versioning(Bucket="carried")["Status"] == "Enabled"
    assert client.get_bucket_location(Bucket="carried")["LocationConstraint"] == aws.REGION


def test_every_call_names_the_account_that_the_bucket_must_belong_to(
        front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[tuple[str, str | None]] = []
    passed_on = front.pass_on

    def pass_on(request: Request) -> Response:
        if request.service == "s3":
            headers = {name.lower(): value for name, value in request.headers.items()}
            owners.append((request.operation, headers.get("x-amz-expected-bucket-owner")))
        return passed_on(request)

    monkeypatch.setattr(front, "pass_on", pass_on)
    apply(spec(front))
    check_bucket(spec(front))
    assert {owner for operation, owner in owners if operation != "CreateBucket"} == {aws.ACCOUNT}


def test_only_what_differs_is_set_and_what_others_set_stays(front: Front) -> None:
    client = make_bucket(front)
    client.put_bucket_versioning(Bucket="carried", VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_policy(Bucket="carried", Policy=json.dumps(
        {"Version": "2012-10-17", "Statement": [THEIRS, {**THEIRS, "Sid": "AirlockOld"}]}))
    client.put_bucket_lifecycle_configuration(
        Bucket="carried", LifecycleConfiguration={"Rules": [
            THEIR_RULE, {**THEIR_RULE, "ID": "dated",
                         "Expiration": {"Date": "2031-01-01T00:00:00Z"}}]})
    front.calls.clear()
    apply(spec(front))
    assert "s3:PutBucketVersioning" not in changes(front)
    assert "s3:CreateBucket" not in changes(front)
    policy = json.loads(client.get_bucket_policy(Bucket="carried")["Policy"])
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert policy["Statement"][0] == THEIRS
    assert "AirlockOld" not in sids
    assert sids.count("AirlockTlsOnly") == 1
    rules = client.get_bucket_lifecycle_configuration(Bucket="carried")["Rules"]
    assert [rule["ID"] for rule in rules] == [
        "theirs", "dated", "airlock-unfinished-uploads", "airlock-work", "airlock-work-markers"]
    assert rules[0] == THEIR_RULE
    assert rules[1]["Expiration"]["Date"].year == 2031
    assert rules[3]["Filter"] == {"Prefix": "work/"}
    front.calls.clear()
    apply(spec(front, work_days=20))
    assert changes(front) == ["s3:PutBucketLifecycleConfiguration"]


def test_a_bucket_of_somebody_else_is_not_touched(front: Front,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS answers so where the owner isn't the one that the call expects; moto doesn't ask."""
    make_bucket(front)
    passed_on = front.pass_on

    def refuse(request: Request) -> Response:
        if request.service == "s3" and "/carried" in request.target:
            return Response(status=403, body=b"", headers={})
        return passed_on(request)

    monkeypatch.setattr(front, "pass_on", refuse)
    for act in (apply, show_plan, check_bucket):
        with pytest.raises(AwsError, match="belongs to another account") as caught:
            act(spec(front))
        assert aws.ACCOUNT in str(caught.value)
    assert changes(front) == []
    assert not AT.journal.exists()


def test_a_name_that_somebody_takes_meanwhile_is_an_error(front: Front,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on = front.pass_on

    def taken(request: Request) -> Response:
        if request.operation == "CreateBucket":
            return Response(status=409, headers={}, body=b"<Error><Code>BucketAlreadyExists</Code>"
                                                         b"<Message>taken</Message></Error>")
        return passed_on(request)

    monkeypatch.setattr(front, "pass_on", taken)
    with pytest.raises(AwsError, match="belongs to another account"):
        apply(spec(front))
    assert [json.loads(line)["state"] for line in AT.journal.read_text().splitlines()] == [
        "begun", "failed"]


def test_a_bucket_in_another_region_is_not_touched(front: Front) -> None:
    make_bucket(front, "eu-central-1")
    with pytest.raises(AwsError, match="another region, eu-central-1"):
        apply(spec(front))
    assert changes(front) == []


@pytest.mark.parametrize(("prepare", "expected"), [
    (lambda patch: [patch.delenv(name) for name in aws.CREDENTIALS if "EC2" not in name],
     "no credentials"),
    (lambda patch: None, "those of account 123456789012, and the bucket belongs to 111122223333"),
])
def test_wrong_credentials_end_it_before_anything_is_done(
        front: Front, monkeypatch: pytest.MonkeyPatch,
        prepare: Callable[[pytest.MonkeyPatch], object], expected: str) -> None:
    prepare(monkeypatch)
    wrong = dataclasses.replace(spec(front), aws=dataclasses.replace(
        front.aws, account="111122223333"))
    with pytest.raises(AwsError, match=expected):
        apply(wrong)
    assert changes(front) == []


@pytest.mark.parametrize(("change", "expected"), [
    ({"lock": dataclasses.replace(LOCK, url="build/local/store")}, "store is a folder"),
    ({"store_endpoint": "https://minio.example.org"}, "isn't at AWS"),
    ({"lock": dataclasses.replace(LOCK, work="s3://carried/some")}, "would be deleted")])
def test_what_is_no_bucket_at_aws_is_said_to_be_none(front: Front, change: dict[str, Any],
                                                     expected: str) -> None:
    for act in (apply, show_plan):
        with pytest.raises(ConfigError, match=expected):
            act(dataclasses.replace(spec(front), **change))
    assert changes(front) == []
    make_bucket(front)
    with pytest.raises(ConfigError, match=expected):
        check_bucket(dataclasses.replace(spec(front), **change))


CALLS = ["HeadBucket", "CreateBucket", "GetPublicAccessBlock", "GetBucketEncryption",
         "GetBucketVersioning", "GetBucketLifecycleConfiguration", "GetBucketPolicy",
         "PutPublicAccessBlock", "PutBucketEncryption", "PutBucketVersioning",
         "PutBucketLifecycleConfiguration", "PutBucketPolicy", "GetCallerIdentity"]


SOME = ["GetCallerIdentity", "GetBucketPolicy", "PutBucketVersioning"]


@pytest.mark.parametrize(("kind", "calls"), [
    (kind, CALLS if kind in ("denied", "cut before", "cut after") else SOME)
    for kind in aws.FAULTS])
def test_a_fault_at_every_call_is_said_and_the_next_apply_goes_on(front: Front, kind: str,
                                                                  calls: list[str]) -> None:
    apply(spec(front))
    wanted = AT.receipt.read_bytes()
    for operation in calls:
        front.reset()
        shutil.rmtree(AT.root)
        front.faults.append(Fault(kind=kind, operation=operation, times=None))
        with pytest.raises(AwsError) as caught:
            apply(spec(front))
        assert caught.value.todo
        assert caught.value.where
        assert any(call.fault == kind for call in front.calls), operation
        assert not AT.receipt.exists()
        states = ([json.loads(line) for line in AT.journal.read_text().splitlines()]
                  if AT.journal.exists() else [])
        begun = [line["action"] for line in states if line["state"] == "begun"]
        ended = [line["action"] for line in states if line["state"] != "begun"]
        assert begun == ended
        assert len(begun) == len({*begun})
        front.faults.clear()
        apply(spec(front))
        assert AT.receipt.read_bytes() == wanted, operation


def test_a_call_that_is_cut_once_is_tried_again(front: Front) -> None:
    for operation in CALLS:
        front.faults.append(Fault(kind="cut after", operation=operation))
    apply(spec(front))
    assert "would change nothing" in show_plan(spec(front))


def test_a_killed_run_leaves_its_intent(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.aws.bucket.Bucket.write", killed)
    with pytest.raises(KeyboardInterrupt):
        apply(spec(front))
    last = json.loads(AT.journal.read_text().splitlines()[-1])
    assert (last["state"], last["action"]) == ("begun", "s3:PutBucketPublicAccessBlock")
    monkeypatch.undo()
