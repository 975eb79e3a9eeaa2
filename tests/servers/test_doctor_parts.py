"""The doctor on all but the registry: store, key, engine, Java, disk, and its own faults."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.commands.doctor import doctor
from tasks.core.graph.commands import Typed
from tasks.core.nextflow import java
from tasks.doctor import disk, machine
from tests.kit import buckets
from tests.kit import machine as this_machine
from tests.kit.odd_bucket import Ways, odd_bucket
from tests.kit.own_site import OwnSite
from tests.kit.tls import certificates
from tests.kit.web import Web

STORE = Path("../store")
KEY = Path("~/.ssh/airlock")


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[None]:
    """A file system in memory, ended with the block."""
    this_machine.need_root()
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", *words, "tmpfs", place], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no namespaces: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_store_that_is_there_is_left_as_it_was(own: OwnSite) -> None:
    (STORE / "releases").mkdir(parents=True)
    assert own.look().one("store")["text"].endswith("was written, read, and left as it was")
    assert [path.name for path in STORE.rglob("*")] == ["releases"]


def test_a_store_that_is_read_only_says_so(own: OwnSite) -> None:
    with mounted(STORE, "-o", "ro"):
        line = own.look().one("store")
    assert line["status"] == "fail"
    assert "Read-only file system" in line["text"]
    assert "mount it writable" in line["cure"]


def test_a_full_disk_is_one_line_and_ends_nothing(own: OwnSite) -> None:
    with mounted(STORE, "-o", "size=64k"):
        with (STORE / "filler").open("wb", buffering=0) as stream:
            while True:
                try:
                    stream.write(bytes(4096))
                except OSError:
                    break
        looked = own.look()
        assert [path.name for path in STORE.iterdir()] == ["filler"]
    assert looked.failing() == {"store"}
    assert "No space left" in looked.one("store")["text"]
    assert "free space there: 0 B" in looked.one("store")["cure"]


def test_little_room_is_told_before_it_is_none(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LITTLE", 1 << 60)
    assert own.look().one("disk")["status"] == "warn"
    monkeypatch.setattr(disk, "LEAST", 1 << 60)
    assert "free space" in own.look().one("disk")["cure"]


def test_a_file_in_the_stores_place_is_told(own: OwnSite) -> None:
    STORE.write_text("")
    assert own.look().failing() == {"store"}


@pytest.fixture
def bucket(own: OwnSite, bucket_credentials: None) -> OwnSite:
    """The site with its store in a bucket of AWS's, so far."""
    own.change("store", {"url": "s3://bucket/some/prefix", "region": "us-west-2"})
    return own


@pytest.mark.parametrize(("ways", "status", "text", "cure"), [
    (Ways(), "ok", "stays there, and may: this role deletes nothing (AccessDenied)", None),
    (Ways(checksums="dropped"), "fail", "keeps no SHA-256", "store.checksums to metadata"),
    (Ways(conditional="ignored"), "fail", "ignores conditional", "store.conditional to none"),
    (Ways(demands="aws:kms"), "fail", "asks for no encryption", "store.encryption to aws:kms"),
    (Ways(damages=True), "fail", "other bytes", "who else writes"),
])
def test_a_bucket_is_held_to_what_it_must_promise(
        bucket: OwnSite, ways: Ways, status: str, text: str, cure: str | None) -> None:
    with odd_bucket(ways) as server:
        bucket.change("store.endpoint", server.url)
        line = bucket.look().one("store")
    assert line["status"] == status, line
    assert text in line["text"]
    assert (cure in line["cure"]) if cure else line["cure"] is None
    assert set(server.objects) <= {"some/prefix/.airlock/doctor"}


def test_a_bucket_that_nobody_answers_for_says_who_was_asked(bucket: OwnSite) -> None:
    bucket.change("store.endpoint", "http://127.0.0.1:1")
    line = bucket.look().one("store")
    assert "Connection refused" in line["text"]
    assert "store.endpoint" in line["cure"]


def test_a_bucket_without_credentials_says_how_to_have_them(
        bucket: OwnSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "AWS_PROFILE" in bucket.look().one("store")["cure"]


def test_a_real_s3_server_is_left_without_what_was_written(
        versity: Path, bucket: OwnSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        s3_login: None) -> None:
    monkeypatch.setattr(buckets, "program", lambda: versity)
    with buckets.gateway(tmp_path / "s3") as served:
        bucket.change("store", {"url": "s3://bucket/some/prefix", "region": "us-east-1",
                                "endpoint": served.endpoint})
        assert "does not exist" in bucket.look().one("store")["text"]
        (served.root / "bucket").mkdir()
        line = bucket.look().one("store")
        assert line["text"].endswith("what was written was taken back")
        assert not [path for path in (served.root / "bucket").rglob("*") if path.is_file()]
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        assert "credentials are wrong" in bucket.look().one("store")["text"]


def test_a_key_that_is_missing_says_how_to_make_one(own: OwnSite) -> None:
    shutil.rmtree(KEY.expanduser().parent)
    line = own.look().one("key")
    assert line["status"] == "fail"
    assert "ssh-keygen -t ed25519" in line["cure"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(own: OwnSite, mode: int) -> None:
    KEY.expanduser().chmod(mode)
    line = own.look().one("key")
    assert line["status"] == "fail"
    assert f"chmod 600 {KEY.expanduser()}" in line["cure"]


def test_a_key_in_a_folder_that_others_can_write_is_refused(own: OwnSite) -> None:
    KEY.expanduser().parent.chmod(0o777)
    assert "chmod go-w" in own.look().one("key")["cure"]


def test_a_key_that_is_none_is_refused(own: OwnSite) -> None:
    KEY.expanduser().write_text("no key\n")
    KEY.expanduser().with_name("airlock.pub").unlink()
    line = own.look().one("key")
    assert "can't be used" in line["text"]
    assert "\n" not in line["text"]


def test_another_key_than_the_offline_hosts_trust_is_told(own: OwnSite) -> None:
    other = KEY.expanduser().with_name("other")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    own.change("signing.key", str(other))
    line = own.look().one("allowed_signers")
    assert line["status"] == "fail"
    assert " ".join(other.with_name("other.pub").read_text().split()[:2]) in line["cure"]


def test_a_key_for_other_pipelines_is_told(own: OwnSite) -> None:
    allowed = Path("build/acme/trust/allowed_signers")
    allowed.write_text(allowed.read_text().replace("airlock,airlock/*", "airlock,airlock/sarek"))
    assert "airlock/hello" in own.look().one("allowed_signers")["text"]


def test_a_list_that_was_not_laid_ready_is_told(own: OwnSite) -> None:
    shutil.rmtree("build/acme/trust")
    assert own.look().one("allowed_signers")["cure"] == "./doit site acme lays it ready"


def test_a_machine_without_an_engine_says_both_ways_out(own: OwnSite, tmp_path: Path) -> None:
    own.change("smoke", None)
    own.change("engine", f"unix://{tmp_path}/none.sock")
    line = own.look().one("engine")
    assert "no such socket" in line["text"]
    assert "start it" in line["cure"]
    assert "smoke: none" in line["cure"]


def test_an_engine_that_died_is_told_from_one_that_was_never_there(
        own: OwnSite, tmp_path: Path) -> None:
    place = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    own.change("smoke", None)
    own.change("engine", f"unix://{place}")
    assert "Connection refused" in own.look().one("engine")["text"]


def test_what_answers_in_an_engines_place_and_is_none_is_told(own: OwnSite, web: Web) -> None:
    own.change("smoke", None)
    own.change("engine", web.url.replace("http://", "tcp://"))
    looked = own.look()
    assert looked.one("engine")["status"] == "fail"
    assert "DOCKER_HOST" in looked.one("engine")["cure"]


def test_a_machine_without_a_fitting_java_says_which_it_needs(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_candidates", lambda _: [])
    line = own.look().one("java")
    assert "11 to 23" in line["cure"] or "11 to 22" in line["cure"]
    monkeypatch.setattr(java, "_candidates", lambda _: [Path("/usr/bin/java")])
    monkeypatch.setattr(java, "major_of", lambda _: 8)
    assert "/usr/bin/java (8)" in own.look().one("java")["text"]


def test_a_machine_without_git_or_ssh_keygen_says_what_to_install(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    looked = own.look()
    assert "apt-get install git" in looked.one("git")["cure"]
    assert "openssh-client" in looked.one("key")["cure"]


def test_a_fault_of_its_own_is_one_line_too(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(machine, "git", broken)
    looked = own.look()
    assert "ZeroDivisionError" in looked.one("git")["text"]
    assert looked.failing() == {"git"}
    assert "Traceback" in Path("build/faults/logs/doctor-git.txt").read_text()


@pytest.mark.parametrize("text", ["registry: {host: 1}\n", "{[\n", "pipelines: [nosuch]\n"])
def test_a_broken_configuration_is_a_line_and_the_machine_is_looked_at(
        own: OwnSite, capsys: pytest.CaptureFixture[str], text: str) -> None:
    own.path.write_text(text)
    assert doctor(Typed(words=(), variables={"site": "acme"}, options={"json": False})) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("fail       config: ")
    assert "ok         python: " in printed
    assert "Traceback" not in printed


def test_a_site_that_is_mistyped_gets_the_nearest_name(
        own: OwnSite, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(Typed(words=(), variables={"site": "acne"}, options={"json": False})) == 1
    assert "did you mean 'acme'" in capsys.readouterr().out


def test_proxies_that_contradict_each_other_are_told(
        own: OwnSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "localhost")
    assert "no_proxy and NO_PROXY differ" in own.look().one("proxies")["text"]


def test_sources_that_are_missing_are_told(own: OwnSite, tmp_path: Path) -> None:
    own.change("plugins", {"index": f"file://{tmp_path}/gone/plugins.json"})
    shutil.rmtree("examples/hello")
    os.unlink("build/acme/hello/nextflow-24.10.5.tar")  # noqa: PTH108
    own.change("hosts", {"urls": {"https://repo.maven.apache.org/": "https://127.0.0.1:1/"}})
    assert {"plugins", "code", "nextflow"} <= own.look().failing()


def test_a_place_that_answers_without_what_is_looked_for_is_told(own: OwnSite, web: Web) -> None:
    """An index must be there itself; of a registry of plugins only what is below it is asked."""
    own.change("plugins", {"index": f"{web.url}/plugins.json"})
    assert "says 404" in own.look().one("plugins")["text"]
    assert own.look().one("plugins")["cure"] == "correct plugins.index"
    web.files["/plugins.json"] = b"[]"
    assert own.look().one("plugins")["status"] == "ok"
    own.change("plugins", {"registry": web.url})
    assert own.look().one("plugins")["status"] == "ok"
    pipeline = Path("config/pipelines/hello.yml")
    pipeline.write_text(pipeline.read_text().replace("source: examples/hello",
                                                     f"source: {web.url}/hello\nrevision: main"))
    line = own.look().one("code")
    assert line["status"] == "warn"
    assert "AIRLOCK_GIT_TOKEN" in line["cure"]


def test_all_registries_of_a_site_are_looked_at(own: OwnSite, tmp_path: Path) -> None:
    certificates(tmp_path / "unused")
    own.change("registry.repositories", {"docker.io": "127.0.0.1:1/hub", "quay.io": "127.0.0.1:1"})
    looked = own.look()
    assert [line["status"] for line in looked.of("registry")] == ["ok", "fail", "fail"]


def test_a_registry_that_only_offline_hosts_reach_is_not_asked(own: OwnSite) -> None:
    own.change("images", {"carry": "store"})
    own.change("registry.port", 1)
    looked = own.look()
    assert looked.failing() == set()
    assert "on the offline host alone" in looked.one("registry")["text"]
