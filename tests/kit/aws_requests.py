"""Requests to AWS's services: which operation one is, and how each protocol words an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.sax.saxutils import escape

SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
JSON_SERVICES = {"batch", "kms", "ecr", "logs", "ssm", "ecs", "secretsmanager", "sso"}
CODES = {
    "throttled": {"ec2": ("RequestLimitExceeded", 503), "s3": ("SlowDown", 503),
                  "batch": ("TooManyRequestsException", 429), "json": ("ThrottlingException", 400),
                  "": ("Throttling", 400)},
    "expired": {"ec2": ("RequestExpired", 400), "json": ("ExpiredTokenException", 400),
                "batch": ("ExpiredTokenException", 403), "": ("ExpiredToken", 403)},
    "denied": {"ec2": ("UnauthorizedOperation", 403), "json": ("AccessDeniedException", 400),
               "batch": ("AccessDeniedException", 403), "": ("AccessDenied", 403)},
    "quota": {"ec2": ("ResourceLimitExceeded", 400), "batch": ("ClientException", 400),
              "json": ("LimitExceededException", 400), "": ("LimitExceeded", 409)},
}
"""Error code and status of a fault, by service, protocol and otherwise."""
MESSAGES = {
    "throttled": "Rate exceeded",
    "expired": "The security token included in the request is expired",
    "denied": "User: arn:aws:sts::123456789012:assumed-role/example/me is not authorized",
    "quota": "Cannot exceed quota: the limit of the account is reached",
}


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def service(self) -> str:
        """The service that it was signed for; empty where it wasn't signed."""
        scope = SCOPE.search(self.headers.get("Authorization", ""))
        return scope["service"] if scope else ""

    @cached_property
    def operation(self) -> str:
        """The operation's name (CreateRole), empty where it isn't known."""
        lower = {name.lower(): value for name, value in self.headers.items()}
        if "x-amz-target" in lower:
            return lower["x-amz-target"].rpartition(".")[2]
        return self.form.get("Action", "") or _by_path(self, lower)

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a request of the query protocol (IAM, STS, EC2)."""
        if b"Action=" not in self.body or self.service in JSON_SERVICES | {"s3"}:
            return {}
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a request in JSON."""
        fields: dict[str, Any] = json.loads(self.body or b"{}")
        return fields


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def of_json(cls, fields: object, status: int = 200) -> Response:
        """Return an answer in JSON."""
        return cls(status=status, body=json.dumps(fields).encode(),
                   headers={"Content-Type": "application/json"})


class Refused(Exception):
    """An error that AWS answers, which each protocol words in its own way."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status

    @classmethod
    def by_fault(cls, kind: str, request: Request) -> Refused:
        """Return the error of a fault, by the service that is asked."""
        codes = CODES[kind]
        protocol = "json" if request.service in JSON_SERVICES else ""
        code, status = codes.get(request.service) or codes.get(protocol) or codes[""]
        return cls(code, f"{MESSAGES[kind]} ({request.service}:{request.operation})", status)

    def response(self, request: Request) -> Response:
        """Return the answer to a request."""
        if request.service in JSON_SERVICES:
            return Response(
                status=self.status, headers={"Content-Type": "application/json",
                                             "x-amzn-ErrorType": self.code},
                body=json.dumps({"__type": self.code, "message": self.message}).encode())
        error = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
        body = {"s3": f"<Error>{error}</Error>",
                "ec2": f"<Response><Errors><Error>{error}</Error></Errors></Response>"}.get(
                    request.service, "<ErrorResponse><Error><Type>Sender</Type>"
                                     f"{error}</Error></ErrorResponse>")
        return Response(status=self.status, body=body.encode(),
                        headers={"Content-Type": "text/xml"})


@cache
def _model(service: str) -> Any:
    import botocore.session
    return botocore.session.get_session().get_service_model(service)


def _by_path(request: Request, lower_headers: Mapping[str, str]) -> str:
    """Return the operation by method, path, query and headers: the protocols of S3 and Batch."""
    if not request.service:
        return ""
    url = urlsplit(request.target)
    query = parse_qs(url.query, keep_blank_values=True)
    fitting: list[tuple[int, str]] = []
    for name in _model(request.service).operation_names:
        operation = _model(request.service).operation_model(name)
        path, _, literal = operation.http["requestUri"].partition("?")
        names = _required(operation, "querystring") + list(parse_qs(literal, True))
        headers = [header.lower() for header in _required(operation, "header")]
        if operation.http["method"] == request.method and _path_fits(path, url.path) \
                and set(names) <= set(query) and set(headers) <= set(lower_headers):
            fitting.append((len(names) + len(headers), name))
    return max(fitting, default=(0, ""))[1]


def _required(operation: Any, location: str) -> list[str]:
    """Return the names, in a place of the request, of what an operation can't be without."""
    shape = operation.input_shape
    if shape is None:
        return []
    members = [shape.members[name].serialization for name in shape.required_members]
    return [member["name"] for member in members if member.get("location") == location]


def _path_fits(template: str, path: str) -> bool:
    """Whether a path has a template's form: {Name} is one part of it, {Name+} the rest."""
    pattern = re.sub(r"\\\{\w+\\\+\\\}", ".+", re.escape(template))
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
    return re.fullmatch(pattern + "/?", path) is not None
