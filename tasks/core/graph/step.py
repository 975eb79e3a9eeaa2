"""How a room says what can be built: one step, with its settings, inputs and outputs.

A step's action gets one frozen dataclass, its spec, and nothing else; the same spec, digested by
field, is what doit compares. So a step cannot read a setting that it doesn't declare.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from doit.dependency import UptodateCalculator

from tasks.core import files, ownership
from tasks.core.errors import AirlockError
from tasks.core.graph.deferred import Call, Name, Uncompared, loaded
from tasks.core.graph.differences import differences
from tasks.core.graph.state import states
from tasks.core.paths import SitePaths

CODE = "its own code"
FEW = 3
"""Files that a reason names."""
Spec = TypeVar("Spec")
Task = dict[str, Any]


class _Question:
    """doit passes `task` and `values` by name, and would look for the names at each call."""

    __signature__ = inspect.Signature([
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for name in ("task", "values")])


class Settings(_Question, UptodateCalculator):  # type: ignore[misc]
    """doit's question whether a step's settings and code are those of its last success.

    Its reasons, shown by `doit list`, name the settings that changed; `its own code` is one, which
    no field of a spec can be called.
    """

    def __init__(self, spec: object, action: Callable[..., object]) -> None:
        self._spec, self._module = spec, module_of(action)
        self._before = self._now = "{}"
        self._verb = ""

    def setup(self, dep_manager: Any, tasks_dict: Mapping[str, Any]) -> None:
        """doit calls this before the question: the state's keeper knows the code, too."""
        self._state = dep_manager.backend
        code = self._state.code.digest(self._module)
        self._now = _to_json({**_plain(self._spec), CODE: code})

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        task.value_savers.append(self._noted)
        self._verb = task.subtask_of or task.name
        before = values.get("settings", "{}")
        if not isinstance(before, str):  # of an earlier form
            before = "{}"
        self._before = before
        return bool(before == self._now)

    def _noted(self) -> dict[str, str]:
        self._state.keep_code(self._module)
        return {"settings": self._now}

    def reasons(self) -> Iterator[str]:
        """What has changed since the last success."""
        old, new = json.loads(self._before), json.loads(self._now)
        codes = old.pop(CODE, None), new.pop(CODE, None)
        if old != new:
            yield from list(differences(old, new)) or ["settings changed"]
        if codes[0] != codes[1]:
            named = _few(self._changed_files(codes[0]))
            yield f"code of {self._verb} changed{f': {named}' if named else ''}"

    def _changed_files(self, digest: str | None) -> list[str]:
        """Which files the step's code had otherwise, its own module and room first; none where
        the state doesn't tell, which was written before it did."""
        old = self._state.code_noted(digest) if digest else {}
        new = self._state.code.digests_of(self._module) if old else {}
        own = f"{self._module.replace('.', '/')}.py"
        room = f"{own.rpartition('/')[0]}/"
        return sorted((path for path in {*old, *new} if old.get(path) != new.get(path)),
                      key=lambda path: (path != own, not path.startswith(room), path))


class Kept(_Question):
    """doit's question whether files that a step both reads and writes are as it left them.

    For locks: a colleague's new lock makes the step stale, the step's own writing doesn't.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._changed: list[str] = []

    def _state(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Each file's size, time and digest; one with the same size and time is not read."""
        state = {}
        for path in filter(Path.is_file, self._paths):
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            last = before.get(str(path))
            is_same = isinstance(last, list) and last[:2] == stamp
            state[str(path)] = last if is_same else [*stamp, files.sha256(path)]
        return state

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        before = values.get("kept", {})
        task.value_savers.append(lambda: {"kept": self._state({})})
        now = self._state(before)
        self._changed = sorted(path for path in {*now, *before} if path not in now
                               or path not in before or now[path][-1] != before[path][-1])
        return not self._changed

    def reasons(self) -> Iterator[str]:
        """Which of the files are not as they were left."""
        yield from (f"{path} {'changed' if Path(path).is_file() else 'is missing'}"
                    for path in self._changed)


class Standing(_Question, UptodateCalculator):  # type: ignore[misc]
    """No question, but the moment when a step that looks is told how other steps stand.

    A file of a step that isn't fresh may be of another state than the files beside it.
    """

    def __init__(self, standing: dict[str, str]) -> None:
        self._standing = standing

    def setup(self, dep_manager: Any, tasks_dict: Mapping[str, Any]) -> None:
        names = [name for name in self._standing if name in tasks_dict]
        now = states(tasks_dict.values(), dep_manager, names)
        self._standing.update({name: now[name] for name in names})

    def __call__(self, task: Any, values: Mapping[str, Any]) -> None:
        return None


class Mends(_Question, UptodateCalculator):  # type: ignore[misc]
    """doit's question whether a step may be passed over: not by a run, where it looks itself for
    what is gone. `doit list` shows what the other questions say."""

    def __init__(self) -> None:
        self._is_run = False

    def setup(self, dep_manager: Any, tasks_dict: Mapping[str, Any]) -> None:
        """doit calls this before the question: the state's keeper knows what it is opened for."""
        self._is_run = dep_manager.backend.is_run

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        return not self._is_run


class Same(_Question):
    """doit's question whether something is what it was for the last success, by a digest.

    The digest is asked again when the step succeeds, in the process that has run it: a file may
    be another process's by then.
    """

    def __init__(self, digest: Callable[[], str]) -> None:
        self._digest = digest

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        task.value_savers.append(lambda: {"on": self._digest()})
        return bool(values.get("on") == self._digest())

    def reasons(self) -> Iterator[str]:
        """What it runs on is another."""
        yield "the release changed, or was bootstrapped anew"


def step(name: str, doc: str, action: Callable[[Spec], str | None], spec: Spec, *,
         needs: Iterable[Path] = (), makes: Iterable[Path] = (), keeps: Iterable[Path] = (),
         always: bool = False, look: bool = False, asked: bool = False, recorded: bool = True,
         mends: bool = False, on: Callable[[], str] | None = None,
         moves: Callable[[Spec], int | None] | None = None,
         after: Iterable[str] = (), servers: Iterable[str] = (), checks: Iterable[str] = (),
         in_all: Iterable[str] = (), first: bool = False,
         left: Callable[[Sequence[str]], str | None] | None = None,
         ends: Callable[[str | None], Iterable[str]] | None = None,
         standing: dict[str, str] | None = None) -> Task:
    """One task of doit: `name` is `<verb>` or `<verb>:<pipeline>`.

    `needs` and `makes` are the files read and written, `keeps` the locks that are both. `always`
    runs it each time; `look` says that it changes nothing, so it never counts as stale; `asked`,
    that it is made on request only, so it isn't stale before it was made once. Without
    `recorded` the run leaves the step's state as it was: for a switch that makes the step do
    something else. `mends` has each run start it, fresh or not, since it looks for what is gone.
    `on` is the digest of what it runs on where other processes write that file, too. `moves` are
    the bytes that it moves at most, as far as files tell. `after` are tasks that must be done
    first. Only when this one runs, `servers` are started, and `checks` look first; a check that
    fails keeps it from running. `in_all` are checks where everything is built, and not where tasks
    are named; a `first` one comes there before any other step that runs. `left` says what is told
    at the end where this one wasn't run, of the names of those before it that failed; `ends` where
    it succeeded, of what it returned, or is fresh, of None: its result, and what is typed next.
    `standing`, for a step that looks, has names of steps, whose states it gets in its turn.
    """
    makes, keeps = list(makes), list(keeps)
    verb, _, last = name.rpartition(":")
    task: Task = {
        "basename": name,
        "doc": doc,
        "actions": [(perform, [name, action, spec])],
        "file_dep": [os.fspath(path) for path in needs],
        "targets": [os.fspath(path) for path in makes],
        "uptodate": [*([Standing(standing)] if standing else []), False] if look else [
            *_questions(spec, action, keeps, on), *([Mends()] if mends else []),
            *([False] if always else [])],
        "task_dep": list(after),
        "setup": [*servers, *checks],
        "clean": True,  # its outputs; locks stay
        "verbosity": 2,
        "io": {"capture": False},
        "meta": {"look": look or always, "asked": asked, "recorded": recorded,
                 "in_all": list(in_all), "left": left, "first": first, "ends": ends,
                 "always": always and bool(makes), "moves": (moves, spec) if moves else None},
    }
    if "pipeline" in _fields(spec):
        task |= {"basename": verb, "name": last}
    return task


def _questions(spec: object, action: Callable[..., object], keeps: list[Path],
               on: Callable[[], str] | None) -> list[Any]:
    """Asked also where it runs each time: they note what the next run is held against."""
    return [Settings(spec, action), *([Kept(keeps)] if keeps else []),
            *([Same(on)] if on else [])]


def group(name: str, doc: str, members: Iterable[str] = ()) -> Task:
    """A name for several tasks; without members, for all tasks `<name>:<pipeline>`."""
    return {"basename": name, "name": None, "doc": doc, "task_dep": list(members),
            "uptodate": [True]}


def module_of(action: Callable[..., object] | Name) -> str:
    """The dotted name of the module that an action stands in."""
    return action.module if isinstance(action, Name) else action.__module__


def perform(name: str, action: Callable[[Spec], str | None], spec: Spec) -> Any:
    """Run an action; faults become doit's TaskFailed, the one place where they do."""
    from doit.exceptions import TaskFailed
    try:
        return loaded(action)(loaded(spec))
    except Exception as error:
        return TaskFailed(str(fault(name, error)))


def fault(name: str, error: Exception) -> AirlockError:
    """An error in words for the user of the step or command `name`; a traceback goes to a file."""
    if isinstance(error, AirlockError):
        return error
    if isinstance(error, OSError):
        return AirlockError(
            f"{error.strerror or type(error).__name__}", where=error.filename,
            todo="free space or mend the rights there, then run the same command again")
    ownership.private_folder(SitePaths(site="faults").root)
    trace = SitePaths(site="faults").logs / f"{name.replace(':', '-')}.txt"
    files.write_text(trace, "".join(traceback.format_exception(error)))
    return AirlockError(
        f"a fault of nf-airlock itself: {type(error).__name__}: {error}", where=trace,
        todo="please report it with that file, which holds the traceback")


def _few(names: Sequence[str]) -> str:
    """Names for a line, the first of many."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def _fields(spec: Any) -> Mapping[str, Any]:
    """A spec's fields that count, by name, also where its class isn't loaded yet."""
    if isinstance(spec, Call):
        return {name: field for name, field in spec.fields.items()
                if not isinstance(field, Uncompared)}
    return {name: getattr(spec, name) for name in _compared(spec.__class__)}


@cache
def _compared(spec: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(spec) if field.compare)


def _plain(value: Any) -> Any:
    """What JSON does not know: a spec or another dataclass as its fields, a path as text."""
    if isinstance(value, Call) or dataclasses.is_dataclass(value):
        return {name: str(field) if isinstance(field, Path) else field
                for name, field in _fields(value).items()}
    return dict(value) if isinstance(value, Mapping) else str(value)


_to_json = json.JSONEncoder(sort_keys=True, default=_plain).encode
