"""`batch:infra:plan`: what Batch has at AWS of what it needs, what differs, and what would be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.batch.infra_compute import Environment, LaunchTemplate, Queue
from tasks.batch.infra_iam import Profile, Role
from tasks.batch.infra_network import GONE, Endpoint, Place, SecurityGroup, place
from tasks.batch.infra_resource import TAG, Existing, Resource, ask
from tasks.batch.infra_settings import ENDPOINTS, InfraSpec
from tasks.core import files
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import CARRIED_CLI
from tasks.core.errors import AwsError, ConfigError
from tasks.core.frozen import frozen
from tasks.core.schema import check

PRESENT, DIFFERS, MISSING, USED, BLOCKED = "present", "differs", "missing", "used", "blocked"
WORDS = {PRESENT: "is there", DIFFERS: "will be changed", MISSING: "will be made",
         USED: "is used as it is: not ours", BLOCKED: "is not ours, and not as it must be"}
HOURS = 730
"""Of a month, as AWS's calculator has it."""
ENDPOINT_HOUR = 0.01
"""US dollars for an interface endpoint in one availability zone, us-east-1 and us-west-2: AWS
PrivateLink's price list. Gateways, queues, roles, templates, and environments without instances
cost nothing."""
PRICE_LIST = ("AWS PrivateLink's list price of us-east-1 and us-west-2 in January 2025, "
              "0.01 USD an hour for each endpoint and zone; other regions ask up to half as much "
              "again, and data costs extra")


@frozen
class Line:
    """A resource in a plan."""

    resource: Resource
    existing: Existing | None
    state: str
    differences: tuple[str, ...] = ()


@frozen
class Infra:
    """A site's resources, in the order in which they are made, at one account."""

    account: str
    place: Place
    resources: Sequence[Resource]


def show_plan(spec: InfraSpec) -> str:
    """Print what would be made and what a month of it costs at rest, and write plan.json."""
    session = Session(spec.aws)
    infra = connect(spec, session, spec.at.userdata.read_bytes())
    lines = plan(infra, session)
    unasked = unasked_endpoints(infra, session, spec)
    write_plan(spec, infra, lines, unasked)
    widths = [max(len(text) for text in column) for column in zip(
        *((line.resource.kind, line.resource.name) for line in lines), strict=True)]
    for line in lines:
        why = f": {', '.join(line.differences)}" if line.differences else ""
        print(f"{line.resource.kind:<{widths[0]}}  {line.resource.name:<{widths[1]}}  "
              f"{WORDS[line.state]}{why}")
    for name, zones in unasked.items():
        print(f"{name} in {zones} zones is ours and no longer asked for: batch:infra:destroy "
              "removes it, with all else")
    count = sum(line.state in (MISSING, DIFFERS) for line in lines)
    return (f"{count} of {len(lines)} to make or change in {spec.aws.region}, account "
            f"{infra.account}; at rest {cost(infra, unasked):.2f} USD a month, by {PRICE_LIST}")


def connect(spec: InfraSpec, session: Session, userdata: bytes, *,
            all_kinds: bool = False) -> Infra:
    """Return the resources; with `all_kinds` also those that the site may have asked for once.

    AwsError where AWS can't be asked, ConfigError for another account.
    """
    account = session.account()
    if spec.aws.account not in (None, account):
        raise ConfigError(f"these credentials are of account {account}, the site is at "
                          f"{spec.aws.account}", where="aws.account",
                          todo="choose other credentials (AWS_PROFILE), or correct the site")
    at = place(session, spec)
    keys = [key_arn(session, key) for key in spec.kms_keys]
    resources: list[Resource] = [Role(spec, keys), Profile(spec)]
    if all_kinds or not spec.batch.security_groups:
        resources.append(SecurityGroup(spec, at))
    services = spec.services if not all_kinds else tuple(
        service for modes in ENDPOINTS.values() for service in modes[CARRIED_CLI])
    resources += [Endpoint(spec, at, service) for service in services]
    resources += [LaunchTemplate(spec, userdata), Environment(spec, at), Queue(spec)]
    return Infra(account=account, place=at, resources=resources)


def key_arn(session: Session, key: str) -> str:
    """Return the ARN of a KMS key that is named by its ARN or alias; a policy must name the key."""
    if ":key/" in key:
        return key
    return str(ask(session, "kms", "describe_key", KeyId=key)["KeyMetadata"]["Arn"])


def plan(infra: Infra, session: Session) -> list[Line]:
    """Look at every resource; later ones are compared with what earlier ones are called."""
    ids: dict[str, str] = {}
    lines = []
    for resource in infra.resources:
        existing = resource.find(session, ids)
        lines.append(judge(resource, existing, ids))
        if existing is not None:
            ids[resource.kind] = existing.id
    return lines


def judge(resource: Resource, existing: Existing | None, ids: Mapping[str, str]) -> Line:
    """Say of a resource what is to be done: nothing, to what isn't ours."""
    if existing is None:
        return Line(resource=resource, existing=None, state=MISSING)
    differences = resource.differences(existing, ids)
    if existing.is_invalid:
        differences = [*differences, f"{existing.status}: {existing.reason}"]
    states = (DIFFERS, PRESENT) if existing.ours else (BLOCKED, USED)
    return Line(resource=resource, existing=existing, differences=tuple(differences),
                state=states[not differences])


def blocked(line: Line) -> AwsError:
    """The error for what isn't ours, and can't be used as it is."""
    resource = line.resource
    return AwsError(f"the {resource.kind} {resource.name} is there and isn't this site's, and "
                    f"differs: {', '.join(line.differences)}; nothing of it was changed",
                    where=line.existing.id if line.existing else resource.name,
                    todo=f"name another one in the site's `batch`, or hand it over by the tag "
                         f"{TAG}={resource.site}")


def unasked_endpoints(infra: Infra, session: Session, spec: InfraSpec) -> dict[str, int]:
    """Return our interface endpoints that the site no longer asks for, with their zones."""
    asked_for = {resource.name for resource in infra.resources}
    listed = ask(session, "ec2", "describe_vpc_endpoints", Filters=[
        {"Name": "vpc-id", "Values": [infra.place.vpc]},
        {"Name": f"tag:{TAG}", "Values": [spec.site]}])["VpcEndpoints"]
    return {endpoint["ServiceName"]: len(endpoint.get("SubnetIds", [])) for endpoint in listed
            if endpoint["State"].lower() not in GONE and endpoint["ServiceName"] not in asked_for}


def cost(infra: Infra, unasked: Mapping[str, int]) -> float:
    """US dollars of a month at rest, without instances."""
    interfaces = sum(isinstance(resource, Endpoint) and not resource.is_gateway
                     for resource in infra.resources)
    zones = interfaces * len(infra.place.zonal) + sum(unasked.values())
    return zones * HOURS * ENDPOINT_HOUR


def write_plan(spec: InfraSpec, infra: Infra, lines: Sequence[Line],
               unasked: Mapping[str, int]) -> None:
    """Write plan.json."""
    files.write_json(spec.at.plan, check({
        **_where(spec, infra),
        "cost": {"usd_per_month_at_rest": round(cost(infra, unasked), 2),
                 "assumption": PRICE_LIST},
        "no_longer_asked_for": sorted(unasked),
        "resources": [{**_json(line), "state": line.state, "differences": list(line.differences)}
                      for line in lines]}, "batch-plan", where=spec.at.plan))


def write_receipt(spec: InfraSpec, infra: Infra, lines: Sequence[Line]) -> None:
    """Write receipt.json: what is there, read back."""
    files.write_json(spec.at.receipt, check({
        **_where(spec, infra),
        "resources": [{**_json(line), "ours": bool(line.existing and line.existing.ours)}
                      for line in lines]}, "batch-receipt", where=spec.at.receipt))


def _where(spec: InfraSpec, infra: Infra) -> dict[str, Any]:
    return {"site": spec.site, "account": infra.account, "region": spec.aws.region,
            "mode": spec.batch.mode, "vpc": infra.place.vpc}


def _json(line: Line) -> dict[str, Any]:
    return {"kind": line.resource.kind, "name": line.resource.name,
            "id": line.existing.id if line.existing else None}
