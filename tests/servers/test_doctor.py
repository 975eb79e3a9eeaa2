"""The doctor on the online side: a registry and a store that work, then all that can be wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest

from tasks.doctor import checks, reach
from tasks.doctor.registry import NAME
from tests.kit import registries, tls
from tests.kit.checklist import lines
from tests.kit.own_site import OwnSite, answering, tls_of
from tests.kit.registries import Server

TODAY = {"Date": format_datetime(datetime.now(timezone.utc))}


def test_a_site_that_works_is_said_to_and_left_as_it_was(own: OwnSite, nexus: Server) -> None:
    looked = own.look()
    assert looked.failing() == set()
    assert f"{nexus.address}/lab/pipelines/{NAME}" in looked.one("push")["text"]
    assert looked.one("push")["text"].endswith("taken back")
    assert "the first push makes it" in looked.one("store")["text"]
    assert not Path("../store").exists()
    assert not list(nexus.data.rglob("_manifests/tags/*"))
    assert {"registry", "certificate", "clock", "login", "push", "store", "key", "allowed_signers",
            "git", "engine", "java", "nextflow", "plugins", "code", "isolation", "disk", "proxies",
            "python", "config"} == {finding["check"] for finding in looked.all}
    assert {finding["check"] for finding in looked.all} <= lines("Online side")


def test_what_stays_at_a_registry_that_deletes_nothing_is_told(
        own: OwnSite, nexus: Server, tmp_path: Path) -> None:
    crt, key = tls_of(nexus) / "server.crt", tls_of(nexus) / "server.key"
    with registries.registry(tmp_path / "keeps", tls=(crt, key), deletes=False) as keeps:
        own.change("registry.port", keeps.port)
        looked = own.look()
    assert looked.one("push")["status"] == "ok"
    assert "it stays there, " in looked.one("push")["text"]
    assert "(405)" in looked.one("push")["text"]


@pytest.mark.parametrize(("change", "check", "text", "cure"), [
    ({"registry.authfile": "wrong/config.json"}, "login", "wrong user or password",
     "docker login"),
    ({"registry.authfile": "empty/config.json"}, "login", "without a login", "docker login"),
    ({"registry.authfile": "gone.json"}, "login", "is missing", "registry.authfile"),
    ({"registry.ca": "other.crt"}, "registry", "not trusted", "set registry.ca"),
    ({"registry.ca": "gone.crt"}, "registry", "file is missing that registry.ca", "registry.ca"),
    ({"registry.ca": "empty/config.json"}, "registry", "no certificate in PEM", "BEGIN"),
    ({"registry.ca": None}, "registry", "not trusted", "openssl s_client"),
    ({"registry.port": 1}, "registry", "Connection refused", "registry.port"),
    ({"registry.host": "nowhere.invalid"}, "registry", "has no address", "DNS"),
    ({"registry.host": "localhost"}, "registry", "for another name", "as its certificate does"),
])
def test_what_is_wrong_with_the_registry_is_one_line_with_its_cure(
        own: OwnSite, nexus: Server, change: dict[str, str], check: str, text: str,
        cure: str) -> None:
    registries.login_files(Path("wrong"), [nexus.address], password="other")
    registries.login_files(Path("empty"), [])
    tls.self_signed(Path(), "other")
    for key, value in change.items():
        own.change(key, value)
    looked = own.look()
    assert looked.failing() == {check}
    assert text in looked.one(check)["text"]
    assert cure in looked.one(check)["cure"]
    assert looked.one("store")["status"] == looked.one("key")["status"] == "ok"


def test_a_login_that_others_can_read_is_told(own: OwnSite) -> None:
    file = Path("~/docker/config.json").expanduser()
    file.chmod(0o644)
    assert own.look().one("login")["cure"] == f"chmod 600 {file}"


@pytest.mark.parametrize(("status", "headers", "body", "text", "cure"), [
    (404, TODAY, b"<html><title>Sign in to Nexus</title></html>", "Sign in to Nexus", "connector"),
    (404, TODAY, b"no such page", "404 no such page", "connector"),
    (301, {"Location": "https://elsewhere.example.org/", **TODAY}, b"", "elsewhere.example.org",
     "connector"),
    (503, TODAY, b"starting", "503 starting", "its log"),
])
def test_what_answers_and_is_no_registry_is_told(
        own: OwnSite, nexus: Server, status: int, headers: dict[str, str], body: bytes, text: str,
        cure: str) -> None:
    place = tls_of(nexus)
    with answering(status, headers, body, (place / "server.crt", place / "server.key")) as other:
        own.change("registry.port", other.server_port)
        line = own.look().one("registry")
    assert line["status"] == "fail"
    assert text in line["text"]
    assert cure in line["cure"]


def test_a_push_that_is_refused_says_who_may_allow_it(
        own: OwnSite, nexus: Server) -> None:
    place = tls_of(nexus)
    with answering(200, TODAY, b"{}", (place / "server.crt", place / "server.key")) as other:
        own.change("registry.port", other.server_port)  # it takes no POST as a registry does
        line = own.look().one("push")
    assert line["status"] == "fail"
    assert "hosted repository" in line["cure"]


def test_a_port_without_tls_is_told(own: OwnSite) -> None:
    with answering(200, TODAY) as plain:
        own.change("registry.port", plain.server_port)
        line = own.look().one("registry")
    assert "speaks no TLS" in line["text"]


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_what_never_answers_ends_in_time_and_ends_nothing_else(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "READ", 0.5)
    with silent() as port:
        own.change("registry.port", port)
        looked = own.look()
        assert looked.failing() == {"registry"}
        monkeypatch.setattr(reach, "READ", 30.0)
        monkeypatch.setattr(reach, "CONNECT", 30.0)
        monkeypatch.setattr(checks, "LIMIT", 3.0)
        looked = own.look()
    assert looked.failing() == {"registry"}
    assert "came to no end within 3 seconds" in looked.of("registry")[-1]["text"]
    assert looked.one("store")["status"] == "ok"


@pytest.mark.parametrize(("ahead", "status", "cure"), [
    (timedelta(seconds=2), "ok", None), (timedelta(minutes=2), "warn", "this one is behind"),
    (timedelta(days=-1), "fail", "set this machine's clock")])
def test_clocks_that_differ_are_told(own: OwnSite, nexus: Server, ahead: timedelta, status: str,
                                     cure: str | None) -> None:
    place = tls_of(nexus)
    date = {"Date": format_datetime(datetime.now(timezone.utc) + ahead, usegmt=True)}
    with answering(200, date, b"{}", (place / "server.crt", place / "server.key")) as other:
        own.change("registry.port", other.server_port)
        line = own.look().one("clock")
    assert line["status"] == status
    assert (cure in line["cure"]) if cure else line["cure"] is None


@pytest.mark.parametrize(("begins", "ends", "clock", "cure"), [
    (30, 60, 40, "set this machine's clock"), (-60, -30, -40, "set this machine's clock"),
    (-60, -30, 0, "make it anew"), (30, 60, 0, "make it anew")])
def test_a_certificate_out_of_its_time_says_whose_clock_is_at_fault(
        own: OwnSite, tmp_path: Path, begins: int, ends: int, clock: int, cure: str) -> None:
    """Days from now: of the certificate, and of the server's own clock."""
    now = datetime.now(timezone.utc)
    crt, key = tls.lasting(tmp_path, now + timedelta(days=begins), now + timedelta(days=ends))
    date = {"Date": format_datetime(now + timedelta(days=clock), usegmt=True)}
    with answering(200, date, b"{}", (crt, key)) as other:
        own.change("registry.port", other.server_port)
        own.change("registry.ca", str(crt))
        line = own.look().one("registry")
    assert "not valid at this time" in line["text"]
    assert cure in line["cure"]


@pytest.mark.parametrize(("status", "text", "cure"), [
    (407, "wants a login, or another one (407)", "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"),
    (403, "lets nothing through", "have it allow nexus.example.org:5443"),
    (0, "does not answer", "correct HTTPS_PROXY")])
def test_what_a_proxy_does_is_its_own_line(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch, status: int, text: str, cure: str) -> None:
    own.change("registry.host", "nexus.example.org")
    own.change("registry.port", 5443)
    with answering(status or 200) as proxy:
        place = "127.0.0.1:1" if not status else proxy.address
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:s3cret-word@{place}")
        looked = own.look()
    line = looked.one("registry")
    assert text in line["text"]
    assert cure in line["cure"]
    assert "NO_PROXY" in line["cure"]
    assert f"http://{place} for nexus.example.org:5443" in looked.one("proxies")["text"]
    assert "s3cret-word" not in str(looked.all)
