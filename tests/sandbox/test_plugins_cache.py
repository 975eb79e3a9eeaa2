"""Plugins from a real web server, for a config that the real Nextflow resolves."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, nextflow, schema
from tasks.core.errors import ConfigError, IntegrityError, SourceError
from tasks.plugins.cache import Plugins, cache
from tasks.runtime import maven
from tests.sandbox.web import Web

MANIFEST = "classes/META-INF/MANIFEST.MF"


def zipped(plugin: str, version: str, needs: str = "", **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(MANIFEST, f"Plugin-Id: {plugin}\nPlugin-Version: {version}\n"
                         + (f"Plugin-Dependencies: {needs}\n" if needs else ""))
        for name, content in more.items():
            archive.writestr(name, content)
    return out.getvalue()


class Shop:
    """A plugin index on the web server."""

    def __init__(self, web: Web) -> None:
        self.web, self.releases = web, dict[str, list[dict[str, Any]]]()
        self.publish()

    def add(self, plugin: str, version: str, data: bytes | None = None,
            **changes: Any) -> bytes:
        """Offer a release, in the place of one of the same version; returns the zip."""
        data = zipped(plugin, version) if data is None else data
        name = f"{plugin}-{version}.zip"
        self.web.files[f"/{name}"] = data
        others = [each for each in self.releases.get(plugin, []) if each["version"] != version]
        self.releases[plugin] = [*others, {
            "version": version, "url": name, "date": "2024-01-01T00:00:00Z",
            "requires": ">=24.04.0", "sha512sum": hashlib.sha512(data).hexdigest(), **changes}]
        self.publish()
        return data

    def publish(self) -> None:
        self.web.files["/plugins.json"] = json.dumps(
            [{"id": key, "releases": value} for key, value in self.releases.items()]).encode()


@pytest.fixture
def shop(web: Web) -> Shop:
    return Shop(web)


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plugins that the config resolves to; one test below asks the real Nextflow."""
    told: list[str] = []

    @contextlib.contextmanager
    def resolved(*_: object, **__: object) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield tmp_path, {"plugins": told} if told else {}

    monkeypatch.setattr(nextflow, "resolved", resolved)
    return told


def spec(root: Path, web: Web, **changes: Any) -> Plugins:
    values: dict[str, Any] = {
        "pipeline": "p", "nextflow": "24.10.5",
        "index": f"{web.url}/plugins.json", "code": root / "code.tar",
        "runtime": root / "runtime.tar", "listed": root / "plugins.txt",
        "archive": root / "plugins.tar", "lock": root / "locks/plugins.json",
        "log": root / "log", "relock": False, **changes}
    return Plugins(**values)


def names(root: Path) -> list[str]:
    with tarfile.open(root / "plugins.tar") as tar:
        return tar.getnames()


def test_pinned_plugins_are_cached_sorted_and_locked(tmp_path: Path, web: Web, shop: Shop,
                                                     wanted: list[str]) -> None:
    shop.add("nf-b", "1.0.0")
    data = shop.add("nf-a", "2.0.0")
    wanted += ["nf-b@1.0.0", "nf-a@2.0.0"]
    cache(spec(tmp_path, web))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@2.0.0\nnf-b@1.0.0\n"
    assert names(tmp_path) == [f"nf-a-2.0.0/{MANIFEST}", f"nf-b-1.0.0/{MANIFEST}"]
    lock = schema.read_json(tmp_path / "locks/plugins.json", "plugins-lock")["plugins"]
    assert lock[0] == {"id": "nf-a", "version": "2.0.0", "url": f"{web.url}/nf-a-2.0.0.zip",
                       "sha256": hashlib.sha256(data).hexdigest(),
                       "sha512": hashlib.sha512(data).hexdigest()}
    before = (tmp_path / "plugins.tar").read_bytes()
    cache(spec(tmp_path, web))
    assert (tmp_path / "plugins.tar").read_bytes() == before


def test_an_unpinned_plugin_keeps_its_locked_version_until_relock(
        tmp_path: Path, web: Web, shop: Shop, wanted: list[str]) -> None:
    shop.add("nf-a", "1.0.0")
    wanted += ["nf-a"]
    cache(spec(tmp_path, web))
    shop.add("nf-a", "1.1.0")
    cache(spec(tmp_path, web))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.0.0\n"
    cache(spec(tmp_path, web, relock=True))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.1.0\n"


def test_changed_bytes_are_refused_with_both_digests(tmp_path: Path, web: Web, shop: Shop,
                                                     wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    first = hashlib.sha256(shop.add("nf-a", "1.0.0")).hexdigest()
    cache(spec(tmp_path, web))
    second = hashlib.sha256(
        shop.add("nf-a", "1.0.0", zipped("nf-a", "1.0.0", evil=b"x"))).hexdigest()
    with pytest.raises(SourceError) as caught:
        cache(spec(tmp_path, web))
    assert all(each in str(caught.value) for each in (first, second, "relock=1"))
    cache(spec(tmp_path, web, relock=True))
    assert "nf-a-1.0.0/evil" in names(tmp_path)


def test_the_index_s_checksum_must_fit_even_with_relock(tmp_path: Path, web: Web, shop: Shop,
                                                        wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    shop.add("nf-a", "1.0.0", sha512sum="0" * 128)
    with pytest.raises(IntegrityError, match="not what the index says"):
        cache(spec(tmp_path, web, relock=True))
    assert not (tmp_path / "plugins.tar").exists()
    assert not (tmp_path / "locks").exists()


def test_without_a_checksum_only_the_lock_can_vouch(tmp_path: Path, web: Web, shop: Shop,
                                                    wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    shop.add("nf-a", "1.0.0")
    cache(spec(tmp_path, web))
    shop.add("nf-a", "1.0.0", sha512sum=None)
    cache(spec(tmp_path, web))
    with pytest.raises(IntegrityError, match=r"no sha512sum of nf-a@1\.0\.0"):
        cache(spec(tmp_path, web, lock=tmp_path / "none.json"))


def test_a_zip_that_holds_another_plugin_is_refused(tmp_path: Path, web: Web, shop: Shop,
                                                    wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    shop.add("nf-a", "1.0.0", zipped("nf-a", "0.9.0"))
    with pytest.raises(IntegrityError, match=r"holds nf-a@0\.9\.0"):
        cache(spec(tmp_path, web))


def test_a_missing_dependency_is_named(tmp_path: Path, web: Web, shop: Shop,
                                       wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    shop.add("nf-a", "1.0.0", zipped("nf-a", "1.0.0", needs="nf-c@>=1.0, nf-d?@1.0"))
    with pytest.raises(SourceError, match=r"nf-a-1\.0\.0 needs nf-c@>=1\.0") as caught:
        cache(spec(tmp_path, web))
    assert "nf-d" not in str(caught.value)


def test_no_plugins_ask_nobody(tmp_path: Path, web: Web, wanted: list[str]) -> None:
    cache(spec(tmp_path, web))
    assert web.seen == []
    assert (tmp_path / "plugins.txt").read_bytes() == b""
    files.unpack_tar(tmp_path / "plugins.tar", tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_an_index_that_breaks_its_schema_is_refused(tmp_path: Path, web: Web, shop: Shop,
                                                    wanted: list[str]) -> None:
    wanted += ["nf-a"]
    shop.add("nf-a", "../../1.0.0")
    with pytest.raises(ConfigError, match=r"releases\.0\.version"):
        cache(spec(tmp_path, web))


def test_the_real_nextflow_tells_the_plugins(tmp_path: Path, web: Web, shop: Shop,
                                             runtime: maven.Runtime) -> None:
    shop.add("nf-a", "1.0.0")
    shop.add("nf-b", "1.0.0")
    source = tmp_path / "source"
    files.write_text(source / "main.nf", "workflow {}\n")
    files.write_text(source / "nextflow.config",
                     "plugins {\n  id 'nf-a@1.0.0'\n  id 'nf-b'\n}\n")
    files.write_tar(tmp_path / "code.tar", source, files.tree(source))
    cache(spec(tmp_path, web, runtime=runtime.archive))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.0.0\nnf-b@1.0.0\n"
