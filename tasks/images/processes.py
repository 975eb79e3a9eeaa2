"""The processes of a pipeline's scripts, with their containers, labels and aliases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tasks.core.source.directives import Directive, directives
from tasks.core.source.files import Sources
from tasks.core.source.groovy.tokens import NAME
from tasks.core.source.groovy.values import Names
from tasks.core.source.scripts import PROCESS, Definition, Scripts
from tasks.images import called

INPUTS = ("val", "path", "file", "each")
"""What declares a variable among a process's inputs."""
OTHER_SOFTWARE = ("conda", "spack", "module")
"""Directives that bring a task's programs in another way than an image does."""


@dataclass(kw_only=True)
class Process:
    """A process as it is defined; `containers` are those that can hold, the usual case is one."""

    name: str
    file: str
    line: int
    definition: Definition
    containers: list[Directive] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)

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


def read(sources: Sources, main: str, names: Names) -> Processes:
    """All processes of the scripts that `main` includes, itself among them, with their aliases.

    `names` are the values that hold in every script: the engine's, and the params. What can't be
    read or found is a fault, and doesn't hide the rest.
    """
    scripts = Scripts(sources, names)
    scripts.follow(main)
    processes = {id(definition): _process(definition) for path in sorted(scripts.files)
                 for definition in scripts.files[path].definitions.values()
                 if definition.kind == PROCESS}
    for script in scripts.files.values():
        for include in script.includes:
            for definition in scripts.meant(include.file, include.name):
                if definition.kind == PROCESS and include.alias != definition.name:
                    processes[id(definition)].aliases.add(include.alias)
    return Processes(
        scripts=scripts, main=main, all=list(processes.values()),
        faults=[f"{error.where}: {error.what}"
                for error in [*scripts.broken.values(), *scripts.lost.values()]])


def _process(definition: Definition) -> Process:
    process = Process(name=definition.name, file=definition.file, line=definition.line,
                      definition=definition)
    for directive in directives(definition, ("container", "label"), {*_inputs(definition)}):
        if directive.word == "label":
            process.labels |= {value for value in directive.values if isinstance(value, str)}
        else:  # a later sure one replaces what stood before
            process.containers = [*(process.containers if directive.guards else []), directive]
    return process


def _inputs(definition: Definition) -> Iterator[str]:
    """The variables that a task gets as its inputs: `val x`, `path(y)`, in tuples too."""
    for section, tokens in definition.sections():
        if section == "input":
            for at, token in enumerate(tokens):
                following = [token for token in tokens[at + 1:at + 3] if not token.is_op("(")]
                if token.is_name(*INPUTS) and following and following[0].kind == NAME:
                    yield following[0].text
