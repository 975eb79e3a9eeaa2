"""A graph on a real state database, whose steps can be run or declared done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doit.dependency import Dependency, JSONCodec
from doit.loader import generate_tasks

from tasks.core.graph.reasons import Reasons, control_of
from tasks.core.graph.state import State, states


class Build:
    """Tasks, as doit sees them, and the state that is kept of them."""

    def __init__(self, tasks: list[dict[str, Any]], database: Path) -> None:
        self.tasks = generate_tasks("airlock", (task for task in tasks))
        self.control = control_of(self.tasks)
        self.dependency = Dependency(State, str(database), codec_cls=JSONCodec)

    def states(self) -> dict[str, str]:
        return states(self.tasks, self.dependency)

    def reasons(self) -> Reasons:
        return Reasons(self.control.tasks, self.dependency)

    def succeed(self, name: str) -> None:
        task = self.control.tasks[name]
        self.dependency.get_status(task, self.control.tasks)
        task.save_extra_values()
        self.dependency.save_success(task)
        self.dependency.backend.commit()

    def declare_done(self) -> None:
        """Write every file that a step makes or keeps, and save every step as succeeded."""
        locks = (needed for task in self.tasks for needed in task.file_dep if "/locks/" in needed)
        for path in map(Path, [*locks, *(target for task in self.tasks
                                         for target in task.targets)]):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made")
        for task in self.tasks:
            for needed in task.file_dep:
                assert Path(needed).exists(), f"{task.name} needs {needed}, which nothing makes"
            if task.actions and not (task.meta or {}).get("look"):
                self.succeed(task.name)
