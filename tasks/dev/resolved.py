"""What the offline host's resolved config asks for, held against what the release carries.

The real Nextflow resolves it, as it will there: with offline.config and the offline params.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core import config_places, files
from tasks.core.config import engines
from tasks.core.errors import AirlockError, ImageError, SourceError
from tasks.core.inputs import staged_data
from tasks.core.net import urls
from tasks.core.nextflow import isolation, java, launch, pipeline_version
from tasks.core.nextflow.image_selectors import image_files, mirrored
from tasks.core.nextflow.machine import Machine
from tasks.core.paths import PipelinePaths
from tasks.core.schema import read_json
from tasks.core.source import resolved_config, stubs
from tasks.dev import own_sheet, params_check

URL = re.compile(r"(?:https?|ftp|s3|gs|az)://[^\s'\"`<>\\|)\]]+", re.IGNORECASE)
CHOSEN = re.compile(r"'([^'\s]+@sha256:[0-9a-f]{64})'|': '((?:https?|oras)://[^'\s]+)'")
"""In one of our closures, an image that it can give: by digest, or an image file's own address."""
SHOWN = ("manifest", "validation")
"""Scopes whose texts are for people: the pipeline's own description, and its help."""
IMAGES = ("container", "conda")
ENGINES = ("docker", "podman", "apptainer", "singularity")
"""Scopes whose `enabled` makes Nextflow run each process in its image."""
JUDGED = ("param", "reference", "setting", "plugin")
"""Kinds of findings that are judged by the resolved config; the others are only warned of."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The config as the offline host resolves it, and what it is held against.

    `mirrored` are the images of the receipt, or the image files, by the pipeline's names for them,
    `findings` those
    of reach.json, `plugins` the lines of plugins.txt, `folders` what plugins.tar holds,
    `runtime` the version of Nextflow, and `judged` what came of the check of the params, which is
    made while their files are laid out. `stubless` names the processes without a stub.
    """

    config: Mapping[str, Any]
    scan: Mapping[str, Any]
    mirrored: Mapping[str, str]
    findings: Sequence[Mapping[str, Any]]
    plugins: Collection[str]
    folders: Collection[str]
    runtime: str
    judged: str | AirlockError = ""
    stubless: str | None = None


def resolve(at: PipelinePaths, runtime: str, *, profile: str, machine: Machine,
            configs: bool = False, least: str = isolation.FULL,
            carry: str = engines.REGISTRY) -> Resolved:
    """Lay the launch out in a scratch folder, and resolve its config there."""
    with files.scratch(at.root, "validate") as folder:
        ready = launch.prepare(launch.Carried(
            code=at.code, runtime=at.runtime(runtime), plugins=at.plugins,
            config=at.offline_config, data_manifest=at.data_manifest,
            configs=at.configs if configs else None,
            locate=staged_data.lay_out(at.data_manifest, at.of_site.blobs,
                                       folder / "staged")), folder, machine)
        ready = own_sheet.taken(at, ready, f"dev:validate:{at.pipeline}")
        config = launch.resolve(ready, profile=profile, least=least,
                                log=at.log(f"dev:validate:{at.pipeline}"))
        judged = _judged(params_check.Launched(
            config=config, code=ready.code, launch=ready.folder,
            plugins=at.plugins_list.read_text().split()))
        stubless = stubs.lacking(ready.code, resolved_config.main_script(config))
        folders = {path.name for path in (ready.nextflow.home / "plugins").iterdir()}
    return Resolved(
        config=config, runtime=runtime, folders=folders, judged=judged,
        stubless=stubs.warning(stubless),
        scan=read_json(at.images_scan, "images-scan"),
        mirrored=(image_files(read_json(at.sif_index, "sif")) if carry == engines.FILES else
                  mirrored(read_json(at.images_receipt, "images-receipt"))),
        findings=read_json(at.reach, "reach")["findings"],
        plugins=at.plugins_list.read_text().split())


def _judged(launched: params_check.Launched) -> str | AirlockError:
    try:
        return params_check.check(launched)
    except AirlockError as error:
        return error


def checked_params(resolved: Resolved) -> str:
    """The params pass the check that the pipeline's own plugin makes; SourceError where not."""
    if isinstance(resolved.judged, AirlockError):
        raise resolved.judged
    return resolved.judged


def containers(resolved: Resolved) -> str:
    """Every process and alias takes its image from a selector that names mirrored ones alone.

    Among selectors that match the qualified name, which beat all others, the last one holds. A
    process without an image runs with the host's own programs, so it must be meant to.
    """
    mirror, processes = set(resolved.mirrored.values()), resolved.scan["processes"]
    faults = [f"{process['name']}: {process['container']} is not among the images that are carried"
              f" ({process['file']}:{process['line']})"
              for process in processes if process["container"] not in resolved.mirrored]
    selectors = [(key.partition(":")[2], str(value["container"]))
                 for key, value in resolved.config.get("process", {}).items()
                 if key.startswith("withName:") and isinstance(value, dict)
                 and "container" in value]
    own = sorted(process["name"] for process in resolved.scan.get("without", [])
                 if process["accepted"])
    names = {name for process in processes
             for name in (process["name"], *process["aliases"])}.difference(own)
    stops = {f"(?:{selector['pattern']})" for selector in resolved.scan["selectors"]
             if selector.get("stops")}
    for name in sorted(names):
        last = [selector for selector in selectors if _qualified(selector[0], name)][-1:]
        holding = [selector for selector in last if selector[0] not in stops] + [
            selector for selector in selectors if _is_special(selector[0], name)]
        faults += [f"{name}: {pattern} sets {image}, which is not of the mirror"
                   for pattern, container in holding for image in _outside(container, mirror)]
        if not holding:
            faults.append(f"{name}: no selector sets its image, so it takes its own: choose among "
                          f"its mirrored images by withName: '(.*:)?{name}' in "
                          f"{config_places.offline_config()}")
    lacking = [*_without_engine(resolved.config), *(
        f"{process['name']} has no image: {process['why']} ({process['file']}:{process['line']})"
        for process in resolved.scan.get("without", [])
        if process["called"] and not process["accepted"])]
    todo = ["run `doit images` and `doit config` again"] if faults else []
    if lacking:
        todo.append("name the image of each process that has none under `images:` in the "
                    "pipeline's config, or `none` where the host's own programs are meant")
    if faults or lacking:
        raise ImageError("not every process runs from the mirror:\n"
                         + _listed([*faults, *lacking]), todo="; ".join(todo))
    return f"{len(names)} processes and aliases, each by a mirrored digest" + (
        f"; as its config says, {', '.join(own)} by the host's own programs" if own else "")


def _without_engine(config: Mapping[str, Any]) -> list[str]:
    """What there is to say where no engine is switched on, so that no image counts at all."""
    engines = [name for name in ENGINES if isinstance(config.get(name), dict)
               and config[name].get("enabled") is True]
    return [] if engines else [
        "no container engine is enabled, so every process would run with the host's own programs: "
        f"set docker.enabled to true in {config_places.offline_config()}"]


def _qualified(pattern: str, name: str) -> bool:
    """Whether a selector can match the name behind those of the workflows that call it."""
    last = re.split(r":(?![^()]*\))", pattern.removeprefix("!"))[-1]
    try:
        fits = bool(re.fullmatch(pattern.removeprefix("!"), f"ANY:{name}")
                    or (last != pattern and re.fullmatch(last, name)))
    except re.error:
        return False
    return fits != pattern.startswith("!")


def _is_special(pattern: str, name: str) -> bool:
    """Whether it is one of ours that holds for some qualified names of a process."""
    return pattern.startswith("(?:(?=(?:") and pattern.endswith(f")(.*:)?({name}))")


def _outside(container: str, mirror: set[str]) -> list[str]:
    """The images, of those that a container is or its closure chooses from, beside the mirror's."""
    named = ["".join(both) for both in CHOSEN.findall(container)] or [container]
    return sorted(set(named) - mirror)


def config(resolved: Resolved) -> str:
    """Every address in the resolved config is answered."""
    settings = {finding["what"] for finding in resolved.findings
                if finding["answer"] and "param" not in finding}
    of_params = [finding for finding in resolved.findings
                 if finding["kind"] in ("param", "reference")]
    params = {finding["param"] for finding in of_params if finding["answer"] and (
        finding["answer"]["by"] == "code" or finding["kind"] == "reference")}
    todo: dict[str, dict[str, None]] = {}
    for finding in of_params:
        if finding["answer"] is None:
            todo.setdefault(finding["param"], {})[finding["todo"]] = None
    open_: dict[tuple[str, ...], list[str]] = {}
    count = 0
    for path, text in _leaves(resolved.config):
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
            f"{places[0]}{f' and {len(places) - 1} more' if places[1:] else ''}\n            "
            + "\n            ".join(todo.get(path[1] if path[0] == "params" else "", (
                f"set {'.'.join(path)} in {config_places.offline_config()}",)))
            for path, places in open_.items()]))
    return f"{count} addresses are left in it, each answered or never asked"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of nested mappings and lists, by its path."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(member, (*path, str(key)))
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, path)
    elif isinstance(value, str):
        yield path, value


def plugins(resolved: Resolved) -> str:
    """Every plugin that is pinned or needed is listed, and in the archive."""
    asked = [str(plugin) for plugin in resolved.config.get("plugins", [])]
    known = {*resolved.plugins, *(line.partition("@")[0] for line in resolved.plugins)}
    faults = [f"{plugin} is not in plugins.txt" for plugin in asked if plugin not in known]
    faults += [f"{finding['what']} is needed: {finding['todo']}" for finding in resolved.findings
               if finding["kind"] == "plugin" and finding["answer"] is None
               and "param" in finding]
    faults += [f"{line} is not in plugins.tar" for line in sorted(resolved.plugins)
               if line.replace("@", "-") not in resolved.folders]
    if faults:
        raise SourceError("plugins are missing:\n" + _listed(faults),
                          todo="run `doit plugins:cache` again")
    return ", ".join(sorted(resolved.plugins)) or "none is asked for"


def runtime(resolved: Resolved) -> str:
    """The pipeline takes this version of Nextflow; ConfigError where it insists on another."""
    first, last = java.majors(resolved.runtime)
    misfit = pipeline_version.misfit(resolved.runtime,
                                     resolved.config.get("manifest", {}).get("nextflowVersion"))
    return misfit or f"Nextflow {resolved.runtime} fits; it runs on Java {first} to {last}"


def warnings(resolved: Resolved) -> list[str]:
    """Which processes a stub run would not spare; then what the code may fetch by itself, that
    nothing answers: by file and line, what to set."""
    reaching = [
        f"{finding['file']}:{finding['line']}  {finding['what']}"
        + (f"  (process {finding['process']})" if "process" in finding else "")
        + f"\n          {finding['todo']}"
        for finding in resolved.findings
        if finding["answer"] is None and finding["kind"] not in JUDGED]
    return [*([resolved.stubless] if resolved.stubless else []), *reaching]


SUBJECTS: Mapping[str, Callable[[Resolved], str]] = {
    "containers": containers, "config": config, "params": checked_params, "plugins": plugins,
    "runtime": runtime}


def _listed(faults: Sequence[str]) -> str:
    return "\n".join(f"          {fault}" for fault in dict.fromkeys(faults))
