"""The bundled pipeline's whole way, with the organisation's registry on port 443 and none named."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.kit import machine
from tests.kit.project import Project, copy

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = copy(tmp_path_factory.mktemp("crossing443"), number=43)
    site = project.site()
    del site["registry"]["port"]
    project.write_site(site)
    try:
        project.doit()
        yield project
    finally:
        project.doit("sandbox:down", check=False)


def test_the_offline_host_pulls_and_runs_by_the_hosts_name_alone(crossed: Project) -> None:
    """Docker finds the CA and the login for it, and Nextflow takes the name as it is."""
    host = crossed.site()["registry"]["host"]
    build = crossed.root / "build/local"
    receipt = json.loads((build / "hello/images.receipt.json").read_bytes())
    assert receipt["registry"] == host
    assert all(image["destination"].startswith(f"{host}/") for image in receipt["images"])
    config = (build / "hello/offline.config").read_text()
    assert f"docker.registry = '{host}'" in config
    for image in receipt["images"]:
        assert f"'{image['destination']}@{image['digest']}'" in config
    login = json.loads((build / "sandbox/host/trust/config.json").read_bytes())
    assert [*login["auths"]] == [host]
    crossing = json.loads((build / "hello/crossing.json").read_bytes())
    assert crossing["isolated"] is True
    assert crossing["results"]
    assert all(probe["refused"] for probe in crossing["probes"])
