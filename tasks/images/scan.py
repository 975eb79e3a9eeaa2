"""images:list: every image that any process of a pipeline can use, from its sources alone."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.images import configs, scripts
from tasks.images.reference import Reference, complete
from tasks.images.scripts import Container, Process
from tasks.images.sources import opened
from tasks.images.values import Unknown


@dataclass(frozen=True, kw_only=True)
class ListSpec:
    """What images:list reads and writes; `given` are images by hand, by process.

    `profile` are the profiles that the runs use, with commas between.
    """

    pipeline: str
    code: Path
    profile: str
    given: Mapping[str, str]
    images: Path
    scan: Path


@dataclass(frozen=True, kw_only=True, order=True)
class Use:
    """A process and one image that it can use, by the file and line that say so."""

    name: str
    aliases: tuple[str, ...]
    container: str
    file: str
    line: int


def list_images(spec: ListSpec) -> str:
    """Write `images.txt` and `images.json`; ImageError names all that can't be resolved."""
    uses = scan(spec.code, spec.given, profiles=spec.profile.split(","),
                config=f"config/pipelines/{spec.pipeline}.yml")
    images = sorted({use.container for use in uses})
    files.write_json(spec.scan, {
        "images": images,
        "processes": [{"name": use.name, "aliases": list(use.aliases), "file": use.file,
                       "line": use.line, "container": use.container} for use in uses]})
    files.write_text(spec.images, "".join(f"{image}\n" for image in images))
    return f"{len(images)} images in {len({use.name for use in uses})} processes"


def scan(code: Path, given: Mapping[str, str], *, profiles: Collection[str] = (),
         config: str = "its configuration") -> list[Use]:
    """The processes and their images, as the Docker engine pulls them.

    `code` is a folder or a tar. A process stands once for each image that it can use: the module's
    own first, then those that the configuration's selectors set.
    """
    with opened(code) as sources:
        settings = configs.read(sources, profiles)
        if not sources.has(settings.main):
            raise ImageError(f"the pipeline has no {settings.main}", where=code,
                             todo="check `source` in " + config)
        processes = scripts.read(sources, settings.main)
    _refuse_unknown(given, processes, config)
    resolver = _Resolver(_registry(settings), config)
    uses: list[Use] = []
    for process in processes:
        if process.name in given:
            uses += resolver.uses(process, process.name, process.aliases, Container(
                values=frozenset([given[process.name]]), file=process.file, line=process.line))
        else:
            uses += _of_process(process, settings, resolver)
    resolver.raise_faults()
    return list(dict.fromkeys(uses))


def _of_process(process: Process, settings: configs.Settings, resolver: _Resolver) -> list[Use]:
    own = process.containers or [rule.container for rule in settings.rules if not rule.kind]
    uses = [use for container in own
            for use in resolver.uses(process, process.name, process.aliases, container)]
    for rule in settings.rules:
        named = process.labels if rule.kind == "withLabel" else [process.name]
        if rule.kind and any(rule.fits(name) for name in named):
            uses += resolver.uses(process, process.name, process.aliases, rule.container)
        elif rule.kind == "withName":
            for alias in sorted(filter(rule.fits, process.aliases)):
                uses += resolver.uses(process, alias, (), rule.container)
    return uses


class _Resolver:
    """Turns values into complete references, and gathers what can't be."""

    def __init__(self, registry: str | None, config: str) -> None:
        self.registry, self.config = registry, config
        self.faults: list[str] = []

    def uses(self, process: Process, name: str, aliases: Iterable[str],
             container: Container) -> list[Use]:
        place = f"{container.file}:{container.line}"
        found: list[Reference] = []
        for value in sorted(container.values, key=str):
            if isinstance(value, Unknown):
                self.faults.append(f"{place}: {process.name}: the image hangs on {value.why}")
            elif isinstance(value, str) and value.strip():
                try:
                    found.append(complete(value, self.registry))
                except ImageError as error:
                    self.faults.append(f"{place}: {process.name}: {error.what}")
        return [Use(name=name, aliases=tuple(sorted(aliases)), container=str(each),
                    file=container.file, line=container.line) for each in found]

    def raise_faults(self) -> None:
        if self.faults:
            raise ImageError("images that only a run can tell:\n  "
                             + "\n  ".join(dict.fromkeys(self.faults)), where=self.config,
                             todo="give them there by hand, under `images:`, as "
                                  "PROCESS: host/path:tag")


def _registry(settings: configs.Settings) -> str | None:
    """`docker.registry`, where it has one value."""
    if settings.registry is None:
        return None
    values = [value for value in settings.registry.values if value]
    if any(not isinstance(value, str) for value in values) or len(values) > 1:
        raise ImageError("docker.registry has no single value that could be known here",
                         where=f"{settings.registry.file}:{settings.registry.line}",
                         todo="set it to a plain string")
    return values[0] if values else None


def _refuse_unknown(given: Mapping[str, str], processes: Iterable[Process], config: str) -> None:
    known = {process.name for process in processes}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ImageError(f"`images` names a process {name!r} that the pipeline doesn't have"
                             f"{hint}", where=config, todo="correct or remove that line")
