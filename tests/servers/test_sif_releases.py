"""Releases with image files: compared, carried by disk, pruned, measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.commands.space import SpaceSpec, space
from tasks.core import files
from tasks.core.errors import HostError, IntegrityError
from tasks.core.schema import read_json
from tasks.core.store.store import open_store
from tasks.core.trust import published, signature
from tasks.data.mirror import PlanSpec
from tasks.dev import validate
from tasks.dev.validate import ValidateSpec
from tasks.images.sif import make_sifs
from tasks.release import prune
from tests.kit import carrying, faults, pruning, release_pairs, sifs
from tests.kit import registries as servers
from tests.kit.data import data_spec
from tests.kit.images import layer
from tests.kit.registries import Server
from tests.kit.releases import VERSION
from tests.kit.sifs import DEPOT, Site
from tests.kit.web import Web, near

ONE, OTHER, DIRECT = "quay.io/lab/count:1.0", "quay.io/lab/count:1.1", f"{DEPOT}s/map:0.7--0"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Server]:
    servers.need_programs()
    with servers.registry(tmp_path / "source") as server:
        for name in (ONE, OTHER):
            servers.add_image(server, name, [layer({"bin/count": name.encode()})])
        yield server


@pytest.fixture
def site(tmp_path: Path, source: Server, web: Web, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    web.files["/s/map:0.7--0"] = sifs.sif(tmp_path)
    made = Site(source=source, web=web)
    signature.ready(made.staged.signing.key, create=True, identity="airlock")
    made.staged.trust_key()
    return made


def publish(site: Site, *images: str) -> str:
    site.make(*images)
    return site.release()


def keys(site: Site) -> set[str]:
    return set(open_store(site.staged.store).list("blobs/"))


def test_a_release_is_compared_by_its_images(site: Site) -> None:
    first, second = publish(site, ONE, DIRECT), publish(site, OTHER)
    content = release_pairs.report(release_pairs.spec(site.staged, first, second))
    assert release_pairs.rows_of(content)["images"] == {
        ("changed", "quay.io/lab/count"), ("gone", DIRECT)}
    spec = release_pairs.spec(site.staged, second, "now", fresh=(
        "images:lock", "mirror:data", "plugins:cache", "reach"))
    assert spec.now is not None
    now = replace(spec, now=replace(spec.now, images=None, engine="apptainer", toggles=(
        sifs.ROOT / "config/offline.config"), engine_toggles=(
            sifs.ROOT / "config/engines/apptainer.config")))
    for part in ("config", "images"):
        assert release_pairs.parts(release_pairs.report(now))[part]["differs"] is False


def test_it_is_carried_by_disk_without_archives(site: Site) -> None:
    publish(site, ONE, DIRECT)
    carrying.push_tool(site.staged)
    # With archives, as a site asks that has gone back to an engine which pulls.
    assert site.staged.id() in carrying.carry(site.staged, "stick", archives=Path("none"))
    listed = carrying.verified(Path("stick"), site.staged.trust)
    for source in (ONE, DIRECT):
        entry = site.listed()[source]
        assert f"blobs/sha256/{entry['sha256']}/{entry['file']}" in listed


def test_a_prune_takes_the_image_files_that_no_release_names(site: Site) -> None:
    publish(site, ONE, DIRECT)
    gone, kept = site.listed()[ONE], site.listed()[DIRECT]
    publish(site, OTHER, DIRECT)
    assert {f"blobs/sha256/{entry['sha256']}/{entry['file']}" for entry in (gone, kept)} <= (
        keys(site))
    prune.apply(pruning.spec(site.staged.store))
    prune.apply(pruning.spec(site.staged.store))
    assert f"blobs/sha256/{gone['sha256']}/{gone['file']}" not in keys(site)
    assert f"blobs/sha256/{kept['sha256']}/{kept['file']}" in keys(site)


def test_a_release_of_files_names_nothing_in_a_registry(site: Site) -> None:
    publish(site, ONE)
    store = open_store(site.staged.store)
    release, = published.releases(store)
    assert published.images(store, release) == {"images": []}


def test_the_room_for_what_is_fetched_and_made_is_asked_for(
        site: Site, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    at = site.staged.layout
    site.lock(ONE, DIRECT)
    data = data_spec(Path(), web)
    files.write_json(Path("resolved.json"), read_json(at.resolved, "resolved"))
    files.write_bytes(Path("code.tar"), at.code.read_bytes())
    spec = SpaceSpec(
        pipeline="hello", images=None, lock=at.lock("images"), layout=at.of_site.blobs,
        sifs=at.of_site.sifs, runtime=at.runtime(VERSION), store=Path("store"), near=(),
        data=PlanSpec(pipeline="hello", selection=data.selection, source=data.source,
                      report=Path("data.plan.json")))
    space(spec)
    said = capsys.readouterr().out
    assert "1 image files" in said.splitlines()[0]
    assert "image files that are made of it" in said
    site.lay_out()
    make_sifs(site.sif_spec)
    fresh = replace(spec, data=replace(spec.data, source=data_spec(Path(), web).source))
    space(fresh)
    assert "image files that are made of it" not in capsys.readouterr().out
    monkeypatch.setattr("tasks.core.disk.free_at", lambda folder: 10)
    at.of_site.sifs.joinpath(next(at.of_site.sifs.iterdir()).name).unlink()
    again = replace(spec, data=replace(spec.data, source=data_spec(Path(), web).source))
    with pytest.raises(HostError, match="image files that are made"):
        space(again)


def test_validate_reads_every_image_file(site: Site) -> None:
    site.make(ONE, DIRECT)
    spec = ValidateSpec(
        pipeline="hello", profile="test", runtime=VERSION, layout=site.staged.layout,
        registry=None, carry="files", store=site.staged.store, network=near())
    assert validate.image_files(spec).startswith("2 by their files")
    faults.flip(site.file(DIRECT))
    site.file(ONE).unlink()
    with pytest.raises(IntegrityError, match="missing or changed") as caught:
        validate.image_files(spec)
    for source in (ONE, DIRECT):
        assert site.listed()[source]["sha256"] in str(caught.value)
