"""What a sandbox is made of, worked out from the configuration without starting anything."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import files, processes
from tasks.core.config import load
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.image_settings import Registry
from tasks.core.config.settings import Site
from tasks.core.errors import ConfigError, HostError, IntegrityError
from tasks.core.paths import PipelinePaths
from tasks.local_site import cross, engines, host, host_user, images, packages, probes, servers
from tasks.local_site.plan import Plan, SiteSpec, State, plan

STATE = State(isolated=True, why_not=None, address="10.89.7.1", open_because=None,
              python="/usr/bin/python3", python_prefix="/usr",
              registry_port=5580, files_port=5581, engine="/run/airlock-local/docker.sock")


@pytest.fixture
def site(project: Path) -> Site:
    return load.load({}, root=project).site


@pytest.fixture
def part(site: Site) -> Plan:
    return plan(site)


def test_everything_follows_from_the_site(site: Site, part: Plan, project: Path) -> None:
    assert part.root == project / "build/local/sandbox"
    assert part.address == part.registry_host == site.own_registry.host
    assert part.peer_address != part.address
    assert part.engine == Path("/run/airlock-local/docker.sock")
    assert (site.ca, site.authfile) == (
        part.ca.relative_to(project), part.authfile.relative_to(project))


def test_a_registry_off_the_wire_is_an_error_with_the_right_address(site: Site) -> None:
    wrong = replace(site, registry=Registry(host="10.1.2.3", port=5443, connections=8))
    with pytest.raises(ConfigError, match=r"10\.1\.2\.3"):
        plan(wrong)
    right = replace(site, registry=Registry(host="127.0.0.1", port=5443, connections=8))
    assert plan(right).loopback


@pytest.mark.parametrize(("endpoint", "ports"), [
    (None, [5443]), ("https://s3.example.org", [5443]), ("http://10.89.7.1:9000", [5443, 9000]),
    ("https://10.89.7.1", [5443, 443])])
def test_the_offline_host_needs_the_registry_and_a_bucket_that_is_there(
        site: Site, endpoint: str | None, ports: list[int]) -> None:
    store = StoreAt(url="s3://bucket", endpoint=endpoint)
    bucket = replace(site, store=store, offline=replace(site.offline, store=store))
    assert list(plan(bucket).ports) == ports


def test_a_site_without_servers_has_no_plan(site: Site) -> None:
    with pytest.raises(ConfigError, match="has no sandbox"):
        plan(replace(site, sandbox=None))


@pytest.mark.parametrize("url", [None, "unix:///var/run/docker.sock", "tcp://10.0.0.1:2376"])
def test_an_engine_of_somebody_elses_is_never_started(site: Site, url: str | None) -> None:
    assert plan(replace(site, engine=url)).engine is None


@pytest.mark.parametrize(("url", "is_said"), [
    ("unix:///run/nosuch/docker.sock", True), ("unix:///run/airlock-x/docker.sock", False),
    ("tcp://10.0.0.1:2376", False), (None, False)])
def test_a_socket_where_no_engine_answers_nor_will_is_said(site: Site, url: str | None,
                                                           is_said: bool) -> None:
    said = servers.foreign_engine(url, plan(replace(site, engine=url)))
    assert bool(said) is is_said
    assert not is_said or (str(url) in said[0] and "/run/airlock-" in said[0])


@pytest.mark.parametrize(("url", "folder"), [
    ("build/store", Path("build/store")), ("/srv/store", Path("/srv/store")),
    ("file:///srv/my%20store", Path("/srv/my store")), ("s3://bucket/prefix", None)])
def test_the_stores_folder(url: str, folder: Path | None) -> None:
    assert StoreAt(url=url).folder == folder


def test_without_namespaces_the_way_round_is_named(site: Site,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "denied", lambda: "this user is not root")
    with pytest.raises(HostError, match="this user is not root") as caught:
        servers.up(SiteSpec(site=site))
    assert "AIRLOCK_REGISTRY_HOST=127.0.0.1" in str(caught.value.todo)
    loopback = plan(replace(site, registry=Registry(host="127.0.0.1", port=5443, connections=8)))
    assert servers.isolation(loopback) == "this user is not root"
    monkeypatch.setattr(host, "denied", lambda: None)
    assert "loopback" in str(servers.isolation(loopback))
    assert servers.isolation(plan(site)) is None


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="not up"):
        State.read(tmp_path)
    STATE.write(tmp_path)
    assert State.read(tmp_path) == STATE


def test_the_offline_host_shares_nothing_but_what_is_named(part: Plan) -> None:
    python = host.Python(path=Path("/usr/bin/python3"), version="3.11", prefix=Path("/usr"))
    commands = list(host.commands(part, python))
    binds = [command[2] for command in commands if command[:2] == ["mount", "--bind"]]
    shared = {Path(path) for path in binds if not path.startswith("/dev/")}
    system = {Path("/") / name for name in host.SYSTEM}
    assert shared - system == {part.trust, part.store, part.disk, part.folder("host/docker")}
    writable = {command[3] for command in commands if command[:2] == ["mount", "--bind"]} - {
        command[3] for command in commands if command[:3] == ["mount", "-o", "remount,bind,ro"]}
    root = part.folder("host/root")
    assert {Path(path).relative_to(root).as_posix() for path in writable
            if "/dev/" not in path} == {"home/airlock", "var/lib/docker"}
    assert not [command for command in commands if "/etc/shadow" in command]


def test_a_host_with_podman_has_a_user_of_its_own_and_no_daemon(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    part = plan(replace(site, offline=replace(site.offline, engine="podman")))
    python = host.Python(path=Path("/usr/bin/python3"), version="3.11", prefix=Path("/usr"))
    made = host.offline(part, python)
    assert "dockerd" not in "".join(made.settings.values())
    assert made.settings["subuid"] == made.settings["subgid"] == "airlock:1900000000:65536\n"
    assert f":{host_user.ID}:" in made.settings["user"]
    assert 'netns = "none"' in made.settings["containers.conf"]
    binds = {command[3] for command in host.commands(part, python)
             if command[:2] == ["mount", "--bind"]}
    root = part.folder("host/root")
    assert str(root / "var/lib/containers") in binds
    assert str(root / "var/lib/docker") not in binds
    asked: list[list[str]] = []

    def run(words: list[str], **kept: Any) -> str:
        asked.append([*words, kept["env"].get("XDG_RUNTIME_DIR", "")])
        return ""

    monkeypatch.setattr(host, "first_process", lambda name: 7)
    monkeypatch.setattr(processes, "run", run)
    host.run_inside("local", ["id"], rootless=True)
    host.run_inside("local", ["id"])
    assert {f"--setuid={host_user.ID}", f"/run/user/{host_user.ID}"} <= set(asked[0])
    assert not any(str(host_user.ID) in word for word in asked[1])


def test_the_trust_folder_is_the_host_s_user_s_to_read_alone(
        part: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    owned: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "chown", lambda path, *ids, **kept: owned.update(
        {Path(path).name: ids}))
    files.write_text(part.trust / "config.json", "{}", mode=0o600)
    files.write_text(part.disk / "hello/airlock/doit", "")
    part.trust.chmod(0o700)
    host_user.give(replace(part, kind="podman"))
    assert owned["config.json"] == owned["trust"] == (0, host_user.ID)
    assert owned["disk"] == owned["doit"] == (host_user.ID, host_user.ID)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (
        part.trust, part.trust / "config.json")}
    assert modes == {"trust": 0o750, "config.json": 0o640}


def test_a_python_outside_the_system_is_shared_read_only(part: Plan) -> None:
    python = host.Python(path=Path("/opt/py/bin/python3"), version="3.12", prefix=Path("/opt/py"))
    commands = list(host.commands(part, python))
    target = str(part.folder("host/root") / "opt/py")
    assert ["mount", "--bind", "/opt/py", target] in commands
    assert ["mount", "-o", "remount,bind,ro", target] in commands
    assert host.path_with(python.prefix).startswith("/opt/py/bin:")
    assert host.path_with(Path("/usr")) == host.PATH


def test_no_fitting_python_names_what_there_is() -> None:
    with pytest.raises(HostError, match=r"wants 3\.99") as caught:
        host.find_python(["3.99"])
    assert "/usr/bin/python3" in str(caught.value.where)


def test_a_script_stops_at_the_first_failure_and_quotes(tmp_path: Path) -> None:
    odd = tmp_path / "a b'$c"
    text = engines.script(["touch", str(odd)], ["false"], ["touch", str(tmp_path / "after")])
    assert subprocess.run(["sh", "-c", text], check=False).returncode == 1
    assert odd.exists()
    assert not (tmp_path / "after").exists()


@given(st.dictionaries(st.sampled_from(["bin/a", "etc/b", "usr/bin/c", "d"]),
                       st.binary(max_size=20) | st.just("/bin/busybox"), max_size=4))
def test_a_layer_depends_on_content_alone(content: dict[str, bytes | str]) -> None:
    data = images.layer_tar(content)
    assert data == images.layer_tar(dict(reversed(content.items())))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for name, value in content.items():
            member = archive.getmember(name)
            if isinstance(value, str):
                assert member.linkname == value
            else:
                reader = archive.extractfile(member)
                assert reader is not None
                assert reader.read() == value
                assert bool(member.mode & 0o100) == ("bin" in name)


@pytest.mark.parametrize("form", ["oci", "index"])
def test_a_layout_holds_what_it_names(tmp_path: Path, form: str) -> None:
    image = images.Image(repository="quay.io/a/b", tag="1", form=form, layers=(images.about("b"),))
    images.write_layout(tmp_path, image, {"bin/sh": b"#!"})
    blobs = tmp_path / "blobs/sha256"
    assert {files.sha256(path) for path in blobs.iterdir()} == {
        path.name for path in blobs.iterdir()}
    entry, = json.loads((tmp_path / "index.json").read_text())["manifests"]
    top = json.loads((blobs / entry["digest"].partition(":")[2]).read_text())
    manifests = top.get("manifests", [entry])
    assert len(manifests) == (2 if form == "index" else 1)
    assert len({descriptor["platform"]["architecture"]
                for descriptor in manifests}) == len(manifests)
    for descriptor in manifests:
        manifest = json.loads((blobs / descriptor["digest"].partition(":")[2]).read_text())
        for blob in (manifest["config"], *manifest["layers"]):
            assert (blobs / blob["digest"].partition(":")[2]).stat().st_size == blob["size"]


def test_missing_packages_are_named_with_the_command(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="skopeo maven") as caught:
        packages.ensure(["skopeo", "maven"])
    assert caught.value.todo == (
        "apt-get install --no-remove --no-install-recommends skopeo maven")
    monkeypatch.setattr(packages, "PROGRAMS", {"maven": "no-such-program", "git": "sh"})
    monkeypatch.setattr(packages, "CARRIED", {"seqkit-examples": ("reads",)})
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(HostError, match="not a Debian") as elsewhere:
        packages.provide(packages.PackagesSpec(unpacked=tmp_path))
    assert "Debian package maven" in str(elsewhere.value)
    assert "seqkit-examples" in str(elsewhere.value)


def test_a_carried_package_is_found_where_it_was_unpacked(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="bash-static is not unpacked"):
        packages.carried(tmp_path, "bash-static")
    files.write_bytes(tmp_path / "bash-static/usr/bin/bash-static", b"")
    assert packages.carried(tmp_path, "bash-static").name == "bash-static"


def crossing(site: Site, **changes: object) -> cross.CrossSpec:
    made = cross.CrossSpec(
        pipeline="hello", layout=PipelinePaths(site="local", pipeline="hello"),
        key=site.signing.key, identity="air lock", store=site.store,
        offline_store=site.offline.store, trust=site.offline.trust, engine=None)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_three_commands_are_those_of_the_documentation(site: Site) -> None:
    place = cross.Place(state=STATE, site="local", here=Path("here"), there=Path("/there"),
                        trust=Path("/etc/airlock"), store=Path("/srv/airlock/store"),
                        environment={})
    assert cross.script(crossing(site), place, "abc").splitlines() == [
        "cp -rL /srv/airlock/store/tool/abc/. .",
        "ssh-keygen -Y verify -f /etc/airlock/allowed_signers -I 'air lock' -n airlock-tool "
        "-s airlock.tar.sig < airlock.tar &&",
        "mkdir airlock && tar xf airlock.tar -C airlock && cd airlock &&",
        "./doit role=prod tool=abc site=local pipeline=hello",
    ]
    bucket = cross.script(crossing(site), replace(place, store=None), "abc")
    assert bucket.splitlines()[0].startswith("ssh-keygen")


def test_the_home_folder_is_asked_for_even_where_python_lies_in_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".pyenv/versions/3.12").mkdir(parents=True)
    (tmp_path / ".bashrc").touch()

    def homes(prefix: Path) -> list[str]:
        asked = probes.targets(replace(STATE, python_prefix=str(prefix)), own={}, other_port=1,
                               image=None)
        return [probe["target"] for probe in asked if probe["what"] == "the home folder"]

    assert homes(Path("/usr")) == [str(tmp_path)]
    assert homes(tmp_path / ".pyenv/versions/3.12") == [str(tmp_path / ".bashrc")]


def test_a_failed_crossing_quotes_the_step_and_its_whole_cause() -> None:
    cause = [f"    | line {number}" for number in range(30)]
    said = ["+ ./doit role=prod pipeline=hello", "done  prod:fetch:hello",
            "FAILED prod:run:hello: Nextflow ended with an error", *cause, "",
            "FAILED, as shown above: prod:run:hello"]
    told = cross.failed_step("\n".join(said))
    assert told == [line for line in said[2:] if line]
    assert cross.failed_step("+ sha256sum -c\nsha256sum: WARNING") == []


def test_what_was_reached_is_an_error_that_names_it() -> None:
    probe = {"what": "the checkout", "target": "/project", "detail": "it is there", "image": None,
             "open_because": None}
    probes.refuse_reached([{**probe, "refused": True}])
    with pytest.raises(IntegrityError, match="the checkout: /project: it is there"):
        probes.refuse_reached([{**probe, "refused": False}, {**probe, "refused": True}])
    with pytest.raises(IntegrityError, match="from a container of quay"):
        probes.refuse_reached([{**probe, "refused": False, "image": "quay.io/a/b"}])
    probes.refuse_reached([{**probe, "refused": False, "open_because": "iptables is not here"}])


def test_the_caches_are_asked_for_by_name_where_they_are(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NXF_HOME", "PIP_CACHE_DIR", "XDG_CACHE_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    for folder in ("home/.m2", "pip"):
        (tmp_path / folder).mkdir(parents=True)
    asked = probes.targets(STATE, own={"the checkout": tmp_path}, other_port=1, image="quay.io/a/b")
    paths = {probe["what"]: probe["target"] for probe in asked if probe["kind"] == "path"}
    assert paths["Maven's cache"] == str(tmp_path / "home/.m2")
    assert paths["pip's cache"] == str(tmp_path / "pip")
    assert "the user's caches" not in paths
    network = [probe["image"] for probe in asked if probe["kind"] != "path"]
    assert network.count(None) == network.count("quay.io/a/b") > 0


@pytest.mark.parametrize("keys", [[], ["tool/a/airlock.tar", "tool/b/airlock.tar"]])
def test_a_receipt_must_name_one_tool(site: Site, keys: list[str]) -> None:
    spec = crossing(site)
    files.write_json(spec.layout.of_site.tool_receipt, {"store": "s", "part": "tool", "objects": [
        {"key": key, "size": 1, "sha256": "0" * 64} for key in keys]})
    with pytest.raises(HostError, match=f"not {len(keys)}"):
        cross._carried(spec)
