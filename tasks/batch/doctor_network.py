"""Whether instances reach what they need: endpoints, routes, private DNS and security groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from tasks.batch.infra_network import GONE, HTTPS, Place, place
from tasks.batch.infra_resource import ask
from tasks.batch.infra_settings import ENDPOINTS, JOBS, InfraSpec
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import FUSION
from tasks.core.findings import FAIL, OK, WARN, Finding
from tasks.core.frozen import frozen

ANYWHERE = "0.0.0.0/0"
ENDPOINTS_CURE = "add jobs to batch.endpoints, then doit batch:infra:apply"


@frozen
class Vpc:
    """A VPC as the instances see it."""

    place: Place
    groups: tuple[str, ...]
    endpoints: Sequence[dict[str, Any]]
    routes: Sequence[dict[str, Any]]

    @property
    def internet(self) -> bool:
        """Whether every subnet has a way out, by one route or another."""
        return all(map(_ways_out, self.routes))


def _ways_out(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [route for route in table["Routes"] if route.get("DestinationCidrBlock") == ANYWHERE]


def network(session: Session, spec: InfraSpec) -> Iterator[Finding]:
    """Say how instances reach the services that jobs and head node need."""
    vpc = _vpc(session, spec)
    yield from _internet(session, spec, vpc)
    wanted = JOBS if not vpc.internet else ENDPOINTS["jobs"][spec.batch.mode]
    more = tuple(service for group in spec.batch.endpoints if group != "jobs"
                 for service in ENDPOINTS[group][spec.batch.mode])
    for service in dict.fromkeys((*wanted, *more)):
        yield _service(session, spec, vpc, service)


def _vpc(session: Session, spec: InfraSpec) -> Vpc:
    """The VPC where the environment is, by what AWS says of it, else by the site."""
    at = place(session, spec)
    listed = ask(session, "batch", "describe_compute_environments",
                   computeEnvironments=[spec.batch.environment])["computeEnvironments"]
    groups = tuple(listed[0].get("computeResources", {}).get("securityGroupIds", ())
                   if listed else spec.batch.security_groups)
    endpoints = ask(session, "ec2", "describe_vpc_endpoints", Filters=[
        {"Name": "vpc-id", "Values": [at.vpc]}])["VpcEndpoints"]
    tables = ask(session, "ec2", "describe_route_tables",
                   RouteTableIds=list(at.route_tables))["RouteTables"]
    return Vpc(place=at, groups=groups, endpoints=[
        endpoint for endpoint in endpoints if endpoint["State"].lower() not in GONE],
        routes=tables)


def _internet(session: Session, spec: InfraSpec, vpc: Vpc) -> Iterator[Finding]:
    if spec.batch.mode == FUSION and not vpc.internet:
        yield Finding(check="network", status=FAIL,
                      text="the subnets have no route to the internet, and Fusion needs one for "
                           "its licence",
                      cure="route through a NAT gateway, or set batch.mode to carried-cli")
        return
    yield Finding(check="network", status=OK, text="the subnets have " + (
        "a route to the internet" if vpc.internet else "no route to the internet: endpoints "
                                                        "are asked for"))
    if vpc.internet:
        subnets = ask(session, "ec2", "describe_subnets",
                        SubnetIds=list(vpc.place.subnets))["Subnets"]
        gateway = any(route.get("GatewayId", "").startswith("igw-")
                      for table in vpc.routes for route in _ways_out(table))
        private = [subnet["SubnetId"] for subnet in subnets if not subnet["MapPublicIpOnLaunch"]]
        if gateway and private:
            yield Finding(check="network", status=WARN,
                          text=f"{', '.join(private)}: behind an internet gateway, without public "
                               "addresses, so instances there may reach nothing",
                          cure="route through a NAT gateway, or have addresses given at launch")


def _service(session: Session, spec: InfraSpec, vpc: Vpc, service: str) -> Finding:
    """One service: an endpoint that answers the instances, or the internet."""
    suffix = f".{spec.aws.region}.{service}"
    kind = "Gateway" if service == "s3" else "Interface"
    here = [endpoint for endpoint in vpc.endpoints if endpoint["ServiceName"].endswith(suffix)]
    endpoint = next((one for one in here if one["VpcEndpointType"] == kind), None)
    if endpoint is None:
        if vpc.internet:
            cheaper = service == "s3"
            return Finding(check="network", status=WARN if cheaper else OK,
                           text=f"{service} is reached over the internet",
                           cure=f"a gateway endpoint costs nothing: {ENDPOINTS_CURE}"
                           if cheaper else None)
        return Finding(check="network", status=FAIL, cure=ENDPOINTS_CURE,
                       text=f"{service}: no endpoint, and no route to the internet")
    fault = _gateway(vpc, endpoint) if service == "s3" else _interface(session, vpc, endpoint)
    if endpoint["State"].lower() != "available":
        fault = f"is {endpoint['State']}"
    if fault:
        return Finding(check="network", status=FAIL, cure=ENDPOINTS_CURE,
                       text=f"{service}: {endpoint['VpcEndpointId']} {fault}")
    return Finding(check="network", status=OK, text=f"{service}: {endpoint['VpcEndpointId']}")


def _gateway(vpc: Vpc, endpoint: dict[str, Any]) -> str | None:
    lacking = sorted(set(vpc.place.route_tables) - set(endpoint.get("RouteTableIds", [])))
    return f"isn't in the route tables {', '.join(lacking)}" if lacking else None


def _interface(session: Session, vpc: Vpc, endpoint: dict[str, Any]) -> str | None:
    if not endpoint.get("PrivateDnsEnabled"):
        return "has no private DNS, so its service's name leads elsewhere"
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ask(session, "ec2", "describe_vpc_attribute", VpcId=vpc.place.vpc,
                       Attribute=attribute)
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            return f"needs {attribute} of {vpc.place.vpc}"
    groups = [group["GroupId"] for group in endpoint.get("Groups", [])]
    if not _lets_in(session, vpc, groups):
        return f"lets no instance in at port {HTTPS}: security groups {', '.join(groups) or 'none'}"
    return None


def _lets_in(session: Session, vpc: Vpc, groups: Sequence[str]) -> bool:
    """Whether one of the endpoint's groups lets the instances' groups or subnets in."""
    if not groups:
        return False
    rules = [rule for group in ask(session, "ec2", "describe_security_groups",
                                     GroupIds=list(groups))["SecurityGroups"]
             for rule in group["IpPermissions"]
             if rule["IpProtocol"] == "-1"
             or rule.get("FromPort", 0) <= HTTPS <= rule.get("ToPort", 65535)]
    if any(pair["GroupId"] in vpc.groups for rule in rules for pair in rule["UserIdGroupPairs"]):
        return True
    subnets = [ip_network(subnet["CidrBlock"]) for subnet in ask(
        session, "ec2", "describe_subnets", SubnetIds=list(vpc.place.subnets))["Subnets"]]
    open_to = [ip_network(span["CidrIp"]) for rule in rules for span in rule["IpRanges"]]
    return all(any(subnet.version == span.version and subnet.subnet_of(span)  # type: ignore[arg-type]
                   for span in open_to) for subnet in subnets)
