"""The engine's gate lets nothing through but what Nextflow's own `docker` asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.engine import create
from tasks.core.engine.create import rebuilt
from tasks.core.engine.http import Refused, Request, parse
from tasks.core.engine.rules import Forward, allowed
from tests.kit.engine_requests import ASKED, IMAGE, MINE, OTHERS, RULES

FORCED = {
    "NetworkMode": "none", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"],
    "PidsLimit": 4096, "IpcMode": "private", "LogConfig": {"Type": "none"},
    "Mounts": [{"Type": "bind", "Source": path, "Target": path, "ReadOnly": read_only,
                "BindOptions": {"Propagation": "rprivate"}}
               for path, read_only in (("/b/launch", True), ("/b/launch/room", False))]}


def test_a_task_of_nextflow_is_made_with_what_is_ours() -> None:
    made = rebuilt(ASKED, RULES)
    kept = {key: ASKED[key] for key in ("AttachStdin", "AttachStdout", "AttachStderr", "Cmd",
                                        "Env", "Image", "OpenStdin", "StdinOnce", "WorkingDir")}
    assert made == {**kept, "User": "7:8", "Labels": {"nf-airlock.launch": "/b/launch"},
                    "HostConfig": {"CpuShares": 1024, "Memory": 1 << 30, "MemorySwappiness": -1,
                                   **FORCED}}


ATTACKS: dict[str, Any] = {
    "Privileged": True, "CapAdd": ["SYS_ADMIN"], "Devices": [{"PathOnHost": "/dev/sda"}],
    "DeviceRequests": [{"Count": -1}], "DeviceCgroupRules": ["a *:* rwm"], "PidMode": "host",
    "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host", "CgroupnsMode": "host",
    "NetworkMode": "host", "VolumesFrom": ["other"], "SecurityOpt": ["seccomp=unconfined"],
    "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}], "Sysctls": {"kernel.x": "1"},
    "Runtime": "other", "CgroupParent": "/", "VolumeDriver": "other", "Tmpfs": {"/x": ""},
    "MaskedPaths": [], "ReadonlyPaths": [], "GroupAdd": ["docker"], "ExtraHosts": ["a:1.2.3.4"],
    "Links": ["a:b"], "PublishAllPorts": True, "PortBindings": {"1/tcp": [{"HostPort": "1"}]},
    "OomKillDisable": True, "OomScoreAdj": -1000, "Ulimits": [{"Name": "core", "Hard": 1}],
    "RestartPolicy": {"Name": "always"}, "LogConfig": {"Type": "syslog"}, "AutoRemove": True,
    "StorageOpt": {"size": "1"}, "Annotations": {"a": "b"}, "Dns": ["1.2.3.4"],
    "ContainerIDFile": "/x", "Memory": "1", "CpusetCpus": "../x", "Binds": {"/": "/"}}


@pytest.mark.parametrize("key", sorted(ATTACKS))
def test_what_reaches_for_the_host_is_refused_by_name(key: str) -> None:
    host = {**ASKED["HostConfig"], key: ATTACKS[key]}
    with pytest.raises(Refused, match=f"HostConfig.{key}"):
        rebuilt({**ASKED, "HostConfig": host}, RULES)


@pytest.mark.parametrize("mode", ["host", f"container:{OTHERS}", "other-network"])
@pytest.mark.parametrize("key", ["NetworkMode", "PidMode", "IpcMode"])
def test_no_namespace_of_others_is_joined(key: str, mode: str) -> None:
    with pytest.raises(Refused, match=key):
        rebuilt({**ASKED, "HostConfig": {key: mode}}, RULES)


@pytest.mark.parametrize(("key", "value"), [
    ("Image", "alpine"), ("Image", None), ("Image", IMAGE[:-1] + "b"),
    ("Image", IMAGE.partition("@")[0]), ("Tty", True), ("Volumes", {"/x": {}}),
    ("Labels", {"nf-airlock.launch": "/other"}), ("MacAddress", "1"),
    ("Healthcheck", {"Test": ["CMD", "x"]}), ("ExposedPorts", {"1/tcp": {}}),
    ("WorkingDir", "/proc/self/fd/7"), ("WorkingDir", "/b/launch/../x"),
    ("hostconfig", {"Privileged": True}), ("HOSTCONFIG", {"Binds": ["/:/h"]}),
    ("HostConfig", [1]), ("Cmd", "sh"), ("Env", [1]),
    ("NetworkingConfig", {"EndpointsConfig": {"other": {"NetworkID": "x"}}})])
def test_what_else_is_not_as_nextflow_asks_is_refused(key: str, value: Any) -> None:
    with pytest.raises(Refused):
        rebuilt({**ASKED, key: value}, RULES)


@pytest.mark.parametrize("bind", [
    "/:/host", "/:/", "/b:/b", "/b/launchx:/b/launchx", "/b/launch/..:/b/launch/..",
    "/b/launch/../../etc:/b/launch/../../etc", "/b/launch//room:/b/launch//room", "volume:/x",
    "/b/launch/room:/etc", "/b/launch:/b/launch:rshared", "/b/launch:/b/launch:rw,suid",
    "/b/launch", "b/launch:b/launch", "", "/b/launch/\n:/b/launch/\n",
    "/var/run/docker.sock:/var/run/docker.sock"])
def test_a_bind_from_elsewhere_is_refused(bind: str) -> None:
    with pytest.raises(Refused, match="Binds"):
        rebuilt({**ASKED, "HostConfig": {"Binds": [bind]}}, RULES)


@pytest.mark.parametrize("bind", ["/b/launch/room/work/link:/b/launch/room/work/link",
                                  "/b/launch/staged:/b/launch/staged:ro"])
def test_the_engine_is_never_given_a_path_that_the_code_could_swap(bind: str) -> None:
    made = rebuilt({**ASKED, "HostConfig": {"Binds": [bind]}}, RULES)
    assert made["HostConfig"] == FORCED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from([IMAGE, "/b/launch:/b/launch", "host", "/", "/b/launch"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([*ATTACKS, *ASKED, "Source", "Target"]) | st.text(max_size=8), inner,
        max_size=4), max_leaves=12)
BODY = st.builds(lambda base, more, host: {**base, **more, "HostConfig": host},
                 st.sampled_from([{}, ASKED, {"Image": IMAGE}]),
                 st.dictionaries(st.sampled_from(list(ASKED)), JSON, max_size=3),
                 JSON | st.dictionaries(st.sampled_from(list(ATTACKS)), JSON, max_size=4))


@given(BODY)
def test_whatever_is_asked_what_is_sent_holds_the_rules(asked: dict[str, Any]) -> None:
    try:
        made = rebuilt(asked, RULES)
    except Refused:
        return
    assert made["Image"] == IMAGE
    assert made["User"] == "7:8"
    assert made.keys() <= {*create.TOP, "Labels", "HostConfig"}
    assert {key: made["HostConfig"][key] for key in FORCED} == FORCED
    assert made["HostConfig"].keys() <= {*create.HOST, *FORCED}


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: x", *headers, "", ""]).encode()


@given(st.binary(max_size=300) | st.lists(st.sampled_from(
    [b"GET", b"POST", b" ", b"/", b"v1.41", b"..", b"%2e", b"containers", b"create", b"?", b"=",
     b"a", b" HTTP/1.1", b"\r\n", b"\n", b"Content-Length:", b"Transfer-Encoding:", b" 5", b"\0",
     b"chunked", b"http://x"]), max_size=20).map(b"".join))
def test_any_head_is_read_or_refused(data: bytes) -> None:
    try:
        request = parse(data + b"\r\n\r\n")
    except Refused:
        return
    assert not {"", ".", ".."} & set(request.path.split("/")[1:])
    assert "%" not in request.path
    assert 0 <= request.length <= 1 << 20


@pytest.mark.parametrize("data", [
    head("POST /containers/create HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"),
    head("POST /containers/create HTTP/1.1", "Transfer-Encoding: chunked"),
    head("POST /containers/create HTTP/1.1", "Content-Length: 5", "Content-Length: 6"),
    head("POST /containers/create HTTP/1.1", "Content-Length: 5", "content-length: 5"),
    head("POST /containers/create HTTP/1.1", "Content-Length: +5"),
    head("POST /containers/create HTTP/1.1", "Content-Length: 5, 5"),
    head("POST /containers/create HTTP/1.1", "Content-Length : 5"),
    head("POST /containers/create HTTP/1.1", "Content-Length: 99999999999"),
    head("POST /containers/create HTTP/1.1", "X: a", " folded: b"),
    head("POST /containers/create HTTP/1.1", "X: a\nTransfer-Encoding: chunked"),
    head("POST /containers/create HTTP/1.1", "X: a\rb"),
    head("POST /containers/create HTTP/1.1", "Expect: 100-continue"),
    head("POST /containers/create HTTP/1.1", "Host: y"),
    head("GET http://docker/_ping HTTP/1.1"), head("GET /_ping HTTP/1.0"), head("GET /_ping"),
    head("OPTIONS * HTTP/1.1"), head("CONNECT x:1 HTTP/1.1"), head("PUT /_ping HTTP/1.1"),
    head("GET /containers/../info HTTP/1.1"), head("GET /containers/%2e%2e/info HTTP/1.1"),
    head("GET //info HTTP/1.1"), head("GET /containers/./json HTTP/1.1"),
    head("GET /_ping/ HTTP/1.1"), head("GET  /_ping HTTP/1.1"), head("GET /_ping\tHTTP/1.1"),
    head("GET /_ping?a=1&a=2 HTTP/1.1"), head("GET /_ping?a=%ff HTTP/1.1"),
    head("GET /_ping HTTP/1.1", "X: " + "a" * (16 << 10)), b"GET /_ping HTTP/1.1\n\n"])
def test_what_two_readers_could_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        parse(data)


def asking(line: str, body: bytes = b"") -> Forward:
    request: Request = parse(head(f"{line} HTTP/1.1"))
    return allowed(request, body, RULES,
                   lambda name: MINE if name in ("mine", MINE) else None)


@pytest.mark.parametrize(("line", "sent"), [
    ("HEAD /_ping", "/_ping"), ("GET /v1.41/version", "/v1.41/version"),
    ("POST /v1.41/containers/mine/start", f"/v1.41/containers/{MINE}/start"),
    ("POST /containers/mine/wait?condition=next-exit",
     f"/containers/{MINE}/wait?condition=next-exit"),
    (f"POST /v1.41/containers/{MINE}/attach?stream=1&stdin=1",
     f"/v1.41/containers/{MINE}/attach?stream=1&stdin=1"),
    ("POST /v1.41/containers/mine/stop?t=1", f"/v1.41/containers/{MINE}/stop?t=1"),
    ("GET /v1.41/containers/mine/json", f"/v1.41/containers/{MINE}/json"),
    ("DELETE /v1.41/containers/mine", f"/v1.41/containers/{MINE}?v=1")])
def test_what_nextflow_asks_is_sent_by_identity(line: str, sent: str) -> None:
    assert asking(line).target == sent


@pytest.mark.parametrize("line", [
    "GET /info", "GET /containers/json", "GET /images/json", "POST /images/create?fromImage=a",
    "POST /images/load", "POST /build", "POST /commit?container=mine", "POST /auth", "GET /events",
    "POST /containers/mine/exec", "POST /exec/x/start", "POST /containers/mine/update",
    "POST /containers/mine/rename?name=x", "POST /containers/mine/copy",
    "GET /containers/mine/archive?path=x", "GET /containers/mine/export", "POST /session",
    "POST /containers/prune", "POST /volumes/create", "GET /volumes", "POST /networks/create",
    "POST /plugins/pull?remote=x", "POST /swarm/init", "GET /secrets", "POST /services/create",
    "GET /distribution/a/json", "POST /grpc", "GET /containers/mine/attach/ws",
    "POST /v1.24/containers/create", f"POST /containers/{OTHERS}/start",
    f"POST /containers/{OTHERS[:12]}/stop", "GET /containers/others/json",
    f"DELETE /containers/{MINE[:12]}", "POST /containers/mine/wait?condition=x",
    "POST /containers/mine/attach?detachKeys=a", "DELETE /containers/mine?link=1",
    "POST /containers/mine/kill?signal=%0d%0a", "POST /containers/mine/start?x=1",
    "POST /containers/create?name=a/b", "POST /containers/create?platform=windows"])
def test_what_nextflow_does_not_ask_is_refused(line: str) -> None:
    with pytest.raises(Refused):
        asking(line, json.dumps(ASKED).encode() if "create" in line else b"")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"NaN", b'{"a": NaN}', b"\xff",
                                  b"[" * 100_000])
def test_a_create_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        asking("POST /containers/create", body)


def test_a_start_may_bring_no_settings() -> None:
    with pytest.raises(Refused, match="takes no body"):
        asking("POST /containers/mine/start", b'{"Privileged": true}')
