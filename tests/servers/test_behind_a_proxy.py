"""Each part behind a corporate proxy that inspects TLS, and from mirrors: docs/operations.md.

The hosts that are named resolve nowhere, so what arrives has come by the proxy, under its CA.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tasks.code import stage
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, CommandError, SourceError
from tasks.core.net import pip
from tasks.core.paths import SitePaths
from tasks.core.store.store import open_store
from tasks.release import tool
from tasks.runtime import build as runtimes
from tasks.runtime import maven
from tasks.runtime.dist import Dist, fetch
from tests.kit import buckets, machine
from tests.kit.git import Repository, spec
from tests.kit.inspecting import LOGIN, Proxy, inspecting
from tests.kit.project import MAVEN, ROOT
from tests.kit.registry_memory import Memory, client
from tests.kit.web import Web, running

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
             "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
             "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "PIP_INDEX_URL",
             "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "MAVEN_OPTS")
JAR = ("org.slf4j:slf4j-api:2.0.7",)
"""One of Nextflow's own, small and without dependencies."""


class Mirror(Web):
    """Maven Central and PyPI, as a mirror inside has them: files with their checksums beside."""

    def content(self, path: str) -> bytes | None:
        if path.endswith(".sha1") and (data := super().content(path.removesuffix(".sha1"))):
            return hashlib.sha1(data).hexdigest().encode()  # noqa: S324 - Maven's own
        return super().content(path)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with running(Mirror()) as server:
        yield server


@pytest.fixture
def proxy(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch,
          quick: None) -> Iterator[Proxy]:
    """The proxy, named for https, before what stands for the internet; its CA is named nowhere."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    hosts = ("data.example.org", "git.example.org", "repo.maven.apache.org", "pypi.org",
             "files.pythonhosted.org")
    place = mirror.url.removeprefix("http://")
    with inspecting(tmp_path / "proxy", dict.fromkeys(hosts, place)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.at())
        yield server


def test_downloads_and_registries_take_the_proxy_and_ssl_cert_file(
        proxy: Proxy, mirror: Mirror, far: Memory, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.files["/reads.fq"] = b"ACGT"
    url = "https://data.example.org/reads.fq"
    with pytest.raises(SourceError, match="SSL_CERT_FILE"):
        fetch(Dist(place=url, reached_at=url), tmp_path / "reads.fq")
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.ca))
    fetch(Dist(place=url, reached_at=url), tmp_path / "reads.fq")
    assert (tmp_path / "reads.fq").read_bytes() == b"ACGT"
    proxy.upstream = {"quay.example.org": far.url.removeprefix("http://")}
    digest = far.add_blob("a/b", b"a layer")
    with client("https://quay.example.org").blob("a/b", digest, 7) as chunks:
        assert b"".join(chunks) == b"a layer"
    assert f"quay.example.org /v2/a/b/blobs/{digest}" in proxy.seen


def test_git_takes_the_proxy_and_its_own_variable_for_the_ca(
        proxy: Proxy, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path)
    repository.commit(**{"main.nf": "workflow {}\n"})
    repository.git("tag", "v1")
    repository.push()
    mirror.folder = tmp_path / "served/git"
    wanted = spec(tmp_path, "https://git.example.org")
    with pytest.raises(SourceError, match="certificate"):
        stage.from_git(wanted)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(proxy.ca))
    stage.from_git(wanted)
    assert wanted.archive.is_file()
    assert any(line.startswith("git.example.org /hello.git/") for line in proxy.seen)


def wheel(name: str, code: str) -> tuple[str, bytes]:
    """A wheel with one module and a program of its name, and the file's own name."""
    data, about = BytesIO(), f"{name}-1.0.dist-info"
    members = {f"{name}.py": code, f"{about}/METADATA":
               f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
               f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
               f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n"}
    listed = "".join(f"{member},,\n" for member in (*members, f"{about}/RECORD"))
    with zipfile.ZipFile(data, "w") as archive:
        for member, text in (members | {f"{about}/RECORD": listed}).items():
            archive.writestr(member, text)
    return f"{name}-1.0-py3-none-any.whl", data.getvalue()


def on_pypi(mirror: Mirror, host: str = "https://files.pythonhosted.org") -> str:
    """Put a package `doit` into the mirror; the line that pins it."""
    name, data = wheel("doit", "def main():\n    print('this doit came from the index')\n")
    mirror.files |= {f"/packages/{name}": data, "/simple/doit/":
                     f'<a href="{host}/packages/{name}">{name}</a>'.encode()}
    mirror.headers["/simple/doit/"] = {"Content-Type": "text/html"}
    return f"doit==1.0 --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"


def download(pinned: str, folder: Path, index: str | None = None) -> list[str]:
    folder.mkdir()
    tool._download(tool.ToolSpec(layout=SitePaths(site="acme"), platform="linux/amd64",
                                 python=("3.11",), carry="registry", config={}, index=index),
                   pinned, folder)
    return [path.name for path in folder.iterdir()]


def test_the_tools_wheels_take_the_proxy_and_pip_cert(
        proxy: Proxy, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = on_pypi(mirror)
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(SourceError, match="ssl certificate"):
        download(pinned, tmp_path / "untrusted")
    monkeypatch.setenv("PIP_CERT", str(proxy.ca))
    assert download(pinned, tmp_path / "wheels") == ["doit-1.0-py3-none-any.whl"]
    assert "pypi.org /simple/doit/" in proxy.seen


def test_the_tools_wheels_come_from_the_sites_place_for_pypi(
        proxy: Proxy, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = on_pypi(mirror, mirror.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert download(pinned, tmp_path / "wheels", f"{mirror.url}/simple/") == [
        "doit-1.0-py3-none-any.whl"]
    assert proxy.seen == []


def test_what_pip_installs_comes_from_there_too_and_leaves_nothing_else(
        proxy: Proxy, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As batch:cli has it; the login is in none of the files."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    place = mirror.url.replace("://", "://ann:secret@")
    pip.fetch(["install", "--no-compile", "--target", tmp_path / "packages"],
              on_pypi(mirror, mirror.url), index=f"{place}/simple/", what="it", where="here")
    assert (tmp_path / "packages/doit.py").is_file()
    assert not [path for path in tmp_path.rglob("*")
                if path.is_file() and b"secret" in path.read_bytes()]
    assert proxy.seen == []


def test_the_project_s_own_environment_takes_proxy_and_index_of_pip(
        proxy: Proxy, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./doit` in a fresh clone: by the proxy, then from a mirror."""
    for by, host in (("proxy", "https://files.pythonhosted.org"), ("mirror", mirror.url)):
        clone = tmp_path / f"clone-by-{by}"
        clone.mkdir()
        shutil.copy(ROOT / "doit", clone)
        (clone / "requirements.txt").write_text(on_pypi(mirror, host))
        monkeypatch.setenv("PIP_CERT", str(proxy.ca))
        if by == "mirror":
            monkeypatch.setenv("PIP_INDEX_URL", f"{mirror.url}/simple/")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        done = subprocess.run([clone / "doit", "list"], check=False, text=True,
                              capture_output=True, cwd=clone)
        assert done.stdout == "this doit came from the index\n", done.stderr
    assert proxy.seen == ["pypi.org /simple/doit/",
                          "files.pythonhosted.org /packages/doit-1.0-py3-none-any.whl"]


def resolved(folder: Path, central: str | None = None) -> list[str]:
    """The jars that Maven brings into an empty repository of its own."""
    maven.resolve(JAR, folder / "out/lib", log=folder / "log", repository=folder / "repository",
                  environment=os.environ, central=central)
    return [path.name for path in (folder / "out/lib").iterdir()]


@pytest.fixture
def central(mirror: Mirror, runtime: runtimes.Runtime) -> Mirror:
    """Maven Central, as far as this project needed it: the repository that a real run filled."""
    machine.need_namespaces()
    del runtime
    mirror.folder = MAVEN
    return mirror


def test_maven_takes_the_proxy_of_the_environment_and_the_users_truststore(
        central: Mirror, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads no HTTPS_PROXY by itself; the login of the proxy is no argument, nor in a file."""
    proxy.upstream = {"repo.maven.apache.org": f"{central.url.removeprefix('http://')}"}
    central.folder = tmp_path / "served"
    central.folder.mkdir()
    (central.folder / "maven2").symlink_to(MAVEN)
    proxy.asks_login = True
    login, trust = LOGIN.replace("@", "%40"), tmp_path / "trust/inspecting.jks"
    monkeypatch.setenv("HTTPS_PROXY", proxy.at(login))
    trust.parent.mkdir()
    typed = re.findall(r"^keytool .*$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    subprocess.run(["sh", "-ec", typed[0].replace("inspecting-ca.crt", str(proxy.ca))
                    .replace("~/.m2/inspecting.jks", str(trust))], check=True, capture_output=True)
    with pytest.raises((SourceError, CommandError)):
        resolved(tmp_path / "untrusted")
    monkeypatch.setenv("MAVEN_OPTS", f"-Djavax.net.ssl.trustStore={trust}")
    assert resolved(tmp_path / "trusted") == ["slf4j-api-2.0.7.jar"]
    assert any("slf4j-api-2.0.7.jar" in line for line in proxy.seen)
    password = LOGIN.partition(":")[2].encode()
    assert not [path for path in (tmp_path / "trusted").rglob("*") if path.is_file()
                and password in path.read_bytes()]


def test_maven_leaves_a_proxy_that_its_settings_name(
        central: Mirror, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del central
    settings = tmp_path / "home/.m2/settings.xml"
    settings.parent.mkdir(parents=True)
    settings.write_text("<settings><proxies><proxy><protocol>http</protocol><host>127.0.0.1</host>"
                        "<port>9</port></proxy></proxies></settings>")
    with pytest.raises(AirlockError, match=r"127\.0\.0\.1"):
        resolved(tmp_path / "named")
    assert proxy.seen == []


def test_maven_takes_the_sites_place_for_maven_central(
        central: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolved(tmp_path, f"{central.url}/") == ["slf4j-api-2.0.7.jar"]
    assert central.asked("/org/slf4j/slf4j-api/2.0.7/slf4j-api-2.0.7.jar") == 1


def test_the_store_takes_the_proxy_and_aws_ca_bundle(
        versity: Path, proxy: Proxy, tmp_path: Path, s3_login: None,
        monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "home/.cache/nf-airlock"
    cache.mkdir(parents=True)
    (cache / versity.parent.name).symlink_to(versity.parent)
    with buckets.gateway(tmp_path / "s3") as served:
        (served.root / "carried").mkdir()
        proxy.upstream = {"s3.example.org": served.endpoint.removeprefix("http://")}
        at = StoreAt(url="s3://carried/airlock", endpoint="https://s3.example.org",
                     region="us-east-1")
        with pytest.raises(AirlockError, match="AWS_CA_BUNDLE"):
            open_store(at).put_bytes("key", b"word")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(proxy.ca))
        store = open_store(at)
        store.put_bytes("key", b"word")
        store.get("key", tmp_path / "key", most=9)
    assert (tmp_path / "key").read_bytes() == b"word"
    assert any(line.startswith("s3.example.org /carried/airlock/key") for line in proxy.seen)


