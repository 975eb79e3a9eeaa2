"""Whether instances reach what they need: endpoints, routes, private DNS and security groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from tasks.batch.doctor_finding import FAIL, OK, WARN, Finding
from tasks.batch.infra_network import GONE, HTTPS, Place, place
from tasks.batch.infra_resource import asked
from tasks.batch.infra_settings import ENDPOINTS, FUSION, JOBS, InfraSpec
from tasks.core.aws.session import Session
from tasks.core.frozen import frozen

ANYWHERE = "0.0.0.0/0"
ENDPOINTS_CURE = "add jobs to batch.endpoints, then doit batch:infra:apply"


@frozen
class Network:
    """A VPC as the instances see it."""

    place: Place
    groups: tuple[str, ...]
    endpoints: Sequence[dict[str, Any]]
    internet: bool


def network(session: Session, spec: InfraSpec) -> Iterator[Finding]:
    """Say how instances reach the services that jobs and head node need."""
    seen = _network(session, spec)
    yield from _internet(session, spec, seen)
    wanted = JOBS if not seen.internet else ENDPOINTS["jobs"][spec.batch.mode]
    more = tuple(service for group in spec.batch.endpoints if group != "jobs"
                 for service in ENDPOINTS[group][spec.batch.mode])
    for service in dict.fromkeys((*wanted, *more)):
        yield _service(session, spec, seen, service)


def _network(session: Session, spec: InfraSpec) -> Network:
    """The VPC where the environment is, by what AWS says of it, else by the site."""
    at = place(session, spec)
    listed = asked(session, "batch", "describe_compute_environments",
                   computeEnvironments=[spec.batch.environment])["computeEnvironments"]
    groups = tuple(listed[0].get("computeResources", {}).get("securityGroupIds", ())
                   if listed else spec.batch.security_groups)
    endpoints = asked(session, "ec2", "describe_vpc_endpoints", Filters=[
        {"Name": "vpc-id", "Values": [at.vpc]}])["VpcEndpoints"]
    tables = asked(session, "ec2", "describe_route_tables",
                   RouteTableIds=list(at.route_tables))["RouteTables"]
    return Network(place=at, groups=groups, endpoints=[
        endpoint for endpoint in endpoints if endpoint["State"].lower() not in GONE],
        internet=all(any(route.get("DestinationCidrBlock") == ANYWHERE
                         for route in table["Routes"]) for table in tables))


def _internet(session: Session, spec: InfraSpec, seen: Network) -> Iterator[Finding]:
    if spec.batch.mode == FUSION and not seen.internet:
        yield Finding(check="network", status=FAIL,
                      text="the subnets have no route to the internet, and Fusion needs one for "
                           "its licence",
                      cure="route through a NAT gateway, or set batch.mode to carried-cli")
        return
    yield Finding(check="network", status=OK, text="the subnets have " + (
        "a route to the internet" if seen.internet else "no route to the internet: endpoints "
                                                        "are asked for"))
    if seen.internet:
        subnets = asked(session, "ec2", "describe_subnets",
                        SubnetIds=list(seen.place.subnets))["Subnets"]
        tables = asked(session, "ec2", "describe_route_tables",
                       RouteTableIds=list(seen.place.route_tables))["RouteTables"]
        gateway = any(route.get("DestinationCidrBlock") == ANYWHERE
                      and route.get("GatewayId", "").startswith("igw-")
                      for table in tables for route in table["Routes"])
        private = [subnet["SubnetId"] for subnet in subnets if not subnet["MapPublicIpOnLaunch"]]
        if gateway and private:
            yield Finding(check="network", status=WARN,
                          text=f"{', '.join(private)}: behind an internet gateway, without public "
                               "addresses, so instances there may reach nothing",
                          cure="route through a NAT gateway, or have addresses given at launch")


def _service(session: Session, spec: InfraSpec, seen: Network, service: str) -> Finding:
    """One service: an endpoint that answers the instances, or the internet."""
    suffix = f".{spec.aws.region}.{service}"
    kind = "Gateway" if service == "s3" else "Interface"
    here = [endpoint for endpoint in seen.endpoints if endpoint["ServiceName"].endswith(suffix)]
    endpoint = next((one for one in here if one["VpcEndpointType"] == kind), None)
    if endpoint is None:
        if seen.internet:
            cheaper = service == "s3"
            return Finding(check="network", status=WARN if cheaper else OK,
                           text=f"{service} is reached over the internet",
                           cure=f"a gateway endpoint costs nothing: {ENDPOINTS_CURE}"
                           if cheaper else None)
        return Finding(check="network", status=FAIL, cure=ENDPOINTS_CURE,
                       text=f"{service}: no endpoint, and no route to the internet")
    fault = _gateway(seen, endpoint) if service == "s3" else _interface(session, seen, endpoint)
    if endpoint["State"].lower() != "available":
        fault = f"is {endpoint['State']}"
    if fault:
        return Finding(check="network", status=FAIL, cure=ENDPOINTS_CURE,
                       text=f"{service}: {endpoint['VpcEndpointId']} {fault}")
    return Finding(check="network", status=OK, text=f"{service}: {endpoint['VpcEndpointId']}")


def _gateway(seen: Network, endpoint: dict[str, Any]) -> str | None:
    lacking = sorted(set(seen.place.route_tables) - set(endpoint.get("RouteTableIds", [])))
    return f"isn't in the route tables {', '.join(lacking)}" if lacking else None


def _interface(session: Session, seen: Network, endpoint: dict[str, Any]) -> str | None:
    if not endpoint.get("PrivateDnsEnabled"):
        return "has no private DNS, so its service's name leads elsewhere"
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = asked(session, "ec2", "describe_vpc_attribute", VpcId=seen.place.vpc,
                       Attribute=attribute)
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            return f"needs {attribute} of {seen.place.vpc}"
    groups = [group["GroupId"] for group in endpoint.get("Groups", [])]
    if not _lets_in(session, seen, groups):
        return f"lets no instance in at port {HTTPS}: security groups {', '.join(groups) or 'none'}"
    return None


def _lets_in(session: Session, seen: Network, groups: Sequence[str]) -> bool:
    """Whether one of the endpoint's groups lets the instances' groups or subnets in."""
    if not groups:
        return False
    rules = [rule for group in asked(session, "ec2", "describe_security_groups",
                                     GroupIds=list(groups))["SecurityGroups"]
             for rule in group["IpPermissions"]
             if rule["IpProtocol"] == "-1"
             or rule.get("FromPort", 0) <= HTTPS <= rule.get("ToPort", 65535)]
    if any(pair["GroupId"] in seen.groups for rule in rules for pair in rule["UserIdGroupPairs"]):
        return True
    subnets = [ip_network(subnet["CidrBlock"]) for subnet in asked(
        session, "ec2", "describe_subnets", SubnetIds=list(seen.place.subnets))["Subnets"]]
    open_to = [ip_network(span["CidrIp"]) for rule in rules for span in rule["IpRanges"]]
    return all(any(subnet.version == span.version and subnet.subnet_of(span)  # type: ignore[arg-type]
                   for span in open_to) for subnet in subnets)
