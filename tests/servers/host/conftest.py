"""A local site that is up, for all tests of its servers, its offline host and its crossing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.core.config import load
from tasks.local_site import servers
from tasks.local_site.plan import Plan, SiteSpec, plan
from tests.kit import machine
from tests.kit.project import Project, copy


@pytest.fixture(scope="session")
def local_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    if machine.no_host():
        pytest.skip(machine.no_host())
    return copy(tmp_path_factory.mktemp("local"), number=41)


@pytest.fixture(scope="session")
def spec(local_project: Project) -> Iterator[SiteSpec]:
    """The local site of that project, up."""
    with pytest.MonkeyPatch.context() as here:
        here.chdir(local_project.root)
        # The tests' own interpreter is looked for too, whatever its version.
        site = SiteSpec(site=replace(load.load({}).site,
                                     python=("3.10", "3.11", "3.12", "3.13")))
        servers.up(site)
    try:
        yield site
    finally:
        with pytest.MonkeyPatch.context() as here:
            here.chdir(local_project.root)
            servers.down(site)


@pytest.fixture
def part(spec: SiteSpec, local_project: Project, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of the running site, in whose project we stand: what a test broke is mended."""
    monkeypatch.chdir(local_project.root)
    servers.up(spec)
    return plan(spec.site)
