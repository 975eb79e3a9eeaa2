"""AIRLOCK_CONFIG: what of a user's own configuration wins, where it is written, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from doit.exceptions import TaskFailed

from tasks.commands.add import add
from tasks.commands.doctor import doctor
from tasks.commands.site import site
from tasks.core import config_places, files, lock_files
from tasks.core.config.load import load
from tasks.core.config.settings import Config
from tasks.core.errors import ConfigError
from tasks.core.graph import rooms
from tasks.core.graph.commands import Typed
from tasks.core.graph.deferred import loaded
from tasks.core.graph.doits import no_task
from tasks.core.paths import PipelinePaths
from tasks.release import checkout, prune_graph
from tasks.release.tool import site_file
from tests.kit import users
from tests.kit.graph import Build
from tests.kit.project import ROOT


@pytest.fixture
def own(project: Path, tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration of one's own, whose folder's name has blanks: a site and a pipeline."""
    folder = tmp_path_factory.mktemp("of") / "our lab"
    for part in ("sites", "pipelines"):
        (folder / part).mkdir(parents=True)
    raw = yaml.safe_load(Path("config/sites/local.yml").read_text())
    raw.pop("sandbox")
    files.write_text(folder / "sites/lab.yml", yaml.safe_dump({
        **raw, "pipelines": ["weigh"], "registry": {**raw["registry"], "ca": "ca.crt"},
        "store": {"url": "carried"}}))
    weigh = yaml.safe_load(Path("config/pipelines/hello.yml").read_text())
    files.write_text(folder / "pipelines/weigh.yml", yaml.safe_dump(
        {**weigh, "source": "code/weigh"}))
    shutil.copytree("examples/hello", folder / "code/weigh")
    monkeypatch.setenv("AIRLOCK_CONFIG", str(folder))
    yield folder
    config_places.use(None)


def run(config: Config, name: str) -> None:
    """Run one step of the graph by itself."""
    steps = {":".join(filter(None, (task["basename"], task.get("name")))): task
             for task in rooms.tasks(config)}
    call, arguments = steps[name]["actions"][0]
    result = call(*arguments)
    assert not isinstance(result, TaskFailed), result


def test_sites_and_pipelines_of_both_folders_are_there(own: Path) -> None:
    config = load({"pipeline": "weigh"})
    assert config.site.name == "lab"  # its only site is the one that is meant
    assert config_places.names("sites") == ["lab", "local"]
    assert {"demo", "hello", "weigh"} <= {*config_places.names("pipelines")}
    assert load({"site": "local"}).site.name == "local"
    assert load({"site": "lab", "pipeline": "hello"}).pipelines[0].source == "examples/hello"


def test_a_file_of_ones_own_wins_and_what_it_hides_is_shown(
        own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = yaml.safe_load(Path("config/pipelines/hello.yml").read_text())
    files.write_text(own / "pipelines/hello.yml", yaml.safe_dump({**raw, "run": "stub"}))
    files.write_text(own / "offline.config", "docker.enabled = true\n")
    assert load({"pipeline": "hello"}).pipelines[0].run == "stub"
    assert config_places.offline_config() == own / "offline.config"
    assert config_places.engine("docker") == Path("config/engines/docker.config")
    hidden = [f"{own}/{name} is used, and hides the bundled config/{name}"
              for name in ("pipelines/hello.yml", "offline.config")]
    doctor(Typed(words=(), variables={"pipeline": "hello"}, options={"json": True}))
    lines = [line["text"] for line in json.loads(capsys.readouterr().out)["findings"]
             if line["check"] == "config"]
    assert lines == [f"{own}/sites/lab.yml, for hello", *hidden]
    run(load({"pipeline": "hello"}), "dev:contents")
    assert capsys.readouterr().out.endswith("\n\n" + "\n".join(hidden) + "\n")


def test_without_it_nothing_is_said_and_all_is_the_bundled(
        own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load({"pipeline": "weigh"})
    monkeypatch.delenv("AIRLOCK_CONFIG")
    assert load({}).site.name == "local"
    assert (config_places.own(), config_places.shadows()) == (None, [])
    assert str(PipelinePaths(site="lab", pipeline="hello").locks("code").shared) == (
        "config/locks/hello/code.json")
    with pytest.raises(ConfigError, match="there is no pipeline 'weigh'") as caught:
        load({"pipeline": "weigh"})
    assert "config/pipelines/NAME.yml" in str(caught.value)


def test_paths_in_a_file_are_those_of_its_repository(
        own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load({"pipeline": "weigh"})
    assert config.site.ca == own / "ca.crt"
    assert config.site.store.folder == own / "carried"
    assert config.site.signing.key.is_absolute()
    assert config.pipelines[0].code.is_folder
    assert config.pipelines[0].source == str(own / "code/weigh")
    monkeypatch.setenv("AIRLOCK_REGISTRY_CA", "typed.crt")  # typed here, so it is of here
    assert load({"pipeline": "weigh"}).site.ca == Path("typed.crt")
    assert load({"site": "local", "pipeline": "hello"}).site.store.url == "build/local/store"


@pytest.mark.parametrize("kept", ["git@example.org:lab/weigh.git", "~/code/weigh",
                                  "https://example.org/weigh.git", "/srv/weigh"])
def test_what_is_no_relative_path_stays_as_it_is(kept: str) -> None:
    raw = {"source": kept, "configs": {"source": "in/here"}, "hosts": {"folders": ["a", "/b"]}}
    keys = ("source", "configs.source", "hosts.folders", "not.there", "source.deeper")
    assert config_places.rebased(raw, keys, Path("/x y")) == {
        "source": kept, "configs": {"source": "/x y/in/here"},
        "hosts": {"folders": ["/x y/a", "/b"]}}


def test_no_path_of_this_machine_is_carried(own: Path, project: Path) -> None:
    """A release of the same files has the same bytes, wherever the configuration lies."""
    files.write_text(own / "offline.config", "docker.enabled = true\n")
    config = load({"pipeline": "weigh"})
    run(config, "stage:weigh")
    at = PipelinePaths(site="lab", pipeline="weigh")
    assert json.loads(at.code_manifest.read_bytes())["source"] == "code/weigh"
    files.write_json(at.images_receipt, {"registry": "h:1", "images": []})
    files.write_json(at.images_scan, {"images": [], "processes": [], "selectors": []})
    files.write_json(at.lock("plugins"), {"plugins": []})
    run(config, "config:weigh")
    rendered = at.offline_config.read_text()
    assert "edit $AIRLOCK_CONFIG/offline.config and config/engines/docker.config instead" in (
        rendered)
    assert str(own) not in rendered + at.code_manifest.read_text()


def test_steps_hang_on_the_files_that_are_used(own: Path, project: Path) -> None:
    files.write_text(own / "offline.config", "docker.enabled = true\n")

    def states() -> dict[str, str]:
        build = Build(list(rooms.tasks(load({"pipeline": "weigh"}))), project / "state.db")
        if not (project / "state.db.done").exists():
            build.declare_done()
            (project / "state.db.done").touch()
        return {name: state for name, state in build.states().items() if name.endswith(":weigh")}

    assert "stale" not in states().values()
    files.write_text(project / "config/offline.config", "// the next version's\n")
    assert "stale" not in states().values()
    files.write_text(own / "offline.config", "docker.enabled = true\ntrace.enabled = false\n")
    assert {name for name, state in states().items() if state == "stale"} == {
        "config:weigh", "config:load:weigh", "reach:weigh"}
    (own / "offline.config").unlink()  # the bundled one again
    assert {"config:weigh", "reach:weigh"} <= {
        name for name, state in states().items() if state == "stale"}


def test_locks_lie_where_the_site_or_the_pipeline_does(own: Path) -> None:
    load({"pipeline": "weigh"})

    def place(site: str, pipeline: str) -> Path:
        return PipelinePaths(site=site, pipeline=pipeline).locks("code").shared

    assert place("lab", "weigh") == own / "locks/weigh/code.json"
    assert place("lab", "hello") == own / "locks/hello/code.json"
    assert place("local", "weigh") == own / "locks/weigh/code.json"
    assert place("local", "hello") == Path("config/locks/hello/code.json")


def test_a_lock_that_comes_along_holds_until_there_is_one_of_ones_own(own: Path) -> None:
    load({"pipeline": "hello"})
    at = PipelinePaths(site="lab", pipeline="hello").locks("runtime")
    files.copy(ROOT / "config/locks/hello/runtime.json", Path("config/locks/hello/runtime.json"))
    shared, mine = lock_files.read_both(at, "runtime-lock")
    assert shared and (shared["version"], mine) == ("24.10.5", None)
    files.write_json(at.shared, {**shared, "version": "24.10.6"})
    again, _ = lock_files.read_both(at, "runtime-lock")
    assert again and again["version"] == "24.10.6"


def test_commands_write_there(own: Path, capsys: pytest.CaptureFixture[str],
                              monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("examples/hello", own / "code/count")
    assert add(Typed(words=(str(own / "code/count"),))) == 0
    printed = capsys.readouterr().out
    assert f"wrote {own}/pipelines/count.yml" in printed
    assert f"git -C '{own}' add pipelines/count.yml" in printed
    assert "and locks/count/ once that ran" in printed
    raw = yaml.safe_load((own / "pipelines/count.yml").read_text())
    assert raw["source"] == "code/count"
    assert load({"pipeline": "count"}).pipelines[0].source == str(own / "code/count")
    monkeypatch.setenv("HOME", str(own.parent))
    answers = {"engine": "apptainer", "store": "/srv/store", "key": "~/key", "makekey": "1",
               "pipelines": "count"}
    assert site(Typed(words=("clinic",), variables=answers)) == 0
    assert f"{own}/sites/clinic.yml is written" in capsys.readouterr().out
    assert {path.stem for path in Path("config").glob("*/c*.yml")} == {"chromapipe"}
    assert site(Typed(words=("third",), variables={**answers, "key": str(own / "key")})) == 2
    assert "is in the configuration's repository, where no secret belongs" in (
        capsys.readouterr().err)


def test_the_first_file_can_be_written_into_an_empty_folder(
        project: Path, tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("new")
    monkeypatch.setenv("AIRLOCK_CONFIG", str(folder))
    with pytest.raises(ConfigError, match="there is no configuration in it"):
        load({})
    assert add(Typed(words=("examples/hello",), variables={"name": "first"})) == 0
    assert load({"pipeline": "first"}).pipelines[0].source == str(project / "examples/hello")


@pytest.mark.parametrize(("make", "fault", "todo"), [
    (lambda place: None, "there is no such folder", "correct AIRLOCK_CONFIG"),
    (lambda place: place.write_text(""), "this is no folder", "correct AIRLOCK_CONFIG"),
    (lambda place: (place / "config/sites").mkdir(parents=True), "there is no configuration in it",
     "to do: AIRLOCK_CONFIG={place}/config"),
    (lambda place: place.mkdir(), "none of sites, pipelines", "doit site NAME")])
def test_a_folder_that_can_be_none_is_refused(
        project: Path, monkeypatch: pytest.MonkeyPatch, make: object, fault: str,
        todo: str) -> None:
    place = project / "other place"
    make(place)  # type: ignore[operator]
    monkeypatch.setenv("AIRLOCK_CONFIG", str(place))
    with pytest.raises(ConfigError, match=fault) as caught:
        load({})
    assert f"AIRLOCK_CONFIG: {place}" in str(caught.value)
    assert todo.format(place=place) in str(caught.value)


@pytest.mark.parametrize(("name", "fault"), [
    ("build/lab", "may be removed at any time"), ("link", "may be removed at any time"),
    ("config", "comes with the project"), (".", "comes with the project"),
    ("a\nb", "can't be shown")])
def test_a_folder_that_is_no_place_for_it_is_refused(
        project: Path, monkeypatch: pytest.MonkeyPatch, name: str, fault: str) -> None:
    (project / "build/lab/sites").mkdir(parents=True)
    (project / "link").symlink_to("build/lab")
    monkeypatch.setenv("AIRLOCK_CONFIG", name)
    with pytest.raises(ConfigError, match=fault):
        load({})


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: only root starts another user's process")
def test_a_folder_that_the_user_may_not_read_is_refused(project: Path) -> None:
    with users.open_folder() as place:
        closed = place / "closed"
        (closed / "sites").mkdir(parents=True)
        closed.chmod(0o700)
        with pytest.raises(ConfigError, match="may not read the folder"):
            users.act(lambda: config_places.checked(str(closed)), users.NOBODY, here=place)


def test_it_is_said_in_dotenv_too_and_never_read_offline(
        own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRLOCK_CONFIG")
    Path(".env").write_text(f"AIRLOCK_CONFIG='{own}'\n")
    assert load({}).site.name == "lab"
    assert load({"role": "prod"}).site.name == "local"  # which reads no .env
    monkeypatch.setenv("AIRLOCK_CONFIG", str(own))
    assert load({"role": "prod"}).site.name == "lab"  # in a checkout, it is typed there
    files.write_json(Path("tool.json"), {
        "kind": "tool", "id": "0123456789ab", "site": "local",
        "wheels": [{"name": "a-1-py3-none-any.whl", "sha256": "0" * 64, "size": 1}]})
    assert load({}).site.name == "local"  # the tool brings its own
    assert config_places.own() is None


def test_errors_name_the_file_that_is_meant(own: Path) -> None:
    path = own / "sites/lab.yml"
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**raw, "colour": "blue"}))
    with pytest.raises(ConfigError, match="colour") as caught:
        load({})
    assert str(path) in str(caught.value)
    path.write_text(yaml.safe_dump({**raw, "images": {"carry": "files"}}))
    with pytest.raises(ConfigError) as caught:
        load({})
    assert caught.value.where == f"images.carry in {path}"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match="there is no site 'labb'; did you mean 'lab'") as caught:
        load({"site": "labb"})
    assert caught.value.where == f"config/sites/NAME.yml and {own}/sites/NAME.yml"
    load({})
    assert no_task("weigh", ["list"]).todo == "doit pipeline=weigh"


def test_the_commit_that_counts_is_that_of_its_repository(own: Path, project: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", own.parent, *words],
            check=True, capture_output=True, text=True).stdout.strip()

    load({})
    assert checkout.of_configuration().commit is None
    git("init", "-q")
    (own.parent / "beside").write_text("no matter")
    git("add", own.name)
    git("commit", "-qm", "the lab's configuration")
    at = checkout.of("weigh")  # a folder of a repository will do
    assert (at.commit, at.changed) == (git("rev-parse", "HEAD"), ())
    assert at.follows(at.commit or "")
    (own / "sites/other.yml").write_text("")
    assert len(checkout.of_configuration().changed) == 1
    assert checkout.of(None).commit is None  # the tool is this project, which is no repository here


def test_what_the_offline_host_gets_is_its_site(own: Path) -> None:
    """The tool carries the site in its own words: no path of the configuration comes along."""
    from tasks.release.graph import offline_site
    text = site_file(offline_site(load({}).site)).decode()
    assert yaml.safe_load(text)["pipelines"] == ["weigh"]
    assert str(own.parent) not in text.replace(str(own / "carried"), "")


def test_other_sites_that_mirror_to_the_same_place_are_those_of_both_folders(own: Path) -> None:
    raw = yaml.safe_load((own / "sites/lab.yml").read_text())
    for name, store in (("local", "elsewhere"), ("twin", "carried")):  # twin has the same store
        files.write_text(own / f"sites/{name}.yml", yaml.safe_dump({
            **raw, "store": {"url": store}, "registry": {**raw["registry"], "prefix": name}}))
    spec = loaded(prune_graph._images(load({"site": "lab", "pipeline": "weigh"})))
    assert [place.rpartition("/")[2] for place in spec.others] == ["local"]
