"""Clients of AWS's services: in the site's region, as whom this machine is.

Credentials are found by boto3's own chain: variables, profiles, SSO, roles. The `endpoint` of a
stand-in answers for every service.
"""

from __future__ import annotations

from typing import Any

from tasks.core.aws.faults import explained
from tasks.core.config.aws_settings import Aws

CONNECT_TIMEOUT, READ_TIMEOUT = 10, 30
"""Seconds."""
ATTEMPTS = 4
"""Of one request, by botocore's standard mode, which waits between them."""


class Session:
    """Makes clients, each once; one for each thread that asks at the same time."""

    def __init__(self, aws: Aws, *, attempts: int = ATTEMPTS) -> None:
        import boto3
        from botocore.config import Config
        self._aws = aws
        with explained("credentials"):
            session: Any = boto3.Session(region_name=aws.region)
        self._session = session
        self._config = Config(
            connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": attempts},
            s3={"addressing_style": "path" if aws.endpoint else "auto"})
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return boto3's client of a service (`batch`, `ec2`, `iam`…)."""
        if service not in self._clients:
            with explained(service):
                self._clients[service] = self._session.client(
                    service, endpoint_url=self._aws.endpoint, config=self._config)
        return self._clients[service]

    def account(self) -> str:
        """Return the number of the account that this machine's credentials belong to.

        Raises AwsError where there are none, or where they have expired.
        """
        with explained("sts:GetCallerIdentity"):
            return str(self.client("sts").get_caller_identity()["Account"])
