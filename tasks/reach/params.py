"""Params that hold remote addresses: what answers each, and the maps of references."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.core.source.configs import Setting
from tasks.reach.findings import Answer, Finding, Report
from tasks.reach.staged import Staged
from tasks.reach.text import flat, mentions, params_of, strings

REMOTE = re.compile(r"(?:https?|ftp|s3|gs|az)://", re.IGNORECASE)
CONFIGS = "custom_config_base"
GENOMES = "genomes"
LOCAL_CONFIGS = Answer(by="configs", what="a local folder is set at launch")
LINKS = re.compile(r"config_profile_\w+|.*_contact|monochrome_logs_url|help_url|.*docs?_?url"
                   r"|(?:.*_)?(?:home_?page|doi|citation|docs)", re.IGNORECASE)
"""Params whose address is printed: pipelines describe themselves by these."""


@dataclass(kw_only=True)
class Params:
    """The resolved params, where each is set, and who reads it.

    `readers` maps a param to what reads it: `script`, `config`, or `schema`, which has it checked.
    `words` are the names and texts of the scripts, among them the attributes of genomes.
    `manifest` is the config's scope of that name. `settle` says of a member of a param's map what
    keeps a run from taking it, or else what to do; None where no code names the member.
    """

    resolved: Mapping[str, Any]
    settings: Sequence[Setting]
    profiles: frozenset[str]
    readers: Mapping[str, set[str]]
    words: Collection[str]
    manifest: Any
    settle: Callable[[str, str], tuple[Answer | None, str] | None]

    def used(self, setting: Setting) -> bool:
        """Whether a setting holds in the runs that were staged."""
        return setting.profile is None or setting.profile in self.profiles

    @cached_property
    def described(self) -> frozenset[str]:
        """Addresses that tell of the pipeline itself: those of its manifest."""
        return frozenset(_leaves(self.manifest))

    def assignments(self, name: str) -> list[Setting]:
        """Where the param is set, the strongest last: a profile's beats the top level's."""
        assigned = [setting for setting in self.settings if setting.path == ("params", name)
                 and self.used(setting)]
        return sorted(assigned, key=lambda setting: setting.profile is not None)


def remote(value: Any) -> bool:
    """Whether a resolved value is a remote address, or a list that holds one."""
    if isinstance(value, list):
        return any(remote(entry) for entry in value)
    return isinstance(value, str) and REMOTE.match(value.strip()) is not None


def report_params(params: Params, staged: Staged, report: Report) -> None:
    """A finding for each param whose value is remote, or would be without the profile."""
    for name in sorted({setting.path[1] for setting in params.settings
                        if len(setting.path) == 2 and setting.path[0] == "params"}
                       | {name for name, value in params.resolved.items() if remote(value)}):
        value = params.resolved.get(name)
        places = params.assignments(name)
        named = [setting for setting in places if _addresses(setting)]
        if remote(value):
            place = [*places, *named][-1] if places else None
            report.findings.append(_param(name, value, place, params, staged))
            for setting in named[:-1]:
                report.count("a default that the profile replaces", setting.file, setting.line)
        elif named and not isinstance(value, Mapping):
            report.findings.append(_replaced(name, value, named[-1], staged))
    _references(params, staged, report)


def _addresses(setting: Setting) -> list[str]:
    return [mention.url for token in strings(setting.tokens) for mention in mentions(flat(token))
            if mention.whole]


def _param(name: str, value: Any, place: Setting | None, params: Params,
           staged: Staged) -> Finding:
    shown = value if isinstance(value, str) else next(entry for entry in value if remote(entry))
    answer = staged.param(name) or _kept(name, shown.strip(), params)
    return Finding(
        file=place.file if place else "nextflow.config", line=place.line if place else 1,
        kind="param", what=shown.strip(), param=name, answer=answer,
        todo=None if answer else f"give params.{name} a local path, or null, under `params:` in "
                                 "the pipeline's config")


def _kept(name: str, value: str, params: Params) -> Answer | None:
    """Why a remote value may stay as it is."""
    if name == CONFIGS:
        return LOCAL_CONFIGS
    if LINKS.fullmatch(name) or value in params.described:
        return Answer(by="code", what="only shown")
    readers = params.readers.get(name)
    if not readers:
        return Answer(by="code", what="nothing that runs reads it")
    if readers == {"config"}:
        return Answer(by="code", what="only begins other params, which are listed themselves")
    return None


def _replaced(name: str, value: Any, place: Setting, staged: Staged) -> Finding:
    """A default that is remote where the staged profile sets another value."""
    return Finding(
        file=place.file, line=place.line, kind="param", what=_addresses(place)[0], param=name,
        answer=staged.param(name) or Answer(
            by="profile", what=f"{_shown(value)} with the staged profile; a run without it must "
                               f"set params.{name}"))


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)[:60]


def _references(params: Params, staged: Staged, report: Report) -> None:
    """One finding for each base that the leaves of a map of references stand on.

    Members of other maps than `genomes` are each asked for by the code that takes them.
    """
    for name, value in sorted(params.resolved.items()):
        if not isinstance(value, Mapping):
            continue
        groups: dict[tuple[str, str], list[str]] = {}
        for key, leaf in _members(value):
            if remote(leaf) and leaf.strip() not in params.described and not LINKS.fullmatch(key):
                groups.setdefault((_base(leaf, params), "" if name == GENOMES else key),
                                  []).append(leaf)
        for (base, key), leaves in sorted(groups.items()):
            place = _place(name, base, params)
            answer, todo = _settled(name, base, key, leaves, params, staged)
            report.findings.append(Finding(
                file=place.file if place else "nextflow.config", line=place.line if place else 1,
                kind="reference", what=leaves[0], count=len(leaves), answer=answer,
                param=name, todo=None if answer else todo))


def _settled(name: str, base: str, key: str, leaves: Sequence[str], params: Params,
             staged: Staged) -> tuple[Answer | None, str]:
    """What answers the addresses, or what to do."""
    carried = staged.param(name) or staged.param(base)
    if carried is not None:
        return carried, ""
    if name == GENOMES:
        ignores = ", or set params.igenomes_ignore to true" if (
            "igenomes_ignore" in params.resolved) else ""
        return _answered(leaves, params, staged), (
            "name the genome and the attributes wanted under `references:` in the pipeline's "
            f"config{ignores}")
    if base in params.resolved:
        return None, (f"give params.{base} a local path under `params:` in the pipeline's config")
    return params.settle(name, key) or (None, (
        f"no local path can stand for a map: see who reads params.{name}, and set the param that "
        "is taken instead of it"))


def member_names(value: Any) -> set[str]:
    """The names of the members of a param's map that hold addresses."""
    return {key for key, leaf in _members(value) if remote(leaf)} if isinstance(
        value, Mapping) else set()


def _members(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of nested maps and lists, with the name of the member that holds it."""
    for key, entry in value.items():
        if isinstance(entry, Mapping):
            yield from _members(entry)
        else:
            yield from ((str(key), leaf) for leaf in _leaves(entry))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from _leaves(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    elif isinstance(value, str):
        yield value


def _base(leaf: str, params: Params) -> str:
    """The param whose value the address begins with, else its scheme and host."""
    fitting = [name for name, value in params.resolved.items() if isinstance(value, str)
               and remote(value) and leaf.startswith(value.rstrip("/"))]
    ranked = sorted(fitting, key=lambda name: (len(params.resolved[name]),
                                               name.endswith("genomes_base"), name))
    return ranked[-1] if ranked else "/".join(leaf.split("/", 3)[:3])


def _place(name: str, base: str, params: Params) -> Setting | None:
    """The first line of the map that stands on this base."""
    for setting in params.settings:
        if (setting.path[:2] == ("params", name) and params.used(setting)
                and (base in params_of(setting.tokens)
                     or any(base in url for url in _addresses(setting)))):
            return setting
    return None


def _answered(leaves: Sequence[str], params: Params, staged: Staged) -> Answer | None:
    """Carried by attribute, or not asked for: no genome is chosen, or its addresses are not here.
    """
    chosen = params.resolved.get("genome")
    own = params.resolved[GENOMES].get(chosen)
    taken = sorted(key for key, value in own.items() if key in params.words
                   and not {*leaves}.isdisjoint(_leaves(value))) if isinstance(own, Mapping) else []
    if chosen is None:
        return Answer(by="params", what="params.genome is null, so none is taken")
    if params.resolved.get("igenomes_ignore") is True:
        return Answer(by="params", what="params.igenomes_ignore is true")
    if not taken:
        return Answer(by="params", what=f"the code takes none of them for {chosen}")
    if all(staged.param(key) for key in taken):
        return Answer(by="data", what=f"of {chosen}, carried as params: {', '.join(taken)}")
    return None
