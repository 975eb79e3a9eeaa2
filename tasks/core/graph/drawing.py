"""`doit graph`: what hangs on what, by state; a tree in the terminal, or a picture in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from doit.cmd_base import DoitCmdBase

from tasks.core import files, picture
from tasks.core.graph.doits import Suggests
from tasks.core.graph.list import marked
from tasks.core.graph.reasons import Reasons
from tasks.core.graph.selection import before, selected
from tasks.core.graph.state import BEHIND, LOOK, STALE
from tasks.core.picture import Node


class Graph(Suggests, DoitCmdBase):  # type: ignore[misc]
    """Draw the graph."""

    name = "graph"
    doc_purpose = "draw what hangs on what, by state: a tree, or with --svg FILE a picture"
    doc_usage = "[TASK ...] [pipeline=NAME] [--svg FILE]"
    doc_description = ("A task stands above all that it hangs on; … behind one says that these "
                       "were shown before.")
    cmd_options = ({"name": "svg", "short": "", "long": "svg", "type": str, "default": "",
                    "help": "write the picture into this file, for any browser"},)

    def _execute(self, svg: str = "") -> int:
        tasks, chosen, reasons = selected(self)
        ahead = {task.name: before(tasks, task.name) for task in chosen}
        if svg:
            files.write_text(Path(svg), as_svg(ahead, reasons))
            self.outstream.write(f"{svg}: {len(chosen)} tasks\n")
        else:
            self.outstream.write("".join(f"{line}\n" for line in tree(ahead, reasons)))
        self.dep_manager.close()
        return 0


def as_svg(ahead: Mapping[str, list[str]], reasons: Reasons) -> str:
    """The picture: a box for each task, with the reason below a stale one's name."""
    nodes = [Node(name=name, kind=_kind(reasons.states[name]), note=_note(name, reasons))
             for name in ahead]
    edges = [(first, name) for name, others in ahead.items() for first in others]
    return picture.svg(nodes, edges, title="what hangs on what, by state")


def _kind(state: str) -> str:
    return "look" if state == LOOK else state


def _note(name: str, reasons: Reasons) -> str:
    state = reasons.states[name]
    if state == BEHIND:
        return f"behind {reasons.root(name)}"
    return reasons.of(name) or "" if state == STALE else ""


def tree(ahead: Mapping[str, list[str]], reasons: Reasons) -> Iterator[str]:
    """The lines of the tree, from those that nothing hangs on."""
    later = {other for others in ahead.values() for other in others}
    tops = [name for name in reversed(list(ahead)) if name not in later]
    shown: set[str] = set()

    def branch(name: str, lead: str, own: str) -> Iterator[str]:
        is_again = name in shown and bool(ahead[name])
        note = "…" if is_again else _note(name, reasons)
        yield marked(reasons.states[name], f"{own}{name}  {note}")
        if is_again:
            return
        shown.add(name)
        nearest = _nearest(name, ahead)
        for number, other in enumerate(nearest):
            is_last = number == len(nearest) - 1
            yield from branch(other, f"{lead}{'   ' if is_last else '│  '}",
                              f"{lead}{'└─ ' if is_last else '├─ '}")

    for top in tops:
        yield from branch(top, "", "")


def _nearest(name: str, ahead: Mapping[str, list[str]]) -> list[str]:
    """Those right before it, without what others of them hang on as well."""
    return [other for other in ahead[name] if not any(
        other in _all_before(third, ahead) for third in ahead[name] if third != other)]


def _all_before(name: str, ahead: Mapping[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    waiting: list[Any] = [name]
    while waiting:
        for other in ahead[waiting.pop()]:
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached
