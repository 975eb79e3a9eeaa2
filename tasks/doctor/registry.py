"""The registry: reached, trusted, logged in to, and pushed to, with what was pushed taken back."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import files
from tasks.core.errors import AirlockError, NetError, RegistryError
from tasks.core.findings import FAIL, OK, UNKNOWN, WARN, Finding, failed
from tasks.core.frozen import frozen
from tasks.core.net import bounds
from tasks.core.net.network import Network
from tasks.core.net.request import ATTEMPTS, Body, Transport
from tasks.core.registry import credentials
from tasks.core.registry.auth import Refused
from tasks.core.registry.client import MANIFESTS, Manifest, Registry
from tasks.core.registry.uploads import Opener
from tasks.doctor import reach
from tasks.doctor.reach import Address, Answer

if TYPE_CHECKING:
    import urllib3

NAME = "nf-airlock-doctor"
"""The repository of the image that is pushed, below the site's prefix."""
SETTING = "registry.host and registry.port"
CONNECTOR = ("name the registry's own address; in Nexus that is the repository's Docker connector, "
             "or a path of its own in registry.prefix")
ALLOW = ("have this login be allowed to push there; in Nexus take a hosted repository, since a "
         "proxy takes no pushes")


@frozen
class RegistrySpec:
    """Which registry, as whom, and the path below which images go; `pushes` whether they do."""

    address: str
    path: str
    ca: Path | None
    authfile: Path | None
    network: Network
    pushes: bool
    starts: str | None = None
    login_cure: str | None = None

    @property
    def asked(self) -> Address:
        return Address(url=f"https://{self.address}/v2/", setting=SETTING, trust="registry.ca",
                       ca=self.ca, starts=self.starts)


class Once(Transport):
    """Requests that are not sent again: what fails is what is looked for."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *,
             attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        return super().send(method, url, headers, body, attempts=min(attempts, 1))


def registry(spec: RegistrySpec) -> Iterator[Finding]:
    """Look at one thing after the other: each needs the one before."""
    try:
        answer = reach.ask(spec.asked)
        _refuse_other(spec, answer)
    except AirlockError as error:
        yield failed("registry", error)
        yield Finding(check="login", status=UNKNOWN, cure="mend what is before it",
                      text=f"{spec.address}: login and push wait for an answer that is trusted")
        return
    yield Finding(check="registry", status=OK, text=f"{spec.address} answers, and is one")
    yield reach.certificate(spec.asked, answer)
    if finding := reach.clock(spec.asked, answer):
        yield finding
    try:
        yield _login(spec, asks=answer.status == 401)
    except AirlockError as error:
        yield failed("login", error, spec.login_cure)
        return
    if spec.pushes:
        yield _push(spec)


def pushable(spec: RegistrySpec, path: str | None) -> Iterator[Finding]:
    """Look at the registry, and whether this login may push to `path`; nothing is pushed.

    Without a path that is not known yet.
    """
    is_open = True
    for finding in registry(spec):
        is_open = is_open and finding.status not in (FAIL, UNKNOWN)
        yield finding
    if not is_open or path is None:
        return
    try:
        _client(spec).try_push(path)
    except Refused as error:
        yield failed("push", error, f"{error.todo}; {ALLOW}")
    except AirlockError as error:
        yield failed("push", error)


def _refuse_other(spec: RegistrySpec, answer: Answer) -> None:
    """NetError unless the answer to /v2/ is a registry's (OCI distribution, end-1)."""
    title = reach.page_title(answer.text)
    if answer.status in (200, 401) and title is None:
        return
    what = f"a web page ({title})" if title else f"{answer.status} {reach.first_words(answer.text)}"
    if 300 <= answer.status < 400:
        what = f"that it is elsewhere: {answer.headers.get('Location', '')}"
    if answer.status >= 500:
        raise NetError(f"{spec.address} is there, and says {what}".rstrip(), where=spec.asked.url,
                       todo="look at its log, and at that of what stands before it")
    raise NetError(f"what answers at {spec.address} is no registry: it says {what}".rstrip(),
                   where=spec.asked.url, todo=CONNECTOR)


def _client(spec: RegistrySpec) -> Registry:
    url = f"https://{spec.address}"
    return Registry(spec.address, url, spec.authfile, Once(spec.network.naming(url), spec.ca))


def _login(spec: RegistrySpec, *, asks: bool) -> Finding:
    """Whether the login is taken; RegistryError where it isn't, or can't be read."""
    file = spec.authfile or credentials.default_file()
    login = credentials.find(spec.address, spec.authfile)
    _client(spec).ping()
    if login is None:
        return Finding(check="login", status=WARN if spec.pushes else OK,
                       text=f"{spec.address} lets everybody look; no login for it is in {file}",
                       cure=f"docker login {spec.address}, where pushes want one"
                       if spec.pushes else None)
    if file.is_file() and file.stat().st_mode & 0o077:
        return Finding(check="login", status=WARN, cure=f"chmod 600 {file}",
                       text=f"the login for {spec.address} is taken, and others can read {file}")
    return Finding(check="login", status=OK, text=(
        f"the login in {file} is taken" if asks else
        f"{spec.address} asks for none to look; the one in {file} is tried by the push"))


def _push(spec: RegistrySpec) -> Finding:
    """Push a tiny image, ask for it, and take it back."""
    client = _client(spec)
    path = f"{spec.path}/{NAME}" if spec.path else NAME
    parts, manifest = _image()
    place = f"{spec.address}/{path}"
    try:
        for data in parts:
            client.upload(path, _digest(data), len(data), _opener(data))
        client.put_manifest(path, _tag(), manifest)
        if client.manifest_digest(path, manifest.digest) != manifest.digest:
            raise RegistryError("it took an image, and then doesn't have it", where=place,
                                todo="look at the registry's log, and its disk")
    except Refused as error:
        return failed("push", error, f"{error.todo}; {ALLOW}")
    except AirlockError as error:
        return failed("push", error, f"{error.todo or 'look at its log'}; {ALLOW}")
    size = files.human_size(sum(map(len, parts)) + len(manifest.data))
    kept = _take_back(client, path, manifest, parts)
    left = f"it stays there, {size}, and may stay: {kept}" if kept else "it was taken back"
    return Finding(check="push", status=OK, text=f"an image went to {place}, and {left}")


def _opener(data: bytes) -> Opener:
    return lambda: nullcontext([data])


def _take_back(client: Registry, path: str, manifest: Manifest,
               parts: list[bytes]) -> str | None:
    """Delete what was pushed; why not, where the registry lets nothing be deleted."""
    scopes = (f"repository:{client.inner(path)}:pull,push,delete",)

    def delete(rest: str) -> int:
        response = client.ask("DELETE", client.url(path, rest), scopes, client.name(path, rest))
        bounds.dismiss(response)
        return response.status

    try:
        status = delete(f"manifests/{manifest.digest}")
    except AirlockError as error:
        return error.what
    if status not in (200, 202, 204, 404):
        return f"the registry deletes nothing ({status})"
    for data in parts:
        with suppress(AirlockError):  # a registry may clean up by itself
            delete(f"blobs/{_digest(data)}")
    return None


def _tag() -> str:
    """A tag of this machine's own, so that two that look at once don't take each other's."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def _image() -> tuple[list[bytes], Manifest]:
    """An image with one empty layer, the same each time on one machine."""
    archive = bytes(1024)
    layer = gzip.compress(archive, mtime=0)
    config = files.json_bytes({"architecture": "amd64", "os": "linux", "author": _tag(),
                               "config": {}, "rootfs": {"type": "layers",
                                                        "diff_ids": [_digest(archive)]}})

    def described(kind: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": _digest(data),
                "size": len(data)}

    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFESTS[0],
                           "config": described("config.v1+json", config),
                           "layers": [described("layer.v1.tar+gzip", layer)]}).encode()
    return [layer, config], Manifest(data=manifest, media_type=MANIFESTS[0])


def _digest(data: bytes) -> str:
    return f"sha256:{files.sha256_bytes(data)}"


def not_asked(address: str) -> Finding:
    """The line where images go by the store, so that this side reaches no registry."""
    return Finding(check="registry", status=OK,
                   text=f"images go by the store, so {address} is asked on the offline host alone")


