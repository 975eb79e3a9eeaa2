"""images:list: every image that any process of a pipeline can use, from its sources alone.

`python -m tasks.images.scan DIR [--engine docker|podman|apptainer] [--json]` prints the same for
any folder or tar of sources.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import AirlockError, ImageError, SourceError
from tasks.core.source.directives import Directive
from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.values import unwrapped
from tasks.images import processes as read_processes
from tasks.images import rules
from tasks.images.processes import Process
from tasks.images.selectors import selectors
from tasks.images.uses import APPTAINER, DOCKER, PODMAN, Resolver, Scan

logger = logging.getLogger(__name__)

ENGINES = (DOCKER, PODMAN, APPTAINER)


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


def list_images(spec: ListSpec) -> str:
    """Write `images.txt` and `images.json`; ImageError names all that can't be resolved."""
    config = f"config/pipelines/{spec.pipeline}.yml"
    found = scan(spec.code, spec.given, profiles=spec.profile.split(","), config=config)
    for notice in found.notices:
        logger.warning("%s", notice)
    if found.faults:
        raise ImageError("images that only a run can tell:\n  " + "\n  ".join(found.faults),
                         where=config, todo="give them there by hand, under `images:`, as "
                                            "PROCESS: host/path:tag")
    files.write_json(spec.scan, found.as_json())
    files.write_text(spec.images, "".join(f"{image}\n" for image in found.images))
    return f"{len(found.images)} images in {len({use.name for use in found.uses})} processes"


def scan(code: Path, given: Mapping[str, str], *, profiles: Collection[str] = ("standard",),
         engine: str = DOCKER, config: str = "its configuration") -> Scan:
    """The processes and their images, as `engine` pulls them.

    `code` is a folder or a tar. A process stands once for each image that it can use: the module's
    own first, then those that the configuration's selectors set. ImageError where a file that the
    pipeline needs is missing or no Groovy.
    """
    with bounded(code):
        return _scanned(code, given, profiles, engine, config)


def _scanned(code: Path, given: Mapping[str, str], profiles: Collection[str], engine: str,
             config: str) -> Scan:
    found = Scan()
    with opened(code) as sources:
        settings = rules.read(sources, {*profiles, engine}, engine)
        if not sources.has(settings.main):
            raise ImageError(f"the pipeline has no {settings.main}", where=code,
                             todo="check `source` in " + config)
        processes = read_processes.read(sources, settings.main, settings.names)
    found.notices += settings.notices
    _refuse_unknown(given, processes, config)
    resolver = Resolver(found, engine, _registry(settings))
    for process in processes:
        if process.name in given:
            resolver.add(process, process.name, process.aliases, Directive(
                word="container", values=frozenset([given[process.name]]), file=process.file,
                line=process.line))
        else:
            _of_process(process, settings, resolver)
    found.selectors = selectors(processes, settings.rules, given, resolver)
    found.uses = list(dict.fromkeys(found.uses))
    found.faults = list(dict.fromkeys(found.faults))
    found.notices = list(dict.fromkeys(found.notices))
    return found


def _of_process(process: Process, settings: rules.Settings, resolver: Resolver) -> None:
    own = process.containers or [rule.container for rule in settings.rules if not rule.kind]
    for container in own:
        resolver.add(process, process.name, process.aliases, container)
    for rule in settings.rules:
        named = process.labels if rule.kind == "withLabel" else [process.name]
        if rule.kind and any(rule.fits(name) for name in named):
            resolver.add(process, process.name, process.aliases, rule.container)
        elif rule.kind == "withName":
            for alias in sorted(filter(rule.fits, process.aliases)):
                resolver.add(process, alias, (), rule.container)


def _registry(settings: rules.Settings) -> str | None:
    """The engine's `registry`, where it has one value."""
    if settings.registry is None:
        return None
    values = [value for value in map(unwrapped, settings.registry.values) if value]
    if any(not isinstance(value, str) for value in values) or len(values) > 1:
        raise ImageError("the engine's registry has no single value that could be known here",
                         where=f"{settings.registry.file}:{settings.registry.line}",
                         todo="set it to a plain string")
    return values[0] if values else None


def _refuse_unknown(given: Mapping[str, str], processes: Iterable[Process], config: str) -> None:
    known = {process.name for process in processes}
    for name in given:
        if name not in known:
            import difflib
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ImageError(f"`images` names a process {name!r} that the pipeline doesn't have"
                             f"{hint}", where=config, todo="correct or remove that line")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.images.scan",
        description="Print every image that any process of a Nextflow pipeline can use.")
    parser.add_argument("code", metavar="DIR", type=Path, help="a folder or a tar of its code")
    parser.add_argument("--engine", choices=ENGINES, default=DOCKER, help="who pulls the images")
    parser.add_argument("--json", action="store_true",
                        help="print processes and selectors, too, as images.json has them")
    return parser


def main(words: Sequence[str]) -> int:
    """The command line; 0 all well, 1 where an image could not be told, 2 for a wrong use."""
    parser = _arguments()
    options = parser.parse_args(words)
    try:
        found = scan(options.code, {}, engine=options.engine)
    except SourceError as error:
        parser.error(str(error))
    except AirlockError as error:
        sys.stderr.write(f"{error.where}: {error.what}\n")
        return 1
    sys.stderr.writelines(f"{line}\n" for line in [*found.notices, *found.faults])
    if options.json:
        sys.stdout.write(json.dumps(found.as_json(), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{image}\n" for image in found.images)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
