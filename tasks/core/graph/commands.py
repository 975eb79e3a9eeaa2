"""Commands of this project's own, beside doit's: what is typed and isn't a step.

A command is a class here, named in pyproject.toml, with a function of the same name in
tasks/commands/<name>.py, which is imported when it runs. It loads no graph, so it works where the
configuration doesn't: it may be what writes it.
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
        module = f"tasks.commands.{self.name}"
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"`doit {self.name}` is for the online side",
                              todo="type it in the checkout that this tool was carried from")
        function: Callable[[Typed], int] = getattr(importlib.import_module(module), self.name)
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
    variables = ("registry", "ca", "authfile", "store", "endpoint", "region", "key", "makekey",
                 "identity", "carry", "offline_store", "offline_endpoint", "trust", "pipelines",
                 "platform", "python", "plugins")
