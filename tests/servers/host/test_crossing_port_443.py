"""The bundled pipeline's whole way, with the registry's port and the plugin's version left open.

The organisation's registry is on port 443, which nothing names; the plugin is asked for by a range.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.paths import SitePaths
from tasks.local_site import host
from tasks.local_site.plan import State
from tests.kit import machine
from tests.kit.project import Project, copy

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = copy(tmp_path_factory.mktemp("crossing443"), number=43)
    site = project.site()
    del site["registry"]["port"]
    project.write_site(site)
    config = project.root / "examples/hello/nextflow.config"
    config.write_text(config.read_text().replace("nf-airlock-hello@1.0.0", "nf-airlock-hello@~1.0"))
    try:
        project.doit()
        yield project
    finally:
        project.doit("sandbox:down", check=False)


def test_the_offline_host_pulls_and_runs_by_the_hosts_name_alone(crossed: Project) -> None:
    """Docker finds the CA and the login for it, and Nextflow takes the name as it is."""
    registry = crossed.site()["registry"]["host"]
    build = crossed.root / "build/local"
    receipt = json.loads((build / "hello/images.receipt.json").read_bytes())
    assert receipt["registry"] == registry
    assert all(image["destination"].startswith(f"{registry}/") for image in receipt["images"])
    config = (build / "hello/offline.config").read_text()
    assert f"docker.registry = '{registry}'" in config
    for image in receipt["images"]:
        assert f"'{image['destination']}@{image['digest']}'" in config
    login = json.loads((build / "sandbox/host/trust/config.json").read_bytes())
    assert [*login["auths"]] == [registry]
    crossing = json.loads((build / "hello/crossing.json").read_bytes())
    assert crossing["isolated"] is True
    assert crossing["results"]
    assert all(probe["refused"] for probe in crossing["probes"])


def test_the_run_offline_takes_the_plugin_that_was_locked(crossed: Project) -> None:
    build = crossed.root / "build/local"
    assert (build / "hello/plugins.txt").read_text() == "nf-airlock-hello@1.0.0\n"
    assert "    id 'nf-airlock-hello@1.0.0'\n" in (build / "hello/offline.config").read_text()
    marks = [*(build / "sandbox/host/disk/hello/airlock/runs").rglob("airlock_mark.txt")]
    assert [mark.read_text().startswith("airlock:") for mark in marks] == [True]


def test_the_release_crosses_by_disk_too(crossed: Project, monkeypatch: pytest.MonkeyPatch,
                                         tmp_path: Path) -> None:
    """README.txt of the carried folder, typed on the host; then the one command of the tool."""
    monkeypatch.chdir(crossed.root)
    disk = SitePaths(site="local").sandbox / "host/disk"
    state = State.read(SitePaths(site="local").sandbox)

    def typed(folder: str, script: str) -> str:
        return host.run_inside("local", ["bash", "-ec", script], cwd=host.HOME / folder, env={
            "PATH": host.path_with(Path(state.python_prefix)), "HOME": str(host.HOME)})

    for folder, part in (("stick", ()), ("discs", ("part=20MB",))):
        crossed.doit("carry:hello", f"to={tmp_path / folder}", *part)
        shutil.copytree(tmp_path / folder, disk / folder)
    page = (disk / "stick/README.txt").read_text()
    first = next(text for text in page.partition("THE FIRST TIME")[2].split("\n\n")
                 if text.startswith("ssh-keygen"))
    said = typed("stick", first)
    assert "prod:take" in said
    assert "done   prod:run:hello" in said
    tool = json.loads((crossed.root / "build/local/tool/tool.json").read_text())["id"]
    again = typed(f"airlock-{tool}/airlock",
                  f"./doit role=prod from={host.HOME}/discs pipeline=hello")
    assert "files verified" in again
    assert "fresh  prod:run:hello" in again
