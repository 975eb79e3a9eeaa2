"""What the offline host's resolved config asks for, held against what the release carries.

The real Nextflow resolves it, as it will there: with offline.config and the offline params.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.core.errors import ImageError, SourceError
from tasks.core.inputs import staged_data
from tasks.core.net import urls
from tasks.core.nextflow import isolation, java, launch, pipeline_version
from tasks.core.nextflow.machine import Machine
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json

URL = re.compile(r"(?:https?|ftp|s3|gs|az)://[^\s'\"`<>\\|)\]]+", re.IGNORECASE)
BY_DIGEST = re.compile(r"'([^'\s]+@sha256:[0-9a-f]{64})'")
SHOWN = ("manifest", "validation")
"""Scopes whose texts are for people: the pipeline's own description, and its help."""
IMAGES = ("container", "conda")
JUDGED = ("param", "reference", "setting", "plugin")
"""Kinds of findings that are judged by the resolved config; the others are only warned of."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The config as the offline host resolves it, and what it is held against.

    `mirrored` are the images of the receipt by the pipeline's names for them, `found` what
    reach.json tells, `plugins` the lines of plugins.txt, `folders` what plugins.tar holds, and
    `runtime` the version of Nextflow.
    """

    config: Mapping[str, Any]
    scan: Mapping[str, Any]
    mirrored: Mapping[str, str]
    found: Sequence[Mapping[str, Any]]
    plugins: Collection[str]
    folders: Collection[str]
    runtime: str


def resolve(at: PipelinePaths, runtime: str, *, profile: str, machine: Machine,
            configs: bool = False, least: str = isolation.FULL) -> Resolved:
    """Lay the launch out in a scratch folder, and resolve its config there."""
    with files.scratch(at.root, "validate") as folder:
        ready = launch.prepare(launch.Carried(
            code=at.code, runtime=at.runtime(runtime), plugins=at.plugins,
            config=at.offline_config, data_manifest=at.data_manifest,
            configs=at.configs if configs else None,
            locate=staged_data.lay_out(at.data_manifest, at.of_site.blobs,
                                       folder / "staged")), folder, machine)
        config = launch.resolve(ready, profile=profile, least=least,
                                log=at.log(f"dev:validate:{at.pipeline}"))
        folders = {path.name for path in (ready.nextflow.home / "plugins").iterdir()}
    held = read_json(at.images_receipt, "images-receipt")["images"]
    return Resolved(
        config=config, runtime=runtime, folders=folders,
        scan=read_json(at.images_scan, "images-scan"),
        mirrored={each["source"]: f"{each['destination']}@{each['digest']}" for each in held},
        found=read_json(at.reach, "reach")["findings"], plugins=at.plugins_list.read_text().split())


def containers(seen: Resolved) -> str:
    """Every process and alias takes its image from a selector that names mirrored ones alone.

    Among selectors that match the qualified name, which beat all others, the last one holds.
    """
    mirror, processes = set(seen.mirrored.values()), seen.scan["processes"]
    faults = [f"{each['name']}: {each['container']} is not in the mirror's receipt"
              f" ({each['file']}:{each['line']})"
              for each in processes if each["container"] not in seen.mirrored]
    selectors = [(key.partition(":")[2], str(value["container"]))
                 for key, value in seen.config.get("process", {}).items()
                 if key.startswith("withName:") and isinstance(value, dict)
                 and "container" in value]
    names = {name for each in processes for name in (each["name"], *each["aliases"])}
    for name in sorted(names):
        holding = [each for each in selectors if _qualified(each[0], name)]
        pattern, container = holding[-1] if holding else ("no selector", "its own image")
        faults += [f"{name}: {pattern} sets {each}, which is not of the mirror"
                   for each in _outside(container, mirror)]
    if faults:
        raise ImageError("not every process runs from the mirror:\n" + _listed(faults),
                         todo="run `doit images:mirror` and `doit config` again")
    return f"{len(names)} processes and aliases, each by a mirrored digest"


def _qualified(pattern: str, name: str) -> bool:
    """Whether a selector can match the name behind those of the workflows that call it."""
    last = re.split(r":(?![^()]*\))", pattern.removeprefix("!"))[-1]
    try:
        fits = bool(re.fullmatch(pattern.removeprefix("!"), f"ANY:{name}")
                    or (last != pattern and re.fullmatch(last, name)))
    except re.error:
        return False
    return fits != pattern.startswith("!")


def _outside(container: str, mirror: set[str]) -> list[str]:
    """The images, of those that a container is or its closure chooses from, beside the mirror's."""
    named = BY_DIGEST.findall(container) or [container]
    return sorted(set(named) - mirror)


def config(seen: Resolved) -> str:
    """Every address in the resolved config is answered."""
    settings = {each["what"] for each in seen.found if each["answer"] and "param" not in each}
    of_params = [each for each in seen.found if each["kind"] in ("param", "reference")]
    params = {each["param"] for each in of_params if each["answer"] and (
        each["answer"]["by"] == "code" or each["kind"] == "reference")}
    todo = {each["param"]: each["todo"] for each in of_params if each["answer"] is None}
    open_: dict[tuple[str, ...], list[str]] = {}
    count = 0
    for path, text in _leaves(seen.config):
        own = path[0] == "params"
        prose = not all(map(URL.match, text.split()))
        if path[0] in SHOWN or path[-1] in IMAGES or (own and prose):
            continue
        for url in map(urls.redact, URL.findall(text)):
            count += 1
            if not (own and path[1] in params - todo.keys()) and (own or url not in settings):
                open_.setdefault(path[:2] if own else path, []).append(f"{'.'.join(path)} = {url}")
    if open_:
        raise SourceError("addresses that nothing answers offline:\n" + _listed([
            f"{found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}\n            "
            + todo.get(path[1] if path[0] == "params" else "",
                       f"set {'.'.join(path)} in config/offline.config")
            for path, found in open_.items()]))
    return f"{count} addresses are left in it, each answered or never asked"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of nested mappings and lists, by its path."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*path, str(key)))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    elif isinstance(value, str):
        yield path, value


def plugins(seen: Resolved) -> str:
    """Every plugin that is pinned or needed is listed, and in the archive."""
    asked = [str(each) for each in seen.config.get("plugins", [])]
    known = {*seen.plugins, *(line.partition("@")[0] for line in seen.plugins)}
    faults = [f"{each} is not in plugins.txt" for each in asked if each not in known]
    faults += [f"{each['what']} is needed: {each['todo']}" for each in seen.found
               if each["kind"] == "plugin" and each["answer"] is None and "param" in each]
    faults += [f"{line} is not in plugins.tar" for line in sorted(seen.plugins)
               if line.replace("@", "-") not in seen.folders]
    if faults:
        raise SourceError("plugins are missing:\n" + _listed(faults),
                          todo="run `doit plugins:cache` again")
    return ", ".join(sorted(seen.plugins)) or "none is asked for"


def runtime(seen: Resolved) -> str:
    """The pipeline takes this version of Nextflow; ConfigError where it insists on another."""
    first, last = java.majors(seen.runtime)
    misfit = pipeline_version.misfit(seen.runtime,
                                     seen.config.get("manifest", {}).get("nextflowVersion"))
    return misfit or f"Nextflow {seen.runtime} fits; it runs on Java {first} to {last}"


def warnings(seen: Resolved) -> list[str]:
    """What the code may fetch by itself, that nothing answers: by file and line, what to set."""
    return [f"{each['file']}:{each['line']}  {each['what']}"
            + (f"  (process {each['process']})" if "process" in each else "")
            + f"\n          {each['todo']}"
            for each in seen.found if each["answer"] is None and each["kind"] not in JUDGED]


SUBJECTS: Mapping[str, Callable[[Resolved], str]] = {
    "containers": containers, "config": config, "plugins": plugins,
    "runtime": runtime}


def _listed(faults: Sequence[str]) -> str:
    return "\n".join(f"          {each}" for each in dict.fromkeys(faults))
