"""What runs jobs: the launch template of the instances, the compute environment, the queue."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any

from tasks.batch.infra_network import Place
from tasks.batch.infra_resource import LATER, TAG, Call, Existing, Ids, Resource, ask
from tasks.batch.infra_settings import FUSION_THROUGHPUT, InfraSpec
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import FUSION

ROOT_DEVICE = "/dev/xvda"
"""Of the ECS-optimised AMIs, Amazon Linux 2 and 2023."""
HOP_LIMIT = 2
"""Between a container and the instance's metadata there is one hop more than for the host."""
ENABLED, DISABLED = "ENABLED", "DISABLED"
NO_TEMPLATE = ("InvalidLaunchTemplateName.NotFoundException",
               "InvalidLaunchTemplateId.NotFound")


class LaunchTemplate(Resource):
    """What instances start with: user data, disk, and how they may ask for their metadata."""

    kind = "launch template"

    def __init__(self, spec: InfraSpec, userdata: bytes) -> None:
        self.name, self.site = spec.batch.environment, spec.site
        disk: dict[str, Any] = {"VolumeType": "gp3", "VolumeSize": spec.disk, "Encrypted": True,
                                "DeleteOnTermination": True}
        if spec.batch.mode == FUSION:
            disk["Throughput"] = FUSION_THROUGHPUT
        self._data: dict[str, Any] = {
            "UserData": base64.b64encode(userdata).decode(),
            "BlockDeviceMappings": [{"DeviceName": ROOT_DEVICE, "Ebs": disk}],
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled",
                                "HttpPutResponseHopLimit": HOP_LIMIT}}

    def find(self, session: Session, ids: Ids) -> Existing | None:
        listed = ask(session, "ec2", "describe_launch_templates", absent=NO_TEMPLATE,
                       LaunchTemplateNames=[self.name]).get("LaunchTemplates")
        if not listed:
            return None
        template = listed[0]
        last = ask(session, "ec2", "describe_launch_template_versions",
                     LaunchTemplateId=template["LaunchTemplateId"],
                     Versions=["$Latest"])["LaunchTemplateVersions"][0]
        data = last["LaunchTemplateData"]
        return Existing(id=f"{template['LaunchTemplateId']}:{last['VersionNumber']}",
                     ours=self.is_ours(template.get("Tags")), settings={
                         name: _shared(data.get(name), wanted)
                         for name, wanted in self._data.items()})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        return self._data

    def create(self, ids: Ids) -> Call:
        return Call(service="ec2", operation="create_launch_template", arguments={
            "LaunchTemplateName": self.name, "LaunchTemplateData": self._data,
            "ClientToken": str(uuid.uuid4()),
            "TagSpecifications": self.specification("launch-template")})

    def change(self, existing: Existing, ids: Ids) -> Call | None:
        if not self.differences(existing, ids):
            return None
        return Call(service="ec2", operation="create_launch_template_version", arguments={
            "LaunchTemplateId": existing.id.partition(":")[0], "LaunchTemplateData": self._data,
            "ClientToken": str(uuid.uuid4())})

    def remove(self, existing: Existing) -> Call:
        return Call(service="ec2", operation="delete_launch_template",
                    arguments={"LaunchTemplateId": existing.id.partition(":")[0]})


class Environment(Resource):
    """The compute environment: which instances Batch starts, where, and how many at most."""

    kind = "environment"

    def __init__(self, spec: InfraSpec, at: Place) -> None:
        self.name, self.site = spec.batch.environment, spec.site
        self._spec, self._at = spec, at

    def find(self, session: Session, ids: Ids) -> Existing | None:
        listed = ask(session, "batch", "describe_compute_environments",
                       computeEnvironments=[self.name])["computeEnvironments"]
        if not listed:
            return None
        environment, wanted = listed[0], self.wanted(ids)
        resources = environment.get("computeResources", {})
        return Existing(id=environment["computeEnvironmentArn"],
                     ours=self.is_ours(environment.get("tags")),
                     status=environment["status"], reason=environment.get("statusReason", ""),
                     settings={"state": environment["state"], "type": environment["type"], **{
                         name: _shared(resources.get(name), value)
                         for name, value in wanted.items() if name not in ("state", "type")}})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        batch = self._spec.batch
        template, _, version = ids.get("launch template", LATER).partition(":")
        return {"type": "MANAGED", "state": ENABLED, "allocationStrategy": "BEST_FIT_PROGRESSIVE",
                "minvCpus": 0, "maxvCpus": batch.max_vcpus,
                "instanceTypes": list(batch.instance_types), "subnets": list(self._at.subnets),
                "securityGroupIds": list(batch.security_groups)
                or [ids.get("security group", LATER)],
                "instanceRole": ids.get("instance profile", LATER),
                "launchTemplate": {"launchTemplateId": template, "version": version}}

    def create(self, ids: Ids) -> Call:
        role = self._spec.batch.service_role
        return Call(service="batch", operation="create_compute_environment", arguments={
            "computeEnvironmentName": self.name, "type": "MANAGED", "state": ENABLED,
            "computeResources": {"type": "EC2", "desiredvCpus": 0, **self._resources(ids)},
            "tags": {TAG: self.site}, **({"serviceRole": role} if role else {})})

    def change(self, existing: Existing, ids: Ids) -> Call | None:
        """Also where AWS gave it up as INVALID: a change makes it look again."""
        differing = self.differences(existing, ids)
        if not differing and not existing.is_invalid:
            return None
        changed = self._resources(ids)
        return self._update(state=ENABLED, computeResources={
            name: value for name, value in changed.items() if name in differing}
            or {"maxvCpus": changed["maxvCpus"]})

    def remove(self, existing: Existing) -> Call:
        if existing.settings["state"] != DISABLED:
            return self._update(state=DISABLED)
        return Call(service="batch", operation="delete_compute_environment",
                    arguments={"computeEnvironment": self.name})

    def _resources(self, ids: Ids) -> dict[str, Any]:
        return {name: value for name, value in self.wanted(ids).items()
                if name not in ("state", "type")}

    def _update(self, **arguments: Any) -> Call:
        return Call(service="batch", operation="update_compute_environment",
                    arguments={"computeEnvironment": self.name, **arguments})


class Queue(Resource):
    """The queue that Nextflow submits to."""

    kind = "queue"

    def __init__(self, spec: InfraSpec) -> None:
        self.name, self.site = spec.batch.queue, spec.site

    def find(self, session: Session, ids: Ids) -> Existing | None:
        listed = ask(session, "batch", "describe_job_queues", jobQueues=[self.name])["jobQueues"]
        if not listed:
            return None
        queue = listed[0]
        return Existing(id=queue["jobQueueArn"], ours=self.is_ours(queue.get("tags")),
                     status=queue["status"], reason=queue.get("statusReason", ""),
                     settings={"state": queue["state"], "priority": queue["priority"],
                               "environments": [place["computeEnvironment"] for place
                                                in queue["computeEnvironmentOrder"]]})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        return {"state": ENABLED, "priority": 1, "environments": [ids.get("environment", LATER)]}

    def create(self, ids: Ids) -> Call:
        return Call(service="batch", operation="create_job_queue", arguments={
            "jobQueueName": self.name, "tags": {TAG: self.site}, **self._settings(ids)})

    def change(self, existing: Existing, ids: Ids) -> Call | None:
        if not self.differences(existing, ids) and not existing.is_invalid:
            return None
        return self._update(**self._settings(ids))

    def remove(self, existing: Existing) -> Call:
        if existing.settings["state"] != DISABLED:
            return self._update(state=DISABLED)
        return Call(service="batch", operation="delete_job_queue",
                    arguments={"jobQueue": self.name})

    def _settings(self, ids: Ids) -> dict[str, Any]:
        return {"state": ENABLED, "priority": 1, "computeEnvironmentOrder": [
            {"order": 1, "computeEnvironment": ids["environment"]}]}

    def _update(self, **arguments: Any) -> Call:
        return Call(service="batch", operation="update_job_queue",
                    arguments={"jobQueue": self.name, **arguments})


def _shared(value: Any, wanted: Any) -> Any:
    """Return of a value only what is wanted of it: AWS adds settings of its own."""
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return {name: _shared(value.get(name), part) for name, part in wanted.items()}
    if isinstance(wanted, list) and isinstance(value, list) and len(value) == len(wanted):
        return [_shared(part, wish) for part, wish in zip(value, wanted, strict=True)]
    return value
