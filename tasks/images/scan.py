"""images:list: every image that any process of a pipeline can use, from its sources alone.

`python -m tasks.images.scan DIR [--engine KIND] [--json]` prints the same for any
folder or tar of sources.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import config_places, files
from tasks.core.config.engines import DOCKER, KINDS
from tasks.core.errors import AirlockError, ImageError, SourceError
from tasks.core.source.files import Sources, opened
from tasks.core.source.groovy.depth import bounded
from tasks.core.source.groovy.values import unwrapped
from tasks.images import asked, rules, without
from tasks.images import given as images_by_hand
from tasks.images import processes as read_processes
from tasks.images.asked import Answers
from tasks.images.given import ByHand
from tasks.images.processes import Process
from tasks.images.selectors import selectors
from tasks.images.uses import Resolver, Scan

logger = logging.getLogger(__name__)

BY_HAND = "give them there by hand, under `images:`, as PROCESS: host/path:tag"


@dataclass(frozen=True, kw_only=True)
class ListSpec:
    """What images:list reads and writes; `given` are images by hand, by process.

    `script` is the main one, where the pipeline doesn't say it. `unknown` says what a run before
    couldn't tell, `configs` are institutional ones that are carried. `profile` are the profiles
    that the runs use, with commas between, and `engine` is that of the offline hosts.
    """

    pipeline: str
    code: Path
    profile: str
    given: ByHand
    images: Path
    scan: Path
    unknown: Path | None = None
    configs: Path | None = None
    script: str | None = None
    engine: str = DOCKER

    @property
    def config(self) -> str:
        """The pipeline's own configuration."""
        return str(config_places.pipeline(self.pipeline))


def list_images(spec: ListSpec) -> str:
    """Write `images.txt` and `images.json`; ImageError names all that can't be resolved.

    What the sources don't tell is noted in `unknown`: then the next run is `list_asked`.
    """
    return written(scanned(spec), spec, todo=(
        "run the same command again, which stages the test data and asks `nextflow inspect`; or "
        + BY_HAND))


def scanned(spec: ListSpec, answers: Answers | None = None) -> Scan:
    """The scan of a pipeline as its config says."""
    return scan(spec.code, spec.given, profiles=spec.profile.split(","), engine=spec.engine,
                config=spec.config, answers=answers, configs=spec.configs, script=spec.script)


def written(result: Scan, spec: ListSpec, *, todo: str) -> str:
    """Write what is known, or raise ImageError with that and all that isn't, and what `todo`."""
    for notice in [*result.notices, *asked.notice(result.inspected, spec.profile),
                   *_without(result, spec.config)]:
        logger.warning("%s", notice)
    if result.faults:
        if result.is_open and spec.unknown:
            files.write_text(spec.unknown, "".join(f"{fault}\n" for fault in result.faults))
        raise ImageError(
            f"{len(result.images)} images are known:\n"
            + "".join(f"  {image}\n" for image in result.images)
            + "and these only a run can tell:\n  " + "\n  ".join(result.faults),
            where=spec.config, todo=todo if result.is_open else
            "mend the pipeline's code, or name another revision of it")
    if not result.inspected and spec.unknown:
        spec.unknown.unlink(missing_ok=True)
    files.write_json(spec.scan, result.as_json())
    files.write_text(spec.images, "".join(f"{image}\n" for image in result.images))
    return summary(result)


def summary(result: Scan) -> str:
    """The result in one line: what has images, and what has none."""
    accepted = sum(without.is_accepted for without in result.without)
    others = len(result.without) - accepted
    return "".join([
        f"{len(result.images)} images in {len({use.name for use in result.uses})} processes",
        f", {_processes(others)} without any" if others else "",
        f", {accepted} run without, as the config says" if accepted else "",
        f", {len(result.inspected)} by `nextflow inspect`" if result.inspected else ""])


def _without(result: Scan, config: str) -> list[str]:
    """One notice that names all processes without an image, and what can be done."""
    listed = [f"\n  {without}" for without in result.without if not without.is_accepted]
    return [f"{_processes(len(listed))} without an image, which would run with the host's own "
            "programs; offline a run stops there. Give each its image by hand, under `images:` in "
            f"{config}, or `none` where the host's programs are meant:{''.join(listed)}"
            ] if listed else []


def _processes(count: int) -> str:
    return f"{count} process{'es' * (count != 1)}"


def scan(code: Path, given: ByHand, *, profiles: Collection[str] = ("standard",),
         engine: str = DOCKER, config: str = "its configuration",
         answers: Answers | None = None, configs: Path | None = None,
         script: str | None = None) -> Scan:
    """The processes and their images, as `engine` pulls them.

    `answers` are those of `nextflow inspect`, taken where the sources don't tell; `configs` are
    institutional configs that are carried, a folder or a tar; `script` is the main one, where the
    pipeline doesn't say it.

    `code` is a folder or a tar. A process stands once for each image that it can use: the module's
    own first, then those that the configuration's selectors set. ImageError where a file that the
    pipeline needs is missing or no Groovy.
    """
    with bounded(code):
        return _scanned(code, given, profiles, engine, config, answers, configs, script)


def _scanned(code: Path, given: ByHand, profiles: Collection[str], engine: str,
             config: str, answers: Answers | None, configs: Path | None,
             script: str | None) -> Scan:
    result = Scan(script=script)
    with opened(code) as sources:
        settings = rules.read(sources, {*profiles, engine}, engine, configs)
        settings.main = script or settings.main
        if not sources.has(settings.main):
            raise _no_script(sources, settings.main, config)
        processes = read_processes.read(sources, settings)
    result.notices += settings.notices
    result.unread = processes.faults
    result.faults += result.unread
    by_hand = images_by_hand.read(given)
    images_by_hand.refuse_unknown(by_hand, {
        name for process in processes.all for name in (process.name, *process.aliases)}, config)
    resolver = Resolver(result, engine, _registry(settings))
    for process in processes.all:
        known = len(result.faults)
        if process.name in by_hand:
            resolver.add(process, process.name, process.aliases,
                         by_hand[process.name].directive(process.file, process.line))
        else:
            _of_process(process, settings, resolver)
            if not processes.called(process):
                _set_aside(result, known)
            if answers is not None and len(result.faults) > known:
                _ask(process, processes.called(process), answers, settings, resolver, known)
        for alias in sorted(process.aliases & by_hand.keys()):
            resolver.add(process, alias, (), by_hand[alias].directive(process.file, process.line))
    result.without = without.find(processes, settings.rules, by_hand)
    result.selectors = selectors(processes.all, settings.rules, by_hand, resolver)
    result.uses = list(dict.fromkeys(result.uses))
    result.faults = list(dict.fromkeys(result.faults))
    result.notices = list(dict.fromkeys([*result.notices, *result.defaults()]))
    return result


def _no_script(sources: Sources, main: str, config: str) -> ImageError:
    """The error where there is no main script by this name."""
    others = sorted(path for path in sources.files if path.endswith(".nf") and "/" not in path)
    return ImageError(
        f"the pipeline has no {main}"
        + (f"; beside it stand {', '.join(others)}" if others else ""),
        where=sources.place, todo=f"name its main script in {config}, as `script: NAME.nf`"
        if others else f"check `source` in {config}")


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


def _set_aside(result: Scan, known: int) -> None:
    """Of a process that no workflow calls, no config needs to set the `task.ext` that it asks for:
    such faults, of those from the index `known` on, are notices.
    """
    idle = [fault for fault in result.faults[known:] if "hangs on task.ext." in fault]
    result.faults[known:] = [fault for fault in result.faults[known:] if fault not in idle]
    result.notices += [f"{fault}; no workflow calls it" for fault in idle]


def _ask(process: Process, called: Collection[str], answers: Answers, settings: rules.Settings,
         resolver: Resolver, known: int) -> None:
    """Take what was answered in the place of faults, those from the index `known` on."""
    faults = resolver.scan.faults
    try:
        answered = asked.rules(process, called, answers)
    except ImageError as error:
        faults[known:] = [f"{fault}; {error.what}" for fault in faults[known:]]
        return
    del faults[known:]
    settings.rules += answered
    resolver.scan.inspected |= {name: answers[name] for name in called}
    for rule in answered:
        for name in [process.name, *sorted(process.aliases)]:
            if rule.fits(name):
                resolver.add(process, name, (), rule.container)


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
    parser.add_argument("--engine", choices=KINDS, default=DOCKER, help="who pulls the images")
    parser.add_argument("--script", metavar="NAME.nf", help="the main script, where it is neither "
                        "main.nf nor what the manifest names")
    parser.add_argument("--json", action="store_true",
                        help="print processes and selectors, too, as images.json has them")
    return parser


def main(words: Sequence[str]) -> int:
    """The command line; 0 all well, 1 where an image can't be known, 2 for a wrong call."""
    parser = _arguments()
    options = parser.parse_args(words)
    try:
        result = scan(options.code, {}, engine=options.engine, script=options.script)
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
