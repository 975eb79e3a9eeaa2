"""What Batch needs at AWS: planned, made, changed and removed, and nothing else touched."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import infra_apply, infra_plan
from tasks.core.aws.session import Session
from tasks.core.errors import AirlockError, AwsError, ConfigError
from tests.kit import infra
from tests.kit.aws import Front
from tests.kit.infra import MANAGED, REPORT, at_aws


@pytest.fixture
def front(empty_aws: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    monkeypatch.setattr(infra_apply, "PAUSE", 0.0)
    return empty_aws


def states(path: Path) -> dict[str, str]:
    """The plan's state of each kind."""
    return {line["kind"]: line["state"] for line in json.loads(path.read_text())["resources"]}


def test_the_reports_set_up_is_made_and_removed(front: Front, tmp_path: Path) -> None:
    spec, session = infra.spec(front.aws, tmp_path, **REPORT), Session(front.aws)
    before = at_aws(session)
    assert "6 of 6 to make" in infra_plan.show_plan(spec)
    assert set(states(spec.at.plan).values()) == {"missing"}
    assert at_aws(session) == before, "a plan only looks"
    infra_apply.apply(spec)
    at_rest = at_aws(session)
    assert set(at_rest["roles"]["ecsInstanceRole"]["attached"]) == MANAGED
    assert at_rest["roles"]["ecsInstanceRole"]["inline"] == {}
    assert at_rest["profiles"] == {"ecsInstanceRole": ["ecsInstanceRole"]}
    environment = at_rest["environments"]["chromapipe-ce-v4"]
    assert (environment["status"], environment["state"]) == ("VALID", "ENABLED")
    resources = environment["resources"]
    assert [resources[name] for name in ("minvCpus", "desiredvCpus", "maxvCpus", "instanceTypes",
                                         "type")] == [0, 0, 4, ["optimal"], "EC2"]
    queue = at_rest["queues"]["chromapipe-queue-v4"]
    assert (queue["priority"], queue["state"], queue["status"]) == (1, "ENABLED", "VALID")
    receipt = json.loads(spec.at.receipt.read_text())
    assert all(line["ours"] and line["id"] for line in receipt["resources"])
    infra_plan.show_plan(spec)
    assert set(states(spec.at.plan).values()) == {"present"}
    infra_apply.destroy(spec)
    assert at_aws(session) == before
    assert not spec.at.receipt.exists()


def test_instances_get_userdata_a_disk_and_metadata_in_two_hops(front: Front,
                                                                tmp_path: Path) -> None:
    infra_apply.apply(infra.spec(front.aws, tmp_path, userdata="MIME of mine", mode="fusion"))
    [data] = at_aws(Session(front.aws))["templates"]["lab-ce"]
    assert base64.b64decode(data["UserData"]) == b"MIME of mine"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    disk = data["BlockDeviceMappings"][0]["Ebs"]
    assert [disk[name] for name in ("VolumeType", "VolumeSize", "Throughput", "Encrypted")] == [
        "gp3", 100, 325, True]


def test_rights_are_those_of_the_buckets_and_their_key(front: Front, tmp_path: Path) -> None:
    session = Session(front.aws)
    key = session.client("kms").create_key()["KeyMetadata"]
    session.client("kms").create_alias(AliasName="alias/lab", TargetKeyId=key["KeyId"])
    infra_apply.apply(infra.spec(front.aws, tmp_path, kms_keys=("alias/lab",),
                                 buckets=("lab-out",)))
    role = at_aws(session)["roles"]["lab-ce-instance"]
    assert len(role["attached"]) == 2
    statements = {statement["Sid"]: statement for statement in
                  role["inline"]["airlock-files"]["Statement"]}
    assert statements["Files"]["Resource"] == ["arn:aws:s3:::lab-out/*", "arn:aws:s3:::lab-work/*"]
    assert statements["Cli"]["Resource"] == (
        "arn:aws:s3:::lab-store/airlock/blobs/sha256/*/aws-cli.tar.gz")
    assert statements["Key"]["Resource"] == key["Arn"]
    assert "s3:PutObjectTagging" not in statements["Files"]["Action"]


def test_endpoints_are_made_by_the_modes_list(front: Front, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    spec = infra.spec(front.aws, tmp_path, endpoints=("jobs",))
    line = infra_plan.show_plan(spec)
    zones = len(Session(front.aws).client("ec2").describe_subnets()["Subnets"])
    assert f"{6 * zones * 7.3:.2f} USD a month" in line
    assert "January 2025" in line
    infra_apply.apply(spec)
    services = {name.rpartition("us-west-2.")[2] for name in
                at_aws(Session(front.aws))["endpoints"]}
    assert services == {"s3", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"}
    ec2 = Session(front.aws).client("ec2")
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["VpcEndpointType"] == "Interface":
            assert endpoint["PrivateDnsEnabled"]
            assert len(endpoint["SubnetIds"]) == zones
        else:
            assert endpoint["RouteTableIds"]
    fewer = infra.spec(front.aws, tmp_path)
    assert f"{6 * zones * 7.3:.2f} USD a month" in infra_plan.show_plan(fewer), "they still cost it"
    assert "ecr.dkr in " in capsys.readouterr().out
    assert len(json.loads(fewer.at.plan.read_text())["no_longer_asked_for"]) == 7
    infra_apply.destroy(fewer)
    assert at_aws(Session(front.aws))["endpoints"] == [], "also those no longer asked for"


def test_what_changes_is_changed_in_place(front: Front, tmp_path: Path) -> None:
    session = Session(front.aws)
    infra_apply.apply(infra.spec(front.aws, tmp_path, parity=True))
    spec = infra.spec(front.aws, tmp_path, userdata="another", max_vcpus=64)
    infra_plan.show_plan(spec)
    assert states(spec.at.plan) == {
        "role": "differs", "instance profile": "present", "security group": "present",
        "launch template": "differs", "environment": "differs", "queue": "present"}
    infra_apply.apply(spec)
    at_rest = at_aws(session)
    assert len(at_rest["roles"]["lab-ce-instance"]["attached"]) == 2, "parity's are taken off"
    assert len(at_rest["templates"]["lab-ce"]) == 2
    resources = at_rest["environments"]["lab-ce"]["resources"]
    assert (resources["maxvCpus"], resources["launchTemplate"]) == (64, "2")
    front.calls.clear()
    assert "all was there" in infra_apply.apply(spec)


def foreign(front: Front, **resources: Any) -> None:
    """An environment that somebody else made, without our tag."""
    session = Session(front.aws)
    session.client("iam").create_instance_profile(InstanceProfileName="theirs")
    profile = session.client("iam").get_instance_profile(InstanceProfileName="theirs")
    subnets = session.client("ec2").describe_subnets()["Subnets"]
    group = session.client("ec2").describe_security_groups()["SecurityGroups"][0]
    session.client("batch").create_compute_environment(
        computeEnvironmentName="lab-ce", type="MANAGED", computeResources={
            "type": "EC2", "minvCpus": 0, "maxvCpus": 999, "instanceTypes": ["optimal"],
            "instanceRole": profile["InstanceProfile"]["Arn"],
            "subnets": [subnets[0]["SubnetId"]], "securityGroupIds": [group["GroupId"]],
            **resources})


def test_what_is_not_ours_is_neither_changed_nor_removed(front: Front, tmp_path: Path) -> None:
    foreign(front)
    spec, before = infra.spec(front.aws, tmp_path), at_aws(Session(front.aws))
    infra_plan.show_plan(spec)
    assert states(spec.at.plan)["environment"] == "blocked"
    with pytest.raises(AwsError, match=r"isn't this site's, and differs: .*maxvCpus") as caught:
        infra_apply.apply(spec)
    assert "nf-airlock=lab" in str(caught.value)
    infra_apply.destroy(spec)
    after = at_aws(Session(front.aws))
    for state in (before, after):
        state["environments"]["lab-ce"].pop("status")
    assert after == before
    assert not spec.at.journal.exists(), "no call that changes anything was made"


def test_a_role_that_is_not_ours_and_fits_is_used(front: Front, tmp_path: Path) -> None:
    iam = Session(front.aws).client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
         "Action": "sts:AssumeRole"}]})
    iam.create_role(RoleName="ecsInstanceRole", AssumeRolePolicyDocument=trust)
    for arn in MANAGED:
        iam.attach_role_policy(RoleName="ecsInstanceRole", PolicyArn=arn)
    spec = infra.spec(front.aws, tmp_path, **REPORT)
    infra_apply.apply(spec)
    infra_plan.show_plan(spec)
    assert states(spec.at.plan)["role"] == "used"
    assert "left as they are" in infra_apply.destroy(spec)
    assert set(at_aws(Session(front.aws))["roles"]["ecsInstanceRole"]["attached"]) == MANAGED


def test_an_invalid_environment_shows_its_reason_and_is_gone_on_with(front: Front,
                                                                     tmp_path: Path) -> None:
    reason = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole"
    front.mends.invalid["lab-ce"] = reason
    spec = infra.spec(front.aws, tmp_path)
    for _ in range(2):
        with pytest.raises(AwsError, match=f"INVALID: {reason}"):
            infra_apply.apply(spec)
    infra_plan.show_plan(spec)
    front.mends.invalid.clear()
    infra_apply.apply(spec)
    assert at_aws(Session(front.aws))["environments"]["lab-ce"]["status"] == "VALID"


@pytest.mark.parametrize(("change", "message"), [
    ({"vpc": "vpc-0123"}, "has no subnet at all"),
    ({"subnets": ("subnet-0123",)}, "has no subnet subnet-0123"),
])
def test_a_network_that_is_not_there_ends_it_before_anything_is_made(
        front: Front, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message):
        infra_apply.apply(infra.spec(front.aws, tmp_path, **change))
    assert at_aws(Session(front.aws))["roles"] == {}


def test_another_account_is_refused(front: Front, tmp_path: Path) -> None:
    spec = infra.spec(replace(front.aws, account="999988887777"), tmp_path)
    for action in (infra_plan.show_plan, infra_apply.apply, infra_apply.destroy):
        with pytest.raises(ConfigError, match="credentials are of account 123456789012"):
            action(spec)


def test_no_credentials_and_no_network_are_said(front: Front, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    spec = infra.spec(front.aws, tmp_path)
    monkeypatch.setattr("tasks.core.aws.session.ATTEMPTS", 1)
    nowhere = infra.spec(replace(front.aws, endpoint="http://127.0.0.1:9"), tmp_path)
    with pytest.raises(AirlockError, match="no answer"):
        infra_plan.show_plan(nowhere)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AirlockError, match="no credentials"):
        infra_plan.show_plan(spec)
