"""What Batch needs at AWS, by the settings alone: the graph, names, the rights of instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tasks.batch import infra_apply
from tasks.batch.infra_iam import files_policy
from tasks.batch.infra_resource import Call, Existing, Ids, Resource
from tasks.batch.infra_settings import ENDPOINTS, InfraSpec
from tasks.core.aws.evaluate import Access, Policies, decide
from tasks.core.aws.journal import Journal
from tasks.core.aws.policy_grammar import check_policy
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws
from tasks.core.errors import AwsError, ConfigError
from tests.kit import infra
from tests.kit.graph import Build
from tests.unit.test_core_graph import all_tasks

KEY = "arn:aws:kms:us-west-2:123456789012:key/0123"
ROLE = "arn:aws:iam::123456789012:role/lab-ce-instance"


@pytest.fixture
def spec(tmp_path: Path) -> InfraSpec:
    return infra.spec(Aws(region="us-west-2"), tmp_path)


def test_apply_is_stale_once_aws_differs_from_what_it_left(project: Path) -> None:
    build = Build(all_tasks(), project / "state.db")
    build.declare_done()
    assert build.states()["batch:infra:apply"] == "fresh"
    (project / "build/local/batch/plan.json").write_text("somebody has removed the queue")
    assert Build(all_tasks(), project / "state.db").states()["batch:infra:apply"] == "stale"


@pytest.mark.parametrize(("action", "resource", "allowed"), [
    ("s3:getobject", "arn:aws:s3:::lab-work/work/ab/in", True),
    ("s3:putobject", "arn:aws:s3:::lab-work/work/ab/out", True),
    ("s3:listbucket", "arn:aws:s3:::lab-work", True),
    ("s3:getobject", "arn:aws:s3:::lab-store/airlock/blobs/sha256/0123/aws-cli.tar.gz", True),
    ("s3:getobject", "arn:aws:s3:::lab-store/airlock/blobs/sha256/0123/data.bam", False),
    ("s3:putobject", "arn:aws:s3:::lab-store/airlock/blobs/sha256/0123/aws-cli.tar.gz", False),
    ("s3:getobject", "arn:aws:s3:::lab-other/file", False),
    ("s3:deletebucket", "arn:aws:s3:::lab-work", False),
])
def test_instances_may_work_in_their_buckets_and_nowhere_else(spec: InfraSpec, action: str,
                                                             resource: str, allowed: bool) -> None:
    policy = files_policy(spec, [KEY])
    assert policy is not None
    decision = decide(Access(principal=ROLE, action=action, resource=resource,
                             owner="123456789012", context={}), Policies(identity=[policy]))
    assert decision.allowed == allowed


@pytest.mark.parametrize("mode", ["fusion", "carried-cli"])
@pytest.mark.parametrize("region", ["us-west-2", "cn-north-1", "us-gov-west-1"])
def test_their_policy_is_one_that_aws_takes(tmp_path: Path, mode: str, region: str) -> None:
    spec = infra.spec(Aws(region=region), tmp_path, mode=mode)
    policy = files_policy(spec, [KEY])
    assert policy is not None
    check_policy(policy, "role")
    tagging = "s3:PutObjectTagging" in policy["Statement"][1]["Action"]
    assert tagging == (mode == "fusion")


def test_parity_needs_no_policy_of_ours_but_for_a_key(tmp_path: Path) -> None:
    spec = infra.spec(Aws(region="us-west-2"), tmp_path, parity=True)
    assert files_policy(spec, []) is None
    policy = files_policy(spec, [KEY])
    assert policy is not None
    assert [statement["Sid"] for statement in policy["Statement"]] == ["Key"]


def test_a_folder_is_no_place_for_instances_to_read(spec: InfraSpec) -> None:
    with pytest.raises(ConfigError, match="can't read the AWS CLI from a folder"):
        assert replace(spec, cli_url="/srv/airlock/store").cli


def test_endpoints_are_those_of_the_modes_list(tmp_path: Path) -> None:
    aws = Aws(region="us-west-2")
    both = {mode: infra.spec(aws, tmp_path, mode=mode, endpoints=("jobs", "head")).services
            for mode in ("carried-cli", "fusion")}
    assert both["fusion"] == ("s3", "batch", "sts", "ec2")
    assert both["carried-cli"] == (*ENDPOINTS["jobs"]["carried-cli"], "batch", "sts", "ec2")


class Shown(Resource):
    """A queue that AWS shows only after some looks."""

    kind, name, site = "queue", "lab-queue", "lab"

    def __init__(self, *, hidden: int) -> None:
        self.hidden = hidden

    def find(self, session: Session, ids: Ids) -> Existing | None:
        self.hidden -= 1
        return None if self.hidden >= 0 else Existing(id="q", ours=True, settings={})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        return {}

    def create(self, ids: Ids) -> Call:
        return Call(service="batch", operation="create_job_queue", arguments={
            "ClientToken": str(self.hidden)})

    def change(self, existing: Existing, ids: Ids) -> Call | None:
        return None

    def remove(self, existing: Existing) -> Call:
        raise NotImplementedError


@pytest.mark.parametrize(("hidden", "is_shown"), [(1, True), (5, True), (10**9, False)])
def test_what_aws_does_not_show_yet_is_not_made_twice(monkeypatch: pytest.MonkeyPatch, hidden: int,
                                                      is_shown: bool) -> None:
    calls: list[Call] = []
    monkeypatch.setattr(infra_apply, "PAUSE", 0.0)
    monkeypatch.setattr(infra_apply, "LAG", 0.05 if not is_shown else 60.0)
    monkeypatch.setattr(infra_apply, "_perform", lambda call, *_: calls.append(call))
    resource = Shown(hidden=hidden)
    drive = partial(infra_apply._drive, resource, Session(Aws(region="us-west-2")),
                    Journal(Path("journal.jsonl")), {},
                    partial(infra_apply._towards, resource, {}))
    if is_shown:
        assert drive()[1] == 1
    else:
        with pytest.raises(AwsError, match="shows something else"):
            drive()
    assert len(calls) == 1
