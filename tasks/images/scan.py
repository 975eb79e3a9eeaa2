"""images:list: every image that any process of a pipeline can use, from its sources alone.

`python -m tasks.images.scan DIR [--engine docker|podman|apptainer] [--json]` prints the same for
any folder or tar of sources.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.errors import AirlockError, ImageError, SourceError
from tasks.core.source.files import opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.values import unwrapped
from tasks.images import given as images_by_hand
from tasks.images import processes as read_processes
from tasks.images import rules, without
from tasks.images.given import ByHand
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
    given: ByHand
    images: Path
    scan: Path


def list_images(spec: ListSpec) -> str:
    """Write `images.txt` and `images.json`; ImageError names all that can't be resolved."""
    config = f"config/pipelines/{spec.pipeline}.yml"
    result = scan(spec.code, spec.given, profiles=spec.profile.split(","), config=config)
    for notice in [*result.notices, *_without(result, config)]:
        logger.warning("%s", notice)
    if result.faults:
        known = "".join(f"  {image}\n" for image in result.images)
        raise ImageError(f"{len(result.images)} images are known:\n{known}"
                         "and these only a run can tell:\n  " + "\n  ".join(result.faults),
                         where=config, todo="give them there by hand, under `images:`, as "
                                            "PROCESS: host/path:tag")
    files.write_json(spec.scan, result.as_json())
    files.write_text(spec.images, "".join(f"{image}\n" for image in result.images))
    return summary(result)


def summary(result: Scan) -> str:
    """The result in one line: what has images, and what has none."""
    accepted = sum(without.is_accepted for without in result.without)
    others = len(result.without) - accepted
    return "".join([
        f"{len(result.images)} images in {len({use.name for use in result.uses})} processes",
        f", {others} processes without any" if others else "",
        f", {accepted} run without, as the config says" if accepted else ""])


def _without(result: Scan, config: str) -> list[str]:
    """One notice that names all processes without an image, and what can be done."""
    listed = [f"\n  {without}" for without in result.without if not without.is_accepted]
    return [f"{len(listed)} processes have no image, and would run with the host's own programs; "
            "offline a run stops at them. Give each its image by hand, under `images:` in "
            f"{config}, or `none` where the host's programs are meant:{''.join(listed)}"
            ] if listed else []


def scan(code: Path, given: ByHand, *, profiles: Collection[str] = ("standard",),
         engine: str = DOCKER, config: str = "its configuration") -> Scan:
    """The processes and their images, as `engine` pulls them.

    `code` is a folder or a tar. A process stands once for each image that it can use: the module's
    own first, then those that the configuration's selectors set. ImageError where a file that the
    pipeline needs is missing or no Groovy.
    """
    with bounded(code):
        return _scanned(code, given, profiles, engine, config)


def _scanned(code: Path, given: ByHand, profiles: Collection[str], engine: str,
             config: str) -> Scan:
    result = Scan()
    with opened(code) as sources:
        settings = rules.read(sources, {*profiles, engine}, engine)
        if not sources.has(settings.main):
            raise ImageError(f"the pipeline has no {settings.main}", where=code,
                             todo="check `source` in " + config)
        processes = read_processes.read(sources, settings)
    result.notices += settings.notices
    result.faults += processes.faults
    by_hand = images_by_hand.read(given)
    images_by_hand.refuse_unknown(by_hand, {process.name for process in processes.all}, config)
    resolver = Resolver(result, engine, _registry(settings))
    for process in processes.all:
        known = len(result.faults)
        if process.name in by_hand:
            resolver.add(process, process.name, process.aliases,
                         by_hand[process.name].directive(process.file, process.line))
        else:
            _of_process(process, settings, resolver)
        if not processes.called(process):  # so no config sets what it would hang on
            idle = [fault for fault in result.faults[known:] if "hangs on task.ext." in fault]
            result.notices += [f"{fault}; no workflow calls it" for fault in idle]
            result.faults = [fault for fault in result.faults if fault not in idle]
    result.without = without.find(processes, settings.rules, by_hand)
    result.selectors = selectors(processes.all, settings.rules, by_hand, resolver)
    result.uses = list(dict.fromkeys(result.uses))
    result.faults = list(dict.fromkeys(result.faults))
    result.notices = list(dict.fromkeys(result.notices))
    return result


def _of_process(process: Process, settings: rules.Settings, resolver: Resolver) -> None:
    own = process.containers or [process.set_by(rule) for rule in settings.rules
                                 if not rule.kind]
    for container in own:
        resolver.add(process, process.name, process.aliases, container)
    for rule in settings.rules:
        named = process.labels if rule.kind == "withLabel" else [process.name]
        if rule.kind and any(rule.fits(name) for name in named):
            resolver.add(process, process.name, process.aliases, process.set_by(rule))
        elif rule.kind == "withName":
            for alias in sorted(filter(rule.fits, process.aliases)):
                resolver.add(process, alias, (), process.set_by(rule))


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
    """The command line; 0 all well, 1 where an image can't be known, 2 for a wrong call."""
    parser = _arguments()
    options = parser.parse_args(words)
    try:
        result = scan(options.code, {}, engine=options.engine)
    except SourceError as error:
        parser.error(str(error))
    except AirlockError as error:
        sys.stderr.write(f"{error.where}: {error.what}\n")
        return 1
    sys.stderr.writelines(f"{line}\n" for line in [*result.notices, *result.without,
                                                   *result.faults])
    if options.json:
        sys.stdout.write(json.dumps(result.as_json(), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{image}\n" for image in result.images)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
