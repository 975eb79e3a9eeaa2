"""A bucket planned, made, locked down and checked, against what stands in for AWS."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.aws.apply import apply
from tasks.aws.check import check_bucket
from tasks.aws.lockdown import Lockdown
from tasks.aws.plan import BucketSpec, show_plan
from tasks.core.aws.paths import AwsPaths
from tasks.core.aws.session import Session
from tasks.core.config.settings import AwsRoles
from tasks.core.errors import AwsError, ConfigError
from tasks.core.schema import check, read_json
from tests.kit import aws
from tests.kit.aws import Fault, Front
from tests.kit.aws_requests import Request, Response

AT = AwsPaths(site="here")
LOCK = Lockdown(url="s3://carried/some/prefix", region=aws.REGION, encryption="AES256",
                vpc_endpoints=("vpce-0a1b2c3d4e5f60718",), work="s3://carried/work", work_days=14,
                roles=AwsRoles(online="airlock-online", offline="airlock-offline",
                               admin="airlock-admin"))
THEIRS = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
          "Resource": "arn:aws:s3:::carried/secret/*"}
THEIR_RULE = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
              "Expiration": {"Days": 90}}


@pytest.fixture(scope="module")
def shared_front() -> Iterator[Front]:
    with aws.standing_in() as front:
        yield front


@pytest.fixture
def front(shared_front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Front:
    """AWS with nothing in it, for a client that doesn't wait between its attempts."""
    monkeypatch.chdir(tmp_path)
    for name, value in aws.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    shared_front.reset()
    return shared_front


def spec(front: Front, **lock: Any) -> BucketSpec:
    return BucketSpec(layout=AT, aws=front.aws, lock=dataclasses.replace(LOCK, **lock))


def s3(front: Front) -> Any:
    return Session(front.aws).client("s3")


def changes(front: Front) -> list[str]:
    """What was asked that changes something."""
    return [operation for operation in front.operations()
            if operation.partition(":")[2].startswith(("Put", "Create", "Delete"))]


def make_bucket(front: Front, region: Any = aws.REGION) -> Any:
    client = Session(dataclasses.replace(front.aws, region=region)).client("s3")
    client.create_bucket(Bucket="carried", CreateBucketConfiguration={
        "LocationConstraint": region})
    front.calls.clear()
    return client


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


@pytest.mark.parametrize("kind", aws.FAULTS)
def test_a_fault_at_every_call_is_said_and_the_next_apply_goes_on(front: Front,
                                                                  kind: str) -> None:
    apply(spec(front))
    wanted = AT.receipt.read_bytes()
    for operation in CALLS:
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


def findings(front: Front, **lock: Any) -> dict[str, str]:
    """Text to status of what aws:check finds; what it prints has the same lines."""
    try:
        check_bucket(spec(front, **lock))
    except AwsError as error:
        assert "not all hold" in error.what
    return {finding["text"]: finding["status"]
            for finding in read_json(AT.check, "aws-check")["findings"]}


def test_a_check_says_line_by_line_what_holds(front: Front,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AwsError, match="1 fail"):
        check_bucket(spec(front))
    assert "isn't there → doit aws:apply" in capsys.readouterr().out
    apply(spec(front))
    front.calls.clear()
    assert "all ok" in check_bucket(spec(front))
    assert changes(front) == []
    assert {*findings(front).values()} == {"ok"}
    assert len(findings(front)) > 25


BREAKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "public access": (lambda client: client.delete_public_access_block(Bucket="carried"),
                      "isn't blocked"),
    "encryption": (lambda client: client.put_bucket_encryption(
        Bucket="carried", ServerSideEncryptionConfiguration={"Rules": [
            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}),
        "isn't AES256"),
    "versioning": (lambda client: client.put_bucket_versioning(
        Bucket="carried", VersioningConfiguration={"Status": "Suspended"}), "no versions"),
    "lifecycle": (lambda client: client.delete_bucket_lifecycle(Bucket="carried"),
                  "airlock-work"),
    "policy": (lambda client: client.delete_bucket_policy(Bucket="carried"), "AirlockTlsOnly"),
    "a rule less": (lambda client: edit(client, lambda listed: listed.pop()), "EndpointOnly"),
    "a rule more": (lambda client: edit(client, lambda listed: listed.append(
        {**THEIRS, "Sid": "AirlockOld"})), "no longer wanted"),
    "their denial": (lambda client: edit(client, lambda listed: listed.append(
        {**THEIRS, "Resource": "arn:aws:s3:::carried/*"})), "reads back what it put: denied"),
    "their grant": (lambda client: edit(client, lambda listed: listed.append(
        {**THEIRS, "Effect": "Allow", "Resource": "arn:aws:s3:::carried/*", "Principal": {
            "AWS": "arn:aws:iam::999999999999:role/anybody"}})), "another account gets a file"),
}


def edit(client: Any, change: Callable[[list[Any]], object]) -> None:
    """Change the statements of the bucket's policy."""
    policy = json.loads(client.get_bucket_policy(Bucket="carried")["Policy"])
    change(policy["Statement"])
    client.put_bucket_policy(Bucket="carried", Policy=json.dumps(policy))


@pytest.mark.parametrize("broken", BREAKS)
def test_whatever_is_broken_by_hand_is_found_and_set_again(front: Front, broken: str) -> None:
    apply(spec(front))
    do, expected = BREAKS[broken]
    do(s3(front))
    found = findings(front)
    assert [text for text, status in found.items() if status == "fail" and expected in text]
    if broken.startswith("their"):
        return  # what isn't ours is named, and left
    front.calls.clear()
    apply(spec(front))
    assert len(changes(front)) == 1
    assert {*findings(front).values()} == {"ok"}


def test_what_a_check_may_not_see_is_not_taken_for_good(front: Front) -> None:
    apply(spec(front))
    front.faults.append(Fault(kind="denied", operation="GetBucketPolicy", times=None))
    with pytest.raises(AwsError, match="1 not known"):
        check_bucket(spec(front))


def test_statements_that_cannot_be_judged_here_are_a_warning(front: Front) -> None:
    apply(spec(front))
    edit(s3(front), lambda listed: listed.append(
        {**THEIRS, "Resource": "arn:aws:s3:::carried/*",
         "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}))
    found = findings(front)
    assert [text for text, status in found.items() if status == "warn" and "IpAddress" in text]
    assert "fail" not in found.values()


def test_a_key_is_looked_at(front: Front) -> None:
    kms = Session(front.aws).client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/carried", TargetKeyId=key["KeyId"])
    with_key = {"encryption": "aws:kms", "kms_key": key["Arn"]}
    apply(spec(front, **with_key))
    rule = s3(front).get_bucket_encryption(Bucket="carried")["ServerSideEncryptionConfiguration"]
    assert rule["Rules"][0]["BucketKeyEnabled"]
    assert {*findings(front, **with_key).values()} == {"ok"}
    kms.disable_key(KeyId=key["KeyId"])
    assert "fail" in findings(front, **with_key).values()
    kms.enable_key(KeyId=key["KeyId"])
    by_alias = {**with_key, "kms_key": "alias/carried"}
    apply(spec(front, **by_alias))
    found = findings(front, **by_alias)
    assert [text for text, status in found.items() if status == "warn" and "alias" in text]
    found = findings(front, **{**with_key, "kms_key": key["Arn"][:-4] + "0000"})
    assert [text for text, status in found.items() if status == "not known" and "key" in text]
