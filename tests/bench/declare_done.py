"""Declare every step of the current project done: its targets are there, its state is saved."""

from __future__ import annotations

from pathlib import Path

from doit.control import TaskControl
from doit.dependency import Dependency, JSONCodec
from doit.loader import generate_tasks

import dodo
from tasks.core.commands import CommittingDB


def main() -> None:
    """Write each target that is missing, then save each task as succeeded."""
    tasks = generate_tasks("airlock", dodo.task_airlock())
    control = TaskControl(tasks)
    state = Path(str(dodo.DOIT_CONFIG["dep_file"]))
    state.parent.mkdir(parents=True, exist_ok=True)
    dependency = Dependency(CommittingDB, str(state), codec_cls=JSONCodec)
    for task in tasks:
        for target in map(Path, task.targets):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("made\n")
    for task in tasks:
        if task.actions and not (task.meta or {}).get("look"):
            dependency.get_status(task, control.tasks)
            task.save_extra_values()
            dependency.save_success(task)
    dependency.close()


if __name__ == "__main__":
    main()
