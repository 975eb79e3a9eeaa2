"""The scan: what a pipeline's code would still ask of the network, and what answers it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tasks.core import parsing
from tasks.core.nextflow.scheme_plugins import PLUGIN_OF_SCHEME
from tasks.core.source.configs import Include, Reader, Setting
from tasks.core.source.files import Sources, opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.syntax import groovy
from tasks.core.source.groovy.tokens import NAME, STRING
from tasks.core.source.groovy.values import Names, Unknown
from tasks.core.source.params_schema import properties
from tasks.core.source.scripts import PROCESS, Definition, Scripts
from tasks.reach import code, maps, params, sheets
from tasks.reach.calls import Walk
from tasks.reach.code import Sight
from tasks.reach.findings import SHOWN, Answer, Report
from tasks.reach.staged import Staged, values
from tasks.reach.text import URL, flat, flattened, mentions, params_of, printable, spoken, strings
from tasks.reach.trials import Place, Trials

IMAGES = "an image or an environment, which offline.config replaces"
UNUSED = "in a profile that the staged runs do not use"
DESCRIBING_SCOPES = ("manifest", "validation")
"""Scopes of a config whose texts are for people: what the pipeline is, and its help."""
COMMAND_SCOPES = ("process", "env", "docker", "podman")
"""Scopes whose texts are parts of commands, even where they are of several words."""
SERVER_SCOPES = ("wave", "tower", "fusion", "weblog")
"""Scopes of a config that ask a server of their own once `enabled` is set."""
OPTIONS = ("workDir", "bucketDir", "outputDir", "libDir", "cacheDir", "pluginsDir")
"""Settings of a config without a scope; any other bare name is a variable of the file."""
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
        self.described = _described(sources)
        self.report = Report()

    def run(self) -> Report:
        """Look at the configs, the params, the scripts and their programs, and the sheets."""
        reader = Reader(self.sources, self.names)
        statements = list(reader.read())
        self.settings = settings = [statement for statement in statements
                                    if isinstance(statement, Setting)]
        main = str(self.config.get("manifest", {}).get("mainScript") or "main.nf")
        parsed = Scripts(self.sources, self.names)
        parsed.follow(*filter(self.sources.has, [main]))
        if parsed.lost:  # what they mean may be any of these
            parsed.follow(*(path for path in self.sources.below("modules/", "subworkflows/",
                                                                "workflows/")
                            if path.endswith(".nf") and "/tests/" not in path))
        parsed.libraries()
        trials, sights = self._followed(parsed, main)
        params.report_params(params.Params(
            resolved=self.resolved, settings=settings, profiles=self.profiles,
            readers=self._readers(settings, parsed), words=frozenset(
                token.text for definition in parsed.all()
                for token in flattened(definition.body)), manifest=self.config.get("manifest"),
            settle=partial(self._settle, trials)), self.staged, self.report)
        for statement in statements:
            if isinstance(statement, Include):
                self._include(statement)
            else:
                self._setting(statement)
        self._plugins(settings)
        self._scripts(parsed, trials, sights)
        sheets.report_sheets(self.sources, self.resolved, self.root, self.staged, self.report)
        for file, error in {**reader.broken, **parsed.broken}.items():
            line = str(error.where or "").rpartition(":")[2]
            self._unread(file, parsing.whole_number(line) or 1, error.what)
        for (file, at), error in parsed.lost.items():
            self._unread(file, at, error.what)
        return self.report

    def _unread(self, file: str, line: int, what: str) -> None:
        self.report.add(file, line, "unread", what, answer=None, todo="look through it by hand")

    def _readers(self, settings: Sequence[Setting], parsed: Scripts) -> dict[str, set[str]]:
        readers: dict[str, set[str]] = {  # a plugin asks for what the schema demands to exist
            name: {"schema"} for name, about in self.described.items()
            if about.get("exists") is True}
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
            self.report.add(include.file, include.line, "config", what,
                            param=asked[0] if asked else None,
                            answer=params.LOCAL_CONFIGS if asked == [params.CONFIGS] else None,
                            todo=f"give params.{asked[0]} a local path, or null, under `params:` "
                                 "in the pipeline's config" if asked else
                                 "no setting keeps this include away: name a copy of the pipeline "
                                 "without it under `source` in the pipeline's config")

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
        self.report.add(setting.file, setting.line, "service", name,
                        answer=Answer(by="offline.config", what="off") if off else None,
                        todo=f"set {name} to false in the configuration's offline.config")

    def _takes_effect_by(self, setting: Setting) -> list[Setting]:
        """The settings that a value takes effect by: itself, or those that read its bare name."""
        if _is_scoped(setting) or any(token.is_op("(") for token in setting.tokens):
            return [setting]
        return self._readers_of_names.get(setting.path[0], [])

    @cached_property
    def _readers_of_names(self) -> dict[str, list[Setting]]:
        """The settings in use that name something, by that name."""
        readers: dict[str, list[Setting]] = {}
        for setting in self.settings:
            if (self._used(setting.profile) and _is_scoped(setting)
                    and setting.path[0] not in (*DESCRIBING_SCOPES, "params")):
                for name in {token.text for token in flattened(setting.tokens)
                             if token.kind == NAME}:
                    readers.setdefault(name, []).append(setting)
        return readers

    def _addresses(self, setting: Setting, used: bool) -> None:
        for token, is_spoken in spoken(setting.tokens):
            for mention in mentions(flat(token)):
                line = self.sources.line(setting.file, token.line, mention.url.partition("$")[0])
                readers = self._takes_effect_by(setting) if used else []
                if not used:
                    self.report.count(UNUSED, setting.file, line)
                elif setting.path[-1] in ("container", "conda", "registry"):
                    self.report.count(IMAGES, setting.file, line)
                elif setting.path[0] in DESCRIBING_SCOPES or not readers or (
                        is_spoken and setting.path[0] not in COMMAND_SCOPES):
                    self.report.count(SHOWN, setting.file, line)
                else:
                    self._used_address(mention.url, setting.file, line, readers)

    def _used_address(self, url: str, file: str, line: int, readers: Sequence[Setting]) -> None:
        for reader in readers:
            name, scope = ".".join(reader.path), reader.path[0]
            off = self.staged.toggles.get(f"{scope}.enabled") is False
            answered = off or name in self.staged.toggles
            self.report.add(file, line, "setting", url,
                            todo=f"set {name} in the configuration's offline.config",
                            answer=Answer(by="offline.config", what=f"{scope} is off" if off
                                          else f"sets {name}") if answered else None)

    def _plugins(self, settings: Sequence[Setting]) -> None:
        """What `plugins { id 'NAME@VERSION' }` asks for, and what addresses need besides."""
        for setting in settings:
            if setting.path == ("plugins", "id") and setting.tokens[0].kind == STRING:
                name = setting.tokens[0].text
                self.report.add(setting.file, setting.line, "plugin", name,
                                answer=self.staged.plugin(name),
                                todo="run `doit plugins:cache` again")
        for finding in [finding for finding in self.report.findings if finding.answer is None]:
            hidden = PLUGIN_OF_SCHEME.get(finding.what.partition("://")[0].lower())
            if finding.param and hidden:
                self.report.add(finding.file, finding.line, "plugin", hidden, param=finding.param,
                                answer=self.staged.plugin(hidden),
                                todo=f"{finding.todo}, or name {hidden} under `plugins:` there")

    def _followed(self, parsed: Scripts, main: str,
                  ) -> tuple[Trials, list[tuple[Sight, Definition]]]:
        """The code as far as a run comes, and what its definitions reach out to."""
        sights = [(sight, definition) for definition in parsed.all()
                  for sight in code.in_definition(self.sources, definition)]
        wanted = {id(sight.anchor) for sight, _ in sights
                  if sight.kind not in ("shown", "container")}
        keys = {key for value in self.resolved.values() for key in params.member_names(value)}
        reads = {id(read.anchor): read for read in maps.reads(parsed.all(), keys)}

        def follow(names: Names) -> Walk:
            walk = Walk(parsed, names, self.config.get("process", {}), wanted, reads)
            walk.run(main)
            return walk

        return Trials(walk=follow(self.names), follow=follow, names=self.names,
                      types={name: str(about.get("type")) for name, about in self.described.items()}
                      ), sights

    def _settle(self, trials: Trials, param: str, key: str) -> tuple[Answer | None, str] | None:
        """What keeps a run from this member of a param's map; None where no place names it."""
        anchors = tuple((id(read.anchor), param) for read in trials.walk.reads.values()
                        if read.key == key and (id(read.anchor), param) in trials.anywhere.ways)
        if not anchors:
            return None
        answer, todo, _ = trials.settle(Place(anchors=anchors, definition=None))
        return answer, todo

    def _scripts(self, parsed: Scripts, trials: Trials,
                 sights: Sequence[tuple[Sight, Definition]]) -> None:
        for sight, definition in sights:
            self._sight(sight, definition, (id(sight.anchor),), trials)
        programs = [path for path in sorted(self.sources.files) if "tests" not in path.split("/")
                    and not {*PROGRAM_FOLDERS}.isdisjoint(path.split("/")[:-1])]
        for path in programs:
            users = self._users(path, programs, parsed)
            for sight in code.in_program(self.sources, path):
                self._sight(sight, users[0] if users else None, tuple(map(id, users)), trials)

    def _users(self, path: str, programs: Sequence[str], parsed: Scripts) -> list[Definition]:
        """The definitions whose strings name a program, or another one that mentions it."""
        name = path.rpartition("/")[2]
        word = re.compile(rf"\b{re.escape(name.partition('.')[0])}\b")
        names = {name, *(other.rpartition("/")[2] for other in programs
                         if word.search(printable(self.sources, other)))}
        return [definition for definition in parsed.all()
                if any(name in flat(token) for token in strings(definition.body) for name in names)]

    def _sight(self, sight: Sight, definition: Definition | None, anchors: tuple[int, ...],
               trials: Trials) -> None:
        if sight.kind == "shown":
            self.report.count(SHOWN, sight.file, sight.line)
            return
        if sight.kind == "container":
            self.report.count(IMAGES, sight.file, sight.line)
            return
        answer, todo, param = trials.settle(Place(anchors=anchors, definition=definition))
        process = definition.name if definition and definition.kind == PROCESS else None
        self.report.add(sight.file, sight.line, sight.kind, sight.what, answer=answer, todo=todo,
                        param=param, process=process)


def _is_scoped(setting: Setting) -> bool:
    """Whether a setting is Nextflow's own, and not a variable of its file."""
    return len(setting.path) > 1 or setting.path[0] in OPTIONS


def _described(sources: Sources) -> dict[str, Any]:
    """What nextflow_schema.json says of each param, where there is one that can be read."""
    try:
        schema = parsing.from_json(sources.text(SCHEMA), is_unique=False
                                   ) if sources.has(SCHEMA) else {}
    except ValueError:
        schema = {}
    return {name: about for name, about in properties(schema) if isinstance(about, dict)}
