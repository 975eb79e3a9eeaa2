"""The scan: what a pipeline's code would still ask of the network, and what answers it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import parsing
from tasks.core.nextflow.scheme_plugins import PLUGIN_OF_SCHEME
from tasks.core.source.configs import Include, Reader, Setting
from tasks.core.source.files import Sources, opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.syntax import groovy
from tasks.core.source.groovy.tokens import STRING
from tasks.core.source.groovy.values import Unknown
from tasks.core.source.params_schema import properties
from tasks.core.source.scripts import PROCESS, Definition, Scripts
from tasks.reach import code, params
from tasks.reach.calls import Guard, Walk, Way
from tasks.reach.code import Sight
from tasks.reach.findings import Answer, Finding, Kind, Report
from tasks.reach.staged import Staged, values
from tasks.reach.text import URL, flat, flattened, mentions, params_of, printable, spoken, strings

SHOWN = "only shown to people"
IMAGES = "an image or an environment, which offline.config replaces"
UNUSED = "in a profile that the staged runs do not use"
DESCRIBING_SCOPES = ("manifest", "validation")
"""Scopes of a config whose texts are for people: what the pipeline is, and its help."""
COMMAND_SCOPES = ("process", "env", "docker", "podman")
"""Scopes whose texts are parts of commands, even where they are of several words."""
SERVER_SCOPES = ("wave", "tower", "fusion", "weblog")
"""Scopes of a config that ask a server of their own once `enabled` is set."""
SCHEMA = "nextflow_schema.json"
PROGRAM_FOLDERS = ("bin", "templates")
"""Folders of the code whose files are run by tasks."""


def scan(place: Path, config: Mapping[str, Any], staged: Staged, profile: str, *,
         root: str | None = None) -> Report:
    """All that the code in `place`, a folder or a tar, reaches out to.

    `config` is what it resolved to, where the code's folder is called `root`.
    """
    with bounded(place), opened(place) as sources:
        return Scan(sources, config, staged, profile, root or str(place)).run()


class Scan:
    """One pipeline: its files, its params with their values offline, and the report so far."""

    def __init__(self, sources: Sources, config: Mapping[str, Any], staged: Staged,
                 profile: str, root: str) -> None:
        self.sources, self.config, self.staged, self.root = sources, config, staged, root
        self.profiles = frozenset(profile.split(","))
        self.resolved: Mapping[str, Any] = config.get("params", {})
        self.names = values(self.resolved, staged, profile)
        self.report = Report()

    def run(self) -> Report:
        """Look at the configs, the params, the scripts and their programs, and the sheets."""
        reader = Reader(self.sources, self.names)
        statements = list(reader.read())
        settings = [statement for statement in statements if isinstance(statement, Setting)]
        main = str(self.config.get("manifest", {}).get("mainScript") or "main.nf")
        parsed = Scripts(self.sources, self.names)
        parsed.follow(*filter(self.sources.has, [main]))
        if parsed.lost:  # what they mean may be any of these
            parsed.follow(*(path for path in self.sources.below("modules/", "subworkflows/",
                                                                "workflows/")
                            if path.endswith(".nf") and "/tests/" not in path))
        parsed.libraries()
        params.report_params(params.Params(
            resolved=self.resolved, settings=settings, profiles=self.profiles,
            readers=self._readers(settings, parsed), words=frozenset(
                token.text for definition in parsed.all()
                for token in flattened(definition.body))),
            self.staged, self.report)
        for statement in statements:
            if isinstance(statement, Include):
                self._include(statement)
            else:
                self._setting(statement)
        self._plugins(settings)
        self._scripts(parsed, main)
        self._sheets()
        for file in [*reader.broken, *parsed.broken]:
            self._unread(file, 1, "this is not read as Groovy")
        for file, line in parsed.lost:
            self._unread(file, line, "an include of what can't be found")
        return self.report

    def _add(self, file: str, line: int, kind: Kind, what: str, *, answer: Answer | None,
             todo: str, **more: Any) -> None:
        self.report.findings.append(Finding(file=file, line=line, kind=kind, what=what,
                                           answer=answer, todo=None if answer else todo, **more))

    def _unread(self, file: str, line: int, what: str) -> None:
        self._add(file, line, "unread", what, answer=None, todo="look through it by hand")

    def _readers(self, settings: Sequence[Setting], parsed: Scripts) -> dict[str, set[str]]:
        readers: dict[str, set[str]] = {name: {"schema"} for name in _checked(self.sources)}
        for definition in parsed.all():
            for name in params_of(definition.body):
                readers.setdefault(name, set()).add("script")
        for setting in settings:
            for name in params_of(setting.tokens):
                readers.setdefault(name, set()).add("config")
        return readers

    def _used(self, profile: str | None) -> bool:
        return profile is None or profile in self.profiles

    def _include(self, include: Include) -> None:
        """An `includeConfig` of an address, or of what can't be known."""
        named = sorted(value for value in include.missing
                       if isinstance(value, str) and URL.match(value))
        if all(isinstance(value, Unknown) for value in include.values):
            named = [groovy(include.expression) or "nothing"]
        if not self._used(include.profile):
            for _ in named:
                self.report.count(UNUSED, include.file, include.line)
            return
        asked = params_of(include.expression)
        for what in named:
            self._add(include.file, include.line, "config", what,
                      param=asked[0] if asked else None,
                      answer=params.LOCAL_CONFIGS if asked == [params.CONFIGS] else None,
                      todo="take this include out of the pipeline's config")

    def _setting(self, setting: Setting) -> None:
        used = self._used(setting.profile)
        if used and setting.path[-1] == "enabled" and setting.path[0] in SERVER_SCOPES:
            if not setting.tokens[0].is_name("false"):
                self._switch(setting)
        elif not used or setting.path[0] != "params":
            self._addresses(setting, used)

    def _switch(self, setting: Setting) -> None:
        name = ".".join(setting.path)
        off = self.staged.toggles.get(name) is False
        self._add(setting.file, setting.line, "service", name,
                  answer=Answer(by="offline.config", what="off") if off else None,
                  todo=f"set {name} to false in config/offline.config")

    def _addresses(self, setting: Setting, used: bool) -> None:
        name = ".".join(setting.path)
        for token, said in spoken(setting.tokens):
            for mention in mentions(flat(token)):
                line = self.sources.line(setting.file, token.line, mention.url.partition("$")[0])
                if not used:
                    self.report.count(UNUSED, setting.file, line)
                elif setting.path[-1] in ("container", "conda", "registry"):
                    self.report.count(IMAGES, setting.file, line)
                elif setting.path[0] in DESCRIBING_SCOPES or (
                        said and setting.path[0] not in COMMAND_SCOPES):
                    self.report.count(SHOWN, setting.file, line)
                else:
                    off = self.staged.toggles.get(f"{setting.path[0]}.enabled") is False
                    answered = off or name in self.staged.toggles
                    self._add(setting.file, line, "setting", mention.url,
                              answer=Answer(by="offline.config", what=f"{setting.path[0]} is off"
                                            if off else f"sets {name}") if answered else None,
                              todo=f"set {name} in config/offline.config")

    def _plugins(self, settings: Sequence[Setting]) -> None:
        """What `plugins { id 'NAME@VERSION' }` asks for, and what addresses need besides."""
        for setting in settings:
            if setting.path == ("plugins", "id") and setting.tokens[0].kind == STRING:
                name = setting.tokens[0].text
                self._add(setting.file, setting.line, "plugin", name,
                          answer=self.staged.plugin(name), todo="run `doit plugins:cache` again")
        for finding in [finding for finding in self.report.findings if finding.answer is None]:
            hidden = PLUGIN_OF_SCHEME.get(finding.what.partition("://")[0].lower())
            if finding.param and hidden:
                self._add(finding.file, finding.line, "plugin", hidden, param=finding.param,
                          answer=self.staged.plugin(hidden), todo=f"{finding.todo}, or carry "
                                                                  f"{hidden}")

    def _scripts(self, parsed: Scripts, main: str) -> None:
        sights = [(sight, definition) for definition in parsed.all()
                  for sight in code.in_definition(self.sources, definition)]
        wanted = {id(sight.anchor) for sight, _ in sights
                  if sight.kind not in ("shown", "container")}
        walk = Walk(parsed, self.names, self.config.get("process", {}), wanted)
        walk.run(main)
        for sight, definition in sights:
            self._sight(sight, definition, walk.ways.get(id(sight.anchor), []), walk)
        programs = [path for path in sorted(self.sources.files) if "tests" not in path.split("/")
                    and not {*PROGRAM_FOLDERS}.isdisjoint(path.split("/")[:-1])]
        for path in programs:
            users = self._users(path, programs, parsed)
            ways = [way for user in users for way in walk.ways.get(id(user), [])]
            for sight in code.in_program(self.sources, path):
                self._sight(sight, users[0] if users else None, ways, walk)

    def _users(self, path: str, programs: Sequence[str], parsed: Scripts) -> list[Definition]:
        """The definitions whose strings name a program, or another one that mentions it."""
        name = path.rpartition("/")[2]
        word = re.compile(rf"\b{re.escape(name.partition('.')[0])}\b")
        names = {name, *(other.rpartition("/")[2] for other in programs
                         if word.search(printable(self.sources, other)))}
        return [definition for definition in parsed.all()
                if any(name in flat(token) for token in strings(definition.body) for name in names)]

    def _sight(self, sight: Sight, definition: Definition | None, ways: Sequence[Way],
               walk: Walk) -> None:
        if sight.kind == "shown":
            self.report.count(SHOWN, sight.file, sight.line)
            return
        if sight.kind == "container":
            self.report.count(IMAGES, sight.file, sight.line)
            return
        answer: Answer | None = None
        guards = _guards(ways)
        asked = list(dict.fromkeys(name for guard in guards for name in guard.params))
        conditions = " && ".join(guard.text for guard in guards)
        conditions += f" ({guards[-1].place})" if guards else ""
        if not ways and walk.surely_uncalled(definition):
            answer = Answer(by="code", what="nothing calls it")
        elif ways and all(way.cut for way in ways):
            answer = Answer(by="code", what=f"not run, since this does not hold: {conditions}")
        todo = (f"skip it by {' or '.join(f'params.{name}' for name in asked)}: it runs where "
                f"{conditions}" if asked else
                "no condition keeps it from running: see to it that it finds a local answer")
        self._add(sight.file, sight.line, sight.kind, sight.what, answer=answer, todo=todo,
                  param=asked[0] if len(asked) == 1 else None,
                  process=definition.name if definition and definition.kind == PROCESS else None)

    def _sheets(self) -> None:
        """Files of the code that params name, and the addresses in them."""
        named = {self._of_code(value): name for name, value in sorted(self.resolved.items())
                 if isinstance(value, str)}
        for path in sorted(self.sources.files):
            if path not in named and "assets" not in path.split("/"):
                continue
            text = printable(self.sources, path)
            places = [(match[0], text.count("\n", 0, match.start()) + 1)
                      for match in URL.finditer(text)]
            if places and path in named:
                name = named[path]
                self._add(path, places[0][1], "sheet", places[0][0], count=len(places), param=name,
                          answer=self.staged.param(name),
                          todo=f"give params.{name} a sheet of local files")
            else:
                for _, line in places:
                    self.report.count(SHOWN, path, line)

    def _of_code(self, value: str) -> str | None:
        path = value.removeprefix(self.root).lstrip("/")
        return path if self.sources.has(path) else None


def _guards(ways: Sequence[Way]) -> list[Guard]:
    """What keeps a place from running; where nothing does, the innermost conditions on params.

    These are all that stand in the same file, for one of them is often the param to set.
    """
    for way in ways:
        if way.cut is None:
            on_params = [guard for guard in way.guards if guard.params]
            return [guard for guard in on_params if guard.file == on_params[-1].file]
    return [ways[0].cut] if ways and ways[0].cut else []


def _checked(sources: Sources) -> Iterator[str]:
    """The params whose files nextflow_schema.json demands to exist, which a plugin then asks for.
    """
    if not sources.has(SCHEMA):
        return
    try:
        schema = parsing.from_json(sources.text(SCHEMA), is_unique=False)
    except ValueError:
        return
    yield from (name for name, about in properties(schema)
                if isinstance(about, dict) and about.get("exists") is True)
