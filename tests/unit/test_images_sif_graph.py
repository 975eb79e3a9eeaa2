"""A site whose releases carry image files: no registry is named, asked or waited for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.commands import doctor_online
from tasks.commands.site import site as write_site
from tasks.core.config.load import load
from tasks.core.errors import ConfigError, ImageError
from tasks.core.graph import rooms
from tasks.core.graph.commands import Typed
from tasks.dev import resolved
from tasks.doctor.checks import examine
from tasks.release.graph import offline_site
from tests.kit.graph import Build

ASKS_THE_REGISTRY = {"images:plan", "images:mirror", "images:verify", "dev:smoke", "push:smoke",
                     "batch:config"}
DEPOT = "https://depot.example.org/"


def write(project: Path, engine: str = "apptainer", **keys: Any) -> Path:
    """The local site without a registry, for this engine; a key that is None goes."""
    path = project / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    raw["offline"]["engine"] = engine
    raw |= {"registry": None, "sandbox": None, **keys}
    path.write_text(yaml.safe_dump({key: value for key, value in raw.items()
                                    if value is not None}))
    return path


@pytest.fixture
def files_site(project: Path) -> Path:
    write(project)
    return project


def steps(role: str = "online") -> dict[str, dict[str, Any]]:
    return {task["basename"]: task for task in rooms.tasks(load({"role": role}))
            if task.get("name")}


def test_image_files_are_made_and_released_and_nothing_asks_a_registry(files_site: Path) -> None:
    online = steps()
    assert not ASKS_THE_REGISTRY & set(online)
    root = "build/local/hello"
    assert f"{root}/sif.json" in online["images:sif"]["targets"]
    for step in ("release", "push:release", "config", "dev:validate"):
        assert f"{root}/sif.json" in online[step]["file_dep"]
    for task in online.values():
        assert f"{root}/images.receipt.json" not in task["file_dep"]
    group = next(task for task in rooms.tasks(load({})) if task["basename"] == "images")
    assert group["task_dep"][-1] == "images:sif"
    build = Build(list(rooms.tasks(load({}))), files_site / "state.db")
    build.declare_done()  # everything that a step needs is made by some step
    assert set(build.states().values()) <= {"fresh", "-"}


def test_the_library_is_the_tools_and_the_bootstraps_and_of_image_files_alone(
        files_site: Path) -> None:
    """prod:fetch reads it, too, each time."""
    def build() -> Build:
        return Build([task for role in ("online", "prod") for task in
                      rooms.tasks(load({"role": role}))], files_site / "state.db")

    build().declare_done()
    path = files_site / "config/sites/local.yml"
    raw = yaml.safe_load(path.read_text())
    raw["offline"]["library"] = "/srv/library"
    path.write_text(yaml.safe_dump(raw))
    schema = json.loads(Path("schemas/site.schema.json").read_bytes())
    readers = schema["properties"]["offline"]["properties"]["library"]["x-readers"]
    assert {name.removesuffix(":hello") for name, state in build().states().items()
            if state == "stale" and name != "prod"} == {*readers}
    assert offline_site(load({}).site)["offline"]["library"] == "/srv/library"
    for engine, place, said in (("docker", "/srv/library", "there is no library of them"),
                                ("apptainer", "library", r"offline\.library")):
        raw["offline"] |= {"engine": engine, "library": place}
        path.write_text(yaml.safe_dump({**raw, "registry": {"host": "10.0.0.1"}}))
        with pytest.raises(ConfigError, match=said):
            load({})


def test_archives_that_nothing_would_load_are_not_offered(files_site: Path) -> None:
    assert not {"images:save", "images:sign", "config:load"} & set(steps())


def test_an_engine_that_pulls_has_no_use_for_image_files(project: Path) -> None:
    assert "images:sif" not in steps()
    with pytest.raises(ConfigError, match="runs no image files"):
        write(project, "docker", images={"carry": "files"})
        load({})


@pytest.mark.parametrize(("keys", "said"), [
    ({"engine": "podman"}, "need the organisation's registry"),
    ({"engine": "docker", "images": {"carry": "store"}}, "need the organisation's registry"),
    ({"images": {"platforms": "all"}}, "an image file is for one platform"),
    ({"images": {"carry": "registry"}}, "runs image files, which releases carry")])
def test_only_image_files_need_no_registry(project: Path, keys: dict[str, Any],
                                           said: str) -> None:
    write(project, **keys)
    with pytest.raises(ConfigError, match=said):
        load({})


def test_the_tool_carries_no_registry_and_is_a_site(files_site: Path) -> None:
    carried = offline_site(load({}).site)
    assert "registry" not in carried
    assert carried["offline"]["engine"] == "apptainer"
    path = files_site / "config/sites/local.yml"
    path.write_text(yaml.safe_dump(carried))
    assert load({"role": "prod"}).site.registry is None


def test_the_releases_say_why_there_was_no_smoke_run(files_site: Path) -> None:
    promote, = (task for task in rooms.tasks(load({}))
                if task["basename"] == "release:promote" and task.get("name"))
    assert promote["actions"][0][1][2].no_smoke == (
        "the release carries image files for apptainer, which no engine on this side runs")


def test_what_an_administrator_gets_asks_for_no_login(
        files_site: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(files_site, signing={"key": str(tmp_path / "key"), "identity": "us", "create": True})
    assert write_site(Typed(words=("local",), variables={})) == 0
    folder = Path("build/local/trust")
    assert {path.name for path in folder.iterdir()} == {"allowed_signers", "INSTALL.txt"}
    assert "login" not in (folder / "INSTALL.txt").read_text()
    printed = capsys.readouterr().out
    assert "docker login" not in printed
    assert "images:plan" not in printed


def test_the_doctor_asks_no_registry(files_site: Path) -> None:
    checks = [check for check in doctor_online.checks(load({}))
              if check.name in ("registry", "engine", "proxies")]
    said = {finding.check: finding.text for finding in examine(checks)}
    assert said["registry"] == "releases carry image files, so no registry is asked"
    assert "no engine is asked" in said["engine"]


@pytest.mark.parametrize(("container", "fault"), [
    (f"{DEPOT}a:1", None),
    (f"{DEPOT}b:1", f"sets {DEPOT}b:1, which is not of the mirror"),
    (f"{{ [ '{DEPOT}a:1': '{DEPOT}a:1', 'q/c:1': 'quay.io/q/c@sha256:{'0' * 64}'][named] }}", None),
    (f"{{ [ '{DEPOT}a:1': '{DEPOT}a:1', 'x': '{DEPOT}b:1'][named] }}",
     f"sets {DEPOT}b:1, which is not of the mirror")])
def test_validate_knows_image_files_also_in_a_choice(container: str, fault: str | None) -> None:
    pinned = f"quay.io/q/c@sha256:{'0' * 64}"
    subject = resolved.Resolved(
        config={"apptainer": {"enabled": True}, "process": {
            "withName:(?:(.*:)?(TOOL))": {"container": container}}},
        scan={"processes": [{"name": "TOOL", "aliases": [], "container": f"{DEPOT}a:1",
                             "file": "main.nf", "line": 1}], "selectors": []},
        mirrored={f"{DEPOT}a:1": f"{DEPOT}a:1", "quay.io/q/c:1": pinned}, findings=[], plugins=[],
        folders=[], runtime="24.10.5")
    if fault is None:
        assert resolved.containers(subject).startswith("1 processes")
    else:
        with pytest.raises(ImageError, match="which is not of the mirror") as caught:
            resolved.containers(subject)
        assert fault in str(caught.value)
