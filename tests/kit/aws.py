"""AWS as tests have it: moto's server, behind a front that answers as AWS does where moto doesn't.

    python -m tests.kit.aws PORT [BUCKET…]

stands in on that port, and prints the credentials of a user who may do all.

The front passes requests on, mends answers of Batch (tests/kit/aws_batch.py), simulates policies
(tests/kit/aws_simulation.py) and makes faults by service and operation. What moto does otherwise
than AWS, and isn't mended: a bucket policy's `Condition` is ignored.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tasks.core.config.aws_settings import Aws
from tests.kit.aws_batch import BatchMends
from tests.kit.aws_requests import Refused, Request, Response
from tests.kit.aws_simulation import simulate
from tests.kit.web import Quiet, Server, running

REGION, ACCOUNT = "us-west-2", "123456789012"
FAULTS = ("throttled", "expired", "denied", "quota", "cut before", "cut after")
"""Kinds: the last two end the connection, before moto sees the call or once it took effect."""
CHANGES = ("Add", "Attach", "Authorize", "Create", "Delete", "Detach", "Modify", "Put", "Remove",
           "Update")
"""How the names of operations begin that change something."""
HOP_BY_HOP = {"connection", "transfer-encoding", "date", "server"}


@dataclass(kw_only=True)
class Fault:
    """A fault of calls that fit: lets `after` of them pass, then befalls `times` (None: all).

    With `changes` it befalls only calls that change something.
    """

    kind: str
    service: str | None = None
    operation: str | None = None
    changes: bool = False
    after: int = 0
    times: int | None = 1

    def befalls(self, request: Request) -> bool:
        """Whether this call gets the fault; counts it."""
        if (self.service or request.service, self.operation or request.operation) != (
                request.service, request.operation) or self.times == 0:
            return False
        if self.changes and not request.operation.startswith(CHANGES):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True, kw_only=True)
class Call:
    """What was asked, and whether a fault befell it."""

    service: str
    operation: str
    fault: str | None = None

    @property
    def has_changed(self) -> bool:
        """Whether it may have changed something."""
        return self.operation.startswith(CHANGES) and self.fault in (None, "cut after")


class Front(Server):
    """What answers for all services of AWS.

    `faults` are tried in turn for every call, `calls` are all that came. `mends.invalid` maps
    names of compute environments to the reason why they become INVALID, `mends.unsettled` is how
    often one is described before it is VALID.
    """

    def __init__(self, moto_port: int, *, port: int = 0,
                 tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(Handler, tls=tls, port=port)
        self.moto_port = moto_port
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.mends = BatchMends(self.pass_on)
        self.lock = threading.RLock()

    @property
    def aws(self) -> Aws:
        """The site's `aws` that leads here."""
        return Aws(region=REGION, endpoint=self.url)

    def operations(self) -> list[str]:
        """service:Operation of all calls, in order."""
        return [f"{call.service}:{call.operation}" for call in self.calls]

    def reset(self) -> None:
        """Forget all that was made, all calls and all faults."""
        self.pass_on(Request(method="POST", target="/moto-api/reset", headers={}, body=b""))
        self.faults.clear()
        self.calls.clear()
        self.mends = BatchMends(self.pass_on)

    def pass_on(self, request: Request) -> Response:
        """Return moto's own answer."""
        connection = HTTPConnection("127.0.0.1", self.moto_port, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items()
                       if name.lower() not in HOP_BY_HOP}
            connection.request(request.method, request.target, request.body,
                               {**headers, "Content-Length": str(len(request.body))})
            response = connection.getresponse()
            return Response(status=response.status, body=response.read(), headers={
                name: value for name, value in response.getheaders()
                if name.lower() not in HOP_BY_HOP})
        finally:
            connection.close()

    def answer(self, request: Request) -> Response | None:
        """Return the answer to a call; None where the connection is to be cut."""
        fault = next((fault.kind for fault in self.faults if fault.befalls(request)), None)
        self.calls.append(Call(service=request.service, operation=request.operation, fault=fault))
        if fault == "cut before":
            return None
        try:
            if fault and fault != "cut after":
                raise Refused.by_fault(fault, request)
            response = self._mended(request)
        except Refused as refused:
            response = refused.response(request)
        return None if fault == "cut after" else response


    def _mended(self, request: Request) -> Response:
        if request.service == "batch":
            return self.mends.answer(request)
        if request.operation == "SimulatePrincipalPolicy":
            return simulate(request, self.moto_port)
        return self.pass_on(request)


class Handler(Quiet):
    """One request to the front, which it answers with one at a time, as moto is not safe."""

    server: Front

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        request = Request(method=self.command, target=self.path,
                          headers=dict(self.headers.items()), body=body)
        with self.server.lock:
            response = self.server.answer(request)
        if response is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(response.status)
        of_head = response.headers.get("Content-Length") if self.command == "HEAD" else None
        length = of_head or str(len(response.body))
        for name, value in {**response.headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _handle


@contextmanager
def moto_server(environment: Mapping[str, str]) -> Iterator[int]:
    """Moto's server on a free port, in a process of its own; its answers hold no state of ours."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
             "MOTO_ACCOUNT_ID": ACCOUNT, **environment})
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "moto's server has ended"
            time.sleep(0.1)
        yield port
    finally:
        process.kill()  # it has no state that anybody needs, and takes its time to end well
        process.wait(10)


@contextmanager
def standing_in(*, port: int = 0, tls: tuple[Path, Path] | None = None,
                environment: Mapping[str, str] | None = None) -> Iterator[Front]:
    """AWS on loopback, ended with the block; `environment` is moto's (DOCKER_HOST, say)."""
    with moto_server(environment or {}) as moto_port, \
            running(Front(moto_port, port=port, tls=tls)) as front:
        yield front


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
               "AWS_SECRET_ACCESS_KEY": "example-of-a-secret-key",
               "AWS_EC2_METADATA_DISABLED": "true"}
"""The environment of whoever asks here: moto takes any."""


def a_user(front: Front, name: str = "me") -> dict[str, str]:
    """Make a user who may do all; return the environment of whoever works as that user."""
    import boto3
    iam = boto3.client("iam", region_name=REGION, endpoint_url=front.url,
                       aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                       aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def main(port: int, buckets: Sequence[str]) -> None:
    """Stand in for AWS until this process is ended, for people who have no account."""
    import boto3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that moto ends with it
    with standing_in(port=port) as front:
        user = a_user(front)
        s3 = boto3.client("s3", region_name=REGION, endpoint_url=front.url,
                          aws_access_key_id=user["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=user["AWS_SECRET_ACCESS_KEY"])
        for bucket in buckets:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={
                "LocationConstraint": REGION})
        for name, value in user.items():
            print(f"export {name}={value}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
