"""The locks that come with the project: of what was published, and of nobody's machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tasks.core.schema import read_json

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["bamtofastq", "chromapipe", "demo", "hello"])
def test_a_runtime_from_maven_has_its_lock(name: str) -> None:
    lock = read_json(ROOT / f"config/locks/{name}/runtime.json", "runtime-lock")
    asked = yaml.safe_load((ROOT / f"config/pipelines/{name}.yml").read_text())["nextflow"]
    assert (lock["version"], lock["coordinates"]) == (asked["version"], asked["coordinates"])
    assert set(lock) == {"version", "coordinates", "jars"}
    names = [jar["name"] for jar in lock["jars"]]
    assert names == sorted(set(names))
    assert all(name.endswith(".jar") and "/" not in name for name in names)
    assert {f"{artifact}-{version}.jar" for _, artifact, version in (
        coordinate.split(":") for coordinate in asked["coordinates"])} <= set(names)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout: this is a copy")
def test_git_takes_the_runtimes_lock_and_leaves_what_is_made_on_each_machine() -> None:
    def is_ignored(path: str) -> bool:
        return subprocess.run(["git", "check-ignore", "--quiet", "--no-index", path], cwd=ROOT,
                              check=False).returncode == 0

    assert not is_ignored("config/locks/hello/runtime.json")
    assert is_ignored("config/locks/hello/images.json")
    assert is_ignored("config/locks/demo/local/data.json")
    assert not is_ignored("config/locks/demo/nexus/data.json")
    assert is_ignored("config/locks/chromapipe/images.json")
    assert not is_ignored("config/locks/demo/images.json")
