"""The definitions of a pipeline's scripts: processes, workflows, functions, and loose code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tasks.core.source.groovy.expression import Names
from tasks.core.source.groovy.statements import candidates, included_by
from tasks.core.source.groovy.syntax import behind_braces, skip_newlines
from tasks.core.source.groovy.tokens import NAME, NEWLINE, STRING, Token, closing
from tasks.core.source.groovy.values import unwrapped
from tasks.reach.tree import Tree

PROCESS, WORKFLOW, FUNCTION, LOOSE = "process", "workflow", "function", "loose"
SECTIONS = ("take", "main", "emit", "publish", "onComplete", "onError")
PROCESS_SECTIONS = ("input", "output", "when", "script", "shell", "exec", "stub", "topic")
COMMANDS = ("script", "shell", "exec", "stub")


@dataclass(eq=False, kw_only=True)
class Definition:
    """Something that can be called; `takes` are the names that a call's arguments get.

    Loose code is what a file runs by itself; it has no name.
    """

    kind: str
    name: str
    file: str
    line: int
    body: Sequence[Token]
    takes: tuple[str, ...] = ()

    def sections(self) -> Iterator[tuple[str, Sequence[Token]]]:
        """A process's directives, by an empty name, and its sections."""
        name, start = "", 0
        for at, token in enumerate(self.body):
            following = self.body[at + 1] if at + 1 < len(self.body) else None
            if (token.is_name(*PROCESS_SECTIONS) and following is not None
                    and following.is_op(":") and _begins(self.body, at)):
                yield name, self.body[start:at]
                name, start = token.text, at + 2
        yield name, self.body[start:]


@dataclass(kw_only=True)
class Script:
    """One file: its definitions, and what the names that it includes mean elsewhere."""

    file: str
    definitions: dict[str, Definition] = field(default_factory=dict)
    includes: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Scripts:
    """All files that the main script reaches, and the classes of `lib`, by their name.

    `broken` are no Groovy; `lost` are includes of what can't be found, by file and line.
    """

    files: dict[str, Script] = field(default_factory=dict)
    classes: dict[str, Script] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)

    def meant(self, file: str, name: str) -> Definition | None:
        """The definition that a name means in a file: its own, or one that it includes."""
        seen = set()
        while (file, name) not in seen and file in self.files:
            seen.add((file, name))
            script = self.files[file]
            if name in script.definitions:
                return script.definitions[name]
            if name not in script.includes:
                break
            file, name = script.includes[name]
        return None

    def all(self) -> Iterator[Definition]:
        """Every definition, by file."""
        for script in [*self.files.values(), *self.classes.values()]:
            yield from script.definitions.values()


def read(tree: Tree, main: str, names: Names) -> Scripts:
    """The scripts that `main` includes, directly or not; all, where an include is lost."""
    found = Scripts()
    waiting = [main] if tree.has(main) else []
    while waiting or found.lost:
        if not waiting:
            waiting = [path for path in tree.below("modules/", "subworkflows/", "workflows/")
                       if path.endswith(".nf") and "/tests/" not in path
                       and path not in found.files]
            if not waiting:
                break
        path = waiting.pop()
        if path not in found.files:
            _parse(tree, path, names, found)
            waiting += [file for file, _ in found.files[path].includes.values()]
    for path in tree.below("lib/"):
        if path.endswith(".groovy"):
            script = Script(file=path)
            _define(script, _tokens(tree, path, found))
            found.classes[path.rpartition("/")[2].removesuffix(".groovy")] = script
    return found


def _tokens(tree: Tree, path: str, found: Scripts) -> list[Token]:
    tokens = tree.tokens(path)
    if tokens is None:
        found.broken.append(path)
    return tokens or []


def _parse(tree: Tree, path: str, names: Names, found: Scripts) -> None:
    script = found.files[path] = Script(file=path)
    tokens = _tokens(tree, path, found)
    _define(script, tokens)
    for at, token in enumerate(tokens):
        if not token.is_name("include") or not (_begins(tokens, at) or (
                at + 1 < len(tokens) and tokens[at + 1].is_op("{"))):
            continue
        included, values, _ = included_by(tokens, at, names)
        texts = [value for value in map(unwrapped, values) if isinstance(value, str)]
        files = [next(filter(tree.has, candidates(path, text)), None)
                 for text in texts if not text.startswith("plugin/")]
        if included and (not texts or None in files):
            found.lost.append((path, token.line))
        for file in filter(None, files):
            script.includes |= {alias: (file, name) for name, alias in included}


def _define(script: Script, tokens: Sequence[Token]) -> None:
    """Note the definitions of a file or a class, and the loose code between them."""
    loose: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if not _begins(tokens, at):
            loose.append(token)
            at += 1
        elif token.is_name("class", "enum", "interface"):
            end = behind_braces(tokens, at)
            brace = next((i for i in range(at, end) if tokens[i].is_op("{")), end)
            _define(script, tokens[brace + 1:end - 1])
            at = end
        elif (found := _definition(script.file, tokens, at)) is not None:
            definition, at = found
            script.definitions[definition.name or f"<{WORKFLOW}>"] = definition
        else:
            loose.append(token)
            at += 1
    if any(token.kind != NEWLINE for token in loose):
        before = script.definitions.get(f"<{LOOSE}>")
        body = [*(before.body if before else ()), *loose]
        script.definitions[f"<{LOOSE}>"] = Definition(kind=LOOSE, name="", file=script.file,
                                                      line=body[0].line, body=body)


def _definition(file: str, tokens: Sequence[Token], at: int) -> tuple[Definition, int] | None:
    """A process, workflow or function that begins at `at`, and the index behind it."""
    line = tokens[at].line
    following = skip_newlines(tokens, at + 1)
    if following >= len(tokens):
        return None
    if tokens[at].is_name(PROCESS, WORKFLOW):
        named = tokens[following].kind in (NAME, STRING)
        brace = skip_newlines(tokens, following + named)
        if brace >= len(tokens) or not tokens[brace].is_op("{"):
            return None
        end = closing(tokens, brace)
        body = tokens[brace + 1:end]
        takes = _takes(body) if tokens[at].text == WORKFLOW else ()
        return Definition(kind=tokens[at].text, name=tokens[following].text if named else "",
                          file=file, line=line, body=body, takes=takes), end + 1
    end = at
    while end < len(tokens) and (tokens[end].kind == NAME or tokens[end].is_op(
            "<", ">", "[", "]", ".", "?")):
        end += 1
    if end - at < 2 or end >= len(tokens) or not tokens[end].is_op("("):
        return None
    close = closing(tokens, end)
    brace = skip_newlines(tokens, close + 1)
    if brace >= len(tokens) or not tokens[brace].is_op("{"):
        return None
    stop = closing(tokens, brace)
    return Definition(kind=FUNCTION, name=tokens[end - 1].text, file=file, line=line,
                      body=tokens[brace + 1:stop],
                      takes=tuple(_last_name(each) for each in arguments(tokens, end))), stop + 1


def _takes(body: Sequence[Token]) -> tuple[str, ...]:
    """The names below `take:`, one a line."""
    found: list[str] = []
    inside = False
    for at, token in enumerate(body):
        if token.kind != NAME or not _begins(body, at):
            continue
        if token.text in SECTIONS and at + 1 < len(body) and body[at + 1].is_op(":"):
            inside = token.text == "take"
            if inside:  # the first may stand on the same line
                following = skip_newlines(body, at + 2)
                if following == at + 2 and following < len(body):
                    found.append(body[following].text)
        elif inside:
            found.append(token.text)
    return tuple(found)


def arguments(tokens: Sequence[Token], at: int) -> list[Sequence[Token]]:
    """What stands between the commas of the bracket at `at`."""
    end = closing(tokens, at)
    found: list[Sequence[Token]] = []
    start = index = at + 1
    while index < end:
        if tokens[index].is_op("(", "[", "{"):
            index = closing(tokens, index)
        elif tokens[index].is_op(","):
            found.append(tokens[start:index])
            start = index + 1
        index += 1
    last = tokens[start:end]
    return [*found, last] if any(each.kind != NEWLINE for each in last) else found


def _last_name(tokens: Sequence[Token]) -> str:
    """The name of a parameter, which its type stands before and its default behind."""
    names = []
    for token in tokens:
        if token.is_op("="):
            break
        names += [token.text] if token.kind == NAME else []
    return names[-1] if names else ""


def _begins(tokens: Sequence[Token], at: int) -> bool:
    """Whether a statement can begin here."""
    return at == 0 or tokens[at - 1].kind == NEWLINE or tokens[at - 1].is_op(";", "{", "}", ":")


