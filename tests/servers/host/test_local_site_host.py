"""The local site's servers and its offline host, with all real parts."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tasks.core import files
from tasks.core.errors import CommandError, HostError, IntegrityError
from tasks.local_site import daemons, host, images, network, packages, probes, servers
from tasks.local_site import host_probe as inside_script
from tasks.local_site.plan import Plan, SiteSpec, State, plan
from tests.kit.local_site import inside

SERVERS = tuple(servers.PARTS)


def pids(part: Plan) -> dict[str, int | None]:
    return {name: daemons.running(part.folder(name)) for name in SERVERS}


def test_up_again_changes_nothing(spec: SiteSpec, part: Plan) -> None:
    before = pids(part)
    assert all(before.values())
    assert servers.up(spec) == "all running"
    assert pids(part) == before
    for name in SERVERS:
        assert str(before[name]) in servers.status(spec)


@pytest.mark.parametrize("name", ["nexus", "engine", "host"])
def test_a_killed_server_is_started_again_and_the_others_stay(spec: SiteSpec, part: Plan,
                                                              name: str) -> None:
    before = pids(part)
    victim = before[name]
    assert victim
    os.kill(victim, signal.SIGKILL)
    while daemons.start_time(victim) is not None:
        time.sleep(0.02)
    assert "stopped" in servers.status(spec)
    assert servers.up(spec) == f"started: {servers.PARTS[name]}"
    after = pids(part)
    assert after.pop(name) not in (None, before.pop(name))
    assert after == before


def test_a_stale_pid_file_is_noticed_and_its_process_left_alone(spec: SiteSpec,
                                                                part: Plan) -> None:
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        daemons.stop(part.folder("internet/server"))
        files.write_text(daemons.pid_file(part.folder("internet/server")), f"{bystander.pid} 1\n")
        assert servers.up(spec) == "started: internet files"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_server_whose_pid_file_was_never_written_is_found(spec: SiteSpec, part: Plan) -> None:
    before = pids(part)
    daemons.pid_file(part.folder("internet/registry")).unlink()
    daemons.pid_file(part.folder("host")).unlink()
    assert servers.up(spec) == "all running"
    assert pids(part) == before


def test_the_port_of_somebody_else_is_named_with_its_process(spec: SiteSpec, part: Plan) -> None:
    daemons.stop(part.folder("internet/server"))
    with (socket.create_server(("127.0.0.1", part.files_port)),
          pytest.raises(HostError, match=rf"127\.0\.0\.1:{part.files_port}.*{os.getpid()}")):
        servers.up(spec)
    assert "internet files" in servers.up(spec)


def test_a_half_started_sandbox_is_completed(spec: SiteSpec, part: Plan) -> None:
    for name in ("host", "engine"):
        daemons.stop(part.folder(name))
    subprocess.run(["ip", "link", "delete", part.interface], check=True)
    message = servers.up(spec)
    assert "network" in message
    assert "offline host" in message
    assert "online engine" in message
    assert "quay.io" not in message


def test_a_network_of_somebody_else_is_refused(spec: SiteSpec, part: Plan) -> None:
    assert spec.site.sandbox is not None
    other = replace(spec.site, name="other",
                    sandbox=replace(spec.site.sandbox, namespace="airlock-t41b",
                                    interface="airtest41b"))
    with pytest.raises(HostError, match=f"in use by the interface {part.interface}"):
        network.up(plan(other))
    taken = replace(other, sandbox=spec.site.sandbox)
    with pytest.raises(HostError, match="did not make it"):
        network.up(plan(taken))
    assert network.down(plan(other)) is False


def test_the_internet_serves_reads_by_ranges_and_images_by_name(part: Plan) -> None:
    url = f"http://127.0.0.1:{part.files_port}/data/hello/reads_1.fq.gz"
    whole = urllib3.request("GET", url)
    some = urllib3.request("GET", url, headers={"Range": "bytes=10-99"})
    assert (whole.status, some.status, some.data) == (200, 206, whole.data[10:100])
    assert "GET /data/hello/reads_1.fq.gz" in (part.folder("internet/server") / "log").read_text()
    for image in images.IMAGES:
        manifest = json.loads(subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false",
             f"docker://127.0.0.1:{part.registry_port}/{image.reference}"],
            capture_output=True, check=True).stdout)
        assert ("manifests" in manifest) == (image.form == "index")


def test_git_clones_the_bundled_pipeline_over_http(part: Plan, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--branch", "1.0.0",
                    f"http://127.0.0.1:{part.files_port}/git/hello.git", tmp_path / "clone"],
                   check=True, capture_output=True)
    assert (tmp_path / "clone/main.nf").is_file()


def test_secrets_are_for_their_owner_alone(part: Plan) -> None:
    assert part.secrets.stat().st_mode & 0o777 == 0o700
    for path in (part.authfile, part.trust / "config.json", part.secrets / "server.key"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_certificate_holds_under_strict_verification(part: Plan) -> None:
    subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", part.ca,
                    "-verify_ip", part.registry_host, part.secrets / "server.crt"],
                   check=True, capture_output=True)


def pinned_image(part: Plan) -> str:
    """seqstats in the organisation's registry, by its digest."""
    reference = f"{part.registry_address}/quay.io/airlock/seqstats"
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-authfile", part.authfile,
         "--dest-cert-dir", part.ca.parent, "--digestfile", part.root / "digest",
         f"docker://127.0.0.1:{part.registry_port}/quay.io/airlock/seqstats:1.0",
         f"docker://{reference}:1.0"], check=True, capture_output=True)
    return f"{reference}@{(part.root / 'digest').read_text()}"


def test_the_offline_host_runs_an_image_of_the_registry_and_of_no_other(spec: SiteSpec,
                                                                        part: Plan) -> None:
    pinned = pinned_image(part)
    with pytest.raises(CommandError) as refused:
        inside(spec, f"docker pull {pinned}")
    assert "no basic auth credentials" in str(refused.value)
    subprocess.run(["docker", "--host", f"unix://{part.engine}", "--config", part.secrets,
                    "pull", "--quiet", pinned], check=True, capture_output=True)
    # Docker writes beside its configuration, and the folder of trust is read-only.
    assert inside(spec, "mkdir -p .docker && cp /etc/airlock/config.json .docker/ && "
                        f"docker run --rm {pinned} bash -c 'echo 6*7 | bc'").split()[-1] == "42"
    with pytest.raises(CommandError):
        inside(spec, f"docker pull 127.0.0.1:{part.registry_port}/quay.io/airlock/seqstats:1.0")


def look(spec: SiteSpec, part: Plan) -> Callable[[str, str], Any]:
    """inside.py's answer on the offline host."""
    python = State.read(part.root).python
    script = Path(inside_script.__file__ or "").read_bytes()
    return lambda verb, argument: json.loads(host.run_inside(
        spec.site, [python, "-I", "-", verb, argument], stdin=script))


def attempts(spec: SiteSpec, part: Plan, image: str | None = None) -> list[probes.Attempt]:
    return probes.attempt(State.read(part.root), look(spec, part),
                          own={"the checkout": Path.cwd()}, image=image)


def test_neither_the_offline_host_nor_its_containers_reach_anything_else(spec: SiteSpec,
                                                                         part: Plan) -> None:
    image = pinned_image(part)
    inside(spec, f"mkdir -p .docker && cp /etc/airlock/config.json .docker/ && docker pull {image}")
    probed = attempts(spec, part, image)
    assert [probe for probe in probed if not probe["refused"]] == []
    assert {probe["what"] for probe in probed if probe["image"]} == {
        probe["what"] for probe in probed if probe["kind"] != "path"}
    # The same question is answered otherwise on this side, so it can tell the difference.
    reached = {probe["what"] for probe in probes.attempt(
        State.read(part.root), lambda _, argument: inside_script.probe_all(**json.loads(argument)),
        own={"the checkout": Path.cwd()}, image=None) if not probe["refused"]}
    assert {"the internet's file server", "the internet's registry", "the checkout",
            "another port of the registry's address", "the online engine's socket"} <= reached


def test_a_container_that_could_get_out_would_say_so(spec: SiteSpec, part: Plan) -> None:
    image = pinned_image(part)
    inside(spec, f"mkdir -p .docker && cp /etc/airlock/config.json .docker/ && docker pull {image}")
    out = inside(spec, f"docker run --rm --network host --entrypoint bash {image} -c "
                       f"{shlex.quote(inside_script.IN_CONTAINER)} bash {part.registry_address} "
                       f"{part.address}:1")
    reached, refused = (inside_script._met(line) for line in out.splitlines())
    assert reached == {"refused": False, "detail": "connected"}
    assert refused == {"refused": True, "detail": "timed out"}


def test_every_port_but_the_registrys_is_closed_and_an_open_wire_is_noticed(
        spec: SiteSpec, part: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    python = State.read(part.root).python
    host.run_inside(spec.site, [python, "-c", script, part.address, str(part.nexus_port)])
    subprocess.run(["nsenter", f"--net={network.namespace(part)}", "iptables", "-P", "OUTPUT",
                    "ACCEPT"], check=True)
    with pytest.raises(IntegrityError, match="another port of the registry's address"):
        probes.refuse_reached(attempts(spec, part))
    # Without the program for the rules, a notice says so, and nothing is pretended.
    with monkeypatch.context() as lacking:
        lacking.setattr(packages, "PROGRAMS", {})
        lacking.setattr(packages, "find_program", lambda _: None)
        message = servers.up(spec)
        assert "NOT CLOSED, iptables-restore is not here: the offline host reaches every port of " \
            in message
        met = attempts(spec, part)
    assert [probe["open_because"] for probe in met if not probe["refused"]] == [
        "iptables-restore is not here"]
    probes.refuse_reached(met)
    assert "NOT CLOSED" not in servers.up(spec)
    probes.refuse_reached(attempts(spec, part))


def test_the_offline_host_sees_store_and_trust_but_cannot_write_there(spec: SiteSpec,
                                                                      part: Plan) -> None:
    assert part.store
    (part.store / "carried").write_text("carried")
    assert inside(spec, f"cat {part.store_inside}/carried") == "carried"
    for folder in (part.store_inside, part.trust_inside, "/usr"):
        with pytest.raises(CommandError, match="status"):
            inside(spec, f"touch {folder}/new")
    assert inside(spec, "hostname; ip route").split()[:2] == ["offline", str(part_network(part))]
    assert inside(spec, "env").count("AIRLOCK") == 0


def part_network(part: Plan) -> str:
    return f"{part.address.rpartition('.')[0]}.0/{part.prefix_length}"


def test_a_store_that_was_made_anew_is_seen(spec: SiteSpec, part: Plan) -> None:
    assert part.store
    part.store.rename(part.store.with_name("old"))
    part.store.mkdir()
    (part.store / "fresh").write_text("fresh")
    assert "offline host" in servers.up(spec)
    assert inside(spec, f"cat {part.store_inside}/fresh") == "fresh"


def test_down_ends_all_and_only_its_own(spec: SiteSpec, part: Plan) -> None:
    before = [pid for pid in pids(part).values() if pid]
    inner = daemons.child_of(before[-1])
    assert inner
    with subprocess.Popen(["sleep", "60"], start_new_session=True,
                          env={daemons.MARK: f"{part.folder('nexus')}-of-another"}) as bystander:
        assert "offline host" in servers.down(spec)
        assert bystander.poll() is None
        bystander.kill()
    assert [pid for pid in [*before, inner] if daemons.start_time(pid)] == []
    assert not network.is_up(part)
    assert part.engine
    assert not part.engine.parent.exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{part.cgroup}"))
    assert servers.down(spec) == "nothing was running"
    assert servers.status(spec).count("stopped") == len(SERVERS)
    with pytest.raises(HostError, match="not running"):
        inside(spec, "true")
