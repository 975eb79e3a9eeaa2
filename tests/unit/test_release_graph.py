"""When a release is promoted, by which steps and variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.config.load import load
from tasks.core.errors import ConfigError
from tasks.core.graph import rooms
from tasks.core.graph.doits import no_task


def test_a_release_is_promoted_once_it_is_proven_or_was_asked_for_without(project: Path) -> None:
    """And signed and pushed in any case: what failed is in the store, and not current."""
    def promoting(**variables: str) -> list[str]:
        tasks = {f"{task['basename']}:{task['name']}": task
                 for task in rooms.tasks(load(variables)) if task.get("name")}
        assert ("push:smoke:hello" in tasks) == ("unproven" not in variables)
        for before in ("release:sign:hello", "push:release:hello"):
            assert not {"dev:validate:hello", "dev:smoke:hello"} & {
                *tasks[before]["setup"], *tasks[before]["task_dep"]}
        assert not tasks["release:promote:hello"]["task_dep"]
        assert tasks["release:promote:hello"]["uptodate"][-1] is False, "it looks each time"
        setup: list[str] = tasks["release:promote:hello"]["setup"]
        return setup

    proven = promoting()
    assert {"dev:validate:hello", "dev:smoke:hello"} <= {*proven}
    unproven = promoting(unproven="the registry is down")
    assert not {"dev:validate:hello", "dev:smoke:hello"} & {*unproven}


@pytest.mark.parametrize("after", ["0", "-1", "1.0", "", "123456789", "x"])
def test_a_promotions_number_is_one(project: Path, after: str) -> None:
    assert load({"after": "12"}).after == 12
    with pytest.raises(ConfigError, match="promotion's number"):
        load({"after": after})


def test_a_command_overrules_a_site_that_proves_nothing(project: Path) -> None:
    path = project / "config/sites/local.yml"
    path.write_text(path.read_text() + "unproven: no engine yet\n")
    assert load({}).unproven == "no engine yet"
    assert load({"unproven": "0"}).unproven is None
    assert load({"unproven": "1"}).unproven == "1"
    with pytest.raises(ConfigError, match="line of text"):
        load({"unproven": "a\x1b[31m"})


def test_a_pipeline_behind_a_task_of_all_is_told_how_it_is_asked_about(project: Path) -> None:
    tasks = [f"{task['basename']}:{task['name']}" if task.get("name") else task["basename"]
             for task in rooms.tasks(load({}))]
    assert "doit pipeline=hello release:prune" in str(no_task("release:prune:hello", tasks))
    assert "one task for all pipelines" in str(no_task("release:prune:hello", tasks))
