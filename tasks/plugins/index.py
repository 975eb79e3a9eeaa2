"""The plugin index: which versions there are, and which of them fits a runtime.

Format: Nextflow's plugins.json, a list of {id, releases: [{version, url, date, requires,
sha512sum}]}, whole as one file, or in parts from a registry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from tasks.core import parsing, schema
from tasks.core.config.settings import PluginsAt
from tasks.core.errors import SourceError
from tasks.core.nearest import hint
from tasks.core.net import download, urls
from tasks.core.net.network import Network
from tasks.core.nextflow import plugin_ranges, versions

MAX_INDEX = 32 << 20
"""Bytes of an index, or of a registry's answer; Nextflow's own has about 1 MB."""
PUBLISHED = re.compile(r"https://(registry\.nextflow\.io|plugins\.nextflow\.io|www\.nextflow\.io|"
                       r"raw\.githubusercontent\.com/nextflow-io/plugins)/")
"""Where Nextflow's own index and registry are published: they say the same to all sites."""
_SPEC = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:@(.+))?")


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version of a plugin: where its zip lies, and what the index says of its bytes."""

    id: str
    version: str
    url: str
    sha512: str | None

    @property
    def name(self) -> str:
        """As Nextflow writes it: id@version."""
        return f"{self.id}@{self.version}"


def wanted(plugins: Any, where: str) -> dict[str, str | None]:
    """Each plugin's id to what follows its @, or None: a version, or a range such as `~1.2`.

    Raises SourceError where an entry is no plugin, or one plugin is asked for in two ways.
    """
    versions_by_id: dict[str, str | None] = {}
    entries = plugins if isinstance(plugins, list | tuple) else []
    for entry in entries:
        match = _SPEC.fullmatch(str(entry).strip())
        name, version = match.groups() if match else ("", None)
        if not name or (version is not None and not plugin_ranges.is_range(version)
                        and not plugin_ranges.is_exact(version)):
            raise SourceError(f"{entry!r} is no plugin with a version or a range of them",
                              where=where, todo="write it as id@version, such as nf-schema@2.2.0, "
                                                "or with a range: nf-schema@~2.2")
        if versions_by_id.get(name, version) != version:
            raise SourceError(f"the plugin {name} is asked for as {versions_by_id[name]} and "
                              f"{version}", where=where, todo="pin one version")
        versions_by_id[name] = version
    return versions_by_id


def ask(at: PluginsAt, asked: Mapping[str, str | None], nextflow: str,
        scratch: Path, network: Network) -> tuple[list[Any], str]:
    """What the site's index or registry says of these plugins, and the URL that its own hang on.

    A plugins.json has all plugins. A registry is asked for some (Nextflow's HttpPluginRepository,
    25.04 to 26.04): `GET v1/plugins/dependencies?plugins=id@version,…&nextflowVersion=…` answers
    {plugins: [{id, releases}]} of the same form.
    """
    if at.registry is None:
        path = scratch / "plugins.json"
        if not path.is_file():
            download.fetch(at.index or "", path, network=network, most=MAX_INDEX)
        entries: list[Any] = schema.read_json(path, "plugins-index")
        return entries, at.index or ""
    base = at.registry.rstrip("/") + "/"
    listed = ",".join(f"{name}@{version}" if version else name
                      for name, version in sorted(asked.items()))
    query = urlencode({"plugins": listed, "nextflowVersion": nextflow})
    path = scratch / "registry.json"
    download.fetch(f"{base}v1/plugins/dependencies?{query}", path, network=network, most=MAX_INDEX)
    try:
        response = parsing.from_json(path.read_bytes())
    except ValueError as error:
        raise SourceError(f"the registry did not answer in JSON: {error}", where=base) from error
    plugins = response.get("plugins") if isinstance(response, dict) else None
    return schema.check(plugins, "plugins-index", where=base), base


def ask_all(at: PluginsAt, asked: Mapping[str, str | None], nextflow: str, scratch: Path,
            network: Network) -> dict[str, tuple[list[Any], str]]:
    """What is said of each plugin, and the URL that its own hang on.

    Where the site names both, its index speaks for the plugins that it has, and its registry for
    all others.
    """
    if at.index is None or at.registry is None:
        return dict.fromkeys(asked, ask(at, asked, nextflow, scratch, network))
    known, base = ask(PluginsAt(index=at.index), asked, nextflow, scratch, network)
    indexed = {entry["id"] for entry in known}
    others = {name: version for name, version in asked.items() if name not in indexed}
    answers = dict.fromkeys(indexed & {*asked}, (known, base))
    if others:
        try:
            answered = ask(PluginsAt(registry=at.registry), others, nextflow, scratch, network)
        except SourceError as error:
            raise type(error)(
                f"{error.what}\n  asked for {', '.join(sorted(others))}, which the site's index "
                f"lacks: {urls.redact(at.index)}", where=error.where, todo=error.todo) from error
        answers |= dict.fromkeys(others, answered)
    return answers


def own_place(base: str, url: str, prefixes: Mapping[str, str]) -> str | None:
    """Where a plugin was asked for, if that is a place of the site's own; else None.

    `base` is its index or registry, `url` its zip as that names it, `prefixes` are hosts.urls.
    """
    if not PUBLISHED.match(base):
        return urls.redact(base)
    reached = urls.mapped(url, prefixes)
    return None if reached == url else urls.redact(reached)


def choose(index: Sequence[Any], url: str, plugin: str, version: str | None,
           nextflow: str, condition: str = "") -> Release:
    """The release of `plugin` at `version`; without one, the newest that fits.

    It fits `nextflow` by what it requires, and itself a `condition`, as another plugin sets it.
    `url` is the index's own, against which its relative URLs stand.
    """
    releases = [release for entry in index if entry["id"] == plugin
                for release in entry["releases"]]
    if version is not None:
        fitting = [release for release in releases if release["version"] == version]
    else:
        fitting = [release for release in releases
                   if versions.meets(nextflow, release.get("requires") or "")
                   and plugin_ranges.meets(release["version"], condition)]
        stable = [release for release in fitting if "-" not in release["version"]]
        fitting = sorted(stable or fitting, key=lambda release: versions.order(release["version"]))
    if not fitting:
        raise SourceError(_missing(index, plugin, version or condition, nextflow), where=url,
                          todo="look at `plugins` in the pipeline's nextflow.config, and at "
                               "`plugins` in the site's config")
    release = fitting[-1]
    return Release(id=plugin, version=release["version"], url=_join(url, release["url"]),
                   sha512=release.get("sha512sum") or None)


def _missing(index: Sequence[Any], plugin: str, version: str | None, nextflow: str) -> str:
    known = [release["version"] for entry in index if entry["id"] == plugin
             for release in entry["releases"]]
    if known:
        asked = f"version that fits Nextflow {nextflow}"
        if version:
            asked = (f"version {version}" if plugin_ranges.is_exact(version) else
                     f"version of {version} that fits Nextflow {nextflow}")
        return f"the index has no {asked} of {plugin}, but {', '.join(known[-8:])}"
    return f"the index has no plugin {plugin!r}{hint(plugin, (entry['id'] for entry in index))}"


def _join(index: str, url: str) -> str:
    try:
        joined = urljoin(index, url)
        _ = urlsplit(joined).port
    except ValueError as error:  # such as an open bracket in the host
        raise SourceError(f"the index names a zip at {url!r}, which is no URL",
                          where=index) from error
    allowed = ("http", "https", urlsplit(index).scheme)
    if urlsplit(joined).scheme not in allowed:
        raise SourceError("the index names a zip that is not on the web", where=index,
                          todo="only an index that is a file itself may name files")
    return joined
