"""AWS Batch as it is, over moto's: states that take time, the order of deletion, whole numbers.

moto calls an environment VALID at once, ignores changes of its resources, doesn't look for its
launch template, demands a service role, and deletes what is enabled or in use. Its jobs lack
exit code and reason. Tried with moto 5.2.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.kit.aws_requests import Refused, Request, Response

SERVICE_ROLE, MOTO_SERVICE_ROLE = "AWSServiceRoleForBatch", "AWSServiceRoleForbatch"
"""Batch's own role, and how moto spells it."""
IMAGE_FAMILIES = {"default_x86_64", "default_arm64"}
"""Instance types that moto refuses."""


@dataclass(kw_only=True)
class Kept:
    """What the front knows of an environment or a queue beside moto.

    `unsettled` is how often it is described yet before its `state` (CREATING…) is over;
    `resources` are an environment's, as they were sent; `last` what is described while it is
    being deleted.
    """

    state: str = "CREATING"
    unsettled: int
    resources: dict[str, Any] = field(default_factory=dict)
    invalid: str | None = None
    last: dict[str, Any] | None = None


class BatchMends:
    """Answers Batch's calls through moto (`ask`)."""

    def __init__(self, ask: Callable[[Request], Response]) -> None:
        self._ask = ask
        self.unsettled = 1
        self.invalid: dict[str, str] = {}
        self._environments: dict[str, Kept] = {}
        self._queues: dict[str, Kept] = {}

    def answer(self, request: Request) -> Response:
        """Return the answer to a request; raises Refused."""
        mend = getattr(self, f"_{request.operation}", None)
        response: Response = mend(request, request.fields) if mend else self._ask(request)
        if response.status >= 400 or not response.body:
            return response
        fields = json.loads(response.body, parse_float=_whole)
        return Response(status=response.status, body=json.dumps(fields).encode(),
                        headers=response.headers)

    def _moto(self, request: Request, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return moto's answer to another operation, as whoever sent this request."""
        response = self._ask(Request(
            method="POST", target=f"/v1/{operation.lower()}", headers=request.headers,
            body=json.dumps(fields).encode()))
        if response.status >= 400:
            raise Refused("ClientException", response.body.decode())
        answer: dict[str, Any] = json.loads(response.body or b"{}")
        return answer

    def _CreateComputeEnvironment(self, request: Request, fields: dict[str, Any]) -> Response:
        name = fields["computeEnvironmentName"]
        if name in self._environments:
            raise Refused("ClientException", "Object already exists")
        resources = fields.get("computeResources", {})
        sent = {"state": "ENABLED", **fields, "computeResources": {**resources, "instanceTypes": [
            "optimal" if kind in IMAGE_FAMILIES else kind
            for kind in resources.get("instanceTypes", [])]}}
        if not fields.get("serviceRole"):
            sent["serviceRole"] = self._service_role(request)
        response = self._ask(_with(request, sent))
        if response.status < 400:
            self._environments[name] = Kept(
                unsettled=self.unsettled, resources=resources,
                invalid=self.invalid.get(name) or self._missing_template(request, resources))
        return response

    def _DescribeComputeEnvironments(self, request: Request, fields: dict[str, Any]) -> Response:
        environments = json.loads(self._ask(request).body)["computeEnvironments"]
        for environment in environments:
            kept = self._environments[environment["computeEnvironmentName"]]
            environment["computeResources"] = kept.resources
            environment["serviceRole"] = environment["serviceRole"].replace(
                MOTO_SERVICE_ROLE, SERVICE_ROLE)
            _settle(kept, environment)
        environments += _leaving(self._environments, fields.get("computeEnvironments"))
        return Response.of_json({"computeEnvironments": environments})

    def _UpdateComputeEnvironment(self, request: Request, fields: dict[str, Any]) -> Response:
        kept = self._unmoved(self._environments, fields["computeEnvironment"], "update")
        response = self._ask(request)
        if response.status < 400:
            kept.resources = {**kept.resources, **fields.get("computeResources", {})}
            kept.invalid = self.invalid.get(_name(fields["computeEnvironment"])) \
                or self._missing_template(request, kept.resources)
            kept.state, kept.unsettled = "UPDATING", self.unsettled
        return response

    def _DeleteComputeEnvironment(self, request: Request, fields: dict[str, Any]) -> Response:
        name = _name(fields["computeEnvironment"])
        kept = self._unmoved(self._environments, name, "delete")
        described = self._moto(request, "DescribeComputeEnvironments",
                               {"computeEnvironments": [name]})["computeEnvironments"][0]
        if described["state"] != "DISABLED":
            raise Refused("ClientException", "Cannot delete, resource must be DISABLED")
        queues = self._moto(request, "DescribeJobQueues", {})["jobQueues"]
        if any(described["computeEnvironmentArn"] == place["computeEnvironment"]
               or name == place["computeEnvironment"]
               for queue in queues for place in queue["computeEnvironmentOrder"]) \
                or any(queue.state == "DELETING" for queue in self._queues.values()):
            raise Refused("ClientException", "Cannot delete, found existing JobQueue relationship")
        return self._delete(request, kept, {**described, "computeResources": kept.resources})

    def _CreateJobQueue(self, request: Request, fields: dict[str, Any]) -> Response:
        if fields["jobQueueName"] in self._queues:
            raise Refused("ClientException", "Object already exists")
        for place in fields["computeEnvironmentOrder"]:
            kept = self._environments.get(_name(place["computeEnvironment"]))
            if kept is None or kept.invalid or kept.state:
                raise Refused("ClientException",
                              f"{place['computeEnvironment']} is not in VALID state")
        response = self._ask(_with(request, {"state": "ENABLED", **fields}))
        if response.status < 400:
            self._queues[fields["jobQueueName"]] = Kept(unsettled=self.unsettled)
        return response

    def _DescribeJobQueues(self, request: Request, fields: dict[str, Any]) -> Response:
        queues = json.loads(self._ask(request).body)["jobQueues"]
        for queue in queues:
            _settle(self._queues[queue["jobQueueName"]], queue)
        queues += _leaving(self._queues, fields.get("jobQueues"))
        return Response.of_json({"jobQueues": queues})

    def _UpdateJobQueue(self, request: Request, fields: dict[str, Any]) -> Response:
        kept = self._unmoved(self._queues, fields["jobQueue"], "update")
        response = self._ask(request)
        if response.status < 400:
            kept.state, kept.unsettled = "UPDATING", self.unsettled
        return response

    def _DeleteJobQueue(self, request: Request, fields: dict[str, Any]) -> Response:
        name = _name(fields["jobQueue"])
        kept = self._unmoved(self._queues, name, "delete")
        described = self._moto(request, "DescribeJobQueues", {"jobQueues": [name]})["jobQueues"][0]
        if described["state"] != "DISABLED":
            raise Refused("ClientException", "Cannot delete, resource must be DISABLED")
        return self._delete(request, kept, described)

    def _DescribeJobs(self, request: Request, fields: dict[str, Any]) -> Response:
        jobs = json.loads(self._ask(request).body)["jobs"]
        for job in jobs:
            if job["status"] in ("SUCCEEDED", "FAILED"):
                listed = self._moto(request, "ListJobs", {
                    "jobQueue": job["jobQueue"], "jobStatus": job["status"]})["jobSummaryList"]
                code = next((summary["container"]["exitCode"] for summary in listed
                             if summary["jobId"] == job["jobId"] and "container" in summary), None)
                if code is not None:
                    for place in (job, *job.get("attempts", [])):
                        place.setdefault("container", {})["exitCode"] = code
                    job.setdefault("statusReason", "Essential container in task exited")
        return Response.of_json({"jobs": jobs})

    def _unmoved(self, kept: dict[str, Kept], identifier: str, verb: str) -> Kept:
        """Return what is kept of a resource; Refused where it is missing, or on the move."""
        known = kept.get(_name(identifier))
        if known is None:
            raise Refused("ClientException", f"{identifier} does not exist")
        if known.state:
            raise Refused("ClientException", f"Cannot {verb}, resource is being modified")
        return known

    def _delete(self, request: Request, kept: Kept, described: dict[str, Any]) -> Response:
        response = self._ask(request)
        kept.state, kept.unsettled, kept.last = "DELETING", self.unsettled, described
        return response

    def _service_role(self, request: Request) -> str:
        """Return the ARN of Batch's own role, which AWS makes when none is given."""
        self._query(request, "iam", Action="CreateServiceLinkedRole", Version="2010-05-08",
                    AWSServiceName="batch.amazonaws.com")
        found = self._query(request, "iam", Action="GetRole", Version="2010-05-08",
                            RoleName=MOTO_SERVICE_ROLE).body.decode()
        return found.partition("<Arn>")[2].partition("</Arn>")[0]

    def _missing_template(self, request: Request, resources: dict[str, Any]) -> str | None:
        """Return why an environment becomes INVALID, where its launch template isn't there."""
        template = resources.get("launchTemplate")
        if not template:
            return None
        names = {"LaunchTemplateId.1": template.get("launchTemplateId"),
                 "LaunchTemplateName.1": template.get("launchTemplateName")}
        response = self._query(request, "ec2", Action="DescribeLaunchTemplates",
                               Version="2016-11-15", **{k: v for k, v in names.items() if v})
        return (None if response.status < 400 else
                "CLIENT_ERROR - The specified launch template does not exist")

    def _query(self, request: Request, service: str, **fields: str) -> Response:
        """Ask another service by the query protocol, as whoever sent this request."""
        signed = request.headers["Authorization"].replace("/batch/", f"/{service}/")
        return self._ask(Request(
            method="POST", target="/", body=urlencode(fields).encode(),
            headers={**request.headers, "Authorization": signed,
                     "Content-Type": "application/x-www-form-urlencoded"}))


def _with(request: Request, fields: dict[str, Any]) -> Request:
    return Request(method=request.method, target=request.target, headers=request.headers,
                   body=json.dumps(fields).encode())


def _name(identifier: str) -> str:
    """The name in an ARN; a name is one already."""
    return identifier.rpartition("/")[2]


def _settle(kept: Kept, described: dict[str, Any]) -> None:
    """Write status and reason into a description, and count it."""
    if kept.unsettled:
        kept.unsettled -= 1
        described["status"], described["statusReason"] = kept.state, kept.state.capitalize()
        return
    kept.state = ""
    described["status"] = "INVALID" if kept.invalid else "VALID"
    described["statusReason"] = kept.invalid or "Healthy"


def _leaving(kept: dict[str, Kept], asked: list[str] | None) -> list[dict[str, Any]]:
    """Return the descriptions of what is being deleted; what has been described enough is gone."""
    names = {_name(identifier) for identifier in asked or []}
    leaving: list[dict[str, Any]] = []
    for name, known in list(kept.items()):
        if known.last is None or (names and name not in names):
            continue
        if known.unsettled:
            known.unsettled -= 1
            leaving.append({**known.last, "status": "DELETING"})
        else:
            del kept[name]
    return leaving


def _whole(number: str) -> int | float:
    value = float(number)
    return int(value) if value.is_integer() else value
