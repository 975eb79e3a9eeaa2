"""By which names a pipeline's workflows call its processes."""

from __future__ import annotations

from tasks.core.source.groovy.tokens import NAME
from tasks.core.source.scripts import PROCESS, WORKFLOW, Definition, Scripts

MAX_NAMES = 20_000
"""Bounds the names, which multiply where workflows call workflows."""

Called = dict[int, set[str]]
"""Qualified names (`FLOW:SUB:NAME`) of processes, by `id(definition)`."""


def qualified(scripts: Scripts, main: str) -> Called:
    """The names of each process that a run from the script `main` can call.

    A script without any workflow is of DSL 1, which runs each of its processes.
    """
    known = [definition for script in scripts.files.values()
             for definition in script.definitions.values()]
    if not any(definition.kind == WORKFLOW for definition in known):
        return {id(process): {process.name} for process in known if process.kind == PROCESS}
    own = scripts.files[main].definitions
    roots = ([own[f"<{WORKFLOW}>"]] if f"<{WORKFLOW}>" in own else
             [definition for definition in own.values() if definition.kind == WORKFLOW])
    called: Called = {}
    mentions: dict[int, list[tuple[str, Definition]]] = {}
    visited: set[tuple[int, str]] = set()
    waiting = [(root, root.name) for root in roots]
    while waiting and len(visited) < MAX_NAMES:
        workflow, above = waiting.pop()
        if (id(workflow), above) in visited:
            continue
        visited.add((id(workflow), above))
        if id(workflow) not in mentions:
            mentions[id(workflow)] = _mentioned(scripts, workflow)
        for name, meant in mentions[id(workflow)]:
            full = f"{above}:{name}".lstrip(":")
            if meant.kind == PROCESS:
                called.setdefault(id(meant), set()).add(full)
            elif name not in above.split(":"):
                waiting.append((meant, full))
    return called


def _mentioned(scripts: Scripts, workflow: Definition) -> list[tuple[str, Definition]]:
    """What a workflow's body names, each once: a call, or a part of a pipe."""
    names = dict.fromkeys(
        token.text for at, token in enumerate(workflow.body) if token.kind == NAME
        and not (at and workflow.body[at - 1].is_op(".", "?.")))
    return [(name, meant) for name in names for meant in scripts.meant(workflow.file, name)
            if meant.kind in (PROCESS, WORKFLOW)]
