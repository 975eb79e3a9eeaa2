"""hello moved into a configuration of one's own, under another name, on the local site."""

from __future__ import annotations

import shutil
from pathlib import Path

from tasks.local_site.plan import Plan
from tests.kit.project import Project


def test_its_plugin_is_served_to_it(local_project: Project, part: Plan, tmp_path: Path) -> None:
    assert part.site == "local"
    shutil.copytree("examples/hello", tmp_path / "code/greet")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/greet.yml").write_text(Path(
        "config/pipelines/hello.yml").read_text().replace("examples/hello", "code/greet"))
    local_project.doit("site=local", "pipeline=greet", "plugins:cache:greet",
                       env={"AIRLOCK_CONFIG": str(tmp_path)})
    listed = local_project.root / "build/local/greet/plugins.txt"
    assert listed.read_text() == "nf-airlock-hello@1.0.0\n"
