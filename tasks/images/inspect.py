"""images:inspect: what the real `nextflow inspect` says, held against the scan; and images:list,
where the code alone left something open.

Nextflow 24.10 runs the entry workflow for it and lists the processes that are called; so it needs
the staged inputs, and says nothing of branches that these inputs and params don't take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.config.engines import DOCKER, KINDS
from tasks.core.errors import AirlockError, CommandError, ImageError, SourceError, quoted
from tasks.core.inputs import staged_data
from tasks.core.nextflow import installed, isolation, plugin_pins, queries
from tasks.core.nextflow.environment import NOTHING, Inherited
from tasks.core.schema import check, read_json
from tasks.core.source import bounded_regex
from tasks.images.scan import BY_HAND, ListSpec, scanned, written
from tasks.images.uses import complete_name

AGREES, OURS, THEIRS, DIFFERS = "agrees", "only ours", "only inspect's", "differs"
WITHOUT = "no image"
"""Neither side knows an image, and the process should have one: dev:validate fails there."""


@dataclass(frozen=True, kw_only=True)
class InspectSpec:
    """What the look is taken at; `blobs` holds the staged data by digest.

    `engine` is that of the offline hosts, by which pipelines choose images.
    """

    pipeline: str
    profile: str
    code: Path
    runtime: Path
    plugins: Path
    data_manifest: Path
    blobs: Path
    scan: Path
    log: Path
    script: str | None = None
    isolation: str = isolation.FULL
    inherited: Inherited = NOTHING
    plugins_lock: Path | None = None
    engine: str = DOCKER


@dataclass(frozen=True, kw_only=True)
class AskSpec(ListSpec):
    """What images:list reads and writes where the code left something open, and what it asks."""

    asks: InspectSpec


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """One process by its qualified name, what came of the comparison, and why."""

    process: str
    outcome: str
    why: str


def inspect_images(spec: InspectSpec) -> str:
    """Print a line for each process.

    ImageError where inspect names an image that the scan lacks, SourceError with Nextflow's own
    words where it cannot run: a look that could not look is no success.
    """
    scan = read_json(spec.scan, "images-scan")
    findings = compare(scan, ask(spec), spec.engine)
    print("\n".join(f"{finding.outcome:<14}  {finding.process}: {finding.why}"
                    for finding in findings),
          flush=True)
    counts = {outcome: sum(finding.outcome == outcome for finding in findings)
              for outcome in (AGREES, OURS, THEIRS, DIFFERS, WITHOUT)}
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    if counts[THEIRS] or counts[DIFFERS]:
        raise ImageError(f"`nextflow inspect` names images that the scan doesn't: {summary}",
                         where=spec.log,
                         todo="a config outside of the pipeline's code may set them: name the "
                              "process's image under `images:` in the pipeline's config")
    return summary


def list_asked(spec: AskSpec) -> str:
    """Do what `list_images` does, and take what the sources don't tell from here."""
    result = scanned(spec)
    if result.is_open:
        try:
            answers = {process["name"]: process["container"] for process in ask(spec.asks)}
            result = scanned(spec, answers)
        except AirlockError as error:
            result.faults.append(str(error))
    return written(result, spec, todo=BY_HAND)


def ask(spec: InspectSpec) -> list[dict[str, Any]]:
    """The processes that `nextflow inspect` lists: [{name, container}]."""
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    with files.scratch(spec.code.parent, "inspect") as folder:
        runtime = installed.install(spec.runtime, folder / "runtime", home=folder / "nxf",
                                    inherited=spec.inherited)
        unpacking.unpack_tar(spec.plugins, runtime.home / "plugins", allowed=limits.PLUGINS)
        unpacking.unpack_tar(spec.code, folder / "code")
        (folder / "staged").mkdir()  # hard links to the site's data, so it is shown read-only
        locate = staged_data.lay_out(spec.data_manifest, spec.blobs, folder / "staged")
        files.write_json(folder / "params.json", {
            **staged_data.render(spec.data_manifest, locate, folder),
            "outdir": str(folder / "results")})
        pins = plugin_pins.read(spec.plugins_lock) if spec.plugins_lock else []
        files.write_text(folder / "engine.config", "\n".join([*pins, _enabled(spec.engine)]))
        detail = folder / "nextflow.log"
        words: list[str | Path] = [
            "-log", detail, "inspect", "-c", folder / "engine.config", "-profile",
            spec.profile, "-params-file", folder / "params.json", "-format", "json",
            folder / "code" / (spec.script or "")]
        try:
            answer = queries.ask(runtime, words, scratch=folder, least=spec.isolation,
                               reads=[folder / "staged"])
        except CommandError as error:
            raise SourceError(
                "`nextflow inspect` could not look, so nothing was compared:\n"
                + quoted(error.tail),
                where=spec.log, todo="the list of images doesn't hang on this look; what it "
                                     "reports shows a run's first fault") from error
        finally:
            queries.keep(detail, spec.log)
    return _processes(answer, spec.log)


def _enabled(engine: str) -> str:
    """A config with this engine, as Nextflow refuses two, and no other."""
    lines = [f"{kind}.enabled = {str(kind == engine).lower()}\n" for kind in KINDS]
    return "".join([*lines, "profiles { offline {} }\n"])


def _processes(output: str, log: Path) -> list[dict[str, Any]]:
    """The answer, which plain warnings and the pipeline's own output may stand before."""
    for start in (match.start() for match in re.finditer(r"^\{", output, re.MULTILINE)):
        try:
            answer, _ = json.JSONDecoder().raw_decode(output, start)
        except (ValueError, RecursionError):
            continue
        if "processes" in answer:
            listed: list[dict[str, Any]] = check(answer, "images-inspect", where=log)["processes"]
            return listed
    raise SourceError("`nextflow inspect` did not answer in JSON", where=log)


def compare(scan: Mapping[str, Any], listed: Sequence[Mapping[str, Any]],
            engine: str = DOCKER) -> list[Finding]:
    """Each process of either side, once, sorted by name."""
    selectors = [(selector["pattern"], [image["container"] for image in selector["images"]])
                 for selector in scan["selectors"]]
    lacking = {row["name"] for row in scan.get("without", []) if not row["accepted"]}
    findings = {_compared(process["name"], _complete(process["container"], engine), selectors,
                          lacking) for process in listed}
    called = {process["name"].rpartition(":")[2] for process in listed}
    for process in scan["processes"]:
        for name in {process["name"], *process["aliases"]} - called:
            aliases = {process["name"], *process["aliases"]} & called
            why = (f"called as {', '.join(sorted(aliases))} alone" if aliases
                   else "not called with this profile and these params")
            findings.add(Finding(process=name, outcome=OURS, why=f"{why}; {process['container']}"))
    return sorted(findings)


def _compared(name: str, theirs: str | None,
              selectors: Iterable[tuple[str, list[str]]], lacking: Collection[str]) -> Finding:
    ours = next((images for pattern, images in reversed(list(selectors))
                 if bounded_regex.fullmatch(pattern, name)), [])
    if not theirs:
        outcome = (DIFFERS if ours else WITHOUT if name.rpartition(":")[2] in lacking else AGREES)
        return Finding(process=name, outcome=outcome, why=f"no image here, ours: "
                       f"{', '.join(ours)}" if ours else "no image")
    if theirs in ours:
        choice = f", one of {len(ours)} that a run may choose" if len(ours) > 1 else ""
        return Finding(process=name, outcome=AGREES, why=f"{theirs}{choice}")
    if not ours:
        return Finding(process=name, outcome=THEIRS, why=f"{theirs}; the scan has no such process")
    return Finding(process=name, outcome=DIFFERS, why=f"{theirs}; ours: {', '.join(ours)}")


def _complete(container: str | None, engine: str) -> str | None:
    try:
        return container and complete_name(container, engine, None)
    except AirlockError:
        return container
