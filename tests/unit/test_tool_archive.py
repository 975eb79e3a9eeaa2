"""What the offline host gets of this project: nothing built, and a site's file that it accepts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config_load import load
from tasks.release import graph, places, tool

ROOT = Path(__file__).resolve().parents[2]


def test_the_archive_holds_the_project_and_nothing_built() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in places.sources(ROOT)}
    assert {"doit", "dodo.py", "requirements.txt", "pyproject.toml", "tasks/core/step.py",
            "schemas/site.schema.json"} <= names
    assert not [name for name in names
                if re.search(r"(^|/)(__pycache__|build|\.venv|\.git)(/|$)|\.pyc$|^tests/", name)]


def test_the_offline_sites_file_is_whole_and_tells_nothing_of_the_online_side(
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
    def archive(name: str) -> bytes:
        files.write_tar(tmp_path / name, Path(), places.sources(),
                        extra={"config/sites/local.yml": b"{}"})
        return (tmp_path / name).read_bytes()

    for path in ("tasks/a.py", "tasks/__pycache__/a.pyc", "doit"):
        files.write_bytes(project / path, b"x", mode=0o755)
    first = archive("one.tar")
    assert b"__pycache__" not in first
    os.utime(project / "tasks/a.py", (1, 1))
    (project / "tasks/__pycache__/b.pyc").write_bytes(b"y")
    assert archive("two.tar") == first
