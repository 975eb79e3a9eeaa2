"""doit's own commands, which name what was meant where a task is mistyped; and our help."""

from __future__ import annotations

import getopt
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from doit.cmd_base import DoitCmdBase
from doit.cmd_clean import Clean as DoitClean
from doit.cmd_forget import Forget as DoitForget
from doit.cmd_help import Help as DoitHelp
from doit.cmd_ignore import Ignore as DoitIgnore
from doit.cmd_resetdep import ResetDep as DoitResetDep
from doit.exceptions import InvalidCommand

from tasks.core import config_places
from tasks.core.config.load import VARIABLES
from tasks.core.config.settings import is_carried
from tasks.core.errors import ConfigError
from tasks.core.graph import log
from tasks.core.graph.commands import Own
from tasks.core.nearest import hint


class Unknown(InvalidCommand):  # type: ignore[misc]
    """A word that is no task, in this project's words."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))


class Suggests(DoitCmdBase):  # type: ignore[misc]
    """A command that takes tasks, and says which one was meant where there is none of a name."""

    def parse_execute(self, in_args: list[str]) -> int:
        """Take options behind tasks too, but for `run`, where they are a task's own."""
        if self.name != "run":
            with suppress(getopt.GetoptError):  # which doit tells of
                options, words = getopt.gnu_getopt(
                    in_args, self.cmdparser.get_short(), self.cmdparser.get_long())
                in_args = [*(part for option in options for part in option if part), *words]
        status: int = super().parse_execute(in_args)
        return status

    @log.until_reader_leaves
    def execute(self, params: Any, args: list[str]) -> int:
        """Run the command."""
        try:
            status: int = super().execute(params, args)
            return status
        except InvalidCommand as error:
            tasks = {task.name: task for task in getattr(self, "task_list", None) or ()}
            targets = {target for task in tasks.values() for target in task.targets}
            unknown = [word for word in args if word not in {*tasks, *targets} and "*" not in word]
            if not tasks or not unknown:
                raise
            raise Unknown(no_task(unknown[0], tasks, self.commands())) from error

    def commands(self) -> Iterable[str]:
        """The names of all commands: a mistyped one is taken for a task."""
        return [*self.config.get("COMMAND", ()), "run", "list"] if self.name == "run" else ()


def no_task(name: str, tasks: Iterable[str], commands: Iterable[str] = ()) -> ConfigError:
    """The error of a word that is no task: what was meant, or how it is written."""
    tasks = set(tasks)
    todo = "`doit list` shows all tasks, `doit help` what else can be typed"
    verb, _, last = name.rpartition(":")
    pipelines = set(config_places.names("pipelines"))
    if verb in tasks and last in pipelines:
        of_each = any(f"{verb}:{pipeline}" in tasks for pipeline in pipelines)
        return ConfigError(f"the site doesn't name the pipeline {last!r}, so it has no task of it"
                           if of_each else f"{verb} is one task for all pipelines",
                           where=name, todo=f"doit pipeline={last} {verb}")
    if name in pipelines:
        return ConfigError(f"{name!r} is a pipeline, and no task", todo=f"doit pipeline={name}")
    if name in VARIABLES:
        return ConfigError(f"{name!r} is a variable, and no task", todo=f"doit {name}=VALUE")
    near = hint(name, [*tasks, *commands])
    return ConfigError(f"there is no task {name!r}{near}", todo=todo)


class Clean(Suggests, DoitClean):  # type: ignore[misc]
    """Remove outputs."""

    name = "clean"
    doc_purpose = "remove outputs of tasks; locks stay"


class Forget(Suggests, DoitForget):  # type: ignore[misc]
    """Forget that tasks have run."""

    name = "forget"
    doc_purpose = "forget that tasks have run: they are stale then"


class Ignore(Suggests, DoitIgnore):  # type: ignore[misc]
    """Leave tasks out."""

    name = "ignore"


class ResetDep(Suggests, DoitResetDep):  # type: ignore[misc]
    """Take files as they are."""

    name = "reset-dep"


ONLINE = (
    ("", "what the site is for: promoted releases; on the local site, the whole way across"),
    ("pipeline=NAME", "one pipeline, any that has a file in pipelines/ of the configuration"),
    ("site=NAME …", "for that site (sites/NAME.yml of the configuration), not the local one"),
    ("list", "what is fresh, stale (it will run) or behind something stale"),
    ("info TASK", "why a task is stale"),
    ("VERB, VERB:PIPELINE", "one kind of artifact: images:mirror, mirror:data:hello"),
    ("images:plan data:plan", "what would be moved and fetched, with sizes"),
    ("dev:validate", "whether the releases would run offline, line by line"),
    ("release:list", "which releases the store holds, and which is current"),
    ("clean, forget TASK", "remove outputs, or the memory of them"),
    ("test", "all tests of this project"),
)
OFFLINE = (
    ("pipeline=NAME", "fetch what is current, verify it, bootstrap, run"),
    ("pipeline=NAME input=SHEET", "the same on your own samples; or params=FILE"),
    ("pipeline=NAME release=ID", "a release that is not the newest; hold=1 stays there"),
    ("pipeline=NAME profile=NAME config=FILE", "with a profile and a config of your own"),
    ("list", "what is fresh, stale (it will run) or behind something stale"),
    ("doctor pipeline=NAME", "what this host still lacks, line by line"),
    ("runs", "all runs of this host; runs:show RUN and runs:verify RUN say more"),
    ("prod:export run=RUN to=FILE", "a run's record and results, for the way back"),
)
"""What is typed, and what it does."""
SAYS = {
    "site": "which sites/NAME.yml; else AIRLOCK_SITE, else the only own one, else local",
    "pipeline": "one pipeline instead of those that the site names",
    "role": "prod on the offline host; known where a tool was carried to",
    "release": "which release is fetched (role=prod)",
    "relock": "1: take what differs from the locks", "input": "a samplesheet of your own",
    "params": "a file of params of your own (role=prod)",
    "private": "1: carry files that look private",
    "tool": "the tool that is expected (role=prod)",
    "profile": "profiles for a run, separated by commas (role=prod)",
    "config": "Nextflow configs for a run, as Slurm's, separated by commas (role=prod)",
    "unproven": "REASON: let a release become the current one without its checks",
    "after": "NUMBER or SHA256: promote after that promotion, not seen here, or not trusted",
    "hold": "1: stay at release=ID from now on; 0: no longer (role=prod)",
    "from": "the release that release:diff begins with; a carried folder (role=prod)",
    "to": "the release that release:back or release:diff means; the folder that carry fills",
    "part": "SIZE: split what carry lays into volumes", "images": "0: carry without images",
    "remove": "1: take away what earlier carries left in the folder",
    "id": "the release that release:withdraw means",
    "reason": "why a release is taken back or withdrawn; told to all who fetch",
}
"""What each variable says."""


class Help(DoitHelp):  # type: ignore[misc]
    """What can be typed here."""

    name = "help"
    doc_purpose = "show this; `help COMMAND` and `help TASK` say more"

    def print_usage(self, cmds: Mapping[str, Any]) -> None:
        """Print what this project's user types, then doit's own commands."""
        typed = [*(OFFLINE if is_carried() else ONLINE)]
        if not is_carried():
            typed[2:2] = [(f"{command.name} {command.doc_usage}", command.doc_purpose)
                          for command in cmds.values() if issubclass(command, Own)]
        own = {name for name, command in cmds.items() if issubclass(command, Own)}
        print("nf-airlock carries Nextflow pipelines into networks without internet\n")
        _print_table((f"./doit {words}".rstrip(), text) for words, text in typed)
        print("\nNAME=VALUE, before or behind:")
        _print_table((f"{name}=", text) for name, text in SAYS.items())
        print("\ncommands of doit (https://pydoit.org):")
        _print_table((name, cmds[name].doc_purpose) for name in sorted(cmds) if name not in own)

    @log.until_reader_leaves
    def execute(self, params: Any, args: list[str]) -> int:
        """Run the command."""
        status: int = super().execute(params, args)
        return status

    def _execute(self, pos_args: list[str]) -> bool:
        if not super()._execute(pos_args):
            raise Unknown(no_task(pos_args[0], [task.name for task in self.task_list], self.cmds))
        return True


def _print_table(rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    wide = min(max(len(words) for words, _ in rows), 40)
    for words, text in rows:
        apart = f"\n{'':<{wide + 2}}" if len(words) > wide else ""
        print(f"  {words:<{wide}}{apart}  {text}")
