"""A site of one's own, written by `doit site` into the current folder, and what the doctor says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.commands.doctor import doctor
from tasks.commands.site import site
from tasks.core.findings import FAIL
from tasks.core.graph.commands import Typed
from tests.kit import registries
from tests.kit.project import ROOT
from tests.kit.registries import Server as Registry
from tests.kit.web import Quiet, Server, running

NAME = "acme"


@dataclass(frozen=True, kw_only=True)
class OwnSite:
    """The site in the current folder; `capsys` takes what the doctor prints."""

    capsys: pytest.CaptureFixture[str]

    @property
    def path(self) -> Path:
        return Path(f"config/sites/{NAME}.yml")

    def write(self, **answers: str) -> None:
        """What a script types."""
        assert site(Typed(words=(NAME,), variables=answers)) == 0
        self.capsys.readouterr()

    def change(self, key: str, value: Any) -> None:
        """Set a key by its dotted name, or take it out by None."""
        raw = yaml.safe_load(self.path.read_text())
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value
        self.path.write_text(yaml.safe_dump(raw))

    def look(self, role: str = "online") -> Findings:
        """All that the doctor says, and its exit status."""
        status = doctor(Typed(words=(), variables={"site": NAME, "role": role},
                              options={"json": True}))
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        findings = json.loads(printed.out)["findings"]
        assert status == any(finding["status"] == FAIL for finding in findings)
        return Findings(all=findings)


def make(folder: Path, nexus: Registry, patch: pytest.MonkeyPatch,
         capsys: pytest.CaptureFixture[str]) -> OwnSite:
    """A site in `folder` whose parts all work, without an engine and what only the internet has."""
    for name in ("config", "schemas", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("locks"))
    for name in [key for key in os.environ if key.startswith("AIRLOCK_")]:
        patch.delenv(name)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
    patch.delenv("DOCKER_CONFIG", raising=False)
    patch.setenv("HOME", str(folder.with_name("home")))
    patch.chdir(folder)
    own = OwnSite(capsys=capsys)
    authfile = registries.login_files(folder.with_name("home") / "docker", [nexus.address])
    own.write(registry=f"{nexus.address}/lab/pipelines", ca=str(tls_of(nexus) / "ca.crt"),
              authfile=str(authfile), store=str(folder.with_name("store")), key="~/.ssh/airlock",
              makekey="1", pipelines="hello", plugins=f"https://{nexus.address}/plugins.json")
    built = Path("build/acme/hello/nextflow-24.10.5.tar")
    built.parent.mkdir(parents=True)
    built.write_bytes(b"")
    Path("plugins.json").write_text("[]")
    own.change("plugins", {"index": f"file://{folder}/plugins.json"})
    own.change("smoke", "none")
    return own


def tls_of(server: Registry) -> Path:
    """Where the certificates of a registry lie that a fixture started."""
    return server.data.parent / "tls"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The lines of one look."""

    all: list[dict[str, Any]] = field(default_factory=list)

    def of(self, check: str) -> list[dict[str, Any]]:
        return [finding for finding in self.all if finding["check"] == check]

    def one(self, check: str) -> dict[str, Any]:
        """The line of a check that has one."""
        lines = self.of(check)
        assert len(lines) == 1, lines
        return lines[0]

    def failing(self) -> set[str]:
        return {finding["check"] for finding in self.all if finding["status"] == FAIL}


class Fixed(Server):
    """Answers every request alike."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes,
                 tls: tuple[Path, Path] | None) -> None:
        super().__init__(FixedHandler, tls=tls)
        self.status, self.headers, self.body = status, headers, body

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class FixedHandler(Quiet):
    """One request."""

    server: Fixed

    def do_GET(self) -> None:
        self.send_response_only(self.server.status)
        for name, value in {"Content-Length": str(len(self.server.body)),
                            **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_CONNECT = do_HEAD = do_GET


@contextmanager
def answering(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"",
              tls: tuple[Path, Path] | None = None) -> Iterator[Fixed]:
    """A server that always says the same; it tells a time only where `headers` have a Date."""
    with running(Fixed(status, headers or {}, body, tls)) as server:
        yield server
