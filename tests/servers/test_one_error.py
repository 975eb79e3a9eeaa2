"""A fault of a server is one error with a cure, however many transfers or steps meet it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, ImageError, SourceError, StoreError
from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.data.mirror import mirror
from tasks.images.destination import Destination
from tasks.images.lock import lock_images
from tasks.offline_host.fetch import fetch
from tests.kit import buckets, image_steps, registries
from tests.kit.data import PUBLIC, data_spec
from tests.kit.registry_memory import Answer, Memory, Request
from tests.kit.releases import stage
from tests.kit.web import Web


@pytest.mark.usefixtures("quick")
def test_a_wrong_password_for_many_images_is_told_once(far: Memory, tmp_path: Path) -> None:
    host = far.url.removeprefix("http://")
    authfile = registries.login_files(tmp_path / "auth", [host])

    def spoil(request: Request) -> Answer | None:
        return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""

    far.spoil = spoil
    images = [f"{host}/lab/tool{number}:1" for number in range(9)]
    at = image_steps.steps(tmp_path, images, Access(
        registries={host: far.url}, ca=None, authfile=authfile,
        network=Network().naming(far.url)), Destination(address=host))
    with pytest.raises(ImageError, match="9 images can't be locked") as caught:
        lock_images(at.lock)
    said = str(caught.value)
    assert said.count("wrong user or password") == 1
    assert said.count("docker login") == 1
    assert all(image in said for image in images)


@pytest.mark.usefixtures("quick", "params")
def test_a_host_that_is_gone_is_told_once_for_all_its_files(
        tmp_path: Path, web: Web, params: dict[str, object]) -> None:
    params |= {f"file{number}": f"https://gone.example.org/{number}.fa" for number in range(7)}
    reach = data_spec(tmp_path, web).source.reach
    spec = data_spec(tmp_path, web, reach=dataclasses.replace(reach, prefixes={
        "https://gone.example.org/": "http://127.0.0.1:1/"}))
    with pytest.raises(SourceError, match="7 of 7 files can't be had") as caught:
        mirror(spec)
    assert str(caught.value).count("no answer from") == 1
    assert "and 6 more files there" in str(caught.value)


def test_files_that_a_server_lacks_are_all_named(
        tmp_path: Path, web: Web, params: dict[str, object]) -> None:
    params |= {f"file{number}": f"{PUBLIC}{number}.fa" for number in range(5)}
    with pytest.raises(SourceError, match="5 of 5 files can't be had") as caught:
        mirror(data_spec(tmp_path, web))
    assert all(f"{PUBLIC}{number}.fa" in str(caught.value) for number in range(5))


def test_a_store_that_goes_away_is_told_once_on_both_sides(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_login: None) -> None:
    monkeypatch.setattr("tasks.core.store.s3_client.ATTEMPTS", 1)
    monkeypatch.chdir(tmp_path)
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "bucket").mkdir()
        staged = dataclasses.replace(stage(), store=StoreAt(
            url="s3://bucket/p", endpoint=running.endpoint, region="us-east-1"))
        staged.publish()
        staged.trust_key()
        for path in (running.root / "bucket/p/blobs").rglob("*"):
            if path.is_file() and path.name != "release.json":
                path.unlink()
        with pytest.raises(AirlockError) as caught:
            fetch(staged.fetch_spec())
    said = str(caught.value)
    assert said.count("the store lacks a file") == 1, said
    assert " more: " in said
    with pytest.raises(StoreError, match="no connection to the store") as lost:
        staged.publish()
    assert str(lost.value).count("no connection") == 1
    assert "store.endpoint" in str(lost.value)
