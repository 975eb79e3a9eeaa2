"""Plugins by ranges and without a version: chosen, locked, carried, and taken by a run offline."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files, schema
from tasks.core.archives import limits, unpacking
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import CommandError, SourceError
from tasks.core.nextflow import launch, plugin_pins
from tasks.core.nextflow.environment import Inherited
from tasks.core.nextflow.installed import install
from tasks.plugins.cache import Plugins, cache
from tasks.runtime import build as runtimes
from tests.kit.locks import lock_at
from tests.kit.plugins import MANIFEST, Shop
from tests.kit.web import Web


@pytest.fixture
def shop(web: Web) -> Shop:
    """nf-a from 1.1.0 to 2.0.0, of which 1.3.0 wants a later Nextflow; nf-b, which needs nf-c."""
    shop = Shop(web)
    for version in ("1.1.0", "1.2.0", "1.2.9", "1.2.10", "1.10.0", "2.0.0", "2.1.1-beta"):
        shop.add("nf-a", version, real("nf-a", version))
    shop.add("nf-a", "1.3.0", real("nf-a", "1.3.0"), requires=">=99.01.0")
    shop.add("nf-b", "0.5.0", real("nf-b", "0.5.0", needs="nf-c@>=1.0.0 & <2.0.0"))
    for version in ("1.4.0", "2.0.0"):
        shop.add("nf-c", version, real("nf-c", version))
    return shop


def real(plugin: str, version: str, needs: str = "") -> bytes:
    """A plugin that Nextflow loads, and which does nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), "".join((
            "Manifest-Version: 1.0\n", f"Plugin-Id: {plugin}\n", f"Plugin-Version: {version}\n",
            "Plugin-Provider: nobody\n", "Plugin-Requires: >=24.04.0\n",
            f"Plugin-Dependencies: {needs}\n" if needs else "")))
    return out.getvalue()


def spec(root: Path, web: Web, declared: Sequence[str], **changes: Any) -> Plugins:
    files.write_json(root / "resolved.json", {
        "pipeline": "p", "profile": "test", "isolation": "none",
        "config": {"params": {}, "plugins": list(declared)}})
    files.write_json(root / "data.manifest.json", {
        "pipeline": "p", "profile": "test", "declared": [], "sheets": [], "files": [],
        "params": {}})
    files.write_tar(root / "nextflow.tar", Path(), [], extra={"nextflow/readme": b""})
    values: dict[str, Any] = {
        "pipeline": "p", "nextflow": "24.10.5", "urls": {}, "by_hand": (), "relock": False,
        "at": PluginsAt(index=f"{web.url}/plugins.json"), "resolved": root / "resolved.json",
        "runtime": root / "nextflow.tar", "data_manifest": root / "data.manifest.json",
        "listed": root / "plugins.txt", "archive": root / "plugins.tar",
        "lock": lock_at(root / "locks", "plugins"), "merged": root / "plugins.lock.json", **changes}
    return Plugins(**values)


@pytest.mark.parametrize(("asked", "chosen"), [
    ("~1.2.0", "1.2.10"), ("~1.2", "1.2.10"), ("~1", "1.10.0"), ("^1.2", "1.10.0"),
    (">=1.0", "2.0.0"), (">=1.0 & <2", "1.10.0"), (">1.2.9 & <=1.10", "1.10.0"), ("1.2", "1.2.10"),
    ("1.x", "1.10.0"), ("1.2.*", "1.2.10"), ("1.+", "1.10.0"), (">=1.2, <1.10", "1.2.10"),
    ("1.1 - 1.2.9", "1.2.9"), ("!(>=1.2)", "1.1.0"), ("=1.1.0 | ~2.0", "2.0.0"), ("*", "2.0.0"),
    ("~2.1", "2.1.1-beta"), (None, "2.0.0"), ("1.2.0", "1.2.0")])
def test_the_newest_that_fits_is_chosen_and_locked(tmp_path: Path, web: Web, shop: Shop,
                                                   asked: str | None, chosen: str) -> None:
    declared = [f"nf-a@{asked}" if asked else "nf-a"]
    cache(spec(tmp_path, web, declared))
    assert (tmp_path / "plugins.txt").read_text() == f"nf-a@{chosen}\n"
    entry, = schema.read_json(tmp_path / "plugins.lock.json", "plugins-lock")["plugins"]
    assert entry.get("asked") == (None if asked == chosen else asked or "*")
    shop.add("nf-a", "1.2.99", real("nf-a", "1.2.99"))
    shop.add("nf-a", "2.0.99", real("nf-a", "2.0.99"))
    cache(spec(tmp_path, web, declared))
    assert (tmp_path / "plugins.txt").read_text() == f"nf-a@{chosen}\n"


def test_a_lock_that_no_longer_fits_is_not_kept(tmp_path: Path, web: Web, shop: Shop) -> None:
    cache(spec(tmp_path, web, ["nf-a@~1.2"]))
    cache(spec(tmp_path, web, ["nf-a@^1.2"], relock=True))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.10.0\n"
    assert cache(spec(tmp_path, web, ["nf-a@~1.1"])) == (
        "nf-a@1.1.0: nextflow.config, which asks for ~1.1")


@pytest.mark.parametrize(("asked", "said"), [
    ("~1.3", r"no version of ~1\.3 that fits Nextflow 24\.10\.5 of nf-a"),
    (">=9", "no version of >=9"), ("1.3", r"no version of 1\.3"), ("7.0.0", r"no version 7\.0\.0"),
    ("newest", "is no plugin with a version or a range"), ("~", "is no plugin with"),
    ("(1.2", "is no plugin with"), ("1.2 or so", "is no plugin with")])
def test_what_nothing_fits_is_said(tmp_path: Path, web: Web, shop: Shop, asked: str,
                                   said: str) -> None:
    with pytest.raises(SourceError, match=said):
        cache(spec(tmp_path, web, [f"nf-a@{asked}"]))


def test_a_registry_is_asked_for_the_range_as_nextflow_does(tmp_path: Path, web: Web,
                                                           shop: Shop) -> None:
    asked = "/api/v1/plugins/dependencies"
    web.files[asked] = (b'{"plugins": ' + web.files["/plugins.json"].replace(
        b'"url": "', f'"url": "{web.url}/'.encode()) + b"}")
    cache(spec(tmp_path, web, ["nf-a@~1.2"], at=PluginsAt(registry=f"{web.url}/api")))
    assert (tmp_path / "plugins.txt").read_text() == "nf-a@1.2.10\n"
    assert web.queries[asked] == ["plugins=nf-a%40%7E1.2&nextflowVersion=24.10.5".replace(
        "%7E", "~")]


@pytest.mark.parametrize("declared", [["nf-a@~1.2", "nf-b"], ["nf-a", "nf-b@~0.5.0"],
                                      ["nf-a@>=1.0 & <2", "nf-b@0.5.0"]])
def test_the_real_nextflow_runs_with_them_offline(
        runtime: runtimes.Runtime, tmp_path: Path, web: Web, shop: Shop,
        declared: list[str]) -> None:
    """It ends without the pins, and takes just what the lock says with them."""
    cache(spec(tmp_path, web, declared))
    locked = schema.read_json(tmp_path / "plugins.lock.json", "plugins-lock")["plugins"]
    pins = tmp_path / "pins.config"
    pins.write_text("\n".join(plugin_pins.read(tmp_path / "plugins.lock.json")))
    started = run(runtime.archive, tmp_path / "with", declared, (pins,))
    assert started == {f"{entry['id']}@{entry['version']}" for entry in locked}
    assert {"nf-b@0.5.0", "nf-c@1.4.0"} < started
    with pytest.raises(CommandError):
        run(runtime.archive, tmp_path / "without", declared, ())


def run(archive: Path, folder: Path, declared: Sequence[str], configs: tuple[Path, ...],
        ) -> set[str]:
    """Run a pipeline that declares these plugins, by what was carried; those that were started."""
    files.write_text(folder / "code/main.nf", "workflow {}\n")
    files.write_text(folder / "code/nextflow.config", "plugins {\n" + "".join(
        f"  id '{plugin}'\n" for plugin in declared) + "}\nprofiles { test {}\n offline {} }\n")
    files.write_json(folder / "params.json", {})
    nextflow = install(archive, folder / "runtime", home=folder / "home",
                       inherited=Inherited.of(os.environ))
    unpacking.unpack_tar(folder.parent / "plugins.tar", nextflow.home / "plugins",
                         allowed=limits.PLUGINS)
    ready = launch.Launch(
        nextflow=nextflow, code=folder / "code", tree=folder / "configs", configs=configs,
        params=folder / "params.json", host_params=folder / "host.params.json", folder=folder)
    launch.run(ready, profile="test", log=folder / "run.log", options=[])
    detail = (folder / "run.nextflow.log").read_text()
    return set(re.findall(r"Start plugin '?([a-z-]+@[0-9.]+)", detail)) or set(re.findall(
        r"Plugin started ([a-z-]+@[0-9.]+)", detail))
