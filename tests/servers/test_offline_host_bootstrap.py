"""What the offline host lacks is reported all at once, before anything is unpacked."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core import files, in_place
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError, RegistryError
from tasks.core.in_place import InPlace
from tasks.core.net.inner_addresses import EVERYWHERE
from tasks.core.net.network import Network
from tasks.core.nextflow.machine import Limits, this_machine
from tasks.core.schema import read_json
from tasks.offline_host.bootstrap import BootstrapSpec, bootstrap, lacking
from tasks.offline_host.fetch import fetch
from tasks.offline_host.pulled_images import see_registry
from tests.kit import fake_engine, fake_podman
from tests.kit.fake_engine import FakeEngine
from tests.kit.releases import IMAGE, Staged, change_code, trusted
from tests.kit.tls import self_signed
from tests.kit.web import Quiet, Server, running

USER, PASSWORD = "reader", "a-secret-word"


class Registry(Quiet):
    """Answers `GET /v2/` as a registry with a password does."""

    def do_GET(self) -> None:
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        good = self.headers.get("Authorization") == f"Basic {wanted}"
        self.send_response(200 if good else 401)
        if not good:
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """host:port of a TLS server; its certificate is tmp_path/registry.crt."""
    pair = self_signed(tmp_path, "registry")
    with running(Server(Registry, tls=pair)) as server:
        yield server.url.removeprefix("https://")


def login(folder: Path, address: str, password: str) -> Path:
    path = folder / "config.json"
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return path


def test_the_registry_is_seen_over_verified_tls(registry: str, tmp_path: Path) -> None:
    ca, network = tmp_path / "registry.crt", Network(inside=EVERYWHERE)
    see_registry(registry, ca, login(tmp_path, registry, PASSWORD), network)
    wrong, _ = self_signed(tmp_path, "wrong")
    for distrusted in (wrong, None):
        with pytest.raises(RegistryError, match=r"certificate of .* is not trusted") as caught:
            see_registry(registry, distrusted, tmp_path / "config.json", network)
        assert f"/etc/docker/certs.d/{registry}/ca.crt" in str(caught.value)
    with pytest.raises(RegistryError, match="without a login, and none is known"):
        see_registry(registry, ca, tmp_path / "none", network)
    with pytest.raises(RegistryError, match="wrong user or password") as caught:
        see_registry(registry, ca, login(tmp_path, registry, "a-wrong-word"), network)
    assert "a-wrong-word" not in str(caught.value)
    with pytest.raises(RegistryError, match="Connection refused"):
        see_registry("127.0.0.1:9", ca, tmp_path / "config.json", network)


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    monkeypatch.chdir(tmp_path)
    staged = trusted()
    fetch(staged.fetch_spec())
    return staged


def test_all_that_is_lacking_is_said_at_once(fetched: Staged, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    spec = BootstrapSpec(
        pipeline="hello", layout=fetched.prod, launch=fetched.prod.launch, trust=fetched.trust,
        network=Network(inside=EVERYWHERE), engine=Engine(url=f"unix://{tmp_path}/no.sock"),
        machine=this_machine({"PATH": str(empty)}), place=InPlace(fetched.prod))
    folder = fetched.prod.release(fetched.id())
    release = read_json(folder / "release.json", "release")
    receipt = read_json(folder / "images.receipt.json", "images-receipt")
    receipt["images"][0]["destination"] = "127.0.0.1:9/quay.io/airlock/tool"
    files.write_json(folder / "images.receipt.json", receipt)
    said = "\n".join(map(str, lacking(spec, release, spec.images())))
    assert "'bash' is not on the PATH" in said
    assert "no container engine answers" in said
    assert "no answer from 127.0.0.1:9: Connection refused" in said

    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 0))
    monkeypatch.setattr("tasks.offline_host.pulled_images.see_registry", lambda *rest, **more: None)
    with pytest.raises(HostError, match="can't run the release yet") as caught:
        bootstrap(spec)
    assert "'bash'" in str(caught.value) and "the disk has 0 B left" in str(caught.value)
    assert not fetched.prod.launch.exists() and not fetched.prod.bootstrap.exists()


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with fake_engine.engine() as made:
        yield made


@pytest.fixture
def spec(fetched: Staged, engine: FakeEngine) -> BootstrapSpec:
    """The bootstrap of the release that is in place, whose one image lies at a registry that isn't
    there."""
    login(fetched.trust, "10.0.0.1:5443", PASSWORD)
    return BootstrapSpec(
        pipeline="hello", layout=fetched.prod, launch=fetched.prod.launch.absolute(),
        trust=fetched.trust, network=Network(inside=EVERYWHERE), engine=engine.engine,
        machine=this_machine(os.environ), place=InPlace(fetched.prod))


def launched(spec: BootstrapSpec) -> dict[str, tuple[int, int]]:
    """What is unpacked and rendered, each file with what shows that it wasn't written anew."""
    return {path.relative_to(spec.launch).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in files.tree(spec.launch)}


def test_images_are_pulled_once_and_again_where_they_are_gone(
        spec: BootstrapSpec, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    image = f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}"
    asked: list[str] = []
    monkeypatch.setattr("tasks.offline_host.pulled_images.see_registry",
                        lambda address, *rest, **more: asked.append(address))
    assert "1 images, 1 of them pulled now" in bootstrap(spec)
    assert engine.held == {image} and asked == ["10.0.0.1:5443"]
    assert "1 images, 0 of them pulled now" in bootstrap(spec)  # no registry is asked
    assert len(asked) == 1
    engine.held.clear()  # docker image prune --all
    assert "1 images, 1 of them pulled now" in bootstrap(spec)
    assert engine.logins == 2 * [{"username": USER, "password": PASSWORD}]


def test_a_registry_that_is_down_matters_where_an_image_is_missing(
        spec: BootstrapSpec, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(address: str, *rest: object, **more: object) -> None:
        raise RegistryError("nobody answers", where=address)

    monkeypatch.setattr("tasks.offline_host.pulled_images.see_registry", down)
    engine.held.add(f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}")
    assert "0 of them pulled now" in bootstrap(spec)
    engine.held.clear()
    with pytest.raises(HostError, match="nobody answers"):
        bootstrap(spec)
    assert engine.logins == []


def test_a_pull_that_another_one_has_ended_is_tried_once_more(
        spec: BootstrapSpec, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.offline_host.pulled_images.see_registry", lambda *rest, **more: None)
    engine.faults += ["no basic auth credentials", "no basic auth credentials"]
    with pytest.raises(RegistryError, match="no basic auth credentials"):
        bootstrap(spec)
    engine.faults.append("layer is being downloaded")
    assert "1 of them pulled now" in bootstrap(spec)


@pytest.mark.parametrize(("said", "todo"), [
    ("Get https://10.0.0.1:5443/v2/: x509: certificate signed by unknown authority",
     "put the registry's CA at /etc/docker/certs.d/10.0.0.1:5443/ca.crt"),
    ("unauthorized: authentication required", "mend the login for 10.0.0.1:5443"),
    ("manifest unknown: manifest unknown", "holds no such image"),
    ("write /x: no space left on device", "free space where the engine keeps its images"),
    ("open /x: permission denied", "see that 10.0.0.1:5443 can be reached")])
def test_what_fails_within_a_pull_that_had_begun_well_is_said(
        spec: BootstrapSpec, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, said: str,
        todo: str) -> None:
    monkeypatch.setattr("tasks.offline_host.pulled_images.see_registry", lambda *rest, **more: None)
    engine.within += [said, said]
    with pytest.raises(RegistryError) as caught:
        bootstrap(spec)
    assert said in caught.value.what and todo in str(caught.value.todo)
    engine.within.append(said)  # another user's pull was cut off, and ours with it
    assert "1 of them pulled now" in bootstrap(spec)


def removed_file(spec: BootstrapSpec) -> None:
    next(spec.launch.rglob("main.nf")).unlink()


def removed_all(spec: BootstrapSpec) -> None:
    shutil.rmtree(spec.launch)


def removed_plugin(spec: BootstrapSpec) -> None:
    shutil.rmtree(next(spec.launch.rglob("nf-hello-1.0.0")))


def removed_launcher(spec: BootstrapSpec) -> None:
    next(path for path in spec.launch.rglob("nextflow") if path.is_file()).unlink()


def removed_params(spec: BootstrapSpec) -> None:
    for path in [*spec.launch.rglob("params.json"), *spec.launch.rglob("inputs.csv")]:
        path.unlink()


def changed_code(spec: BootstrapSpec) -> None:
    next(spec.launch.rglob("main.nf")).write_text("workflow  {}\n")


def added_code(spec: BootstrapSpec) -> None:
    next(spec.launch.rglob("main.nf")).with_name("nextflow.config").write_text("process.cpus = 9")


def linked_away(spec: BootstrapSpec) -> None:
    code = next(spec.launch.rglob("main.nf")).parent
    code.rename(spec.layout.root / "elsewhere")
    code.symlink_to((spec.layout.root / "elsewhere").absolute())


def test_what_is_right_beside_that_stays_since_runs_use_it(
        spec: BootstrapSpec, fetched: Staged, engine: FakeEngine) -> None:
    engine.held.add(f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}")
    bootstrap(spec)
    plugin = next(spec.launch.rglob("MANIFEST.MF"))
    before, folder = plugin.stat().st_ino, plugin.parent.stat().st_ino
    beside = plugin.with_name("cached.bin")
    beside.write_text("x")
    bootstrap(spec)
    assert not beside.exists()
    assert (plugin.stat().st_ino, plugin.parent.stat().st_ino) == (before, folder)
    plugin.unlink()
    plugin.mkdir()  # where a file belongs
    bootstrap(spec)
    assert plugin.read_bytes() == b"Plugin-Id: nf-hello\n"


@pytest.mark.parametrize("change", [
    removed_file, removed_all, removed_plugin, removed_launcher, removed_params, changed_code,
    added_code, linked_away])
def test_what_was_made_and_is_gone_or_changed_is_made_again(
        spec: BootstrapSpec, engine: FakeEngine, change: Callable[[BootstrapSpec], None]) -> None:
    engine.held.add(f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}")
    bootstrap(spec)
    whole = {path: path.read_bytes() for path in files.tree(spec.launch)}
    change(spec)
    bootstrap(spec)
    assert {path: path.read_bytes() for path in files.tree(spec.launch)} == whole
    assert not any(path.is_symlink() for path in spec.launch.rglob("*"))


def test_what_stands_is_left_alone_since_runs_use_it(
        spec: BootstrapSpec, engine: FakeEngine) -> None:
    engine.held.add(f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}")
    bootstrap(spec)
    before = launched(spec)
    with in_place.placing(spec.layout.of_site, "prod:fetch:sarek"):  # nor does it wait for anybody
        bootstrap(spec)
    after = launched(spec)
    assert before.keys() == after.keys()
    assert [path for path in before if before[path] != after[path] and "/host-" not in path] == []


def test_two_releases_and_two_sizes_of_the_host_are_ready_beside_each_other(
        fetched: Staged, spec: BootstrapSpec, engine: FakeEngine) -> None:
    engine.held.add(f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}")
    bootstrap(spec)
    first = dict(spec.place.bootstrapped()["launch"])
    smaller = dataclasses.replace(spec, place=InPlace(fetched.prod), machine=dataclasses.replace(
        spec.machine, limits=Limits(cpus=1, memory=2**30)))
    bootstrap(smaller)
    assert Path(first["folder"], "host.config").read_text() != Path(
        smaller.place.bootstrapped()["launch"]["folder"], "host.config").read_text()
    assert smaller.place.bootstrapped()["launch"]["code"] == first["code"]
    change_code(fetched, b"workflow { 2 }\n")
    fetched.publish()
    other = dataclasses.replace(spec, place=InPlace(fetched.prod))
    fetch(dataclasses.replace(fetched.fetch_spec(), place=other.place))
    bootstrap(other)
    assert "2" in Path(other.place.bootstrapped()["launch"]["code"], "main.nf").read_text()
    assert Path(first["code"], "main.nf").read_text() == "workflow {}\n"
    # The first process goes on with its own release, whatever came into place meanwhile.
    assert spec.place.bootstrapped()["launch"] == first
    assert bootstrap(spec).startswith(str(spec.place.name))
    assert spec.place.name != other.place.name


def test_another_java_is_taken_where_the_first_is_gone(
        spec: BootstrapSpec, engine: FakeEngine, tmp_path: Path) -> None:
    engine.held.add(f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}")
    found = shutil.which("java")
    assert found
    own = tmp_path / "own/bin/java"
    files.write_text(own, f"#!/bin/sh\nexec {found} \"$@\"\n", mode=0o755)
    with_own = dataclasses.replace(spec, machine=dataclasses.replace(
        spec.machine, inherited=dataclasses.replace(spec.machine.inherited,
                                                    java_home=str(own.parent.parent))))
    bootstrap(with_own)
    assert with_own.place.bootstrapped()["launch"]["java"] == str(own)
    own.unlink()
    bootstrap(with_own)
    assert with_own.place.bootstrapped()["launch"]["java"] != str(own)


def test_a_host_with_podman_pulls_by_its_program_and_the_run_gets_the_user_s_home(
        spec: BootstrapSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = f"10.0.0.1:5443/quay.io/airlock/tool@{IMAGE}"
    asked: list[bool] = []
    monkeypatch.setattr("tasks.offline_host.pulled_images.see_registry",
                        lambda *rest, by_docker: asked.append(by_docker))
    fake = fake_podman.podman(tmp_path / "programs")
    fake.variables = {"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7"}
    with_podman = dataclasses.replace(spec, engine=fake.engine, kind="podman")
    fake.set(version="3.4.4")
    with pytest.raises(HostError, match=r"4\.0 or later is needed"):
        bootstrap(with_podman)
    assert not spec.launch.exists() and fake.calls("pull") == []
    fake.set(version="4.3.1")
    with monkeypatch.context() as full, pytest.raises(HostError, match="has 0 B free, and needed"):
        full.setattr("tasks.core.disk.free_at", lambda folder: (
            0 if folder == Path("/srv/store") else 2**40))
        bootstrap(with_podman)
    assert fake.calls("pull") == []
    assert "1 images, 1 of them pulled now" in bootstrap(with_podman)
    assert fake.state["held"] == [image] and set(asked) == {False}
    words, = (words for words, _ in fake.calls("pull"))
    assert str(spec.trust / "config.json") in words and "--cert-dir" not in words, "there is no CA"
    assert with_podman.place.bootstrapped()["engine"] == {
        "kind": "podman", "environment": {"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7"}}
    assert "1 images, 0 of them pulled now" in bootstrap(with_podman)
