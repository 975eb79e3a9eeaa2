"""What a pipeline's config comes to, told by the real Nextflow: once, for all that read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.nextflow import isolation, program, versions
from tasks.core.schema import check
from tasks.core.source import project


@dataclass(frozen=True, kw_only=True)
class ResolveSpec:
    """Whose config is resolved, and where it goes. `given` are params that our config sets."""

    pipeline: str
    profile: str
    given: Mapping[str, Any]
    code: Path
    runtime: Path
    output: Path
    log: Path
    isolation: str = isolation.FULL


def resolve(spec: ResolveSpec) -> str:
    """Write resolved.json.

    Raises SourceError with Nextflow's own words where the config does not resolve, ConfigError
    where the pipeline insists on another version than the runtime's.
    """
    version = program.version_of(spec.runtime)
    with files.scratch(spec.output.parent, "resolve") as folder:
        unpacking.unpack_tar(spec.code, folder / "code")
        runtime = program.install(spec.runtime, folder / "runtime", home=folder / "home")
        found = program.config(runtime, folder / "code", profile=spec.profile, log=spec.log,
                                params=spec.given or None, least=spec.isolation)
        config = project.portable(found, folder / "code")
    told = check({"pipeline": spec.pipeline, "profile": spec.profile, "config": config,
                  "isolation": isolation.found(spec.isolation)}, "resolved",
                 where="the resolved config")
    misfit = versions.misfit(version, config.get("manifest", {}).get("nextflowVersion"))
    files.write_json(spec.output, told)
    return misfit or f"{len(config.get('params', {}))} params, by Nextflow {version}"
