"""Batch's place in the network: where instances start, their security group, VPC endpoints."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.batch.infra_resource import Call, Found, Ids, Resource, asked, one
from tasks.batch.infra_settings import InfraSpec
from tasks.core.aws.session import Session
from tasks.core.errors import AwsError
from tasks.core.frozen import frozen

GONE = ("deleted", "deleting", "rejected", "failed", "expired")
"""States of an endpoint that serves nobody any more."""
HTTPS = 443


@frozen
class Place:
    """Where instances start. `zonal` has one of the subnets for each availability zone."""

    vpc: str
    subnets: tuple[str, ...]
    zonal: tuple[str, ...]
    route_tables: tuple[str, ...]


def place(session: Session, spec: InfraSpec) -> Place:
    """Return VPC, subnets and their route tables; AwsError where one isn't there."""
    vpc = spec.batch.vpc or _default_vpc(session)
    listed = asked(session, "ec2", "describe_subnets", Filters=[
        {"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in listed}
    missing = sorted(set(spec.batch.subnets) - set(zones))
    if missing or not zones:
        raise AwsError(f"{vpc} has no subnet {', '.join(missing) or 'at all'}",
                       where="batch.subnets", todo="name the VPC (batch.vpc) and its subnets; "
                                                   "look at aws.region")
    subnets = tuple(sorted(spec.batch.subnets or zones))
    by_zone: dict[str, str] = {}
    for subnet in subnets:
        by_zone.setdefault(zones[subnet], subnet)
    return Place(vpc=vpc, subnets=subnets, zonal=tuple(sorted(by_zone.values())),
                 route_tables=route_tables(session, vpc, subnets))


def route_tables(session: Session, vpc: str, subnets: Sequence[str]) -> tuple[str, ...]:
    """Return the tables that these subnets' packets go by: their own, else the VPC's main one."""
    tables = asked(session, "ec2", "describe_route_tables", Filters=[
        {"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    own = {link["SubnetId"]: table["RouteTableId"] for table in tables
           for link in table["Associations"] if "SubnetId" in link}
    main = [table["RouteTableId"] for table in tables
            if any(link.get("Main") for link in table["Associations"])]
    return tuple(sorted({table for subnet in subnets
                         for table in ([own[subnet]] if subnet in own else main)}))


def _default_vpc(session: Session) -> str:
    listed = asked(session, "ec2", "describe_vpcs", Filters=[
        {"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not listed:
        raise AwsError("the account has no default VPC in this region", where="batch.vpc",
                       todo="name a VPC and its subnets: batch.vpc, batch.subnets")
    return str(listed[0]["VpcId"])


class SecurityGroup(Resource):
    """The instances' security group: out to anywhere, in by HTTPS from itself, for endpoints."""

    kind = "security group"

    def __init__(self, spec: InfraSpec, at: Place) -> None:
        self.name, self.site = f"{spec.batch.environment}-batch", spec.site
        self._vpc = at.vpc

    def find(self, session: Session, ids: Ids) -> Found | None:
        group = one(asked(session, "ec2", "describe_security_groups", Filters=[
            {"Name": "vpc-id", "Values": [self._vpc]},
            {"Name": "group-name", "Values": [self.name]}])["SecurityGroups"], self.name)
        return None if group is None else Found(
            id=group["GroupId"], ours=self.is_ours(group.get("Tags")),
            settings={"https from itself": any(
                rule.get("FromPort") == HTTPS and any(
                    pair["GroupId"] == group["GroupId"] for pair in rule["UserIdGroupPairs"])
                for rule in group["IpPermissions"])})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        return {"https from itself": True}

    def create(self, ids: Ids) -> Call:
        return Call(service="ec2", operation="create_security_group", arguments={
            "GroupName": self.name, "VpcId": self._vpc,
            "Description": "Instances of AWS Batch", "TagSpecifications":
                self.specification("security-group")})

    def change(self, found: Found, ids: Ids) -> Call | None:
        if not self.differences(found, ids):
            return None
        return Call(service="ec2", operation="authorize_security_group_ingress", arguments={
            "GroupId": found.id, "IpPermissions": [{
                "IpProtocol": "tcp", "FromPort": HTTPS, "ToPort": HTTPS,
                "UserIdGroupPairs": [{"GroupId": found.id}]}]})

    def remove(self, found: Found) -> Call:
        return Call(service="ec2", operation="delete_security_group",
                    arguments={"GroupId": found.id})


class Endpoint(Resource):
    """A VPC's endpoint for a service: a gateway for S3, else interfaces, one in each zone."""

    def __init__(self, spec: InfraSpec, at: Place, service: str) -> None:
        self.site, self._at, self._spec = spec.site, at, spec
        self.kind = f"endpoint {service}"
        self.is_gateway = service == "s3"
        start = "cn.com.amazonaws" if spec.aws.region.startswith("cn-") else "com.amazonaws"
        self.name = f"{start}.{spec.aws.region}.{service}"

    def find(self, session: Session, ids: Ids) -> Found | None:
        listed = asked(session, "ec2", "describe_vpc_endpoints", Filters=[
            {"Name": "vpc-id", "Values": [self._at.vpc]},
            {"Name": "service-name", "Values": [self.name]}])["VpcEndpoints"]
        kind = "Gateway" if self.is_gateway else "Interface"
        alive = [endpoint for endpoint in listed if endpoint["VpcEndpointType"] == kind and (
            endpoint["State"].lower() not in GONE or endpoint["State"].lower() == "deleting")]
        own = [endpoint for endpoint in alive if self.is_ours(endpoint.get("Tags"))]
        endpoint = one(own or alive[:1], self.name)
        return None if endpoint is None else Found(
            id=endpoint["VpcEndpointId"], ours=bool(own), status=endpoint["State"],
            settings={"route tables": endpoint.get("RouteTableIds", []),
                      "subnets": endpoint.get("SubnetIds", []),
                      "groups": [group["GroupId"] for group in endpoint.get("Groups", [])],
                      "private DNS": endpoint.get("PrivateDnsEnabled")})

    def wanted(self, ids: Ids) -> Mapping[str, Any]:
        if self.is_gateway:
            return {"route tables": self._at.route_tables}
        return {"subnets": self._at.zonal, "groups": self._groups(ids), "private DNS": True}

    def differences(self, found: Found, ids: Ids) -> list[str]:
        """What it has beyond what is wanted is no difference.

        Of others' endpoints nothing is asked but that they answer: with private DNS one does in
        all subnets. Whom its security groups let in, batch:doctor says.
        """
        names = self.wanted(ids) if found.ours else ("route tables", "private DNS")
        return [name for name, value in self.wanted(ids).items() if name in names and not (
            found.settings[name] is True if value is True
            else set(value) <= set(found.settings[name]))]

    def create(self, ids: Ids) -> Call:
        return self._call("create_vpc_endpoint", VpcId=self._at.vpc, ServiceName=self.name,
                          ClientToken=str(uuid.uuid4()),
                          TagSpecifications=self.specification("vpc-endpoint"), **(
            {"VpcEndpointType": "Gateway", "RouteTableIds": list(self._at.route_tables)}
            if self.is_gateway else
            {"VpcEndpointType": "Interface", "SubnetIds": list(self._at.zonal),
             "SecurityGroupIds": list(self._groups(ids)), "PrivateDnsEnabled": True}))

    def change(self, found: Found, ids: Ids) -> Call | None:
        differing = self.differences(found, ids)
        names = {"route tables": "AddRouteTableIds", "subnets": "AddSubnetIds",
                 "groups": "AddSecurityGroupIds"}
        wanted = self.wanted(ids)
        arguments: dict[str, Any] = {
            names[name]: sorted(set(wanted[name]) - set(found.settings[name]))
            for name in differing if name in names}
        if "private DNS" in differing:
            arguments["PrivateDnsEnabled"] = True
        return self._call("modify_vpc_endpoint", VpcEndpointId=found.id,
                          **arguments) if arguments else None

    def remove(self, found: Found) -> Call:
        return self._call("delete_vpc_endpoints", VpcEndpointIds=[found.id])

    def _groups(self, ids: Ids) -> Sequence[str]:
        return self._spec.batch.security_groups or (ids["security group"],)

    def _call(self, operation: str, **arguments: Any) -> Call:
        return Call(service="ec2", operation=operation, arguments=arguments)
