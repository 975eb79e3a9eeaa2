"""Connections to S3: judged and bounded as all others are, with the CAs that S3's tools know.

A server may send its client elsewhere, such as to another region, and takes its time as it likes.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import HostError
from tasks.core.net import bounds, certificates
from tasks.core.net.inner_addresses import Inside
from tasks.core.net.pools import CONNECT_TIMEOUT, TIMEOUT, Pools

if TYPE_CHECKING:
    import ssl

    import urllib3


def ca_bundle(session: Any) -> str | None:
    """Return the file or folder of CAs that botocore's session names (AWS_CA_BUNDLE, `ca_bundle`
    in ~/.aws/config), else the one that requests would take; None for the system's.

    HostError where it isn't there: the errors of botocore and OpenSSL don't name the file.
    """
    for name, path in (("AWS_CA_BUNDLE", os.environ.get("AWS_CA_BUNDLE")),
                       ("ca_bundle in ~/.aws/config", session.get_scoped_config().get("ca_bundle")),
                       ("REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE"))):
        if path:
            if not Path(path).exists():
                raise HostError(f"the file of trusted certificates is missing; {name} names it",
                                where=path,
                                todo=f"put the CA's certificates there (PEM), or correct {name}")
            return str(path)
    return None


def pool(url: str, ca: str | None, *, connections: int) -> urllib3.PoolManager:
    """Connections to a server that the site's configuration names, so its address isn't judged.

    OSError where the CAs can't be read.
    """
    system = tuple(os.environ.get(name) for name in certificates.SYSTEM)
    return Pools(None, _context(ca, system), connections=connections).at(url)


@functools.cache
def _context(ca: str | None, system: tuple[str | None, ...]) -> ssl.SSLContext:
    """One for all stores that a process opens, since the system's CAs take some 25 ms to read;
    `system` is where OpenSSL is told to look for those."""
    import ssl
    is_folder = ca is not None and Path(ca).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else ca,
                                      capath=ca if is_folder else None)


def use(client: Any, hosts: Inside, *, connections: int) -> None:
    """Let a boto3 client's requests go by connections that `hosts` judges.

    `before-send` is where botocore lets another do the sending of a request.
    """
    import botocore.session
    from botocore import utils
    from botocore.httpsession import URLLib3Session

    class Session(URLLib3Session):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._manager.pool_classes_by_scheme = _pools(hosts)  # type: ignore[attr-defined]
            self._pool_classes_by_scheme = _pools(None)  # from here on, those of proxies

        def send(self, request: Any) -> Any:
            if self._proxy_config.proxy_url_for(request.url):  # type: ignore[attr-defined]
                hosts.judge(request.url)
            return super().send(request)

    bundle = ca_bundle(botocore.session.Session())
    if bundle and (wrong := certificates.fault(Path(bundle))):
        raise HostError(f"the file of trusted certificates {wrong}", where=bundle,
                        todo="correct AWS_CA_BUNDLE, or what else names it")
    http = Session(verify=bundle or True,
                   proxies=utils.get_environ_proxies(client.meta.endpoint_url),
                   timeout=(CONNECT_TIMEOUT, TIMEOUT), max_pool_connections=connections)

    def send(request: Any, **_: Any) -> Any:
        answer = http.send(request)
        if request.stream_output and answer.status_code in (200, 206):
            bounds.allow_large(answer.raw)
        return answer

    client.meta.events.register("before-send.s3", send)


def _pools(hosts: Inside | None) -> dict[str, Any]:
    from botocore import awsrequest
    return {"http": type("Plain", (awsrequest.AWSHTTPConnectionPool,), {
                "ConnectionCls": bounds.watched(awsrequest.AWSHTTPConnection, hosts)}),
            "https": type("Secure", (awsrequest.AWSHTTPSConnectionPool,), {
                "ConnectionCls": bounds.watched(awsrequest.AWSHTTPSConnection, hosts)})}
