"""The processes of a pipeline's scripts, with their containers, labels and aliases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from tasks.core.source.directives import Directive, directives
from tasks.core.source.files import Sources
from tasks.core.source.groovy.expression import evaluate
from tasks.core.source.groovy.tokens import NAME
from tasks.core.source.groovy.values import Names, Values
from tasks.core.source.scripts import PROCESS, Definition, Scripts
from tasks.images import called
from tasks.images.extensions import extensions
from tasks.images.rules import Rule, Settings

INPUTS = ("val", "path", "file", "each")
"""What declares a variable among a process's inputs."""
OTHER_SOFTWARE = ("conda", "spack", "module")
"""Directives that bring a task's programs in another way than an image does."""


@dataclass(kw_only=True)
class Process:
    """A process as it is defined; `containers` are those that can hold, the usual case is one.

    `extensions` are the names `task.ext.KEY`, for each way in which it is called, `config` what
    closures of a config know beside what the process does.
    """

    name: str
    file: str
    line: int
    definition: Definition
    containers: list[Directive] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    extensions: list[dict[str, Values]] = field(default_factory=lambda: [{}])
    config: Names = field(default_factory=dict)
    _asked: dict[int, Directive] = field(default_factory=dict)

    def set_by(self, rule: Rule) -> Directive:
        """What a rule of the config sets for this process's tasks."""
        if rule.closure is None:
            return rule.container
        if id(rule) not in self._asked:
            names = {**self.config, **self.definition.names, **rule.closure.names}
            values = [evaluate(rule.closure.tokens, 0, {**names, **extension})[0]
                      for extension in self.extensions]
            self._asked[id(rule)] = replace(rule.container, values=frozenset().union(*values))
        return self._asked[id(rule)]

    @property
    def is_native(self) -> bool:
        """Whether Nextflow runs it itself (`exec:`): no program is started, so none is needed."""
        sections = {section for section, _ in self.definition.sections()}
        return "exec" in sections and sections.isdisjoint(("script", "shell"))

    def other_software(self) -> list[Directive]:
        """Its directives that bring programs without an image."""
        return directives(self.definition, OTHER_SOFTWARE)


@dataclass(kw_only=True)
class Processes:
    """What was read: the processes, and by `faults` which files of theirs could not be."""

    scripts: Scripts
    main: str
    all: list[Process]
    faults: list[str]

    @cached_property
    def _called(self) -> called.Called:
        return called.qualified(self.scripts, self.main)

    def called(self, process: Process) -> set[str]:
        """The qualified names by which workflows call a process."""
        return self._called.get(id(process.definition), set())


def read(sources: Sources, settings: Settings) -> Processes:
    """All processes of the scripts that the main one includes, itself among them, with their
    aliases. What can't be read or found is a fault, and doesn't hide the rest.
    """
    scripts = Scripts(sources, settings.names)
    scripts.follow(settings.main)
    listed = {id(definition): Process(name=definition.name, file=definition.file,
                                      line=definition.line, definition=definition,
                                      config=settings.own)
              for path in sorted(scripts.files)
              for definition in scripts.files[path].definitions.values()
              if definition.kind == PROCESS}
    for script in scripts.files.values():
        for include in script.includes:
            for definition in scripts.meant(include.file, include.name):
                if definition.kind == PROCESS and include.alias != definition.name:
                    listed[id(definition)].aliases.add(include.alias)
    processes = Processes(
        scripts=scripts, main=settings.main, all=list(listed.values()),
        faults=[f"{error.where}: {error.what}"
                for error in [*scripts.broken.values(), *scripts.lost.values()]])
    for process in processes.all:
        called_as = processes.called(process) or {process.name, *process.aliases}
        _complete(process, called_as, settings)
    return processes


def _complete(process: Process, called_as: set[str], settings: Settings) -> None:
    """Read a process's labels, what is set as its `task.ext`, and then its containers."""
    definition = process.definition
    process.labels = {value for label in directives(definition, ("label",))
                      for value in label.values if isinstance(value, str)}
    process.extensions = extensions(definition, process.labels, called_as, settings)
    containers: dict[tuple[int, object], Directive] = {}
    for names in process.extensions:
        known = replace(definition, names={**definition.names, **names}) if names else definition
        for directive in directives(known, ("container",), {*_inputs(definition)}):
            key = directive.line, directive.guards
            before = containers.get(key)
            containers[key] = replace(directive, values=directive.values | (
                before.values if before else frozenset()))
    for directive in containers.values():  # a later sure one replaces what stood before
        process.containers = [*(process.containers if directive.guards else []), directive]


def _inputs(definition: Definition) -> Iterator[str]:
    """The variables that a task gets as its inputs: `val x`, `path(y)`, in tuples too."""
    for section, tokens in definition.sections():
        if section == "input":
            for at, token in enumerate(tokens):
                following = [token for token in tokens[at + 1:at + 3] if not token.is_op("(")]
                if token.is_name(*INPUTS) and following and following[0].kind == NAME:
                    yield following[0].text
