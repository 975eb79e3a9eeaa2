"""The connections of boto3's clients: judged and bounded as all others are.

A server may send its client elsewhere, such as to another region, and takes its time as it likes.
`before-send` is where botocore lets another do the sending of a request.
"""

from __future__ import annotations

from typing import Any

from tasks.core.net import bounds
from tasks.core.net.inside import Inside


def session(url: str, hosts: Inside | None, *, connections: int, **options: Any) -> Any:
    """botocore's session for requests to a URL, with its own CA bundle and proxies.

    Without `hosts` no address is judged: the site's configuration names it.
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
            through = self._proxy_config.proxy_url_for(request.url)  # type: ignore[attr-defined]
            if hosts is not None and through:
                hosts.judge(request.url)
            return super().send(request)

    return Session(
        verify=botocore.session.Session().get_config_variable("ca_bundle") or True,
        proxies=utils.get_environ_proxies(url), timeout=(15, 60),
        max_pool_connections=connections, **options)


def use(client: Any, hosts: Inside, *, connections: int) -> None:
    """Let the client's requests go by connections that `hosts` judges."""
    http = session(client.meta.endpoint_url, hosts, connections=connections)

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
