"""Processes of the scripts that a pipeline includes: their containers, labels and aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.core.errors import ImageError
from tasks.core.source.groovy.expression import Names, branches, evaluate, merged
from tasks.core.source.groovy.statements import candidates, included_by
from tasks.core.source.groovy.syntax import assignment, behind_braces, skip_statement
from tasks.core.source.groovy.tokens import NAME, NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import Unknown, Values, unwrapped
from tasks.images.choice import guard, portable
from tasks.images.sources import Sources

SECTIONS = ("input", "output", "when", "script", "shell", "exec", "stub", "topic")


@dataclass(frozen=True, kw_only=True)
class Container:
    """The possible values of one `container` directive, and where it stands.

    `guards` are the conditions that must hold for it to count, and `text` the expression itself,
    as Groovy for another config; None where it hangs on names that only its file knows.
    """

    values: Values
    file: str
    line: int
    guards: tuple[str | None, ...] = ()
    text: str | None = None


@dataclass(kw_only=True)
class Process:
    """A process as it is defined; `containers` are those that can hold, the usual case is one."""

    name: str
    file: str
    line: int
    containers: list[Container] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Include:
    """`include { name as alias } from path`."""

    name: str
    alias: str
    path: str
    line: int


@dataclass(kw_only=True)
class Script:
    """What one file defines and includes."""

    processes: dict[str, Process] = field(default_factory=dict)
    includes: list[Include] = field(default_factory=list)


def read(sources: Sources, main: str, names: Names) -> list[Process]:
    """All processes of the scripts that `main` includes, itself among them, with their aliases.

    `names` are the values that hold in every script: the engine's, and the params.
    """
    scripts: dict[str, Script] = {}
    waiting = [main]
    while waiting:
        path = waiting.pop()
        if path in scripts:
            continue
        script = scripts[path] = parse(sources, path, names)
        waiting += [each.path for each in script.includes]
    for script in scripts.values():
        for include in script.includes:
            process = _resolve(scripts, include.path, include.name, set())
            if process is not None and include.alias != process.name:
                process.aliases.add(include.alias)
    return [process for path in sorted(scripts) for process in scripts[path].processes.values()]


def _resolve(scripts: dict[str, Script], path: str, name: str,
             seen: set[tuple[str, str]]) -> Process | None:
    """The process that `name` means in a file: its own, or one that the file includes."""
    script = scripts[path]
    if name in script.processes:
        return script.processes[name]
    if (path, name) in seen:
        return None
    seen.add((path, name))
    for include in script.includes:
        if include.alias == name:
            return _resolve(scripts, include.path, include.name, seen)
    return None


def parse(sources: Sources, path: str, known: Names) -> Script:
    """Read one script file."""
    tokens = sources.tokens(path)
    script = Script()
    names = dict(known)
    at, fresh, depth = 0, True, 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == NEWLINE or token.is_op(";", "{", "}"):
            depth += token.is_op("{") - token.is_op("}")
            at, fresh = at + 1, True
            continue
        begun, fresh = fresh, False
        if begun and token.is_name("process") and _opens_process(tokens, at):
            brace = next(i for i in range(at, len(tokens)) if tokens[i].is_op("{"))
            end = closing(tokens, brace)
            process = _process(tokens[at + 1], tokens[brace + 1:end], path, names)
            script.processes[process.name] = process
            at, fresh = end + 1, True
        elif token.is_name("include") and (
                begun or any(each.is_op("{") for each in tokens[at + 1:at + 2])):
            found, at = _includes(sources, tokens, at, path, names)
            script.includes += found
        elif begun and token.is_name("class", "enum"):
            at = behind_braces(tokens, at)
        elif begun and token.is_name("workflow"):
            end = behind_braces(tokens, at)
            script.includes += _inner_includes(sources, tokens, at, end, path, names)
            at = end
        elif begun and (value := assignment(tokens, at)):
            values, _ = evaluate(tokens, value[1], names)
            # Within braces it may or may not be reached: then the values before it hold too.
            names[value[0]] = values | (names.get(value[0], values) if depth else values)
            at = skip_statement(tokens, value[1])
        elif token.is_op("(", "["):
            at = closing(tokens, at) + 1
        else:
            at += 1
    return script


def _inner_includes(sources: Sources, tokens: Sequence[Token], at: int, end: int, path: str,
                    names: Names) -> list[Include]:
    """Includes within a workflow's body, as the first releases of DSL 2 had them."""
    found: list[Include] = []
    for index in range(at, min(end, len(tokens)) - 1):
        if tokens[index].is_name("include") and tokens[index + 1].is_op("{"):
            found += _includes(sources, tokens, index, path, names)[0]
    return found


def _opens_process(tokens: Sequence[Token], at: int) -> bool:
    following = [each for each in tokens[at + 1:at + 4] if each.kind != NEWLINE]
    return (len(following) > 1 and following[0].kind in (NAME, STRING)
            and following[1].is_op("{"))


def _process(name: Token, body: Sequence[Token], path: str, names: dict[str, Values]) -> Process:
    process = Process(name=name.text, file=path, line=name.line)
    _directives(process, body, dict(names), set())
    if any(isinstance(value, Unknown) for each in process.containers for value in each.values):
        # Nextflow asks a directive for its value when a task is made, after the script has
        # set the variables that the directive may name.
        process.containers.clear()
        variables = _variables(body, names)
        _directives(process, body, {**names, **variables}, set(variables))
    return process


def _variables(body: Sequence[Token], names: Names) -> dict[str, Values]:
    """What any line of a process's body sets its variables to."""
    found: dict[str, Values] = {}
    fresh = True
    for at, token in enumerate(body):
        if fresh and (value := assignment(body, at)):
            found[value[0]] = (found.get(value[0], frozenset())
                               | evaluate(body, value[1], {**names, **found})[0])
        fresh = token.kind == NEWLINE or token.is_op(";", "{", "}", ":")
    return found


def _directives(process: Process, tokens: Sequence[Token], names: dict[str, Values],
                local: set[str], guards: tuple[str | None, ...] = ()) -> None:
    """Read directives up to the first section; a later sure one replaces what stood before.

    `local` are the names that a task knows, `guards` the conditions around.
    """
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.kind == NEWLINE or token.is_op(";"):
            at += 1
        elif token.is_name(*SECTIONS) and following is not None and following.is_op(":"):
            return
        elif token.is_name("if") and following is not None and following.is_op("("):
            branch = branches(tokens, at, names)
            outcomes = []
            for way, body in branch.bodies():
                outcomes.append(dict(names))
                _directives(process, body, outcomes[-1], local,
                            (*guards, *guard(branch, way, local)))
            names.update(merged(outcomes))
            at = branch.end
        elif (token.is_name("container", "label") and following is not None
              and not following.is_op(":", ".")):
            start = at + 1 + following.is_op("=")
            values, end = evaluate(tokens, start, names)
            if token.text == "label":
                process.labels |= {each for each in values if isinstance(each, str)}
            else:
                kept = process.containers if guards else []
                process.containers = [*kept, Container(
                    values=values, file=process.file, line=token.line, guards=guards,
                    text=portable(tokens[start:end], local))]
            at = max(skip_statement(tokens, end), at + 1)
        elif value := assignment(tokens, at):
            names[value[0]], end = evaluate(tokens, value[1], names)
            at = skip_statement(tokens, end)
        else:
            at = max(skip_statement(tokens, at), at + 1)


def _includes(sources: Sources, tokens: Sequence[Token], at: int, file: str,
              names: Names) -> tuple[list[Include], int]:
    """The includes of one statement at `at`, and the index behind it."""
    line = tokens[at].line
    included, values, at = included_by(tokens, at, names)
    return [Include(name=name, alias=alias, path=path, line=line)
            for path in _scripts(sources, values, file, line)
            for name, alias in included], at


def _scripts(sources: Sources, values: Values, file: str, line: int) -> list[str]:
    """The script files that an include names; plugins are none."""
    found = []
    for value in map(unwrapped, values):
        if not isinstance(value, str):
            raise ImageError(f"it can't be known which file is included here: it hangs on "
                             f"{value.why if hasattr(value, 'why') else value!r}",
                             where=f"{file}:{line}",
                             todo="include files by a fixed path")
        if value.startswith("plugin/"):
            continue
        name = next(filter(sources.has, candidates(file, value)), None)
        if name is None:
            raise ImageError(f"the included file {value!r} is not in the pipeline's code",
                             where=f"{file}:{line}", todo="correct the include, then stage again")
        found.append(name)
    return found
