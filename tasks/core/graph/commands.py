"""Commands of this project's own, beside doit's: what is typed and isn't a step.

A command is a class here, named in pyproject.toml, with a function of the same name in
tasks/commands/<name>.py (`_` for its `:`), which is imported when it runs. It loads no graph, so it
works where the configuration doesn't: it may be what writes it.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from doit import doit_cmd
from doit.cmd_base import Command

from tasks.core.errors import ConfigError
from tasks.core.graph import log
from tasks.core.graph.step import fault
from tasks.core.nearest import hint

VARIABLE = re.compile("[a-z][a-z_]*")


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What stands behind a command's name: words, NAME=VALUE, and options such as --json."""

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Own(Command):  # type: ignore[misc]
    """A command that ends with what its function returns: 0, or 1 where a check has failed.

    `most_words` are taken, and the `variables`. A fault, shown in its own words, ends with 3, as
    doit's own mistakes do.
    """

    most_words = 1
    variables: tuple[str, ...] = ()

    def parse_execute(self, words: list[str]) -> int:
        """Take options behind words too: all of them are switches."""
        status: int = super().parse_execute(
            sorted(words, key=lambda word: not word.startswith("-")))
        return status

    @log.until_reader_leaves
    def execute(self, options: Mapping[str, Any], words: Iterable[str]) -> int:
        """Run the command's function."""
        log.show(2)
        try:
            typed = self._typed(tuple(words), doit_cmd._CMDLINE_VARS or {}, options)
            status: int = self._function()(typed)
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            raise
        except Exception as error:
            sys.stdout.flush()
            sys.stderr.write(f"ERROR: {fault(self.name, error)}\n")
            return 3
        return status

    def _function(self) -> Callable[[Typed], int]:
        """The command's function; what is carried to an offline host lacks those of this side."""
        name = self.name.replace(":", "_")
        module = f"tasks.commands.{name}"
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"`doit {self.name}` is for the online side",
                              todo="type it in the checkout that this tool was carried from")
        function: Callable[[Typed], int] = getattr(importlib.import_module(module), name)
        return function

    def _typed(self, words: tuple[str, ...], variables: Mapping[str, str],
               options: Mapping[str, Any]) -> Typed:
        """What was typed; doit takes any word with `=` for a variable, a URL's query too."""
        named = {name: value for name, value in variables.items() if VARIABLE.fullmatch(name)}
        words += tuple(f"{name}={value}" for name, value in variables.items() if name not in named)
        usage = f"doit {self.name} {self.doc_usage}"
        for name in named:
            if name not in self.variables:
                raise ConfigError(f"`doit {self.name}` takes no variable {name!r}"
                                  + hint(name, self.variables), where=usage,
                                  todo=f"it takes: {', '.join(self.variables) or 'none'}")
        if len(words) > self.most_words:
            raise ConfigError(f"`doit {self.name}` takes no word {words[self.most_words]!r}",
                              where=usage, todo=f"see `doit help {self.name}`")
        return Typed(words=words, variables=named, options={
            option.name: options[option.name] for option in self.get_options()})


class Add(Own):
    """`doit add`: the configuration of one more pipeline."""

    name = "add"
    doc_purpose = "write the configuration of a pipeline: config/pipelines/NAME.yml"
    doc_usage = "SOURCE [revision=REVISION] [name=NAME]"
    doc_description = ("SOURCE is nf-core/NAME, the URL of a git repository, or a folder. The "
                       "newest release is taken, and a Nextflow that fits it; what was chosen, "
                       "and why, is printed. No file is overwritten.")
    variables = ("revision", "name", "site")


class Doctor(Own):
    """Look at everything that a site needs."""

    name = "doctor"
    doc_purpose = "look at all that a site needs; one line each, with its cure"
    doc_usage = "[site=NAME] [role=prod] [pipeline=NAME] [--json]"
    doc_description = ("On the online side a tiny image is pushed and a tiny file is written, and "
                       "both are taken back. It ends with 1 where something fails, else with 0.")
    most_words = 0
    variables = ("site", "role", "pipeline")
    cmd_options = ({"name": "json", "short": "", "long": "json", "type": bool, "default": False,
                    "help": "print all lines as JSON, by schemas/site-doctor.schema.json"},)


class NewSite(Own):
    """Write a site's file, and lay ready what is carried by hand."""

    name = "site"
    doc_purpose = "set up a site of your own: its file, its key, and what is carried by hand"
    doc_usage = "NAME [registry=HOST:PORT/PREFIX store=PLACE key=FILE …]"
    doc_description = ("What isn't given is asked for; without a terminal all that is missing is "
                       "named at once, and it ends with 2. Nothing is overwritten: of a site that "
                       "is there, only the trust folder is laid ready again.")
    variables = ("engine", "registry", "ca", "authfile", "store", "endpoint", "region", "key",
                 "makekey", "identity", "carry", "offline_store", "offline_endpoint", "trust",
                 "pipelines", "platform", "python", "plugins")


class Version(Own):
    """Say which version this is."""

    name = "version"
    doc_purpose = "print the version of this project, of doit and of Python"
    most_words = 0


class TabCompletion(Own):
    """Print what a shell needs to complete what is typed."""

    name = "tabcompletion"
    doc_purpose = "print a script that completes sites, pipelines, tasks and variables in a shell"
    doc_usage = "[bash|zsh|fish]"
    doc_description = "For bash: . <(./doit tabcompletion bash)"


class Complete(Own):
    """Answer such a script."""

    name = "complete"
    doc_purpose = "answer the script of `tabcompletion`"
    most_words = 0


class _OfRuns(Own):
    """A command on the runs of an offline host, or on those that were brought back."""

    variables = ("site", "role", "pipeline")


AS_JSON = {"name": "json", "short": "", "long": "json", "type": bool, "default": False}


class Runs(_OfRuns):
    """List runs."""

    name = "runs"
    doc_purpose = "list the runs of this host, those that failed or were interrupted too"
    doc_usage = "[role=prod] [pipeline=NAME] [--json]"
    doc_description = ("Without role=prod: those that prod:import has brought back to this side. "
                       "The newest is the last.")
    most_words = 0
    cmd_options = ({**AS_JSON, "help": "print a list as JSON, by schemas/runs.schema.json"},)


class RunsShow(_OfRuns):
    """Show one run."""

    name = "runs:show"
    doc_purpose = "show a run: release, who, when, inputs, images, outcome, results"
    doc_usage = "[RUN] [role=prod] [pipeline=NAME] [--json]"
    doc_description = "RUN is its name, or the beginning of it; without it, the latest."
    cmd_options = ({**AS_JSON, "help": "print its record, run.json"},)


class RunsVerify(_OfRuns):
    """Hold a run's results against its record."""

    name = "runs:verify"
    doc_purpose = "hold a run's results against its record: what was changed, is missing or added"
    doc_usage = "[RUN] [role=prod] [pipeline=NAME]"
    doc_description = ("RUN is as for runs:show. It ends with 1 where anything differs, or the "
                       "record isn't signed as it must be.")


class ProdExport(Own):
    """Pack a run for the way back."""

    name = "prod:export"
    doc_purpose = "pack a run's record and results into one file, for the online side"
    doc_usage = "role=prod run=RUN to=FILE_OR_FOLDER"
    doc_description = "RUN is as for runs:show. What was given to the run is not packed."
    most_words = 0
    variables = ("site", "role", "pipeline", "run", "to")


class ProdImport(Own):
    """Check a packed run, and lay it out."""

    name = "prod:import"
    doc_purpose = "check a run that an offline host has packed, and lay it out on this side"
    doc_usage = "from=FILE [to=FOLDER]"
    doc_description = ("Where the site's file names offline.run_signers, it must be signed by its "
                       "host. It comes to lie in build/SITE/runs, or below FOLDER.")
    most_words = 0
    variables = ("site", "from", "to")
