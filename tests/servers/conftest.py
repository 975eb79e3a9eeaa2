"""What several of these tests need: a web server, and the real Nextflow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.source import resolved_config
from tasks.runtime import build as runtimes
from tests.kit import aws, buckets, own_site, registries, tls
from tests.kit import hostile as pipelines
from tests.kit.aws import Front
from tests.kit.locks import lock_at
from tests.kit.own_site import OwnSite
from tests.kit.project import MAVEN, ROOT
from tests.kit.registry_memory import Memory, serve
from tests.kit.web import Web, serving


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds between attempts, so that five of them take no time."""
    monkeypatch.setattr("tasks.core.net.request.backoff", lambda attempt: 0.005)


@pytest.fixture
def bucket_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some credentials for a bucket, and none of this machine's own."""
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"),
                        ("CONFIG_FILE", str(tmp_path / "none")),
                        ("SHARED_CREDENTIALS_FILE", str(tmp_path / "none")),
                        ("EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.fixture(scope="session")
def versity() -> Path:
    """The S3 server's program, built before a test has a home folder of its own."""
    return buckets.program()


@pytest.fixture(scope="session")
def s3_server(versity: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Gateway]:
    """A server with buckets for all tests: each has one of its own there."""
    with buckets.gateway(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3_login(bucket_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login that such servers take, in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", buckets.ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", buckets.SECRET)


@pytest.fixture(params=["folder", "bucket"])
def store_at(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAt:
    """An empty store of each kind."""
    if request.param == "folder":
        return StoreAt(url=str(tmp_path / "store"))
    request.getfixturevalue("s3_login")
    server: buckets.Gateway = request.getfixturevalue("s3_server")
    name = f"b{abs(hash(tmp_path)) % 10**12}"
    (server.root / name).mkdir()
    return StoreAt(url=f"s3://{name}/some/prefix", endpoint=server.endpoint, region="us-east-1")


@pytest.fixture
def far() -> Iterator[Memory]:
    """A registry in memory, which notes what it is asked."""
    with serve(Memory()) as memory:
        yield memory


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server of the test's own."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def nexus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registries.Server]:
    """A real registry with TLS and a password; its certificates lie beside its data."""
    registries.need_programs()
    root = tmp_path_factory.mktemp("nexus")
    _, crt, key = tls.certificates(root / "tls")
    with registries.registry(root, tls=(crt, key), htpasswd=registries.passwords(root)) as server:
        yield server


@pytest.fixture
def own(tmp_path: Path, nexus: registries.Server, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> OwnSite:
    """A site of one's own that works, in the current folder."""
    return own_site.make(tmp_path / "project", nexus, monkeypatch, capsys)


@pytest.fixture(scope="session")
def shared_front() -> Iterator[Front]:
    """What stands in for AWS, for all tests that ask it."""
    with aws.standing_in() as front:
        yield front


@pytest.fixture
def empty_aws(shared_front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Front:
    """AWS without anything in it, asked with credentials from an empty folder."""
    for name, value in aws.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    shared_front.reset()
    return shared_front


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> runtimes.Runtime:
    """hello's runtime, built once by the real step with the real Maven, held against its lock."""
    folder = tmp_path_factory.mktemp("runtime")
    lock = lock_at(folder / "locks", "runtime")
    files.copy(ROOT / "config/locks/hello/runtime.json", lock.shared)
    raw = yaml.safe_load((ROOT / "config/pipelines/hello.yml").read_text())["nextflow"]
    spec = runtimes.Runtime(
        pipeline="hello", version=raw["version"], coordinates=tuple(raw["coordinates"]),
        archive=folder / f"nextflow-{raw['version']}.tar", sums=folder / "sums",
        jars=folder / "jars.json", lock=lock, log=folder / "maven.log", relock=False,
        repository=MAVEN, environment=os.environ)
    runtimes.build(spec)
    return spec


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web, runtime: runtimes.Runtime,
            quick: None, capfd: pytest.CaptureFixture[str]) -> Iterator[pipelines.Hostile]:
    """A hostile pipeline and a user with credentials: after the test none has got anywhere."""
    for name, value in pipelines.plant(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    made = pipelines.make(tmp_path, web.url, runtime.archive)
    yield made
    own = [made.secret, *files.tree(tmp_path / "home")]
    assert pipelines.holding(tmp_path, pipelines.SECRET, apart_from=own) == []
    printed = capfd.readouterr()
    assert pipelines.SECRET not in printed.out + printed.err
    assert not [seen for seen in web.seen if pipelines.SECRET in str(seen) or seen[2]]


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `resolve` hands to later steps, where the real Nextflow isn't what is tested."""
    config: dict[str, Any] = {"params": {}}
    monkeypatch.setattr(resolved_config, "config", lambda *_: config)
    return config


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The params that the config resolves to; one test below asks the real Nextflow."""
    code = tmp_path / "project"
    (code / "assets").mkdir(parents=True)
    (code / "assets/local.fa").write_text(">a\nACGT\n")
    values: dict[str, Any] = {}

    @contextlib.contextmanager
    def opened(*_: object) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield code, {"params": values}

    monkeypatch.setattr(resolved_config, "opened", opened)
    return values
