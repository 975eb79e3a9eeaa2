"""Podman by its program: which calls are made, with what, and what is made of its answers."""

from __future__ import annotations

import copy
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from tasks.core import ownership
from tasks.core.engine import address, podman_needs, pulling
from tasks.core.engine.address import Engine, Podman
from tasks.core.engine.held import Held
from tasks.core.engine.podman import PodmanEngine
from tasks.core.errors import HostError, RegistryError
from tasks.core.findings import FAIL, OK, WARN
from tests.kit import fake_podman
from tests.kit.fake_podman import INFO, FakePodman

DRUM, KETTLE = (f"nexus.example:8443/q/{name}@sha256:{letter * 64}"
                for name, letter in (("drum", "a"), ("kettle", "b")))


@pytest.fixture
def fake(tmp_path: Path) -> FakePodman:
    return fake_podman.podman(tmp_path / "programs")


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    folder = tmp_path / "trust"
    folder.mkdir()
    for name in ("ca.crt", "config.json"):
        (folder / name).write_text("a-secret-word")
    return folder


def test_what_is_missing_is_pulled_with_the_ca_and_login_of_the_trust_folder(
        fake: FakePodman, trust: Path) -> None:
    fake.set(held=[DRUM])
    engine = pulling.asked(fake.engine)
    assert engine.missing([DRUM, KETTLE]) == [KETTLE]
    assert engine.pull([DRUM, KETTLE], trust) == 1
    (words, _), = fake.calls("pull")
    assert words == ["pull", "--quiet", "--cert-dir", str(trust), "--authfile",
                     str(trust / "config.json"), KETTLE]
    assert "a-secret-word" not in str(fake.state["calls"])
    assert engine.missing([DRUM, KETTLE]) == [] == engine.missing([])
    for name in ("ca.crt", "config.json"):
        (trust / name).unlink()
    fake.set(held=[])
    assert engine.pull([DRUM], trust) == 1
    assert fake.calls("pull")[-1][0] == ["pull", "--quiet", DRUM]


@pytest.mark.parametrize(("said", "todo"), [
    ("pinging container registry nexus.example:8443: x509: certificate signed by unknown "
     "authority", "put the registry's CA at {trust}/ca.crt"),
    ("reading manifest: unauthorized: authentication required",
     "mend the login for nexus.example:8443 in {trust}/config.json"),
    ("reading manifest: manifest unknown: manifest unknown", "holds no such image"),
    ("writing blob: write /x/layer.tar: no space left on device", "free space at /srv/store,"),
    ("dial tcp 10.0.0.1:8443: connect: connection refused", "can be reached")])
def test_a_pull_that_fails_says_why_and_what_to_do(fake: FakePodman, trust: Path, said: str,
                                                   todo: str) -> None:
    fake.set(faults=[said])
    with pytest.raises(RegistryError) as caught:
        pulling.asked(fake.engine).pull([DRUM], trust)
    assert caught.value.what == f"podman cannot pull {DRUM}: {said}"
    assert todo.format(trust=trust) in str(caught.value.todo)


def test_it_is_given_the_user_s_own_home_and_settings_and_nothing_else(
        fake: FakePodman, trust: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    own = {"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_DATA_HOME": "/data/ada",
           "CONTAINERS_STORAGE_CONF": "/etc/own.conf"}
    fake.variables = {**own, "CONTAINER_HOST": "unix:///other.sock", "A_TOKEN": "secret",
                      "https_proxy": "http://proxy:3128", "TMPDIR": "/large"}
    assert fake.engine.environment == own
    pulling.asked(fake.engine).pull([DRUM], trust)
    for _, given in fake.state["calls"]:
        assert own.items() <= given.items() and given["https_proxy"] == "http://proxy:3128"
        assert given["TMPDIR"] == "/large"
        assert not {"CONTAINER_HOST", "A_TOKEN", "NXF_HOME"} & given.keys()


def test_without_home_in_the_environment_it_is_that_of_the_list_of_users(
        monkeypatch: pytest.MonkeyPatch) -> None:
    assert Podman.of({}).environment == {"HOME": pwd.getpwuid(os.geteuid()).pw_dir}
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)  # a user without a name
    assert Podman.of({}).environment == {"HOME": "/"}


def test_images_are_recorded_by_id_and_digests(fake: FakePodman) -> None:
    fake.set(held=[DRUM])
    engine = pulling.asked(fake.engine)
    assert engine.images([KETTLE, DRUM, DRUM]) == {
        DRUM: Held(id=f"sha256:{'5' * 64}", digests=(DRUM,)),
        KETTLE: Held(id=None, digests=(), why_not=f"{KETTLE}: image not known")}
    assert engine.version() == "4.3.1"


def test_images_that_are_used_stay(fake: FakePodman) -> None:
    fake.set(held=[DRUM, KETTLE], used=[KETTLE])
    assert pulling.asked(fake.engine).remove([DRUM, KETTLE]) == {
        KETTLE: "image is in use by a container"}
    assert fake.state["held"] == [KETTLE]


@pytest.mark.parametrize(("version", "fits"), [
    ("3.4.4", False), ("4.0.0", True), ("4.9.4-rhel", True), ("5.6.0-dev", True)])
def test_an_old_one_is_refused(fake: FakePodman, version: str, fits: bool) -> None:
    fake.set(version=version)
    if fits:
        pulling.asked(fake.engine).see()
        return
    with pytest.raises(HostError, match=r"podman is 3\.4\.4, and 4\.0 or later is needed"):
        pulling.asked(fake.engine).see()


def test_one_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    engine = pulling.asked(Podman(variables=(("HOME", "/x"),), path=str(tmp_path)))
    with pytest.raises(HostError, match="'podman' is not on the PATH") as caught:
        engine.see()
    assert "uidmap" in str(caught.value.todo) and "offline.engine" in str(caught.value.todo)
    for ask in (engine.version, lambda: engine.missing([DRUM])):
        with pytest.raises(HostError, match="not on the PATH"):
            ask()
    assert "not on the PATH" in str(engine.images([DRUM])[DRUM].why_not)


@pytest.mark.parametrize(("said", "cure"), [
    ('command required for rootless mode with multiple IDs: exec: "newuidmap": executable file not '
     "found in $PATH", "uidmap"),
    ("cannot clone: Operation not permitted", "max_user_namespaces"),
    ("stat /run/user/7: permission denied", "XDG_RUNTIME_DIR"),
    ("something else", "podman info")])
def test_one_that_cannot_start_is_quoted_with_what_to_do(fake: FakePodman, said: str,
                                                         cure: str) -> None:
    fake.set(dead=said)
    engine = pulling.asked(fake.engine)
    with pytest.raises(HostError) as caught:
        engine.see()
    assert said in caught.value.what and cure in str(caught.value.todo)
    with pytest.raises(HostError, match="podman doesn't answer"):
        engine.missing([DRUM])


def told(change: Any) -> list[tuple[str, str, str]]:
    """Status, text and cure of each line on a host that is whole but for the change."""
    info = copy.deepcopy(INFO)
    change(info["host"], info["store"])
    return [(line.status, line.text, str(line.cure))
            for line in podman_needs.of_host("4.3.1", info)]


def test_a_host_that_lacks_nothing_is_one_line() -> None:
    (status, text, _), = told(lambda host, store: None)
    assert status == OK and "podman 4.3.1, rootless: images at /srv/store (overlay)" in text
    (status, text, _), = told(lambda host, store: host.update(
        security={"rootless": False}, idMappings={"uidmap": None, "gidmap": None},
        cgroupVersion="v1", slirp4netns={"executable": ""}))
    assert status == OK and "rootful" in text


@pytest.mark.parametrize(("change", "status", "text", "cure"), [
    (lambda host, _: host["idMappings"].update(uidmap=[{"size": 1}]), FAIL,
     "0 subordinate ids in /etc/subuid", "usermod --add-subuids"),
    (lambda host, _: host["idMappings"].update(gidmap=[{"size": 1}, {"size": 1000}]), FAIL,
     "1000 subordinate ids in /etc/subgid", "podman system migrate"),
    (lambda host, _: host.update(cgroupVersion="v1"), WARN, "version 1", "unified"),
    (lambda host, _: host.update(cgroupControllers=["memory", "pids"]), WARN,
     "the control groups cpu are not", "Delegate=cpu"),
    (lambda host, _: host.update(slirp4netns={"executable": ""}, pasta={"executable": ""}), WARN,
     "neither slirp4netns nor pasta", "passt"),
    (lambda _, store: store.update(graphDriverName="vfs"), WARN, "vfs copies", "overlay")])
def test_what_a_rootless_host_lacks_is_named(change: Any, status: str, text: str,
                                             cure: str) -> None:
    _, line = told(change)
    assert line[0] == status and text in line[1] and cure in line[2]


def test_what_a_later_one_tells_otherwise_keeps_nothing_from_running(fake: FakePodman) -> None:
    fake.set(info={"host": {}, "store": None})
    line, = PodmanEngine(fake.engine).findings()
    assert line.status == WARN and "podman 4.3.1 tells" in line.text
    pulling.asked(fake.engine).see()


def test_a_store_that_minds_no_owners_needs_no_ids() -> None:
    assert len(told(lambda host, store: (
        host["idMappings"].update(uidmap=[{"size": 1}], gidmap=[{"size": 1}]),
        store.update(graphOptions={"overlay.ignore_chown_errors": "true"})))) == 1


def test_images_on_another_machine_s_disk_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman_needs, "file_system", lambda *_: "nfs4")
    _, line = told(lambda host, store: None)
    assert line[0] == WARN and "(nfs4)" in line[1] and "graphroot" in line[2]


def test_a_login_that_takes_its_containers_along_is_told(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman_needs, "LINGERING", tmp_path)
    monkeypatch.setattr(Path, "is_dir", lambda self: str(self) == "/run/systemd/system")
    _, line = told(lambda host, store: store.update(runRoot="/run/user/7/containers"))
    assert line[0] == WARN and "loginctl enable-linger" in line[2]
    (tmp_path / ownership.user_name(os.geteuid())).touch()
    assert len(told(lambda host, store: store.update(runRoot="/run/user/7/containers"))) == 1


def test_the_site_says_which_engine_it_is() -> None:
    assert address.of_site("docker", {"DOCKER_HOST": "unix:///d"}) == Engine(url="unix:///d")
    assert isinstance(pulling.asked(address.of_site("podman", {"HOME": "/h"})), PodmanEngine)
