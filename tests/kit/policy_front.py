"""A front before an S3 server, which lets through what AWS would by given policies.

It takes the access key for the caller's role, works out which actions a request needs (Amazon S3
API Reference, "Permissions" of each operation), and has our evaluator judge each with the context
that AWS would have. What it lets through goes on to the real server, signed as its owner. So a
real push runs against real bytes and checksums and against policies that no stand-in knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import urllib3

from tasks.core.aws.evaluate import Access, Policies, decide
from tasks.core.aws.policy import Document, account_of
from tasks.core.store.s3_signature import quote_query, sign
from tests.kit import buckets
from tests.kit.web import Quiet, Server

OWNER, REGION = "111122223333", "us-west-2"
SSE = "x-amz-server-side-encryption"
HOP = {"host", "authorization", "connection", "accept-encoding", "x-amz-date", "user-agent",
       "x-amz-content-sha256", "x-amz-security-token", "expect", "transfer-encoding"}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A role, by its access key, and the policies of its identity."""

    role: str
    identity: tuple[Document, ...]


@dataclass(kw_only=True)
class Rules:
    """What stands in the way, and what was asked: of each access whether it was allowed.

    `key` is the KMS key's ARN and policy, where the bucket's files are encrypted by one.
    """

    callers: dict[str, Caller]
    bucket: Document | None = None
    endpoint: Document | None = None
    key: tuple[str, Document] | None = None
    asked: list[tuple[Access, bool]] = field(default_factory=list)
    encryption: dict[str, dict[str, str]] = field(default_factory=dict)
    """By what each object is encrypted, or each upload's parts, which the real server can't do."""

    def policies(self, access: Access) -> Policies:
        """The policies that have a say in one access."""
        caller = next(caller for caller in self.callers.values()
                      if caller.role == access.principal)
        if access.action.startswith("kms:"):
            return Policies(identity=caller.identity, resource=self.key[1] if self.key else None)
        through = "aws:sourcevpce" in access.context
        return Policies(identity=caller.identity, resource=self.bucket,
                        endpoint=self.endpoint if through else None)

    def allow(self, access: Access) -> str | None:
        """None where it is allowed, else the reason why not."""
        decision = decide(access, self.policies(access))
        self.asked.append((access, decision.allowed))
        return None if decision.allowed else decision.reason


class PolicyFront(Server):
    """One way to the bucket: with or without TLS, through a VPC endpoint or past it."""

    def __init__(self, rules: Rules, behind: str, *, tls: tuple[Path, Path] | None = None,
                 vpce: str | None = None) -> None:
        super().__init__(Handler, tls=tls)
        self.rules, self.behind, self.vpce, self.tls = rules, behind, vpce, tls
        self.pool = urllib3.PoolManager(maxsize=16)


class Handler(Quiet):
    """One request: judged, then passed on."""

    server: PolicyFront

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        match = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        caller = self.server.rules.callers.get(match[1] if match else "")
        if caller is None:
            self._deny("no such access key", code="InvalidAccessKeyId")
            return
        for access in self._accesses(caller):
            if reason := self.server.rules.allow(access):
                self._deny(reason)
                return
        self._pass_on(caller, body)

    def _accesses(self, caller: Caller) -> Iterator[Access]:
        """The actions that AWS would ask about."""
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        action, extra = self._action(key, query)
        arn = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        context = {**self._context(caller), **extra}
        yield Access(principal=caller.role, action=action, resource=arn, owner=OWNER,
                     context=context)
        rules = self.server.rules
        if rules.key:
            for of_key in self._of_key(action, query):
                yield Access(principal=caller.role, action=of_key, resource=rules.key[0],
                             owner=account_of(rules.key[0]), context={
                                 "kms:viaservice": f"s3.{REGION}.amazonaws.com",
                                 "kms:encryptioncontext:aws:s3:arn": f"arn:aws:s3:::{bucket}"})

    def _action(self, key: str, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The action of a request on the bucket or a key, and what it says of itself."""
        upload = query.get("uploadId", "")
        if not key:
            assert "list-type" in query and self.command == "GET", self.requestline
            return "s3:ListBucket", {"s3:prefix": query["prefix"]} if "prefix" in query else {}
        if self.command in ("GET", "HEAD"):
            return "s3:GetObject", {}
        if self.command == "DELETE":
            if upload:
                return "s3:AbortMultipartUpload", {}
            return "s3:DeleteObjectVersion" if "versionId" in query else "s3:DeleteObject", {}
        # AWS weighs the parts of an upload by what its begin asked for (inferred).
        asked = {f"s3:{name}": value for name, value in (
            self.server.rules.encryption.get(upload, {}) if upload else self._asked()).items()}
        once = self.headers.get("If-None-Match")
        makes = "partNumber" not in query and "uploads" not in query
        return "s3:PutObject", {**asked, **({"s3:if-none-match": once} if once else {}),
                                "s3:objectcreationoperation": str(makes).lower()}

    def _asked(self) -> dict[str, str]:
        """What a request says of encryption."""
        return {name.lower(): value for name, value in self.headers.items()
                if name.lower().startswith(SSE)}

    def _of_key(self, action: str, query: Mapping[str, str]) -> tuple[str, ...]:
        """What S3 does with the KMS key on the caller's behalf; a part needs both."""
        if action == "s3:PutObject":
            return (("kms:GenerateDataKey", "kms:Decrypt") if {"uploads", "uploadId"} & query.keys()
                    else ("kms:GenerateDataKey",))
        reads = self.command == "GET" or "x-amz-checksum-mode" in self.headers
        return ("kms:Decrypt",) if action == "s3:GetObject" and reads else ()

    def _context(self, caller: Caller) -> dict[str, str]:
        vpce = self.server.vpce
        return {"aws:securetransport": str(self.server.tls is not None).lower(),
                "aws:principalarn": caller.role, "aws:principalaccount": account_of(caller.role),
                "aws:resourceaccount": OWNER, "aws:principalisawsservice": "false",
                **({"aws:sourcevpce": vpce} if vpce else {})}

    def _pass_on(self, caller: Caller, body: bytes) -> None:
        """To the real server; a missing key is only said to be missing to whom may list."""
        address = urlsplit(self.path)
        query = quote_query(dict(parse_qsl(address.query, keep_blank_values=True)))
        host = urlsplit(self.server.behind).netloc
        headers = {name.lower(): value for name, value in self.headers.items()
                   if name.lower() not in HOP and not name.lower().startswith(SSE)}
        length = headers.pop("content-length", None)
        signed = sign(self.command, host, address.path, query, headers,
                      sha256=self.headers.get("x-amz-content-sha256", ""), credentials=Owner(),
                      region="us-east-1", now=datetime.now(timezone.utc))
        if length is not None:
            signed["content-length"] = length
        response = self.server.pool.urlopen(
            self.command, self.server.behind + address.path + (f"?{query}" if query else ""),
            headers=signed, body=body or None, redirect=False, retries=False)
        if response.status == 404 and self.command in ("GET", "HEAD"):
            bucket = address.path.lstrip("/").partition("/")[0]
            if self.server.rules.allow(Access(
                    principal=caller.role, action="s3:ListBucket", owner=OWNER,
                    resource=f"arn:aws:s3:::{bucket}", context=self._context(caller))):
                self._deny("nothing may be listed")
                return
        encryption = self._encryption(address.path, dict(parse_qsl(
            address.query, keep_blank_values=True)), response) if response.status == 200 else {}
        self._answer(response.status, {**response.headers, **encryption}, response.data)

    def _encryption(self, path: str, query: Mapping[str, str],
                    response: urllib3.BaseHTTPResponse) -> dict[str, str]:
        """What S3 says of an object's encryption, in its answers to all that is about one."""
        known = self.server.rules.encryption
        if "uploads" in query:
            match = re.search(rb"<UploadId>([^<]+)</UploadId>", response.data)
            assert match, response.data
            known[match[1].decode()] = self._asked()
            return self._asked()
        if "uploadId" in query:
            known[path] = known.get(query["uploadId"], {})
        elif self.command == "PUT":
            known[path] = self._asked()
        return known.get(path, {})

    def _deny(self, reason: str, code: str = "AccessDenied") -> None:
        data = f"<Error><Code>{code}</Code><Message>{reason}</Message></Error>".encode()
        self._answer(403, {"Content-Type": "application/xml"}, data)

    def _answer(self, status: int, headers: Mapping[str, Any], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server",
                                    "content-length"):
                self.send_header(name, value)
        of_head = next((value for name, value in headers.items()
                        if name.lower() == "content-length"), "0")
        self.send_header("Content-Length",
                         of_head if self.command == "HEAD" and status == 200 else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@dataclass(frozen=True)
class Owner:
    """The server's own access key."""

    access_key: str = buckets.ACCESS
    secret_key: str = buckets.SECRET
    token: None = None
