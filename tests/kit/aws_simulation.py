"""IAM's simulation of a principal's policies, which moto lacks.

Our evaluator judges the policies that moto holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

import boto3

from tasks.core.aws.evaluate import Access, Policies, decide
from tasks.core.aws.policy import account_of
from tasks.core.errors import AwsError
from tests.kit.aws_requests import Refused, Request, Response


def simulate(request: Request, moto_port: int) -> Response:
    """Answer SimulatePrincipalPolicy; Refused where there is no such principal."""
    iam = boto3.client("iam", region_name="us-west-2", endpoint_url=f"http://127.0.0.1:{moto_port}",
                       aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="example")
    arn = request.form["PolicySourceArn"]
    try:
        policies = list(_policies(iam, arn))
    except iam.exceptions.NoSuchEntityException as error:
        raise Refused("NoSuchEntity", str(error), 404) from error
    context = {request.form[f"{start}ContextKeyName"].lower():
               request.form[f"{start}ContextKeyValues.member.1"]
               for start in _members(request, "ContextEntries.member.{}.", "ContextKeyName")}
    results = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
        f"<EvalDecision>{_decision(arn, action, resource, policies, context)}</EvalDecision>"
        "</member>"
        for action in _listed(request, "ActionNames") for resource in _listed(
            request, "ResourceArns"))
    return Response(status=200, headers={"Content-Type": "text/xml"}, body=(
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>"
        f"{results}</EvaluationResults></SimulatePrincipalPolicyResult>"
        "</SimulatePrincipalPolicyResponse>").encode())


def _decision(arn: str, action: str, resource: str, policies: list[Any],
              context: dict[str, str]) -> str:
    """AWS's word; a key's own policy isn't asked in a simulation, so it is taken to allow."""
    access = Access(principal=arn, action=action.lower(), resource=resource,
                    owner=account_of(arn), context=context)
    opened = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": account_of(arn)},
                             "Action": "kms:*", "Resource": "*"}]}
    try:
        decision = decide(access, Policies(identity=policies, resource=opened
                                           if action.startswith("kms:") else None))
    except AwsError:  # a condition that isn't known there
        return "implicitDeny"
    return ("allowed" if decision.allowed else
            "explicitDeny" if decision.reason.startswith("denied") else "implicitDeny")


def _policies(iam: Any, arn: str) -> Iterator[Any]:
    kind, _, name = arn.rpartition(":")[2].rpartition("/")
    kind = kind.partition("/")[0]
    given = {f"{kind.capitalize()}Name": name}
    for inline in getattr(iam, f"list_{kind}_policies")(**given)["PolicyNames"]:
        yield getattr(iam, f"get_{kind}_policy")(PolicyName=inline, **given)["PolicyDocument"]
    for attached in getattr(iam, f"list_attached_{kind}_policies")(**given)["AttachedPolicies"]:
        policy = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]
        yield iam.get_policy_version(PolicyArn=attached["PolicyArn"],
                                     VersionId=policy["DefaultVersionId"])[
            "PolicyVersion"]["Document"]


def _listed(request: Request, name: str) -> list[str]:
    return [request.form[start] for start in _members(request, f"{name}.member.{{}}", "")]


def _members(request: Request, pattern: str, needs: str) -> Iterator[str]:
    """Yield the beginnings of a list's fields in the query protocol: 1, 2, …"""
    for number in range(1, 200):
        start = pattern.format(number)
        if f"{start}{needs}" not in request.form:
            return
        yield start
