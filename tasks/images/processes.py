"""The processes of a pipeline's scripts, with their containers, labels and aliases."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.core.source.directives import Directive, directives
from tasks.core.source.files import Sources
from tasks.core.source.groovy.values import Names
from tasks.core.source.scripts import PROCESS, Definition, Scripts


@dataclass(kw_only=True)
class Process:
    """A process as it is defined; `containers` are those that can hold, the usual case is one."""

    name: str
    file: str
    line: int
    containers: list[Directive] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)


def read(sources: Sources, main: str, names: Names) -> list[Process]:
    """All processes of the scripts that `main` includes, itself among them, with their aliases.

    `names` are the values that hold in every script: the engine's, and the params. ImageError
    where a script can't be read or found.
    """
    scripts = Scripts(sources, names)
    scripts.follow(main)
    for error in [*scripts.broken.values(), *scripts.lost.values()]:
        raise error
    processes = {id(each): _process(each) for path in sorted(scripts.files)
                 for each in scripts.files[path].definitions.values() if each.kind == PROCESS}
    for script in scripts.files.values():
        for include in script.includes:
            for definition in scripts.meant(include.file, include.name):
                if definition.kind == PROCESS and include.alias != definition.name:
                    processes[id(definition)].aliases.add(include.alias)
    return list(processes.values())


def _process(definition: Definition) -> Process:
    process = Process(name=definition.name, file=definition.file, line=definition.line)
    for each in directives(definition, ("container", "label")):
        if each.word == "label":
            process.labels |= {value for value in each.values if isinstance(value, str)}
        else:  # a later sure one replaces what stood before
            process.containers = [*(process.containers if each.guards else []), each]
    return process
