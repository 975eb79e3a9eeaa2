"""Processes that no image is set for: a run would take the host's own programs for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.core.source.directives import Directive
from tasks.core.source.groovy.values import Default, unwrapped
from tasks.images.given import Given
from tasks.images.layers import layers
from tasks.images.processes import Process, Processes
from tasks.images.rules import Rule

NO_IMAGE = (None, False, "")


@dataclass(frozen=True, kw_only=True, order=True)
class Without:
    """A process, or an alias of one, that has no image; `why` says what there is instead.

    `is_accepted` where the pipeline's own config says that it runs so; `is_called` where a
    workflow calls it.
    """

    file: str
    line: int
    name: str
    why: str
    is_accepted: bool
    is_called: bool

    def __str__(self) -> str:
        uncalled = "" if self.is_called else "; no workflow calls it"
        return f"{self.file}:{self.line}: {self.name} has no image: {self.why}{uncalled}"

    def as_json(self) -> dict[str, object]:
        """The form in images.json."""
        return {"name": self.name, "file": self.file, "line": self.line, "why": self.why,
                "accepted": self.is_accepted, "called": self.is_called}


def find(processes: Processes, rules: Sequence[Rule], given: Mapping[str, Given],
         ) -> list[Without]:
    """The processes without an image, by their aliases where only some have none."""
    return [*dict.fromkeys(
        without for process in processes.all
        for without in _of_process(process, processes.called(process), rules, given))]


def _of_process(process: Process, called: Collection[str], rules: Sequence[Rule],
                given: Mapping[str, Given]) -> Iterator[Without]:
    bare = {} if process.is_native or process.name in given else {
        name.rpartition(":")[2]: containers for name in sorted(called or {process.name})
        for containers in [layers(process, name, rules)] if is_bare(containers)}
    for alias in dict.fromkeys([*bare, process.name, *sorted(process.aliases)]):
        by_hand = given.get(alias)
        if by_hand is None and alias in bare:
            yield Without(name=alias, file=process.file, line=process.line, is_accepted=False,
                          is_called=bool(called), why=reason([process], bare[alias]))
        elif by_hand is not None and not by_hand.images:
            yield Without(name=alias, file=process.file, line=process.line, is_accepted=True,
                          is_called=bool(called),
                          why="the pipeline's config says that it runs without")


def is_bare(containers: Sequence[Directive]) -> bool:
    """Whether what sets a process's image, the strongest last, surely comes to none."""
    for container in reversed(containers):
        if not all(_is_none(unwrapped(value)) for value in container.values):
            return False
        if not container.guards:
            break
    return True


def _is_none(value: object) -> bool:
    return value in NO_IMAGE or (isinstance(value, str) and not value.strip())


def reason(same: Sequence[Process], containers: Sequence[Directive]) -> str:
    """What there is in the place of an image, of these processes of one name."""
    if containers:
        last = containers[-1]
        params = [value.name for value in last.values if isinstance(value, Default)]
        place = f"{last.file}:{last.line}"
        return f"{params[0]} is empty by default ({place})" if params else (
            f"`{last.word}` is set to nothing ({place})")
    words = []
    for directive in (directive for process in same for directive in process.other_software()):
        values = sorted({value for value in map(unwrapped, directive.values)
                         if isinstance(value, str) and value})
        words.append(f"`{directive.word} {values[0]!r}`" if len(values) == 1
                     else f"`{directive.word}`")
    return f"only {' and '.join(dict.fromkeys(words))}" if words else "nothing sets one"
