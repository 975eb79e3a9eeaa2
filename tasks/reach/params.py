"""Params that hold remote addresses: what answers each, and the maps of references."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.source.configs import Setting
from tasks.reach.findings import Answer, Finding, Report
from tasks.reach.staged import Staged
from tasks.reach.text import flat, mentions, params_of, strings

REMOTE = re.compile(r"(?:https?|ftp|s3|gs|az)://", re.IGNORECASE)
CONFIGS = "custom_config_base"
LOCAL_CONFIGS = Answer(by="configs", what="a local folder is set at launch")
LINKS = re.compile(r"config_profile_\w+|.*_contact|monochrome_logs_url|help_url|.*docs?_url")
"""Params whose address is printed: nf-core's configs describe themselves by these."""


@dataclass(kw_only=True)
class Params:
    """The resolved params, where each is set, and who reads it.

    `readers` maps a param to what reads it: `script`, `config`, or `schema`, which has it checked.
    `words` are the names and texts of the scripts, among them the attributes of genomes.
    """

    resolved: Mapping[str, Any]
    settings: Sequence[Setting]
    profiles: frozenset[str]
    readers: Mapping[str, set[str]]
    words: Collection[str]

    def used(self, each: Setting) -> bool:
        """Whether a setting holds in the runs that were staged."""
        return each.profile is None or each.profile in self.profiles

    def assignments(self, name: str) -> list[Setting]:
        """Where the param is set, the strongest last: a profile's beats the top level's."""
        found = [each for each in self.settings if each.path == ("params", name)
                 and self.used(each)]
        return sorted(found, key=lambda each: each.profile is not None)


def remote(value: Any) -> bool:
    """Whether a resolved value is a remote address, or a list that holds one."""
    if isinstance(value, list):
        return any(remote(each) for each in value)
    return isinstance(value, str) and REMOTE.match(value.strip()) is not None


def report(params: Params, staged: Staged, found: Report) -> None:
    """A finding for each param whose value is remote, or would be without the profile."""
    for name in sorted({each.path[1] for each in params.settings
                        if len(each.path) == 2 and each.path[0] == "params"}
                       | {name for name, value in params.resolved.items() if remote(value)}):
        value = params.resolved.get(name)
        places = params.assignments(name)
        named = [each for each in places if _addresses(each)]
        if remote(value):
            place = [*places, *named][-1] if places else None
            found.findings.append(_param(name, value, place, params, staged))
            for each in named[:-1]:
                found.count("a default that the profile replaces", each.file, each.line)
        elif named and not isinstance(value, Mapping):
            found.findings.append(_replaced(name, value, named[-1], staged))
    _references(params, staged, found)


def _addresses(each: Setting) -> list[str]:
    return [mention.url for token in strings(each.tokens) for mention in mentions(flat(token))
            if mention.whole]


def _param(name: str, value: Any, place: Setting | None, params: Params,
           staged: Staged) -> Finding:
    shown = value if isinstance(value, str) else next(each for each in value if remote(each))
    answer = staged.param(name) or _kept(name, params)
    return Finding(
        file=place.file if place else "nextflow.config", line=place.line if place else 1,
        kind="param", what=shown.strip(), param=name, answer=answer,
        todo=None if answer else f"give params.{name} a local path, or null, under `params:` in "
                                 "the pipeline's config")


def _kept(name: str, params: Params) -> Answer | None:
    """Why a remote value may stay as it is."""
    if name == CONFIGS:
        return LOCAL_CONFIGS
    if LINKS.fullmatch(name):
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


def _references(params: Params, staged: Staged, found: Report) -> None:
    """One finding for each base that the leaves of a map of references stand on."""
    for name, value in sorted(params.resolved.items()):
        if not isinstance(value, Mapping):
            continue
        bases: dict[str, list[str]] = {}
        for leaf in _leaves(value):
            if remote(leaf):
                bases.setdefault(_base(leaf, params), []).append(leaf)
        for base, leaves in sorted(bases.items()):
            place = _place(name, base, params)
            answer = _answered(name, base, leaves, params, staged)
            found.findings.append(Finding(
                file=place.file if place else "nextflow.config", line=place.line if place else 1,
                kind="reference", what=leaves[0], count=len(leaves), answer=answer,
                param=name,
                todo=None if answer else _todo(name, base, params)))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
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
    for each in params.settings:
        if each.path[:2] == ("params", name) and params.used(each) and (
                base in params_of(each.tokens) or any(base in url for url in _addresses(each))):
            return each
    return None


def _answered(name: str, base: str, leaves: Sequence[str], params: Params,
              staged: Staged) -> Answer | None:
    """Carried as a tree, or not asked for: no genome is chosen, or its addresses are not here."""
    carried = staged.param(base)
    if carried is not None or name != "genomes":
        return carried
    chosen = params.resolved.get("genome")
    own = params.resolved[name].get(chosen)
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


def _todo(name: str, base: str, params: Params) -> str:
    if name == "genomes":
        return ("name the genome and the attributes wanted under `references:` in the pipeline's "
                "config, or set params.igenomes_ignore to true")
    return f"give params.{base if base in params.resolved else name} a local path"
