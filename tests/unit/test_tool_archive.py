"""What the offline host gets of this project: nothing built, and a site's file that it accepts."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.load import load
from tasks.core.paths import SitePaths
from tasks.release import graph, tool, tool_contents
from tests.unit.test_architecture import imports, modules

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file for what is remembered of the code, while the project is the current folder."""
    monkeypatch.chdir(ROOT)
    return tmp_path / "code.json"


def reachable(carry: str) -> set[Path]:
    """The modules with code that role=prod can come to from what ./doit starts."""
    started = (ROOT / "dodo.py").read_text() + (ROOT / "pyproject.toml").read_text()
    waiting = {"tasks.offline_host.wheels", "tasks.offline_host.graph",
               "tasks.commands.offline_graph", "tasks.commands.doctor",
               "tasks.commands.doctor_offline", "tasks.commands.runs",
               "tasks.commands.runs_show", "tasks.commands.runs_verify",
               "tasks.commands.prod_export", "tasks.commands.version", "tasks.commands.complete",
               "tasks.commands.tabcompletion",
               *(["tasks.images.offline_graph"] if carry == "store" else []),
               *re.findall(r'(?:"|^from )(tasks[.\w]+)(?=:| import)', started, re.MULTILINE),
               "tasks.core.graph.rooms"}
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imports(module) - reached
    return {path.relative_to(ROOT) for module in reached if (path := modules()[module]).name
            != "__init__.py"}


@pytest.mark.parametrize("carry", ["registry", "store"])
def test_the_tool_holds_the_modules_that_the_offline_side_can_run_and_no_other(
        here: Path, carry: str) -> None:
    paths = tool_contents.code(carry, here)
    code = {path for path in paths if path.suffix == ".py"}
    assert code == reachable(carry)
    assert (Path("tasks/images/load.py") in code) == (carry == "store")
    assert {path.parts[1] for path in code} == {
        "commands", "core", "doctor", "offline_host", "report",
        *(["images"] if carry == "store" else [])}
    assert {"schemas/site.schema.json", "schemas/release.schema.json",
            "schemas/site-doctor.schema.json", "schemas/run.schema.json",
            "schemas/runs.schema.json",
            "tasks/core/nextflow/resolve.nf"} <= set(map(str, paths))


def test_what_the_offline_side_loads_is_carried(here: Path) -> None:
    """The graph of role=prod, in a process of its own: no room of the online side is loaded."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom tasks.core.config import load\n"
         "from tasks.core.graph import rooms\n"
         "list(rooms.tasks(load.load({'role': 'prod', 'site': 'local'})))\n"
         "print(*(module.__file__ for name, module in sys.modules.items()"
         " if name.startswith('tasks') and '__init__' not in module.__file__), sep='\\n')"],
        check=True, text=True, capture_output=True, cwd=ROOT).stdout.splitlines()
    paths = {str(ROOT / path) for path in tool_contents.code("registry", here)}
    assert str(ROOT / "tasks/offline_host/graph.py") in loaded
    assert set(loaded) <= paths


def test_only_wheels_that_are_imported_come_along(here: Path) -> None:
    pinned = (ROOT / "requirements.txt").read_text()
    paths = tool_contents.code("registry", here)
    lines = tool_contents.requirements(paths, pinned)
    names = set(re.findall(r"^([a-z0-9-]+)==", lines, re.MULTILINE))
    assert {"doit", "jsonschema", "rpds-py", "attrs", "botocore", "jmespath"} <= names
    assert set(lines.splitlines()) < set(pinned.splitlines())
    assert tool_contents.requirements([], pinned).startswith("doit==")
    assert "botocore" not in tool_contents.requirements([], pinned)


def test_the_contents_are_listed_for_an_auditor(here: Path, tmp_path: Path) -> None:
    paths = tool_contents.code("registry", here)
    members = {path.as_posix(): path.read_bytes() for path in (Path("doit"), *paths)}
    wheel = tmp_path / "small-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    text = tool_contents.contents({**members, **tool_contents.packages(paths)}, [wheel]).decode()
    for name, data in members.items():
        line = next(line for line in text.splitlines() if f"  {name} " in line)
        assert line.split()[:2] == [str(data.count(b"\n")), files.sha256_bytes(data)]
        assert len(line.split()) > 4, "says what it is"
    assert f"2  {files.sha256(wheel)}  wheels/{wheel.name}" in text
    assert "tasks/core/__init__.py" in text
    count = sum(data.count(b"\n") for data in members.values())
    assert f"{len(members) + len(tool_contents.packages(paths))} files of {count} lines" in text


def test_the_offline_sites_file_is_whole_and_says_nothing_of_the_online_side(
        project: Path) -> None:
    online = load({})
    text = tool.site_file(graph.offline_site(online.site)).decode()
    assert not [address for address in online.site.hosts.registries.values() if address in text]
    for path in project.glob("config/*/*.yml"):
        path.unlink()
    (project / "config/sites/clinic.yml").write_text(text)
    offline = load({"role": "prod"})  # one site alone needs no name, and no pipeline's file
    assert offline.site.name == "clinic"
    assert offline.names == online.names
    assert offline.site.offline.store == online.site.offline.store
    assert offline.site.offline.trust == online.site.offline.trust
    assert offline.site.signing.identity == online.site.signing.identity


def test_colleagues_with_keys_of_their_own_make_one_tool(
        project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would find the other's to be another one, and promote its own."""
    ours = graph.offline_site(load({}).site)
    monkeypatch.setenv("AIRLOCK_SIGNING_KEY", "/home/bert/.ssh/bert")
    assert load({}).site.signing.key == Path("/home/bert/.ssh/bert")
    assert graph.offline_site(load({}).site) == ours


def test_the_wheels_are_asked_for_without_markers_and_with_all_hashes() -> None:
    pinned = (ROOT / "requirements.txt").read_text()
    asked = tool.MARKER.sub(" ", pinned)
    assert "python_full_version < '3.11'" in pinned
    assert ";" not in asked
    assert asked.count("--hash=sha256:") == pinned.count("--hash=sha256:")
    assert all(re.fullmatch(r"#.*|[a-z0-9-]+==[0-9][\w.]* \\|    --hash=sha256:[0-9a-f]{64}( \\)?",
                            line) for line in asked.splitlines())


def test_the_archives_bytes_depend_on_content_alone(
        project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wheels(spec: tool.ToolSpec, pinned: str, place: Path) -> None:
        files.write_bytes(place / "small-1.0-py3-none-any.whl", b"PK")

    def archive() -> bytes:
        tool.make(tool.ToolSpec(layout=SitePaths(site="local"), platform="linux/amd64", config={},
                                python=("3.11",), carry="registry"))
        return (SitePaths(site="local").tool / "airlock.tar").read_bytes()

    monkeypatch.setattr(tool, "_download", wheels)
    shutil.copytree(ROOT / "tasks", "tasks")
    for name in ("doit", "dodo.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, name)
    first = archive()
    with tarfile.open(fileobj=io.BytesIO(first)) as opened:
        names = set(opened.getnames())
        assert opened.getmember("doit").mode == 0o755
        contents = opened.extractfile("CONTENTS.txt")
        assert contents and re.search(rb"  sbom\.cdx\.json +its Python packages", contents.read())
    assert {"doit", "dodo.py", "requirements.txt", "pyproject.toml", "tasks/core/graph/step.py",
            "schemas/site.schema.json", "tool.json", "SHA256SUMS", "CONTENTS.txt",
            "sbom.cdx.json", "sbom.spdx.json", "config/sites/local.yml", "tasks/__init__.py",
            "tasks/core/__init__.py"} <= names
    assert not [name for name in names
                if re.search(r"(^|/)(__pycache__|build|\.venv|\.git)(/|$)|\.pyc$|^tests/", name)]
    os.utime("tasks/core/graph/step.py", (1, 1))
    files.write_text(Path("tasks/core/another.py"), "ANOTHER = 1\n")
    files.write_bytes(Path("tasks/core/__pycache__/b.pyc"), b"y")
    assert archive() == first
