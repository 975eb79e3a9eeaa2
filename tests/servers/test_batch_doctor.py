"""The doctor: for each thing a set-up where it is ok, and one where it fails and says the cure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import doctor, doctor_fusion, infra_apply
from tasks.batch.doctor import DoctorSpec
from tasks.batch.doctor_images import ImageSpec
from tasks.batch.doctor_rights import APPLIER
from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.session import Session
from tasks.core.errors import AirlockError
from tasks.core.registry.client import Access
from tests.kit import aws, infra
from tests.kit.aws import Fault, Front

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
     "Action": "sts:AssumeRole"}]})


@pytest.fixture
def front(empty_aws: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    """AWS with a user who may do anything, who asks, and the bucket of jobs."""
    monkeypatch.setattr(infra_apply, "PAUSE", 0.0)
    for name, value in aws.a_user(empty_aws, "applier").items():
        monkeypatch.setenv(name, value)
    Session(empty_aws.aws).client("s3").create_bucket(
        Bucket="lab-work", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    return empty_aws


def spec(site: InfraSpec, *, config: dict[str, Any] | None = None, head_role: str | None = None,
         has_token: bool = False) -> DoctorSpec:
    resolved = Path("resolved.json")
    resolved.write_text(json.dumps({
        "pipeline": "hello", "profile": "test", "isolation": "none",
        "config": config or {"process": {"cpus": 2, "memory": "4 GB"}}}))
    return DoctorSpec(
        pipeline="hello", infra=site, head_role=head_role, resolved=resolved,
        output=Path("doctor.json"), has_token=has_token, images=ImageSpec(
            receipt=Path("images.receipt.json"), lock=None, blobs=Path("blobs"),
            access=Access(registries={}, ca=None, authfile=None)))


def ask(asked: DoctorSpec) -> tuple[list[dict[str, Any]], bool]:
    """All lines, and whether the doctor ends well."""
    try:
        doctor.doctor(asked)
        ends_well = True
    except AirlockError as error:
        assert "would not run on Batch" in str(error)
        ends_well = False
    lines: list[dict[str, Any]] = json.loads(asked.output.read_text())["findings"]
    assert all(line["cure"] for line in lines if line["status"] == "fail")
    return lines, ends_well


def lines_of(asked: DoctorSpec, check: str, status: str) -> list[str]:
    """The texts of one check with one status."""
    return [line["text"] for line in ask(asked)[0]
            if (line["check"], line["status"]) == (check, status)]


def isolate(front: Front) -> None:
    """Take the way to the internet off the VPC."""
    ec2 = Session(front.aws).client("ec2")
    for table in ec2.describe_route_tables()["RouteTables"]:
        for route in table["Routes"]:
            if route.get("DestinationCidrBlock") == "0.0.0.0/0":
                ec2.delete_route(RouteTableId=table["RouteTableId"],
                                 DestinationCidrBlock="0.0.0.0/0")


def test_all_is_well_in_a_vpc_without_internet(front: Front, tmp_path: Path) -> None:
    isolate(front)
    site = infra.spec(front.aws, tmp_path, endpoints=("jobs", "head"))
    infra_apply.apply(site)
    lines, ends_well = ask(spec(site))
    assert ends_well, lines
    assert {line["check"] for line in lines} == {
        "rights", "bucket", "network", "compute", "settings", "sizes", "images"}
    assert {line["status"] for line in lines if line["check"] != "images"} == {"ok"}


def test_before_anything_is_made_it_says_what_to_do(front: Front, tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    isolate(front)
    lines, ends_well = ask(spec(infra.spec(front.aws, tmp_path)))
    assert not ends_well
    cures = {line["text"]: line["cure"] for line in lines if line["status"] == "fail"}
    assert cures["there is no role lab-ce-instance"] == "doit batch:infra:apply"
    assert "ecr.dkr: no endpoint, and no route to the internet" in cures
    assert any("there is no environment lab-ce in us-west-2" in text for text in cures)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(lines), "one line each"
    assert "fail       rights: there is no role lab-ce-instance → doit batch:infra:apply" in printed


def test_what_can_not_be_looked_at_is_not_known(front: Front, tmp_path: Path) -> None:
    site = infra.spec(front.aws, tmp_path, endpoints=("jobs",))
    infra_apply.apply(site)
    front.faults.append(Fault(kind="denied", operation="SimulatePrincipalPolicy", times=None))
    lines, ends_well = ask(spec(site))
    assert [line["status"] for line in lines if line["check"] == "rights"] == ["not known"]
    assert "simulate_principal_policy" in lines[0]["text"]
    assert ends_well


def test_rights_that_are_missing_are_named(front: Front, tmp_path: Path) -> None:
    site = infra.spec(front.aws, tmp_path)
    infra_apply.apply(site)
    iam = Session(front.aws).client("iam")
    iam.create_role(RoleName="head", AssumeRolePolicyDocument=TRUST)
    iam.delete_role_policy(RoleName="lab-ce-instance", PolicyName="airlock-files")
    iam.put_user_policy(UserName="applier", PolicyName="all", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*"}]}))
    applier, instances, head = lines_of(spec(site, head_role="head"), "rights", "fail")
    assert applier.endswith("is not allowed: iam:CreateRole")
    assert "s3:GetObject on arn:aws:s3:::lab-work/work/a-file" in instances
    assert "s3:GetObject on arn:aws:s3:::lab-store/airlock/blobs/sha256/" in instances
    assert "role/head) is not allowed: batch:CancelJob" in head
    assert "ecs:" not in instances, "the attached policies count"


def test_the_appliers_rights_are_the_calls_that_are_made(front: Front, tmp_path: Path) -> None:
    """No action is missing in the list, and none is in it that nothing calls."""
    front.calls.clear()
    site = infra.spec(front.aws, tmp_path, endpoints=("jobs",), parity=True)
    infra_apply.apply(site)
    ec2, iam = (Session(front.aws).client(name) for name in ("ec2", "iam"))
    calls = set(front.operations())
    front.calls.clear()
    endpoint = ec2.describe_vpc_endpoints()["VpcEndpoints"][-1]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"],
                            RemoveSubnetIds=endpoint["SubnetIds"][:1])
    iam.update_assume_role_policy(RoleName="lab-ce-instance", PolicyDocument=TRUST)
    front.calls.clear()
    infra_apply.apply(infra.spec(front.aws, tmp_path, endpoints=("jobs",), userdata="other",
                                 max_vcpus=8))
    infra_apply.destroy(site)
    calls |= set(front.operations()) - {"sts:GetCallerIdentity"}
    beside = {"batch:TagResource", "ec2:CreateTags", "iam:TagRole", "iam:TagInstanceProfile",
              "iam:PassRole", "iam:CreateServiceLinkedRole"}
    assert calls - {"sts:GetCallerIdentity"} == set(APPLIER) - beside


def test_buckets_elsewhere_or_not_there_fail(front: Front, tmp_path: Path) -> None:
    s3 = Session(replace(front.aws, region="eu-central-1")).client("s3")
    s3.create_bucket(Bucket="lab-far", CreateBucketConfiguration={
        "LocationConstraint": "eu-central-1"})
    asked = spec(infra.spec(front.aws, tmp_path, buckets=("lab-far", "lab-none")))
    assert lines_of(asked, "bucket", "fail") == [
        "lab-far is in eu-central-1, jobs run in us-west-2", "there is no bucket lab-none"]


@pytest.mark.parametrize("allowed", [True, False])
def test_the_keys_policy_must_let_the_instances_in(front: Front, tmp_path: Path,
                                                   allowed: bool) -> None:
    session = Session(front.aws)
    key = session.client("kms").create_key()["KeyMetadata"]
    session.client("s3").put_bucket_encryption(
        Bucket="lab-work", ServerSideEncryptionConfiguration={"Rules": [{
            "ApplyServerSideEncryptionByDefault": {
                "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["Arn"]}}]})
    site = infra.spec(front.aws, tmp_path, kms_keys=(key["Arn"],))
    infra_apply.apply(site)
    who = "root" if allowed else "role/others"
    session.client("kms").put_key_policy(KeyId=key["Arn"], PolicyName="default", Policy=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.ACCOUNT}:{who}"},
            "Action": "kms:*", "Resource": "*"}]}))
    fails = lines_of(spec(site), "bucket", "fail")
    assert fails == ([] if allowed else [
        "instances may not kms:Decrypt with the key of lab-work: the resource policy doesn't "
        "allow it"])
    assert bool(lines_of(spec(infra.spec(front.aws, tmp_path)), "bucket", "warn")), \
        "a key that the site doesn't name"


def break_dns(ec2: Any, endpoint: dict[str, Any]) -> None:
    ec2.modify_vpc_attribute(VpcId=endpoint["VpcId"], EnableDnsHostnames={"Value": False})


def break_group(ec2: Any, endpoint: dict[str, Any]) -> None:
    group = ec2.describe_security_groups(GroupIds=[endpoint["Groups"][0]["GroupId"]])[
        "SecurityGroups"][0]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[{
        "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}])


def remove(ec2: Any, endpoint: dict[str, Any]) -> None:
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])


@pytest.mark.parametrize(("service", "breaks", "message"), [
    ("logs", break_dns, "needs enableDnsHostnames of vpc-"),
    ("logs", break_group, "lets no instance in at port 443"),
    ("logs", remove, "no endpoint, and no route to the internet"),
    ("s3", remove, "no endpoint, and no route to the internet"),
])
def test_an_endpoint_that_does_not_answer_fails(front: Front, tmp_path: Path, service: str,
                                                breaks: Any, message: str) -> None:
    isolate(front)
    site = infra.spec(front.aws, tmp_path, endpoints=("jobs",))
    infra_apply.apply(site)
    ec2 = Session(front.aws).client("ec2")
    endpoint = next(one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]
                    if one["ServiceName"].endswith(f".{service}"))
    breaks(ec2, endpoint)
    fails = lines_of(spec(site), "network", "fail")
    assert any(text.startswith(f"{service}: ") and message in text for text in fails), fails


def test_a_gateway_without_the_subnets_routes_and_fusion_without_internet(
        front: Front, tmp_path: Path) -> None:
    isolate(front)
    site = infra.spec(front.aws, tmp_path, endpoints=("jobs",), mode="fusion")
    infra_apply.apply(site)
    ec2 = Session(front.aws).client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    fails = lines_of(spec(site), "network", "fail")
    assert f"isn't in the route tables {table}" in " ".join(fails)
    assert any("Fusion needs one for its licence" in text for text in fails)


def test_an_environment_that_is_off_or_invalid_fails(front: Front, tmp_path: Path) -> None:
    site = infra.spec(front.aws, tmp_path)
    infra_apply.apply(site)
    assert lines_of(spec(site), "compute", "fail") == []
    front.mends.invalid["lab-ce"] = "CLIENT_ERROR - no such subnet"
    batch = Session(front.aws).client("batch")
    batch.update_compute_environment(computeEnvironment="lab-ce", state="DISABLED")
    batch.describe_compute_environments(computeEnvironments=["lab-ce"])
    assert lines_of(spec(site), "compute", "fail") == [
        "environment lab-ce is INVALID and DISABLED: CLIENT_ERROR - no such subnet"]
    assert "environment lab-ce differs" in " ".join(lines_of(spec(site), "settings", "warn"))


@pytest.mark.parametrize(("process", "types", "fails"), [
    ({"cpus": 2, "withName:BIG": {"cpus": 32}}, ("optimal",), ["process.withName:BIG.cpus"]),
    ({"memory": "20 GB"}, ("m5.large", "m5.xlarge"), ["process.memory"]),
    ({"memory": "14 GB", "cpus": 4}, ("m5.xlarge",), []),
    ({"withLabel:high": {"memory": "{ 900.GB * task.attempt }"}}, ("m5",),
     ["process.withLabel:high.memory"]),
])
def test_a_process_that_no_instance_has_room_for_fails(
        front: Front, tmp_path: Path, process: dict[str, Any], types: tuple[str, ...],
        fails: list[str]) -> None:
    site = infra.spec(front.aws, tmp_path, instance_types=types)
    texts = lines_of(spec(site, config={"process": process}), "sizes", "fail")
    assert [text.partition(" asks")[0] for text in texts] == fails


@pytest.mark.parametrize("well", [True, False])
def test_fusion_needs_its_token_and_its_hosts(front: Front, tmp_path: Path, well: bool,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_fusion, "unreachable",
                        lambda host: None if well else "Connection refused")
    asked = spec(infra.spec(front.aws, tmp_path, mode="fusion"), has_token=well)
    assert len(lines_of(asked, "fusion", "ok" if well else "fail")) == 8


def test_a_host_that_refuses_can_not_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_fusion, "HTTPS", 9)
    assert doctor_fusion.unreachable("127.0.0.1") == "Connection refused"
