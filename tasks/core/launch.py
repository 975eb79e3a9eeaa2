"""What a staged pipeline needs to be launched: code, runtime, plugins, params, host's limits.

The smoke run on the online side and the run on the offline host launch it in the same way.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, nextflow, processes
from tasks.core.errors import CommandError
from tasks.core.schema import read_json

STAGED = re.compile(r"data/[0-9a-f]{64}/[^/]+\Z")
"""A staged file's name in sheets and params, relative to the release."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The files of a release that a launch is made from; `locate` finds a staged data file."""

    code: Path
    runtime: Path
    plugins: Path
    config: Path
    data_manifest: Path
    locate: Callable[[str], Path]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A pipeline that is ready to be run."""

    nextflow: nextflow.Nextflow
    code: Path
    configs: tuple[Path, ...]
    params: Path
    folder: Path


def prepare(carried: Carried, folder: Path) -> Launch:
    """Unpack and render everything below `folder`; what is there is replaced whole."""
    ready = prepared(carried, folder)
    files.unpack_tar(carried.plugins, ready.nextflow.home / "plugins")
    files.unpack_tar(carried.code, ready.code)
    files.write_json(ready.params, render_params(carried, ready.folder))
    files.write_text(ready.configs[-1], host_config())
    return ready


def prepared(carried: Carried, folder: Path) -> Launch:
    """What `prepare` made below `folder`."""
    folder = folder.absolute()
    runtime = nextflow.install(carried.runtime, folder / "runtime", home=folder / "nxf")
    return Launch(nextflow=runtime, code=folder / "code", params=folder / "params.json",
                  folder=folder, configs=(carried.config.absolute(), folder / "host.config"))


def render_params(carried: Carried, folder: Path) -> dict[str, Any]:
    """The params that name staged files, absolute; sheets are rendered into `folder`.

    Nextflow resolves relative paths against the launch folder, hence the absolute ones.
    """
    manifest = read_json(carried.data_manifest, "data-manifest")
    params = {}
    for name, value in manifest["params"].items():
        if value["kind"] == "sheet":
            sheet = carried.data_manifest.parent / value["path"]
            target = files.inside(folder, value["path"])
            files.write_text(target, render_sheet(sheet.read_text(), carried.locate))
            params[name] = str(target)
        else:
            params[name] = str(carried.locate(value["path"]).absolute())
    return params


def render_sheet(text: str, locate: Callable[[str], Path]) -> str:
    """A samplesheet whose staged cells are absolute paths."""
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    for row in csv.reader(io.StringIO(text), delimiter=delimiter):
        writer.writerow([str(locate(cell).absolute()) if STAGED.match(cell) else cell
                         for cell in row])
    return out.getvalue()


def host_config() -> str:
    """Limits from this host's size: a test profile asks for more than a small host has."""
    cpus = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 >> 20
    return f"process.resourceLimits = [cpus: {cpus}, memory: {memory}.MB]\n"


def run(launch: Launch, *, profile: str, log: Path, options: Sequence[str | Path],
        words: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
    """`nextflow run WORDS CODE OPTIONS`, its output into `log`; CommandError with its last words.

    `words` stand directly before the project: after another option, `-stub-run` and `-preview`
    would swallow an argument (notes of Nextflow 24.10). An empty `profile` leaves the pipeline's
    own settings, with those of offline.config.
    """
    detail = log.with_suffix(".nextflow.log").absolute()
    configs = [word for path in launch.configs for word in ("-c", str(path))]
    command = launch.nextflow.command(
        "-log", detail, "run", *configs, "-profile", f"{profile},offline".lstrip(","),
        "-params-file", launch.params, "-ansi-log", "false", *options, *words, launch.code)
    try:
        processes.run(command, log=log, cwd=launch.folder, env=launch.nextflow.environment(env))
    except CommandError as error:
        raise CommandError("Nextflow ended with an error", status=error.status, tail=error.tail,
                           where=log, todo=f"its own log with every detail is {detail}") from error
