"""`space`: what comes is told in bytes, what is there is not counted, and a full disk stops it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.commands.space import SpaceSpec, space
from tasks.core import disk
from tasks.core.errors import HostError
from tasks.core.net.network import Network
from tasks.core.process_shared import Shared
from tasks.core.registry.client import Access
from tasks.data.mirror import PlanSpec, mirror
from tasks.images.destination import Destination
from tasks.images.lock import lock_images
from tasks.images.mirror import mirror_images
from tests.kit import image_steps
from tests.kit import registries as servers
from tests.kit.data import PUBLIC, READS, data_spec
from tests.kit.image_steps import Steps
from tests.kit.registries import Server
from tests.kit.web import Web


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[Server]:
    servers.need_programs()
    with servers.registry(tmp_path / "target") as target:
        yield target


@pytest.fixture
def images(tmp_path: Path, destination: Server) -> Iterator[Steps]:
    """One image of some 100 kB, locked."""
    with servers.registry(tmp_path / "source") as source:
        servers.add_image(source, "quay.io/lab/tool:1", [bytes(range(256)) * 400])
        steps = image_steps.steps(tmp_path, ["quay.io/lab/tool:1"], Access(
            registries={"quay.io": f"{source.url}/quay.io", destination.address: destination.url},
            ca=None, authfile=None, network=Network().naming(destination.url)),
            Destination(address=destination.address))
        lock_images(steps.lock)
        yield steps


def spec(root: Path, web: Web, images: Steps) -> SpaceSpec:
    data = data_spec(root, web)
    return SpaceSpec(
        pipeline="p", images=images.plan, lock=images.plan.lock, layout=None,
        runtime=root / "nextflow.tar",
        data=PlanSpec(pipeline="p", selection=data.selection, source=data.source,
                      report=root / "data.plan.json"),
        store=root / "store", near=())


def again(asked: SpaceSpec) -> SpaceSpec:
    """The same in a later run, which has promised nothing yet."""
    source = asked.data.source
    reach = replace(source.reach, network=replace(source.reach.network, shared=Shared()))
    return replace(asked, data=replace(asked.data, source=replace(source, reach=reach)))


def test_what_comes_is_told_and_what_is_there_counts_for_nothing(
        tmp_path: Path, web: Web, params: dict[str, Any], images: Steps,
        capsys: pytest.CaptureFixture[str]) -> None:
    params |= {"fasta": f"{PUBLIC}r.fa.gz"}
    web.files = {"/r.fa.gz": READS}
    asked = spec(tmp_path, web, images)
    assert space(asked).endswith("to fetch, and room for it")
    said = capsys.readouterr().out
    assert "data        2.0 MB to fetch, of 2.0 MB in 1 files" in said
    assert "to fetch, of" in said.splitlines()[0]
    assert f"free at {tmp_path}" in said
    assert web.heads.count("/r.fa.gz") == 1
    assert web.asked("/r.fa.gz") == 0
    mirror(data_spec(tmp_path, web))
    mirror_images(images.mirror)
    assert space(again(asked)) == "0 B to fetch, and room for it"
    assert capsys.readouterr().out.count("    there, ") == 3


@pytest.mark.parametrize(("free", "what"), [(1_000_000, "the store"), (3_000_000, "the store")])
def test_a_disk_without_room_stops_it_before_the_first_byte(
        tmp_path: Path, web: Web, params: dict[str, Any], images: Steps, free: int, what: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    params |= {"fasta": f"{PUBLIC}r.fa.gz"}
    web.files = {"/r.fa.gz": READS}
    monkeypatch.setattr(disk, "free_at", lambda folder: free)
    with pytest.raises(HostError, match=what) as caught:
        space(spec(tmp_path, web, images))
    assert "carry less" in str(caught.value)


def test_the_step_itself_asks_for_room_too(tmp_path: Path, web: Web, params: dict[str, Any],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    params |= {"fasta": f"{PUBLIC}r.fa.gz"}
    web.files = {"/r.fa.gz": READS}
    monkeypatch.setattr(disk, "free_at", lambda folder: 1_000_000)
    with pytest.raises(HostError, match=r"needed are 2\.0 MB for the data that is fetched"):
        mirror(data_spec(tmp_path, web))
    assert web.asked("/r.fa.gz") == 0


def test_what_can_t_be_asked_is_left_to_its_own_step(
        tmp_path: Path, web: Web, params: dict[str, Any], images: Steps,
        capsys: pytest.CaptureFixture[str]) -> None:
    params |= {"fasta": "http://127.0.0.1:9/r.fa.gz"}
    space(spec(tmp_path, web, images))
    assert "data       not known: " in capsys.readouterr().out
