"""What a pipeline's configuration sets and includes, in all files that it reads.

Nextflow 24.10 runs a config from its first line to its last (tried): an `if` and an `includeConfig`
see the params that were set before them, also by a profile; a `catch` runs where a file is missing;
`workflow` is empty but in closures, which are asked when a task is made; and what `def`, `class`
and functions hold is no setting.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tasks.core.errors import AirlockError
from tasks.core.source.files import Sources, local_path
from tasks.core.source.groovy.expression import branches, evaluate
from tasks.core.source.groovy.portable import guard, portable
from tasks.core.source.groovy.syntax import (
    assignment,
    ends_statement,
    skip_newlines,
    skip_statement,
    skip_value,
)
from tasks.core.source.groovy.tokens import GSTRING, NAME, NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import (
    MEMBERS,
    PROJECT,
    Names,
    Unknown,
    Unset,
    Values,
    defaults,
    extended,
    set_name,
    unwrapped,
)

MAIN = "nextflow.config"
ENGINE = "workflow.containerEngine"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`path = value`, where `is_set`, else another statement, by its first word.

    `path` is without the profile's part; `profile` is the one that it stands in, None at the top.
    `guards` are the conditions that must hold for it to count, as Groovy for another config; None
    among them for what hangs on names that only the file knows. `names` are variables of the file.
    """

    path: tuple[str, ...]
    profile: str | None
    file: str
    line: int
    tokens: Sequence[Token]
    guards: tuple[str | None, ...] = ()
    is_set: bool = False
    names: Names


@dataclass(frozen=True, kw_only=True)
class Include:
    """An `includeConfig` of `expression`; `missing` are its values that are no file of the code."""

    expression: Sequence[Token]
    values: Values
    missing: tuple[object, ...]
    profile: str | None
    file: str
    line: int


@lru_cache(maxsize=64)
def _around(path: tuple[str, ...]) -> list[str]:
    """A block and those around it, the innermost first, each as its settings' names begin.

    Remembered, since the statements of a block share it: blocks may lie deep in each other.
    """
    return ["".join(f"{part}." for part in path[:depth]) for depth in range(len(path), -1, -1)]


class Scope(Mapping[str, Values]):
    """What a name in a config stands for: a param or variable, else the setting of that name in
    the innermost block around it that has one (tried, 24.10).
    """

    def __init__(self, variables: Names, names: Names, settings: Names,
                 path: tuple[str, ...]) -> None:
        self._names = ChainMap(dict(variables), dict(names)) if variables else names
        self._settings = settings
        self._path = path

    def __getitem__(self, name: str) -> Values:
        if name == MEMBERS:
            return frozenset([self])
        values = self._names.get(name)
        if values is not None:
            return values
        for block in _around(self._path):
            if (values := self._settings.get(block + name)) is not None:
                return values
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self._names, *(
            name[len(block):] for block in _around(self._path) for name in self._settings
            if name.startswith(block))])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def of(self, name: str) -> Iterable[str]:
        """The next parts of the names that begin with `name.`, as Members has them."""
        yield from (key for members in self._names.get(MEMBERS, ()) for key in members.of(name))
        yield from (key for members in self._settings.get(MEMBERS, ())
                    for block in _around(self._path) for key in members.of(block + name))

    def add(self, name: str) -> None:
        """Note the name of a variable within a closure, beside the settings."""
        for members in self._names.get(MEMBERS, ()):
            members.add(name)


Statements = Generator[Setting | Include, None, None]
Guards = tuple[str | None, ...]


class Reader:
    """Follows `includeConfig` through the files of `sources`, into the `profiles` named, or all.

    `names` holds what names stand for at the place that has been read so far. What it begins with
    is given from outside, as by -params-file, and no config changes it. `settings` are the values
    of all settings without closures, by their path. `declared` are the names of all profiles, read
    or not. `broken` are files that can't be read, with what is wrong with each.
    """

    def __init__(self, sources: Sources, names: Names,
                 profiles: Collection[str] | None = None) -> None:
        self.sources, self.profiles = sources, profiles
        self.names = extended({ENGINE: frozenset([Unset(ENGINE)])}, names)
        self.names[ENGINE] = frozenset([Unset(ENGINE)])
        self.settings: dict[str, Values] = {}
        self.given = frozenset(names)
        self.declared: set[str] = set()
        self.broken: dict[str, AirlockError] = {}
        self._open: list[str] = []
        self._variables: dict[str, Values] = {}
        self._scope: tuple[str, ...] = ()

    def read(self, path: str = MAIN, scope: tuple[str, ...] = (),
             guards: Guards = ()) -> Statements:
        """Read one file as if it stood in the blocks `scope`, under the conditions `guards`."""
        if path in self._open or path in self.broken:
            return
        try:
            tokens = self.sources.tokens(path)
        except AirlockError as error:
            self.broken[path] = error
            return
        outer, self._variables = self._variables, {}
        self._open.append(path)
        yield from self._statements(tokens, scope, guards)
        self._open.pop()
        self._variables = outer

    def known(self) -> Names:
        """What names stand for here: params, the variables of this file, and settings that stand
        in the same block or in one around it.
        """
        return Scope(self._variables, self.names, self.settings, self._scope)

    def _statements(self, tokens: Sequence[Token], scope: tuple[str, ...],
                    guards: Guards) -> Statements:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            self._scope = _profile(scope)[1]
            if token.kind == NEWLINE or token.is_op(";", "}"):
                at += 1
            elif token.is_name("includeConfig"):
                at = yield from self._include(tokens, at, scope, guards)
            elif token.is_name("if") and at + 1 < len(tokens) and tokens[at + 1].is_op("("):
                at = yield from self._if(tokens, at, scope, guards)
            else:
                at = yield from self._statement(tokens, at, scope, guards)

    def _if(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...],
            guards: Guards) -> Generator[Setting | Include, None, int]:
        """Both ways, where a param decides: a user may set it, and what holds later is not known.
        """
        branch = branches(tokens, at, Scope(self._variables, _but_params(self.names),
                                            _but_params(self.settings), self._scope))
        yield from self._setting((*scope, "if"), branch.condition, guards)
        for way, body in branch.bodies():
            yield from self._statements(body, scope, (*guards, *guard(branch, way)))
        return branch.end

    def _statement(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...],
                   guards: Guards) -> Generator[Setting | Include, None, int]:
        """`a.b = value`, `a { … }`, `withName: 'X' { … }`, a variable, or anything else."""
        path, end = setting(tokens, at)
        variable = assignment(tokens, at)
        if variable is not None and (variable[1] > at + 2 or variable[0] in self._variables):
            stop = skip_value(tokens, variable[1])
            self._assign(variable[0], tokens[variable[1]:stop], sure=not guards)
            yield from self._setting((*scope, variable[0]), tokens[variable[1]:stop], guards)
        elif path and end < len(tokens) and tokens[end].is_op("{"):
            stop = closing(tokens, end) + 1
            inner = (*scope, *(() if path[0] in ("try", "catch", "finally") else path))
            if self._is_read(inner):
                yield from self._statements(
                    tokens[end + 1:stop - 1], inner,
                    (*guards, None) if path[0] == "catch" else guards)
        elif path and end < len(tokens) and tokens[end].is_op("="):
            stop = max(skip_value(tokens, end + 1), end + 1)
            if self._is_read((*scope, *path)):
                yield from self._setting((*scope, *path), tokens[end + 1:stop], guards, is_set=True)
        else:
            stop = max(skip_statement(tokens, at), at + 1)
            yield from self._setting((*scope, tokens[at].text),
                                     tokens[at + 1:stop] or tokens[at:stop], guards)
        return stop

    def _is_read(self, path: tuple[str, ...]) -> bool:
        profile, _ = _profile(path)
        if profile is not None:
            self.declared.add(profile)
        return profile is None or self.profiles is None or profile in self.profiles

    def _setting(self, path: tuple[str, ...], tokens: Sequence[Token], guards: Guards, *,
                 is_set: bool = False) -> Iterator[Setting]:
        """The setting, and a param's default with it, unless that is given from outside."""
        profile, own = _profile(path)
        if is_set and tokens and (own[0] == "params" or not any(
                token.is_op("{") for token in tokens)):
            self._set(own, evaluate(tokens, 0, self.known())[0], sure=not guards)
        if tokens:
            yield Setting(path=own, profile=profile, file=self._open[-1], line=tokens[0].line,
                          tokens=tokens, guards=guards, is_set=is_set, names=self._variables)

    def _set(self, path: tuple[str, ...], values: Values, *, sure: bool) -> None:
        """Note what a setting is; under a condition what it was before can hold too."""
        name = ".".join(path)
        if len(path) > 1 and path[0] == "params":
            if name in self.given:
                return
            values = defaults(values, name)
            before = self.names.get(name, frozenset())
            if not sure:  # a map beside what its members have
                values |= {value for value in before if unwrapped(value) is not None}
            set_name(self.names, name, values, keep=not sure)
        set_name(self.settings, name, values, keep=not sure)

    def _assign(self, name: str, tokens: Sequence[Token], *, sure: bool) -> None:
        values, end = evaluate(tokens, 0, self.known())
        if not ends_statement(tokens, end):
            values = frozenset([Unknown(name)])
        before = frozenset() if sure else self._variables.get(name, frozenset())
        self._variables = {**self._variables, name: values | before}

    def _include(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...],
                 guards: Guards) -> Generator[Setting | Include, None, int]:
        values, end = evaluate(tokens, at + 1, self.known())
        text, end = portable(tokens[at + 1:end]), max(skip_value(tokens, end), at + 1)
        paths = {value: self._local(value) for value in sorted(map(unwrapped, values), key=str)}
        yield Include(expression=tokens[at + 1:end], values=frozenset(paths),
                      missing=tuple(value for value, path in paths.items() if path is None),
                      profile=_profile(scope)[0], file=self._open[-1], line=tokens[at].line)
        for value, path in paths.items():
            if path is not None:
                chosen = () if len(values) == 1 else (_chosen(text, value),)
                yield from self.read(path, scope, (*guards, *chosen))
        return end

    def _local(self, value: object) -> str | None:
        """The included file's path in the pipeline; None where it lies elsewhere."""
        if not isinstance(value, str) or ("://" in value and not value.startswith(PROJECT)):
            return None
        path = local_path(value, self._open[-1])
        return path if self.sources.has(path) else None


def _but_params(names: Names) -> Names:
    return {name: values for name, values in names.items() if not name.startswith("params.")}


def _chosen(text: str | None, value: str) -> str | None:
    """The condition under which the expression `text` names this file."""
    end = value.removeprefix(PROJECT).replace("\\", "\\\\").replace("'", "\\'")
    return None if text is None else f"{text}.toString().endsWith('{end}')"


def _profile(path: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    if path[:1] == ("profiles",) and len(path) > 1:
        return path[1], path[2:]
    return None, path


def setting(tokens: Sequence[Token], at: int) -> tuple[tuple[str, ...], int]:
    """The name that a setting of a config begins with, in parts, and the index behind it.

    A selector is one part, `withName:PATTERN`.
    """
    token = tokens[at]
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    if token.is_name("withName", "withLabel") and following is not None and following.is_op(":"):
        at += 2
        pattern = ""
        while at < len(tokens) and not tokens[at].is_op("{", ";") and tokens[at].kind != NEWLINE:
            pattern += tokens[at].text
            at += 1
        return (f"{token.text}:{pattern}",), _to_brace(tokens, at)
    parts: list[str] = []
    while at < len(tokens) and tokens[at].kind in (NAME, STRING, GSTRING):
        parts.append(tokens[at].text)
        at += 1
        if not (at < len(tokens) and tokens[at].is_op(".")):
            break
        at += 1
    if parts[:1] == ["catch"] and at < len(tokens) and tokens[at].is_op("("):
        at = closing(tokens, at) + 1
    return tuple(parts), _to_brace(tokens, at)


def _to_brace(tokens: Sequence[Token], at: int) -> int:
    """The index of an opening brace that only line ends keep from `at`, else `at`."""
    end = skip_newlines(tokens, at)
    return end if end < len(tokens) and tokens[end].is_op("{") else at
