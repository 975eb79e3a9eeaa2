"""Plugins from a real web server, for a config that the real Nextflow resolves."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, schema
from tasks.core.archives import unpacking
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import ConfigError, IntegrityError, SourceError
from tasks.core.lock_files import LockFiles
from tasks.plugins import index
from tasks.plugins.cache import Plugins, cache
from tasks.resolve.resolve import ResolveSpec, resolve
from tasks.runtime import build as runtimes
from tests.kit.locks import lock_at
from tests.kit.plugins import MANIFEST, Shop, zipped
from tests.kit.web import Web, serving


@pytest.fixture
def shop(web: Web) -> Shop:
    return Shop(web)


@pytest.fixture
def wanted(resolved: dict[str, Any]) -> list[str]:
    """The plugins that the config names."""
    plugins: list[str] = []
    resolved["plugins"] = plugins
    return plugins


def spec(root: Path, web: Web, **changes: Any) -> Plugins:
    values: dict[str, Any] = {
        "pipeline": "p", "nextflow": "24.10.5",
        "at": PluginsAt(index=f"{web.url}/plugins.json"), "urls": {}, "by_hand": (),
        "resolved": root / "resolved.json", "runtime": made(root / "nextflow-24.10.5.tar"),
        "data_manifest": root / "data.manifest.json", "listed": root / "plugins.txt",
        "archive": root / "plugins.tar", "lock": lock_at(root / "locks", "plugins"),
        "merged": root / "plugins.lock.json", "relock": False, **changes}
    files.write_json(root / "data.manifest.json", {
        "pipeline": "p", "profile": "test", "declared": [], "sheets": [], "files": [],
        "params": {"vep_cache": {"kind": "none", "was": "s3://x/y"}}})
    return Plugins(**values)


def made(path: Path) -> Path:
    """A runtime archive whose jar names the plugins that it was made with."""
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as opened:
        opened.writestr("META-INF/plugins-info.txt", "nf-amazon@2.9.2\nnf-wave@1.7.4\n")
    files.write_tar(path, Path(), [], extra={
        "nextflow-24.10.5/lib/other.jar": b"no zip",
        "nextflow-24.10.5/lib/nextflow-24.10.5.jar": jar.getvalue()})
    return path


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
    lock = schema.read_json(tmp_path / "plugins.lock.json", "plugins-lock")["plugins"]
    assert lock[0] == {"id": "nf-a", "version": "2.0.0", "url": f"{web.url}/nf-a-2.0.0.zip",
                       "because": "nextflow.config", "sha256": hashlib.sha256(data).hexdigest(),
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
    assert all(part in str(caught.value) for part in (first, second, "relock=1"))
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
        cache(spec(tmp_path, web, lock=lock_at(tmp_path / "none", "plugins")))


def test_a_zip_that_holds_another_plugin_is_refused(tmp_path: Path, web: Web, shop: Shop,
                                                    wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    shop.add("nf-a", "1.0.0", zipped("nf-a", "0.9.0"))
    with pytest.raises(IntegrityError, match=r"holds nf-a@0\.9\.0"):
        cache(spec(tmp_path, web))


def test_what_a_plugin_depends_on_is_carried_too(tmp_path: Path, web: Web, shop: Shop,
                                                 wanted: list[str]) -> None:
    wanted += ["nf-a@1.0.0"]
    shop.add("nf-a", "1.0.0", zipped("nf-a", "1.0.0", needs="nf-c@>=1.0 & <2, nf-d?@1.0"))
    for version in ("0.9.0", "1.1.0", "2.0.0"):
        shop.add("nf-c", version, zipped("nf-c", version, needs="nf-e"))
    shop.add("nf-e", "3.0.0", zipped("nf-e", "3.0.0", needs="nf-a"))
    message = cache(spec(tmp_path, web))
    assert message == ("nf-a@1.0.0: nextflow.config\nnf-c@1.1.0: nf-a depends on it\n"
                       "nf-e@3.0.0: nf-c depends on it")
    wanted += ["nf-b@1.0.0"]
    shop.add("nf-b", "1.0.0", zipped("nf-b", "1.0.0", needs="nf-z@>=1"))
    with pytest.raises(SourceError, match="no plugin 'nf-z'"):
        cache(spec(tmp_path, web))


def test_what_nextflow_loads_unseen_is_of_the_runtime_s_own_version(
        tmp_path: Path, web: Web, shop: Shop, resolved: dict[str, Any]) -> None:
    """s3:// that stays asks for nf-amazon, and what the release sets to null does not."""
    for name, version in (("nf-amazon", "2.9.2"), ("nf-amazon", "3.0.0"), ("nf-wave", "1.7.4")):
        shop.add(name, version)
    resolved["params"] = {"vep_cache": "s3://x/y", "outdir": "results"}
    assert cache(spec(tmp_path, web)) == "no plugins"
    resolved["params"]["model"] = "s3://x/z"
    assert cache(spec(tmp_path, web)) == "nf-amazon@2.9.2: s3:// in params.model"
    resolved |= {"params": {}, "wave": {"enabled": True},
               "process": {"withLabel:big": {"executor": "awsbatch"}}}
    assert cache(spec(tmp_path, web)) == ("nf-amazon@2.9.2: process.executor awsbatch\n"
                                          "nf-wave@1.7.4: wave.enabled")
    resolved.clear()
    assert cache(spec(tmp_path, web, by_hand=("nf-amazon",))) == (
        "nf-amazon@2.9.2: plugins in the pipeline's config")


def test_a_registry_answers_as_an_index_does(tmp_path: Path, web: Web, shop: Shop,
                                             wanted: list[str]) -> None:
    """In the form of Nextflow 25.10: what is asked for, with its version, in one request."""
    wanted += ["nf-a@1.0.0", "nf-b"]
    shop.add("nf-a", "1.0.0")
    shop.add("nf-b", "2.0.0")
    web.files["/api/v1/plugins/dependencies"] = json.dumps({"plugins": [
        {"id": name, "projectUrl": "x", "provider": "y",
         "releases": [{**release, "url": f"{web.url}/{release['url']}"} for release in releases]}
        for name, releases in shop.releases.items()]}).encode()
    made_of = spec(tmp_path, web, at=PluginsAt(registry=f"{web.url}/api"))
    cache(made_of)
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.0.0\nnf-b@2.0.0\n"
    assert web.asked("/plugins.json") == 0
    assert web.queries["/api/v1/plugins/dependencies"] == [
        "plugins=nf-a%401.0.0%2Cnf-b&nextflowVersion=24.10.5"]
    for answer, said in ((b"<html>", "a web page came"), (b"<xml>", "did not answer in JSON"),
                         (b"[" * 100_000, "did not answer in JSON")):
        web.files["/api/v1/plugins/dependencies"] = answer
        with pytest.raises(SourceError, match=said):
            cache(made_of)


def test_the_registry_is_asked_for_what_the_index_lacks_alone(
        tmp_path: Path, web: Web, shop: Shop, wanted: list[str]) -> None:
    shop.add("nf-own", "1.0.0", zipped("nf-own", "1.0.0", needs="nf-public"))
    public = zipped("nf-public", "2.0.0")
    web.files["/public.zip"] = public
    web.files["/api/v1/plugins/dependencies"] = json.dumps({"plugins": [
        {"id": "nf-public", "releases": [{
            "version": "2.0.0", "url": f"{web.url}/public.zip", "requires": ">=24.04.0",
            "sha512sum": hashlib.sha512(public).hexdigest()}]}]}).encode()
    both = PluginsAt(index=f"{web.url}/plugins.json", registry=f"{web.url}/api")
    wanted += ["nf-own@1.0.0"]
    cache(spec(tmp_path, web, at=both))
    assert (tmp_path / "plugins.txt").read_text() == "nf-own@1.0.0\nnf-public@2.0.0\n"
    assert web.queries["/api/v1/plugins/dependencies"] == [
        "plugins=nf-public&nextflowVersion=24.10.5"]


def test_a_registry_that_can_t_answer_is_told_with_what_it_was_asked_for(
        tmp_path: Path, web: Web, shop: Shop, wanted: list[str]) -> None:
    shop.add("nf-own", "1.0.0", zipped("nf-own", "1.0.0"))
    wanted += ["nf-own@1.0.0", "nf-public@2.0.0"]
    for registry in (f"{web.url}/api", "http://127.0.0.1:1/api"):
        with pytest.raises(SourceError) as caught:
            cache(spec(tmp_path, web, at=PluginsAt(index=f"{web.url}/plugins.json",
                                                   registry=registry)))
        assert (f"asked for nf-public, which the site's index lacks: {web.url}/plugins.json"
                in str(caught.value))


def test_no_plugins_ask_nobody(tmp_path: Path, web: Web, resolved: dict[str, Any]) -> None:
    cache(spec(tmp_path, web))
    assert web.seen == []
    assert (tmp_path / "plugins.txt").read_bytes() == b""
    unpacking.unpack_tar(tmp_path / "plugins.tar", tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_an_index_that_breaks_its_schema_is_refused(tmp_path: Path, web: Web, shop: Shop,
                                                    wanted: list[str]) -> None:
    wanted += ["nf-a"]
    shop.add("nf-a", "../../1.0.0")
    with pytest.raises(ConfigError, match=r"releases\.0\.version"):
        cache(spec(tmp_path, web))


def test_the_real_nextflow_names_the_plugins(tmp_path: Path, web: Web, shop: Shop,
                                             runtime: runtimes.Runtime) -> None:
    shop.add("nf-a", "1.0.0")
    shop.add("nf-b", "1.0.0")
    source = tmp_path / "source"
    files.write_text(source / "main.nf", "workflow {}\n")
    files.write_text(source / "nextflow.config",
                     "plugins {\n  id 'nf-a@1.0.0'\n  id 'nf-b'\n}\nprofiles { test {} }\n")
    files.write_tar(tmp_path / "code.tar", source, files.tree(source))
    resolve(ResolveSpec(
        pipeline="p", profile="test", given={}, code=tmp_path / "code.tar",
        runtime=runtime.archive, output=tmp_path / "resolved.json", log=tmp_path / "log"))
    cache(spec(tmp_path, web, runtime=runtime.archive))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.0.0\nnf-b@1.0.0\n"


def test_what_a_site_s_own_index_has_otherwise_is_locked_for_that_site_alone(
        tmp_path: Path, web: Web, shop: Shop, wanted: list[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the published index is the test's first server, and the site's own the second."""
    monkeypatch.setattr(index, "PUBLISHED", re.compile(re.escape(web.url)))
    for version in ("1.0.0", "1.1.0"):
        shop.add("nf-a", version)
    shop.add("nf-b", "1.0.0")
    wanted += ["nf-a", "nf-b@1.0.0"]
    lock = LockFiles(site="behind", pipeline="p", kind="plugins", root=tmp_path / "locks")
    cache(spec(tmp_path, web))
    before = lock.shared.read_bytes()
    with serving() as own:
        theirs = Shop(own)
        theirs.add("nf-a", "1.0.0")
        theirs.add("nf-b", "1.0.0")
        asked = {"at": PluginsAt(index=f"{own.url}/plugins.json"), "lock": lock}
        with pytest.raises(SourceError) as caught:
            cache(spec(tmp_path, web, **asked))
        assert f"locked: nf-a@1.1.0, in {lock.shared}" in str(caught.value)
        assert "./doit site=behind relock=1 plugins:cache:p" in str(caught.value)
        cache(spec(tmp_path, web, **asked, relock=True))
        entry, = schema.read_json(lock.own, "plugins-lock")["plugins"]
        assert (entry["id"], entry["version"]) == ("nf-a", "1.0.0")
        assert entry["reached_at"] == f"{own.url}/plugins.json"
        assert lock.shared.read_bytes() == before
        cache(spec(tmp_path, web, **asked))
        merged = schema.read_json(tmp_path / "plugins.lock.json", "plugins-lock")["plugins"]
        assert [(one["id"], one["version"]) for one in merged] == [("nf-a", "1.0.0"),
                                                                   ("nf-b", "1.0.0")]
        assert not any("reached_at" in one for one in merged)
        del own.files["/nf-a-1.0.0.zip"]
        with pytest.raises(SourceError, match=r"the zip of nf-a@1\.0\.0 can't be had: 404"):
            cache(spec(tmp_path, web, **asked))
