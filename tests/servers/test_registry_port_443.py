"""The whole way to a real registry on TLS port 443, which HTTP leaves out of a Host header."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core.engine import daemon
from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.core.schema import read_json
from tasks.images.destination import Destination
from tasks.offline_host.pulled_images import see_registry
from tests.kit import image_steps, machine, tls
from tests.kit import registries as servers
from tests.kit.images import layer
from tests.kit.registries import Server

HOST = "127.0.0.5"


@dataclass(frozen=True, kw_only=True)
class World:
    """A source by plain HTTP, and a destination on port 443 with TLS and a password."""

    source: Server
    target: Server
    ca: Path
    root: Path


@pytest.fixture(scope="module", params=[HOST, "[::1]"])
def world(request: pytest.FixtureRequest,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    servers.need_programs()
    machine.need_root()
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), 443))
    except OSError as error:
        pytest.skip(f"port 443 of {host} can't be had: {error}")
    root = tmp_path_factory.mktemp("port443")
    ca, certificate, key = tls.certificates(root / "tls", HOST, "::1")
    with ExitStack() as stack:
        source = stack.enter_context(servers.registry(root / "source"))
        target = stack.enter_context(servers.registry(
            root / "target", tls=(certificate, key), htpasswd=servers.passwords(root),
            at=(host, 443)))
        for name in ("one", "two"):
            servers.add_image(source, f"quay.io/a/{name}:1", [layer({"shared": b"x" * 200_000}),
                                                              layer({name: name.encode()})])
        yield World(source=source, target=target, ca=ca, root=root)


@pytest.mark.parametrize("named", ["", ":443"])
@pytest.mark.parametrize("filed", ["{host}", "{host}:443", "https://{host}/v1/"])
def test_images_are_mirrored_and_found_again(world: World, tmp_path: Path, named: str,
                                             filed: str) -> None:
    """With the port in the registry's name and without it, whichever the login is filed under."""
    host = world.target.host
    address = host + named
    authfile = servers.login_files(tmp_path / "auth", [filed.format(host=host)])
    access = Access(registries={"quay.io": f"{world.source.url}/quay.io"}, ca=world.ca,
                    authfile=authfile, network=Network().naming(f"https://{address}"))
    prefix = f"t{abs(hash(str(tmp_path))) % 10**8}"
    made = image_steps.steps(tmp_path, ["quay.io/a/one:1", "quay.io/a/two:1"], access,
                             Destination(address=address, prefix=prefix))
    assert f"2 images at {address}" in made.lock_and_mirror()
    receipt = read_json(made.mirror.receipt, "images-receipt")
    assert receipt["registry"] == address
    assert [image["destination"] for image in receipt["images"]] == [
        f"{address}/{prefix}/quay.io/a/{name}" for name in ("one", "two")]
    see_registry(address, world.ca, authfile, access.network)
    assert daemon.login(authfile, receipt["images"][0]["destination"]) == {
        "username": servers.USER, "password": servers.PASSWORD}
    # Another client, by the names that the receipt has; skopeo takes no port for 443, as Docker.
    auth = servers.login_files(tmp_path / "by-hand", [host, f"{host}:443"])
    if ":" in host:
        return  # skopeo of Debian 12 knows no IPv6 addresses
    trusted = tmp_path / "certs"
    trusted.mkdir()
    shutil.copy(world.ca, trusted)
    for image in receipt["images"]:
        subprocess.run(["skopeo", "inspect", "--raw", "--authfile", auth, "--cert-dir",
                        trusted, f"docker://{image['destination']}@{image['digest']}"],
                       check=True, capture_output=True)
