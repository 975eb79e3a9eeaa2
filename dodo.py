"""nf-airlock's build graph. What can be built, and from what, stands in tasks/*/graph.py.

    ./doit                        the local site, both sides of the air gap
    doit pipeline=hello           one pipeline, also one that the site doesn't name
    doit list                     what is fresh, stale, and behind something stale
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

from doit import get_var
from doit.doit_cmd import _CMDLINE_VARS
from doit.exceptions import InvalidDodoFile

from tasks.core.config.load import load
from tasks.core.config.settings import Config
from tasks.core.errors import AirlockError
from tasks.core.graph import rooms
from tasks.core.graph.reporter import Reporter
from tasks.core.graph.step import Task
from tasks.core.paths import SitePaths

gc.disable()  # a graph is no garbage; the first step that runs turns it on again


def _config() -> Config:
    try:
        return load({name: get_var(name) for name in _CMDLINE_VARS or {}})
    except AirlockError as error:
        raise InvalidDodoFile(str(error)) from None


CONFIG = _config()
OFFLINE = CONFIG.role == "prod"
LOCAL = CONFIG.site.sandbox is not None
# Plain `doit` goes up to the promoted releases; on the local site, all the way across.
CROSSING = ["sandbox:cross"] if LOCAL else []
DOIT_CONFIG = {
    "default_tasks": (["prod:run"] if OFFLINE else
                      [*([] if CONFIG.unproven else ["dev:validate"]), "push",
                       "release:promote", "report", "push:tool", *CROSSING]),
    "backend": "airlock",
    "dep_file": str(SitePaths(site=CONFIG.site.name).state(CONFIG.role)),
    "reporter": Reporter,
    "continue": True,
    "num_process": 4,
    "par_type": "thread",
    "subtasks": True,
    "sort": "definition",
}


def task_airlock() -> Iterator[Task]:
    """Every room's tasks, for the role."""
    yield from rooms.tasks(CONFIG)
