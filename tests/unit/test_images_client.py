"""The registry client's parts that need no registry: logins, challenges, addresses, proxies."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import RegistryError
from tasks.core.net.pace import Connections, Host, Hosts, Pace, pause
from tasks.core.net.pools import proxy_for
from tasks.core.net.redirects import origin
from tasks.core.registry import credentials
from tasks.core.registry.auth import challenges
from tasks.core.registry.client import Access, Registries, endpoint
from tasks.core.registry.credentials import Login

SECRET = "pa:ss word"
AUTH = base64.b64encode(f"me:{SECRET}".encode()).decode()


def write(folder: Path, value: Any) -> Path:
    path = folder / "config.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize(("host", "config"), [
    ("nexus:5443", {"auths": {"nexus:5443": {"auth": AUTH}}}),
    ("nexus:5443", {"auths": {"https://nexus:5443": {"auth": AUTH}}}),
    ("nexus:5443", {"auths": {"https://nexus:5443/v2/": {"username": "me", "password": SECRET}}}),
    ("registry-1.docker.io", {"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}}),
])
def test_logins_are_found(tmp_path: Path, host: str, config: dict[str, Any]) -> None:
    assert credentials.find(host, write(tmp_path, config)) == Login(user="me", password=SECRET)


@pytest.mark.parametrize("config", [
    {}, {"auths": {}}, {"auths": {"other": {"auth": AUTH}}}, {"auths": []},
    {"auths": {"nexus": {"auth": AUTH}}}, {"auths": {"nexus:5443": {}}}])
def test_another_hosts_login_is_never_used(tmp_path: Path, config: dict[str, Any]) -> None:
    assert credentials.find("nexus:5443", write(tmp_path, config)) is None


@pytest.mark.parametrize("config", [
    "{", {"auths": {"nexus:5443": {"auth": "hidden-word"}}},
    {"auths": {"nexus:5443": {"auth": base64.b64encode(b"hidden-word").decode()}}},
    {"credHelpers": {"nexus:5443": "no-such-helper"}}, {"credsStore": "../../bin/sh"}])
def test_bad_files_are_clear_errors_without_their_content(tmp_path: Path, config: Any) -> None:
    with pytest.raises(RegistryError) as caught:
        credentials.find("nexus:5443", write(tmp_path, config))
    assert "hidden-word" not in str(caught.value)
    assert caught.value.todo


@pytest.mark.parametrize("filed", [
    "nexus.example.org", "nexus.example.org:443", "https://nexus.example.org",
    "https://nexus.example.org:443", "https://nexus.example.org/v1/", "http://nexus.example.org",
    "https://nexus.example.org:443/v2/", "nexus.example.org/v1", "Nexus.Example.ORG",
    "https://NEXUS.example.org:443/v1/", "nexus.example.org/"])
@pytest.mark.parametrize("host", ["nexus.example.org", "nexus.example.org:443",
                                  "Nexus.example.org"])
def test_port_443_may_be_named_or_not(tmp_path: Path, host: str, filed: str) -> None:
    for config in ({"auths": {filed: {"auth": AUTH}}},
                   {"auths": {filed: {"username": "me", "password": SECRET}, "x": {}}}):
        assert credentials.find(host, write(tmp_path, config)) == Login(user="me", password=SECRET)


@pytest.mark.parametrize("filed", [
    "nexus.example.org:8443", "https://nexus.example.org:80", "nexus.example.org/team",
    "nexus.example.org.evil", "nexus.example.org@evil", "evil/nexus.example.org", "",
    "nexus.example.org:443:443", "nexus.example.org:x", "https://", "[::1"])
def test_a_login_of_a_place_that_only_looks_like_it_is_not_used(tmp_path: Path, filed: str) -> None:
    config = {"auths": {filed: {"auth": AUTH}}}
    for host in ("nexus.example.org", "nexus.example.org:443"):
        assert credentials.find(host, write(tmp_path, config)) is None


def test_the_login_that_is_filed_as_the_host_is_named_comes_first(tmp_path: Path) -> None:
    other = base64.b64encode(b"other:word").decode()
    for host, alike in (("h.example.org", "h.example.org:443"),
                        ("h.example.org:443", "h.example.org")):
        path = write(tmp_path, {"auths": {alike: {"auth": other}, host: {"auth": AUTH}}})
        assert credentials.find(host, path) == Login(user="me", password=SECRET)


@pytest.mark.parametrize("filed", ["[::1]", "[::1]:443", "https://[0:0::1]/v1/"])
def test_ipv6_is_compared_as_an_address(tmp_path: Path, filed: str) -> None:
    path = write(tmp_path, {"auths": {filed: {"auth": AUTH}}})
    assert credentials.find("[::1]", path) == credentials.find("[::1]:443", path) == Login(
        user="me", password=SECRET)


@pytest.mark.parametrize(("key", "kept"), [
    ("credHelpers", "h.example.org"), ("credHelpers", "h.example.org:443"),
    ("credsStore", "h.example.org"), ("credsStore", "https://h.example.org"),
    ("credsStore", "https://h.example.org/v1/"), ("credsStore", "h.example.org:443")])
def test_helpers_are_asked_by_the_names_that_logins_are_kept_under(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, kept: str) -> None:
    program = tmp_path / "docker-credential-kept"
    program.write_text(f"""#!/bin/sh
read -r name
[ "$name" = '{kept}' ] || exit 1
echo '{{"Username": "me", "Secret": "{SECRET}"}}'
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = write(tmp_path, {"credHelpers": {kept: "kept"}} if key == "credHelpers" else
                 {"auths": {kept: {}}, "credsStore": "kept"})
    for host in ("h.example.org", "h.example.org:443"):
        assert credentials.find(host, path) == Login(user="me", password=SECRET)


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="missing"):
        credentials.find("nexus:5443", tmp_path / "nosuch.json")


def test_dockers_own_file_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert credentials.find("nexus:5443", None) is None
    write(tmp_path, {"auths": {"nexus:5443": {"auth": AUTH}}})
    assert credentials.find("nexus:5443", None) == Login(user="me", password=SECRET)


def test_a_login_does_not_show_its_password() -> None:
    assert SECRET not in repr(Login(user="me", password=SECRET))


@pytest.mark.parametrize(("headers", "found"), [
    (['Basic realm="Sonatype, Nexus"'], [("basic", {"realm": "Sonatype, Nexus"})]),
    (['Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'],
     [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:x:pull,push"})]),
    (['BASIC realm="a", Bearer realm="https://b"', "Negotiate"],
     [("basic", {"realm": "a"}), ("bearer", {"realm": "https://b"})]),
    (["Basic"], [("basic", {})]),
    (["Negotiate"], []),
])
def test_challenges(headers: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    assert [(challenge.scheme, dict(challenge.parameters))
            for challenge in challenges(headers)] == found


def test_endpoints() -> None:
    mapped = {"quay.io": "http://127.0.0.1:5580/quay.io/"}
    assert endpoint("quay.io", mapped) == "http://127.0.0.1:5580/quay.io"
    assert endpoint("docker.io", mapped) == "https://registry-1.docker.io"
    assert endpoint("nexus:5443", mapped) == "https://nexus:5443"


MAPPED = {"quay.io": "https://proxy.example.org/quay", "quay.io/airlock": "http://127.0.0.1:5580/q",
          "quay.io/airlock/deep/tool": "http://127.0.0.1:5581/t",
          "docker.io/library/ubuntu": "http://127.0.0.1:5580/hub/ubuntu",
          "registry.example.org:8443/team": "http://127.0.0.1:5582/"}


@pytest.mark.parametrize(("repository", "expected"), [
    ("quay.io/biocontainers/fastqc", "https://proxy.example.org/quay/biocontainers/fastqc"),
    ("quay.io/airlock/seqstats", "http://127.0.0.1:5580/q/seqstats"),
    ("quay.io/airlock/deep/other", "http://127.0.0.1:5580/q/deep/other"),
    ("quay.io/airlock/deep/tool", "http://127.0.0.1:5581/t"),
    ("quay.io/airlock/deep/tool/part", "http://127.0.0.1:5581/t/part"),
    ("quay.io/airlock-other/tool", "https://proxy.example.org/quay/airlock-other/tool"),
    ("quay.io/airlockother", "https://proxy.example.org/quay/airlockother"),
    ("docker.io/library/ubuntu", "http://127.0.0.1:5580/hub/ubuntu"),
    ("docker.io/library/ubuntu-debootstrap",
     "https://registry-1.docker.io/library/ubuntu-debootstrap"),
    ("registry.example.org:8443/team/a", "http://127.0.0.1:5582/a"),
    ("registry.example.org/team/a", "https://registry.example.org/team/a"),
])
def test_the_longest_match_wins_at_the_borders_of_paths_alone(
        repository: str, expected: str) -> None:
    assert endpoint(repository, MAPPED) == expected
    path = repository.partition("/")[2]
    registry = Registries(Access(registries=MAPPED, ca=None, authfile=None)).at(repository)
    below = expected.partition("://")[2].partition("/")[2]
    assert registry.url(path, "tags/list") == f"{registry.base}/v2/{below}/tags/list"
    assert expected.startswith(registry.base)
    assert registry.pull(path) == (f"repository:{below}:pull",)


@pytest.mark.parametrize(("url", "proxy"), [
    ("https://quay.io/v2/", "http://proxy:3128"),
    ("http://quay.io/v2/", None),
    ("https://nexus.inside.example.org:5443/v2/", None),
    ("https://127.0.0.1:5000/v2/", None),
    ("https://localhost:5000/v2/", None),
    ("https://[::1]:5000/v2/", None),
])
def test_proxies(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", ".inside.example.org")
    assert proxy_for(url) == proxy


def test_origins() -> None:
    assert origin("https://A.example.org/x") == origin("https://a.example.org:443/y")
    assert origin("https://a.example.org") != origin("http://a.example.org")
    assert origin("https://a.example.org") != origin("https://a.example.org:8443")


def test_a_thread_shares_its_slot_with_itself() -> None:
    """Else eight threads that copy within one registry would wait for each other for ever."""
    done, hosts = [], Hosts()

    def work() -> None:
        with hosts.at("one.example.org").slot(), hosts.at("one.example.org").slot():
            done.append(True)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(done) == 20


def test_a_pace_is_learnt_from_refusals_and_forgotten_with_time() -> None:
    pace = Pace()
    assert [pace.delay(now / 100) for now in range(10)] == [0.0] * 10  # a hundred a second
    pace.refused(0.1)
    learnt = pace.interval
    assert 0.019 <= learnt <= 0.021
    pace.refused(0.2)  # of the same moment: eight threads are refused at once
    assert pace.interval == learnt
    assert pace.delay(5.0) == 0.0
    assert pace.delay(5.0) == pytest.approx(learnt)
    pace.refused(5.1)
    assert pace.interval > learnt
    for _ in range(100):
        pace.refused(pace._changed + 2)
    assert pace.interval == 2.0
    for _ in range(100):
        pace.accepted(pace._changed + 11)
    assert pace.interval == 0.0


def test_a_host_known_for_its_limit_is_asked_slowly_from_the_start() -> None:
    assert Host("quay.io").pace.interval == pytest.approx(1 / 8)
    assert Host("nexus:5443").pace.interval == 0.0


@pytest.mark.parametrize(("headers", "seconds"), [
    ({}, None), ({"Retry-After": "7"}, 7.0), ({"Retry-After": "soon"}, None),
    ({"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT"}, 0.0),
    ({"ratelimit-remaining": "76;w=21600", "ratelimit-limit": "100;w=21600"}, None),
    ({"ratelimit-remaining": "0", "ratelimit-reset": "20"}, 20.0),
    ({"ratelimit-remaining": "0;w=30", "ratelimit-limit": "100;w=30"}, 30.0),
])
def test_pauses(headers: dict[str, str], seconds: float | None) -> None:
    assert pause(headers, "here") == seconds


def test_a_limit_of_hours_is_reported_at_once() -> None:
    """Docker Hub's own headers (docs.docker.com, Pull usage and limits)."""
    with pytest.raises(RegistryError, match="100 in 21600 seconds is used up"):
        pause({"ratelimit-remaining": "0;w=21600", "ratelimit-limit": "100;w=21600"}, "here")


def test_connections_grow_while_answers_are_as_fast_as_the_fastest() -> None:
    connections = Connections()
    connections.allow(20)
    with ExitStack() as busy:
        for _ in range(8):
            busy.enter_context(connections)
        connections.answered(0.060)
        connections.answered(0.150)  # the host is busy: no more
        assert connections.limit == 9
        connections.answered(0.070)  # not all are in use
        assert connections.limit == 9
        busy.enter_context(connections)
        connections.answered(0.070)
        assert connections.limit == 10
    connections.refused()
    with ExitStack() as busy:
        for _ in range(8):
            busy.enter_context(connections)
        connections.answered(0.060)
    assert connections.limit == 8


def test_a_public_host_keeps_its_few_connections_however_fast_it_is() -> None:
    connections = Connections()
    with ExitStack() as busy:
        for _ in range(8):
            busy.enter_context(connections)
        for _ in range(100):
            connections.answered(0.001)
    assert connections.limit == 8
