"""A hundred of the fault schedules; the 500 of the long run are images_schedules.py's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import registries as servers
from tests.kit import registry_schedules as schedules
from tests.kit.registry_proxy import KINDS

COUNT = 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schedules.World]:
    servers.need_programs()
    with schedules.world(tmp_path_factory.mktemp("world")) as made:
        yield made


def test_every_schedule_ends_complete_or_in_a_clear_error(
        world: schedules.World, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = schedules.many(world, range(COUNT))
    with capsys.disabled():
        print(f"\n{schedules.report(outcomes)}")
    assert not [outcome for outcome in outcomes if outcome.wrong]
    met = {kind for outcome in outcomes for kind, count in outcome.met.items() if count}
    assert met >= {*KINDS, "kill -9"}


def test_the_judge_sees_what_is_wrong(world: schedules.World, tmp_path: Path) -> None:
    """Else all of the above would pass whatever the client did."""
    authfile = servers.login_files(tmp_path / "login", [])
    done = schedules.run(world, tmp_path, 10_000, world.target.url, world.source.url, authfile,
                         in_chunks=False)
    done.carry()
    assert not schedules.judge(world, done, 10_000, complete=True)
    base = world.target.data / "docker/registry/v2/repositories/s10000/quay.io/a/two"
    for link in (next(base.glob("_layers/sha256/*/link")),
                 base / "_manifests/tags/1/current/link"):
        kept = link.read_bytes()
        link.unlink()
        assert schedules.judge(world, done, 10_000, complete=True)
        link.write_bytes(kept)
    assert not schedules.judge(world, done, 10_000, complete=True)
