"""The doctor on an offline host: the trust folder, the store, what is promoted, and this host."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
import yaml

from tasks.commands import doctor_offline
from tasks.core import files
from tasks.core.errors import IntegrityError
from tasks.core.trust import signature
from tasks.core.trust.promotions import Withdrawn
from tasks.offline_host import freshness, memory
from tests.kit import fake_podman, registries
from tests.kit.chains import clone, promote
from tests.kit.checklist import lines
from tests.kit.own_site import OwnSite, tls_of
from tests.kit.registries import Server
from tests.kit.releases import Staged, trusted

TRUST = Path("trust")


@pytest.fixture
def ready(own: OwnSite, nexus: Server, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """The site's folder as an offline host has it, with a store that holds tool and release."""
    staged = trusted()
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("state").absolute()))
    raw = yaml.safe_load(own.path.read_text())
    raw["offline"] = {"store": {"url": "store"}, "trust": str(TRUST.absolute())}
    own.path.write_text(yaml.safe_dump(raw))
    files.copy(tls_of(nexus) / "ca.crt", TRUST / "ca.crt")
    registries.login_files(TRUST, [nexus.address])
    files.write_text(Path("store/tool/0123456789ab/airlock.tar"), "a tool")
    files.write_text(Path("store/tool/current.json"), "{}")
    monkeypatch.setenv("DOCKER_HOST", "unix:///none/docker.sock")
    return staged


def test_a_host_that_has_all_is_said_to(own: OwnSite, ready: Staged) -> None:
    looked = own.look("prod")
    assert looked.failing() == {"engine"}  # of which this test has none
    release = looked.one("release")["text"]
    assert ready.id() in release
    assert "number 1; a trusted key signed that" in release
    assert "no release yet" in looked.one("memory")["text"]
    assert not looked.of("push")
    assert {"trust", "store", "release", "registry", "certificate", "clock", "login", "engine",
            "java", "programs", "disk", "memory", "python", "config"} == {
                line["check"] for line in looked.all}
    assert {line["check"] for line in looked.all} <= lines("Offline host")


def trust_another_key() -> None:
    """A list that names another key."""
    key = Path("keys/other")
    signature.ready(key, create=True, identity="airlock")
    (TRUST / "allowed_signers").write_text(signature.allowed_line(
        "airlock", signature.public_key(key)))


def seen(number: int) -> None:
    """What this host has noted of an earlier release."""
    files.write_json(Path("state/airlock/acme/releases/hello.json"), {"number": number})


@pytest.mark.parametrize(("spoil", "check", "text", "cure"), [
    ((TRUST / "allowed_signers").unlink, "trust", "is missing", "INSTALL.txt"),
    (lambda: (TRUST / "allowed_signers").chmod(0o666), "trust", "others can write", "chmod go-w"),
    (lambda: TRUST.chmod(0o777), "trust", "others can write", "chmod go-w"),
    (lambda: (TRUST / "allowed_signers").write_text("somebody ssh-ed25519 AAAA\n"), "trust",
     "names no key for airlock", "allowed_signers"),
    (lambda: (TRUST / "minimum.json").write_text("{"), "trust", "not JSON", "administrator's word"),
    (lambda: (TRUST / "minimum.json").write_text('{"pipelines": {"hello": 2}}'), "release",
     "number 1", "minimum.json"),
    ((TRUST / "ca.crt").unlink, "registry", "not trusted", "registry.ca"),
    (lambda: (TRUST / "ca.crt").write_text("none"), "registry", "PEM", "BEGIN CERTIFICATE"),
    ((TRUST / "config.json").unlink, "login", "without a login", "docker login"),
    (lambda: (TRUST / "config.json").write_text("{"), "login", "not JSON", "docker login"),
    (lambda: registries.login_files(TRUST, []), "login", "without a login", "docker login"),
    (lambda: Path("store").rename("gone"), "store", "folder is missing", "mount the disk"),
    (lambda: Path("store/tool").rename("gone"), "store", "holds no tool", "push one"),
    (Path("store/releases/hello/current.json").unlink, "release", "hello: ", "push"),
    (trust_another_key, "release", "does not name", "compare their public key"),
    (lambda: seen(7), "release", "has seen number 7", "release="),
    (lambda: Path("state/airlock/acme/releases/hello.json").write_text("{"), "memory", "not JSON",
     "removed"),
])
def test_what_is_missing_or_open_is_one_line_with_its_cure(
        own: OwnSite, ready: Staged, spoil: Callable[[], object], check: str, text: str,
        cure: str) -> None:
    seen(1)
    spoil()
    looked = own.look("prod")
    assert check in looked.failing()
    line = next(line for line in looked.of(check) if line["status"] == "fail")
    assert text in line["text"], line
    assert cure in line["cure"], line


def test_a_login_that_others_can_read_and_a_missing_one_are_told(
        own: OwnSite, ready: Staged) -> None:
    (TRUST / "config.json").chmod(0o644)
    warned = [line for line in own.look("prod").of("trust") if line["status"] == "warn"]
    assert [line["cure"] for line in warned] == [f"chmod 600 {TRUST.absolute()}/config.json"]


def test_a_host_without_a_trust_folder_is_told_who_makes_it(own: OwnSite, ready: Staged) -> None:
    TRUST.rename("elsewhere")
    assert "by hand" in own.look("prod").one("trust")["cure"]


def test_a_clock_behind_what_was_signed_is_told(
        own: OwnSite, ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr(doctor_offline, "datetime", Clock)
    clocks = own.look("prod").of("clock")
    assert [line["status"] for line in clocks] == ["fail", "ok"]
    assert "still to come by this clock" in clocks[0]["text"]


def test_a_promotion_that_is_over_is_told(
        own: OwnSite, ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    def over(*_: object) -> None:
        raise IntegrityError("the promotion ended", todo="have it pushed again")

    monkeypatch.setattr(freshness, "current", over)
    assert own.look("prod").one("release")["cure"] == "have it pushed again"


def test_a_host_that_is_held_and_a_current_release_that_was_withdrawn_are_told(
        own: OwnSite, ready: Staged) -> None:
    memory.hold(Path("state/airlock/acme"), "hello", "dev-000000000000")
    with clone("ours", ready.store, ready.signing) as here:
        promote(here, ready.id(), withdrawing=Withdrawn(id=ready.id(), reason="a leak"))
    withdrawn, held, _ = own.look("prod").of("release")
    assert (withdrawn["status"], held["status"]) == ("fail", "warn")
    assert "was withdrawn: a leak" in withdrawn["text"]
    assert "held at dev-000000000000 since" in held["text"]


def test_a_site_whose_images_go_by_the_store_must_push_there(own: OwnSite, ready: Staged) -> None:
    own.change("images", {"carry": "store"})
    assert "taken back" in own.look("prod").one("push")["text"]


def test_another_python_than_the_wheels_are_for_is_told(own: OwnSite, ready: Staged) -> None:
    own.change("python", ["3.19"])
    files.write_json(Path("tool.json"), {"id": "0123456789ab"})
    line = own.look("prod").one("python")
    assert line["status"] == "fail"
    assert "install Python 3.19" in line["cure"]


def test_the_java_of_what_is_in_place_is_looked_for(own: OwnSite, ready: Staged) -> None:
    place = Path("build/acme/prod/hello")
    release = json.loads(Path("build/here/hello/release/release.json").read_text())
    files.write_json(place / "current.json", {"pipeline": "hello", "id": ready.id()})
    files.write_json(place / f"releases/{ready.id()}/release.json", release)
    assert "runs Nextflow 24.10.5 (hello)" in own.look("prod").one("java")["text"]


def test_podman_is_asked_where_the_site_says_so(
        own: OwnSite, ready: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.change("offline.engine", "podman")
    fake = fake_podman.podman(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    looked = own.look("prod")
    assert "engine" not in looked.failing()
    assert looked.one("engine")["text"].startswith("podman 4.3.1, rootless")
    assert any("Podman's images" in line["text"] for line in looked.of("disk"))
    fake.set(info={**fake_podman.INFO, "host": {
        **fake_podman.INFO["host"], "arch": "arm64", "cgroupVersion": "v1",
        "idMappings": {"uidmap": [{"size": 1}], "gidmap": [{"size": 1}, {"size": 65536}]}}})
    looked = own.look("prod")
    assert "engine" in looked.failing()
    told = {line["status"]: line for line in looked.of("engine")}
    assert "/etc/subuid" in told["fail"]["text"] and "usermod" in told["fail"]["cure"]
    fake.set(version="3.4.4")
    assert "3.4.4, and 4.0 or later" in own.look("prod").one("engine")["text"]
    (fake.folder / "podman").rename(fake.folder / "away")
    monkeypatch.setenv("PATH", str(fake.folder))
    assert any("'podman' is not on the PATH" in line["text"]
               for line in own.look("prod").of("engine"))
