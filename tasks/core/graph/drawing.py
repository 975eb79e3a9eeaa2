"""`doit graph`: what hangs on what, by state; a tree in the terminal, or a picture in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from doit.cmd_base import DoitCmdBase

from tasks.core import files, picture
from tasks.core.graph.doits import Suggests
from tasks.core.graph.list import marked
from tasks.core.graph.reasons import Reasons
from tasks.core.graph.selection import before, selected
from tasks.core.graph.state import BEHIND, FRESH, LOOK, STALE
from tasks.core.layers import Edge, nearest
from tasks.core.picture import Node

LEGEND = {FRESH: "fresh", STALE: "stale: will run", BEHIND: "behind: may run",
          LOOK: "only looks, or is made on request"}


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
        names = {task.name for task in chosen}
        ahead = {task.name: [*before(tasks, task.name),
                             *names.intersection((task.meta or {}).get("in_all", ()))]
                 for task in chosen}
        if svg:
            files.write_text(Path(svg), as_svg(ahead, reasons))
            self.outstream.write(f"{svg}: {len(chosen)} tasks\n")
        else:
            self.outstream.write("".join(f"{line}\n" for line in tree(ahead, reasons)))
        self.dep_manager.close()
        return 0


def as_svg(ahead: Mapping[str, list[str]], reasons: Reasons) -> str:
    """The picture: a box for each task, with the reason below a stale one's name."""
    names = sorted(ahead)
    nodes = [Node(name=name, kind=_kind(reasons.states[name]), note=_note(name, reasons))
             for name in names]
    return picture.svg(
        picture.draw(nodes, _edges(names, ahead)), title="what hangs on what, by state",
        legend={_kind(state): says for state, says in LEGEND.items() if any(
            reasons.states[name] == state for name in names)})


def _edges(names: Sequence[str], ahead: Mapping[str, list[str]]) -> list[Edge]:
    """Pairs of places among the names: what comes before what."""
    places = {name: place for place, name in enumerate(names)}
    return [(places[first], places[name]) for name in names for first in ahead[name]
            if first in places]


def _kind(state: str) -> str:
    return "look" if state == LOOK else state


def _note(name: str, reasons: Reasons) -> str:
    state = reasons.states[name]
    if state == BEHIND:
        return f"behind {reasons.root(name)}"
    return reasons.of(name) or "" if state == STALE else ""


def tree(ahead: Mapping[str, list[str]], reasons: Reasons) -> Iterator[str]:
    """The lines of the tree, from those that nothing hangs on."""
    names = list(ahead)
    kept = nearest(len(names), _edges(names, ahead))
    nearest_before: dict[str, list[str]] = {name: [] for name in names}
    for first, then in kept:
        nearest_before[names[then]].append(names[first])
    later = {names[first] for first, _ in kept}
    tops = [name for name in reversed(names) if name not in later]
    shown: set[str] = set()

    def branch(name: str, lead: str, own: str) -> Iterator[str]:
        is_again = name in shown and bool(ahead[name])
        note = "…" if is_again else _note(name, reasons)
        yield marked(reasons.states[name], f"{own}{name}  {note}")
        if is_again:
            return
        shown.add(name)
        others = nearest_before[name]
        for number, other in enumerate(others):
            is_last = number == len(others) - 1
            yield from branch(other, f"{lead}{'   ' if is_last else '│  '}",
                              f"{lead}{'└─ ' if is_last else '├─ '}")

    for top in tops:
        yield from branch(top, "", "")
