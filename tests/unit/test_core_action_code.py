"""A step is stale when any file has changed that its action runs, and only then."""

from __future__ import annotations

import ast
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.core.graph import action_code
from tasks.core.graph.action_code import ActionCode
from tasks.core.graph.step import module_of
from tests.kit.graph import Build
from tests.unit.test_core_graph import all_tasks

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_STEP = ("tasks/core/graph/", "tasks/core/config/yaml_files.py", "tasks/core/config/load.py",
                "tasks/offline_host/wheels.py", "tasks/offline_host/take_back.py",
                "tasks/commands/", "tasks/doctor/", "tasks/site/",
                "tasks/core/nearest.py", "tasks/code/releases.py", "tasks/local_site/ending.py",
                "tasks/data/locked.py")
"""What runs beside the steps' actions: it loads and runs the graph, tells its end or what it would
move, makes the environment, or is a command of its own."""
WITHOUT_READER = ("schemas/site.schema.json", "schemas/pipeline.schema.json",
                  "schemas/data-plan.schema.json", "schemas/images-plan.schema.json",
                  "schemas/list.schema.json", "schemas/dryrun.schema.json")
"""By which the graph is loaded, whose say stands in the steps' settings; and of files that are
written for other programs alone."""
PASS_IT_ON = ("tasks/core/schema.py", "tasks/core/lock_files.py", "tasks/core/trust/promotions.py")
ELSEWHERE = ("tasks/data/own_samplesheet.py", "tasks/data/private.py")
"""In steps with input=SHEET."""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written are remembered all the same."""
    monkeypatch.setattr(action_code, "SETTLED", -10**18)


def write(root: Path, files: dict[str, str]) -> Path:
    (root / "schemas").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MODULES = {
    "tasks/__init__.py": '"""Nothing to run."""\n',
    "tasks/core/__init__.py": "",
    "tasks/core/deep/__init__.py": "LOADED = True\n",
    "tasks/core/deep/end.py": "END = 1\n",
    "tasks/core/late.py": "from tasks.core.deep.end import END\n",
    "tasks/core/typed.py": "Type = int\n",
    "tasks/core/other.py": "OTHER = 1\n",
    "tasks/room/__init__.py": "",
    "tasks/room/graph.py": "from tasks.room.act import act\n",
    "tasks/room/act.py": "from typing import TYPE_CHECKING\n"
                         "from pathlib import Path\n"
                         "from tasks.core import other\n"
                         "from tasks.core.schema import read_json\n"
                         "if TYPE_CHECKING:\n    from tasks.core.typed import Type\n"
                         "SCRIPT = Path(__file__).with_name('script.nf')\n"
                         "def act(spec):\n"
                         "    import tasks.core.late\n"
                         "    read_json(spec.lock, 'images-lock')\n",
    "tasks/core/schema.py": "def read_json(path, name): ...\n",
    "tasks/room/script.nf": "workflow {}\n",
    "tasks/room/unused.nf": "workflow {}\n",
    "tasks/room/beside.py": "BESIDE = 1\n",
    "schemas/images-lock.schema.json": "{}",
    "schemas/release.schema.json": "{}",
}


def test_what_an_action_runs(tmp_path: Path) -> None:
    code = ActionCode(tmp_path / "cache", write(tmp_path / "project", MODULES))
    assert code.run_by("tasks.room.act") == [
        "schemas/images-lock.schema.json", "tasks/core/deep/__init__.py", "tasks/core/deep/end.py",
        "tasks/core/late.py", "tasks/core/other.py", "tasks/core/schema.py", "tasks/room/act.py",
        "tasks/room/script.nf"]


def test_a_new_module_that_takes_the_place_of_a_name_counts(tmp_path: Path) -> None:
    root = write(tmp_path / "project", MODULES)
    before = ActionCode(tmp_path / "cache", root).digest("tasks.room.act")
    write(root, {"tasks/core/late/__init__.py": ""})  # a package goes before a module
    write(root, {"tasks/core/deep/end/__init__.py": "END = 2\n"})
    assert ActionCode(tmp_path / "cache", root).digest("tasks.room.act") != before


def test_only_what_has_changed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "project", MODULES)
    first = ActionCode(tmp_path / "cache", root).digest("tasks.room.act")
    read: list[str] = []
    content = action_code._content

    def noted(path: Path) -> dict[str, Any]:
        read.append(path.name)
        return content(path)

    monkeypatch.setattr(action_code, "_content", noted)
    assert ActionCode(tmp_path / "cache", root).digest("tasks.room.act") == first
    assert read == []
    path = root / "tasks/core/other.py"
    times = path.stat()
    path.write_text("OTHER = 2\n")  # as many bytes, and the time put back
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert ActionCode(tmp_path / "cache", root).digest("tasks.room.act") != first
    assert read == ["other.py"]


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "project", MODULES)
    monkeypatch.setattr(action_code, "SETTLED", 3600 * 10**9)
    ActionCode(tmp_path / "cache", root).digest("tasks.room.act")
    assert [json.loads(line) for line in (tmp_path / "cache").read_text().splitlines()] == [
        {"state": "", "digests": {}}, {}]


CACHES = {
    "nothing": b"", "no JSON": b"{", "bytes": bytes(range(256)), "a list": b"[]\n[]",
    "deep": b"[" * 10**6, "deep files": b"{}\n" + b'{"a":' * 10**5, "null": b"null\nnull",
    "digests": b'{"state": "", "digests": {"tasks.room.act": 1}}\n{}',
    "entries": b'{}\n{"tasks/room/act.py": 1, "tasks/core/other.py": {"stamp": []}}',
}


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
def test_a_cache_that_is_none_changes_nothing(tmp_path: Path, cache: bytes) -> None:
    root = write(tmp_path / "project", MODULES)
    right = ActionCode(tmp_path / "right", root).digest("tasks.room.act")
    (tmp_path / "cache").write_bytes(cache)
    assert ActionCode(tmp_path / "cache", root).digest("tasks.room.act") == right
    assert (tmp_path / "cache").read_bytes() == (tmp_path / "right").read_bytes()


@pytest.mark.parametrize("field", ["sha256", "imports", "names", "schemas", "is_empty", "stamp"])
@pytest.mark.parametrize("value", [None, 1, "\ud800", [1], [["x"]], {"x": 1}])
def test_an_entry_of_another_form_is_made_again(tmp_path: Path, field: str, value: object) -> None:
    root = write(tmp_path / "project", MODULES)
    right = ActionCode(tmp_path / "cache", root).digest("tasks.room.act")
    entries = json.loads((tmp_path / "cache").read_text().splitlines()[1])
    entries["tasks/room/beside.py"][field] = value  # whatever is believed of it, act.py stands
    (tmp_path / "cache").write_text("{}\n" + json.dumps(entries))
    assert ActionCode(tmp_path / "cache", root).digest("tasks.room.act") == right


def test_what_cannot_be_read_or_written_is_done_without(tmp_path: Path) -> None:
    root = write(tmp_path / "project", MODULES)
    right = ActionCode(tmp_path / "right", root).digest("tasks.room.act")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for name in ("folder", "pipe", "file/cache"):
        assert ActionCode(tmp_path / name, root).digest("tasks.room.act") == right


def test_a_file_makes_stale_the_steps_that_run_it_and_no_other(
        project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each eighth file: all of them take two minutes, and all are looked for in the same way."""
    copy = tmp_path_factory.mktemp("code")
    for name in ("tasks", "schemas"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = Build(all_tasks(), project / "state.db")
    build.dependency.backend.code = ActionCode(project / "code", copy)
    build.declare_done()
    runs = {task.name: set(build.dependency.backend.code.run_by(module_of(task.actions[0].args[1])))
            for task in build.tasks if task.actions}
    asked = {name for name, state in build.states().items() if name in runs and state == "fresh"}
    wrong = {}
    for path in sorted(path for path in copy.rglob("*") if path.is_file())[::8]:
        name = path.relative_to(copy).as_posix()
        text = path.read_text()
        path.write_text(f"{text}\n")
        build.dependency.backend.code = ActionCode(project / "code", copy)
        stale = {task for task, state in build.states().items() if state == "stale"} & asked
        expected = {task for task in asked if name in runs[task]}
        if stale != expected:
            wrong[name] = (sorted(stale - expected), sorted(expected - stale))
        path.write_text(text)
    assert not wrong, "\n".join(f"{name}: {lists}" for name, lists in wrong.items())


def all_files() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for folder in ("schemas", "tasks")
            for path in sorted((ROOT / folder).rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts]


def test_each_file_belongs_to_a_step_or_to_what_runs_the_graph(project: Path) -> None:
    """A file that no module names would change what a step does without making it stale."""
    code = ActionCode(project / "code")
    run = {path for task in all_tasks() if task.get("actions")
           for path in code.run_by(module_of(task["actions"][0][1][1]))}
    left = [name for name in all_files() if name not in run
            and not name.startswith(WITHOUT_STEP) and not name.endswith("graph.py")
            and name not in WITHOUT_READER and not is_empty(ROOT / name)]
    assert left == list(ELSEWHERE)


def is_empty(path: Path) -> bool:
    return path.name == "__init__.py" and len(ast.parse(path.read_text()).body) <= 1


@pytest.mark.parametrize(("module", "apart"), [
    ("tasks.images.scan", ("tasks/core/net/", "tasks/core/store/", "tasks/core/progress.py",
                           "tasks/core/registry/client.py", "tasks/images/mirror.py")),
    ("tasks.release.sign", ("tasks/release/release_files.py", "tasks/core/progress.py")),
    ("tasks.offline_config.render", ("tasks/core/net/", "tasks/core/registry/"))])
def test_a_step_hangs_on_nothing_that_it_has_no_use_for(module: str, apart: tuple[str, ...],
                                                        tmp_path: Path) -> None:
    assert [path for path in ActionCode(tmp_path / "code").run_by(module)
            if path.startswith(apart)] == []


@pytest.mark.parametrize("name", [name for name in all_files() if name.endswith(".py")])
def test_imports_and_schemas_are_named_as_they_are_looked_for(name: str) -> None:
    """In full, never relative to the module; a schema as the second argument, a constant."""
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), name
        if (isinstance(node, ast.Call) and name not in PASS_IT_ON
                and ast.unparse(node.func).endswith(("read_json", "schema.check", "locks.read"))):
            assert isinstance(node.args[1], ast.Constant), f"{name}:{node.lineno}"
