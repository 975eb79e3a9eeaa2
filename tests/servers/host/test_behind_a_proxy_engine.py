"""Docker's daemon behind a corporate proxy that inspects TLS: docs/operations.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit import engines, machine
from tests.kit.images import OCI
from tests.kit.inspecting import inspecting
from tests.kit.registry_memory import Memory, serve

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())

HOST = "nexus.example.org"
"""Of a registry that nobody reaches but by the proxy."""


def hold(memory: Memory, folder: Path) -> None:
    """Put an image that runs into the registry, as lab/tool:1."""
    blobs = folder / "blobs/sha256"
    engines.runnable(folder, [engines.shell(), engines.says("pulled by the proxy")])
    index = json.loads((folder / "index.json").read_bytes())
    manifest = (blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_bytes()
    for path in blobs.iterdir():
        memory.add_blob("lab/tool", path.read_bytes())
    memory.add_manifest("lab/tool", "1", OCI, manifest)


def test_the_daemon_takes_its_own_environment_and_certs_d(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.provide()
    with serve(Memory()) as far, inspecting(
            tmp_path / "proxy", {HOST: far.url.removeprefix("http://")}) as proxy:
        hold(far, tmp_path / "image")
        monkeypatch.setenv("HTTPS_PROXY", proxy.at())
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        trusted = tmp_path / "certs.d" / HOST / "ca.crt"
        trusted.parent.mkdir(parents=True)
        with engines.docker(tmp_path / "without") as engine:
            refused = engine.run("pull", f"{HOST}/lab/tool:1", check=False)
            assert "certificate signed by unknown authority" in refused.stderr
        trusted.write_bytes(proxy.ca.read_bytes())
        with engines.docker(tmp_path / "with", tmp_path / "certs.d") as engine:
            engine.run("pull", f"{HOST}/lab/tool:1")
        assert any(line.startswith(f"{HOST} /v2/lab/tool/blobs/") for line in proxy.seen)
