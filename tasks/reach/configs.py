"""What a pipeline's configuration sets, by file and line, in all files that it includes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tasks.core.source.groovy.expression import Names, branches, evaluate
from tasks.core.source.groovy.statements import local_path, setting
from tasks.core.source.groovy.syntax import assignment, groovy, skip_statement
from tasks.core.source.groovy.tokens import NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import Unknown, unwrapped
from tasks.reach.text import URL, params_of
from tasks.reach.tree import Tree

MAIN = "nextflow.config"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`path = value`, or another statement with strings; `path` without the profile's part.

    `profile` is the one that it stands in, None at the top.
    """

    path: tuple[str, ...]
    profile: str | None
    file: str
    line: int
    tokens: Sequence[Token]


@dataclass(frozen=True, kw_only=True)
class Include:
    """An `includeConfig` of what isn't in the code; `what` is its address or its expression."""

    what: str
    params: tuple[str, ...]
    profile: str | None
    file: str
    line: int


@dataclass(kw_only=True)
class Configs:
    """All that was read; `broken` are files that are no Groovy."""

    settings: list[Setting] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


class Reader:
    """Follows `includeConfig` through the files of `tree`, into every profile.

    `names` are the values of names in expressions.
    """

    def __init__(self, tree: Tree, names: Names) -> None:
        self.tree, self.names = tree, names
        self.found = Configs()
        self.open: list[str] = []

    def file(self, path: str, scope: tuple[str, ...] = ()) -> Configs:
        """Read one file as if it stood in the blocks `scope`."""
        if path in self.open:
            return self.found
        tokens = self.tree.tokens(path)
        if path not in self.found.files:
            self.found.files.append(path)
            self.found.broken += [path] if tokens is None else []
        self.open.append(path)
        self._statements(tokens or [], scope)
        self.open.pop()
        return self.found

    def _statements(self, tokens: Sequence[Token], scope: tuple[str, ...]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.kind == NEWLINE or token.is_op(";", "}"):
                at += 1
            elif token.is_name("includeConfig"):
                at = self._include(tokens, at, scope)
            elif token.is_name("if") and at + 1 < len(tokens) and tokens[at + 1].is_op("("):
                branch = branches(tokens, at, {})
                self._add(scope, branch.condition)
                for _, body in branch.bodies():
                    self._statements(body, scope)
                at = branch.end
            else:
                at = self._setting(tokens, at, scope)

    def _setting(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...]) -> int:
        path, end = setting(tokens, at)
        if path and end < len(tokens) and tokens[end].is_op("{"):
            close = closing(tokens, end)
            inner = (*scope, *(() if path[0] in ("try", "catch", "finally") else path))
            self._statements(tokens[end + 1:close], inner)
            return close + 1
        if path and end < len(tokens) and tokens[end].is_op("="):
            stop = max(skip_statement(tokens, end + 1), end + 1)
            self._add((*scope, *path), tokens[end + 1:stop])
            return stop
        stop = max(skip_statement(tokens, at), at + 1)
        name = assignment(tokens, at)
        self._add((*scope, name[0] if name else tokens[at].text), tokens[at + 1:stop] or
                  tokens[at:stop])
        return stop

    def _add(self, path: tuple[str, ...], tokens: Sequence[Token]) -> None:
        if not tokens:
            return
        profile, own = _profile(path)
        self.found.settings.append(Setting(path=own, profile=profile, file=self.open[-1],
                                           line=tokens[0].line, tokens=tokens))

    def _include(self, tokens: Sequence[Token], at: int, scope: tuple[str, ...]) -> int:
        values, end = evaluate(tokens, at + 1, self.names)
        end = max(skip_statement(tokens, end), at + 1)
        expression = tokens[at + 1:end]
        texts = [value for value in map(unwrapped, values) if isinstance(value, str)]
        for text in sorted(texts):
            path = local_path(text, self.open[-1])
            if not URL.match(text) and self.tree.has(path):
                self.file(path, scope)
        remote = sorted(text for text in texts if URL.match(text))
        unknown = any(isinstance(value, Unknown) for value in values) and not texts
        profile, _ = _profile(scope)
        for what in remote or ([groovy(expression) or "nothing"] if unknown else []):
            self.found.includes.append(Include(
                what=what, params=tuple(params_of(expression)), profile=profile,
                file=self.open[-1], line=tokens[at].line))
        return end


def _profile(path: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    if path[:1] == ("profiles",) and len(path) > 1:
        return path[1], path[2:]
    return None, path


def plugins(settings: Sequence[Setting]) -> Iterator[tuple[str, Setting]]:
    """The plugins that `plugins { id 'NAME@VERSION' }` asks for."""
    for each in settings:
        if each.path == ("plugins", "id") and each.tokens[0].kind == STRING:
            yield each.tokens[0].text, each
