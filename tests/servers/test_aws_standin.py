"""What stands in for AWS answers as AWS does: otherwise what is shown with it means nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from tasks.core.aws.session import Session
from tests.kit import aws
from tests.kit.aws import Fault, Front
from tests.kit.project import ROOT

TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ' \
        '"sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}'


@pytest.fixture
def front(empty_aws: Front) -> Front:
    return empty_aws


def create(session: Session, name: str = "env", **resources: Any) -> dict[str, Any]:
    """Make an environment, with a profile for its instances; return how it is described."""
    ec2, iam, batch = (session.client(name) for name in ("ec2", "iam", "batch"))
    if not iam.list_instance_profiles()["InstanceProfiles"]:
        iam.create_instance_profile(InstanceProfileName="profile")
    profile = iam.get_instance_profile(InstanceProfileName="profile")["InstanceProfile"]
    batch.create_compute_environment(
        computeEnvironmentName=name, type="MANAGED", computeResources={
            "type": "EC2", "minvCpus": 0, "maxvCpus": 4, "instanceTypes": ["default_x86_64"],
            "instanceRole": profile["Arn"],
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
            **resources})
    return described(session, name)


def described(session: Session, name: str = "env") -> dict[str, Any]:
    """How the environment is described; empty where there is none."""
    answer: list[dict[str, Any]] = session.client("batch").describe_compute_environments(
        computeEnvironments=[name])["computeEnvironments"]
    return answer[0] if answer else {}


def test_an_environment_takes_time_and_needs_no_service_role(front: Front) -> None:
    session = Session(front.aws)
    assert create(session)["status"] == "CREATING"
    valid = described(session)
    assert valid["status"] == "VALID"
    assert valid["serviceRole"].endswith("/AWSServiceRoleForBatch")
    assert valid["computeResources"]["instanceTypes"] == ["default_x86_64"]
    session.client("batch").update_compute_environment(
        computeEnvironment="env", computeResources={"maxvCpus": 8})
    assert described(session)["status"] == "UPDATING"
    assert described(session)["computeResources"]["maxvCpus"] == 8


def test_a_launch_template_that_is_not_there_makes_it_invalid(front: Front) -> None:
    session = Session(front.aws)
    create(session, launchTemplate={"launchTemplateName": "none"})
    assert described(session)["status"] == "INVALID"
    assert "launch template does not exist" in described(session)["statusReason"]
    front.mends.invalid["other"] = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole"
    create(session, "other")
    assert described(session, "other")["statusReason"].startswith("CLIENT_ERROR - Not authorized")


def test_deletion_has_an_order(front: Front) -> None:
    session = Session(front.aws)
    batch = session.client("batch")
    place = {"order": 1, "computeEnvironment": create(session)["computeEnvironmentArn"]}
    with pytest.raises(ClientError, match="not in VALID state"):
        batch.create_job_queue(jobQueueName="queue", priority=1, computeEnvironmentOrder=[place])
    described(session)
    batch.create_job_queue(jobQueueName="queue", priority=1, computeEnvironmentOrder=[place])
    with pytest.raises(ClientError, match="must be DISABLED"):
        batch.delete_compute_environment(computeEnvironment="env")
    batch.update_compute_environment(computeEnvironment="env", state="DISABLED")
    with pytest.raises(ClientError, match="being modified"):
        batch.delete_compute_environment(computeEnvironment="env")
    for _ in range(2):
        described(session), batch.describe_job_queues(jobQueues=["queue"])
    with pytest.raises(ClientError, match="existing JobQueue relationship"):
        batch.delete_compute_environment(computeEnvironment="env")
    batch.update_job_queue(jobQueue="queue", state="DISABLED")
    for _ in range(2):
        batch.describe_job_queues(jobQueues=["queue"])
    batch.delete_job_queue(jobQueue="queue")
    assert batch.describe_job_queues(jobQueues=["queue"])["jobQueues"][0]["status"] == "DELETING"
    assert batch.describe_job_queues(jobQueues=["queue"])["jobQueues"] == []
    batch.delete_compute_environment(computeEnvironment="env")
    assert described(session)["status"] == "DELETING"
    assert described(session) == {}


@pytest.mark.parametrize(("service", "call"), [
    ("iam", ("create_role", {"RoleName": "r", "AssumeRolePolicyDocument": TRUST})),
    ("batch", ("describe_job_queues", {})), ("ec2", ("describe_vpcs", {})),
    ("s3", ("create_bucket", {"Bucket": "b-example", "CreateBucketConfiguration": {
        "LocationConstraint": aws.REGION}})),
    ("kms", ("create_key", {})), ("sts", ("get_caller_identity", {})),
    ("ecr", ("create_repository", {"repositoryName": "repo"})),
])
@pytest.mark.parametrize("kind", aws.FAULTS)
def test_a_fault_befalls_the_call_that_it_is_for(front: Front, service: str, kind: str,
                                                 call: tuple[str, dict[str, Any]]) -> None:
    client = Session(front.aws, attempts=1).client(service)
    name, arguments = call
    operation = client.meta.method_to_api_mapping[name]
    front.faults.append(Fault(kind=kind, service=service, operation=operation))
    with pytest.raises((ClientError, ConnectionClosedError, HTTPClientError)) as caught:
        getattr(client, name)(**arguments)
    assert isinstance(caught.value, ClientError) == (not kind.startswith("cut"))
    assert front.calls == [aws.Call(service=service, operation=operation, fault=kind)]


@pytest.mark.parametrize(("kind", "there"), [("cut before", False), ("cut after", True)])
def test_a_cut_comes_before_or_after_the_call_took_effect(front: Front, kind: str,
                                                          there: bool) -> None:
    iam = Session(front.aws, attempts=1).client("iam")
    front.faults.append(Fault(kind=kind, operation="CreateRole"))
    with pytest.raises(HTTPClientError):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    assert (iam.list_roles()["Roles"] != []) == there


def test_operations_of_s3_are_known_by_path_and_query(front: Front) -> None:
    s3 = Session(front.aws).client("s3")
    s3.create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    s3.put_public_access_block(Bucket="bkt", PublicAccessBlockConfiguration={
        "BlockPublicAcls": True})
    s3.put_object(Bucket="bkt", Key="a/b c", Body=b"1" * 100)
    s3.copy_object(Bucket="bkt", Key="d", CopySource="bkt/a/b c")
    upload = s3.create_multipart_upload(Bucket="bkt", Key="e")["UploadId"]
    s3.upload_part(Bucket="bkt", Key="e", UploadId=upload, PartNumber=1, Body=b"1")
    s3.list_objects_v2(Bucket="bkt")
    assert s3.head_object(Bucket="bkt", Key="d")["ContentLength"] == 100
    assert front.operations() == [f"s3:{name}" for name in (
        "CreateBucket", "PutPublicAccessBlock", "PutObject", "CopyObject",
        "CreateMultipartUpload", "UploadPart", "ListObjectsV2", "HeadObject")]


def test_it_stands_alone_and_leaves_nothing_behind() -> None:
    """As docs/batch.md tells people without an account."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.kit.aws", str(port), "lab-work"],
                               stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(2)]
    assert [line.partition("=")[0] for line in printed] == [
        "export AWS_ACCESS_KEY_ID", "export AWS_SECRET_ACCESS_KEY"]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
