"""Bearer tokens: a real docker-registry that trusts a token server of the test."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tasks.core.errors import RegistryError
from tasks.core.registry.client import Access, Registries
from tasks.images.destination import Destination
from tests.kit import registries as servers
from tests.kit import tls, web
from tests.kit.image_steps import steps
from tests.kit.registries import PASSWORD, USER, Server
from tests.kit.web import near


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(kw_only=True)
class Tokens:
    """A token server; `given` are the scopes of the tokens that it gave."""

    certificate: Path
    key: Path
    lifetime: int = 300
    url: str = ""
    given: list[list[str]] = field(default_factory=list)
    refresh: str = "refresh-word"

    def token(self, scopes: list[str]) -> str:
        """A JWT by the distribution project's specification, signed by openssl (RS256)."""
        pem = self.certificate.read_text().split("-----")[2]
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem.split())]}
        now = int(time.time())
        claims = {"iss": "test-issuer", "sub": USER, "aud": "test-service", "exp": now + 300,
                  "nbf": now - 10, "iat": now, "jti": str(len(self.given)),
                  "access": [dict(zip(("type", "name"), scope.split(":")[:2], strict=True),
                                  actions=scope.split(":")[2].split(",")) for scope in scopes]}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.key)],
                                   input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{_base64url(signature.stdout)}"

    def grant(self, authorization: str, form: dict[str, list[str]]) -> dict[str, object] | None:
        """The answer to a request, or None where the login is wrong."""
        good = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if authorization != good and form.get("refresh_token") != [self.refresh]:
            return None
        scopes = form.get("scope", [])
        self.given.append(scopes)
        name = "access_token" if "refresh_token" in form else "token"
        return {name: self.token(scopes), "expires_in": self.lifetime}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    servers.need_programs()
    folder = tmp_path_factory.mktemp("tokens")
    crt, key = tls.self_signed(folder, "tokens")
    made = Tokens(certificate=crt, key=key)

    class Handler(web.Quiet):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            form = parse_qs(body or urlsplit(self.path).query)
            answer = made.grant(self.headers.get("Authorization", ""), form)
            data = json.dumps(answer or {"errors": []}).encode()
            self.send_response(200 if answer else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

    with web.running(web.Server(Handler)) as server:
        made.url = f"{server.url}/token"
        yield made


@pytest.fixture(scope="module")
def target(tokens: Tokens, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(servers.registry(tmp_path_factory.mktemp("bearer"), token={
            "realm": tokens.url, "service": "test-service", "issuer": "test-issuer",
            "rootcertbundle": str(tokens.certificate)}))


def access(target: Server, authfile: Path) -> Access:
    return Access(registries={target.address: target.url}, ca=None, authfile=authfile,
                  network=near())  # the token server's address is another


def test_push_mount_and_pull_with_tokens_that_are_kept(
        tokens: Tokens, target: Server, tmp_path: Path) -> None:
    authfile = servers.login_files(tmp_path / "login", [target.address])
    registry = Registries(access(target, authfile)).at(target.address)
    data = b"layer " * 1000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()

    class Once:
        def __enter__(self) -> list[bytes]:
            return [data]

        def __exit__(self, *args: object) -> None:
            pass

    tokens.given.clear()
    registry.upload("a/one", digest, len(data), Once)
    for _ in range(10):
        assert registry.blob_size("a/one", digest) == len(data)
    assert registry.mount("a/two", digest, "a/one") is True
    with registry.blob("a/two", digest, len(data)) as chunks:
        assert b"".join(chunks) == data
    # Push, and push with the other's pull: either token is good for the reading that follows.
    assert sorted(tokens.given) == sorted([
        ["repository:a/one:pull,push"], ["repository:a/one:pull", "repository:a/two:pull,push"]])


def test_tokens_for_other_rights_are_fetched_at_the_same_time(
        tokens: Tokens, target: Server, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a round trip, each repository's token would else wait for those before it."""
    authfile = servers.login_files(tmp_path / "login", [target.address])
    registry = Registries(access(target, authfile)).at(target.address)
    registry.ping()
    both = threading.Barrier(2, timeout=10)
    fetch = registry._auth._fetch

    def slow(*words: Any) -> tuple[str, float]:
        both.wait()  # breaks where one waits for the other
        return fetch(*words)

    monkeypatch.setattr(registry._auth, "_fetch", slow)
    with ThreadPoolExecutor(2) as pool:
        sizes = pool.map(lambda path: registry.blob_size(path, "sha256:" + "1" * 64),
                         ("a/left", "a/right"))
    assert list(sizes) == [None, None]


def test_tokens_are_renewed_when_they_end(tokens: Tokens, target: Server, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    authfile = servers.login_files(tmp_path / "login", [target.address])
    registry = Registries(access(target, authfile)).at(target.address)
    monkeypatch.setattr(tokens, "lifetime", 11)  # a second, with the client's margin
    tokens.given.clear()
    registry.blob_size("a/renewed", "sha256:" + "1" * 64)
    registry.blob_size("a/renewed", "sha256:" + "1" * 64)
    assert len(tokens.given) == 1
    time.sleep(1.1)
    registry.blob_size("a/renewed", "sha256:" + "1" * 64)
    assert len(tokens.given) == 2


def test_a_refused_token_is_replaced(tokens: Tokens, target: Server, tmp_path: Path) -> None:
    authfile = servers.login_files(tmp_path / "login", [target.address])
    registry = Registries(access(target, authfile)).at(target.address)
    registry.blob_size("a/spoiled", "sha256:" + "1" * 64)
    kept = registry._auth._tokens
    for rights, token in list(kept.items()):
        kept[rights] = replace(token, text="spoiled")
    assert registry.blob_size("a/spoiled", "sha256:" + "1" * 64) is None


def test_a_wrong_password_is_reported_by_the_token_server(target: Server, tmp_path: Path) -> None:
    authfile = servers.login_files(tmp_path / "login", [target.address], "wr0ng-Secret")
    registry = Registries(access(target, authfile)).at(target.address)
    with pytest.raises(RegistryError, match="wrong user or password") as caught:
        registry.ping()
    assert "wr0ng" not in str(caught.value)


def test_an_identity_token_is_exchanged(tokens: Tokens, target: Server, tmp_path: Path) -> None:
    authfile = tmp_path / "config.json"
    authfile.write_text(json.dumps({"auths": {target.address: {"identitytoken": tokens.refresh}}}))
    Registries(access(target, authfile)).at(target.address).ping()


def test_a_credential_helper_is_asked_by_standard_input(
        target: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/words\ncat > {tmp_path}/asked\n"
                      f'echo \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
    authfile = tmp_path / "config.json"
    authfile.write_text(json.dumps({"credHelpers": {target.address: "test"}}))
    Registries(access(target, authfile)).at(target.address).ping()
    assert (tmp_path / "words").read_text() == "get\n"
    assert (tmp_path / "asked").read_text() == target.address


def test_a_whole_mirror_by_tokens(tokens: Tokens, target: Server, tmp_path: Path) -> None:
    authfile = servers.login_files(tmp_path / "login", [target.address])
    with servers.registry(tmp_path / "source") as source:
        images = [f"quay.io/a/{name}:1" for name in ("one", "two", "three")]
        for image in images:
            servers.add_image(source, image, [b"shared" * 10_000, b"own"])
        reach = access(target, authfile)
        reach = replace(reach, registries={**reach.registries, "quay.io": f"{source.url}/quay.io"})
        at = steps(tmp_path, images, reach, Destination(address=target.address))
        at.lock_and_mirror()
    assert len(json.loads(at.mirror.receipt.read_text())["images"]) == 3
    assert all("password" not in scope for given in tokens.given for scope in given)
