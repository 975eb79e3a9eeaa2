"""What a pipeline's config comes to, resolved by the real Nextflow: once, for all that read it.

resolved.json depends on the code, our config and Nextflow alone, on no clock and no folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import unpacking
from tasks.core.nextflow import installed, isolation, pipeline_version, queries
from tasks.core.nextflow.environment import NOTHING, Inherited
from tasks.core.nextflow.reproducible import TIME_ZONES, same_in_both
from tasks.core.schema import check
from tasks.core.source import resolved_config

ELSEWHERE = "/.airlock/elsewhere"
"""Stands for the folder that Nextflow was started in, and that of its NXF_HOME."""


@dataclass(frozen=True, kw_only=True)
class ResolveSpec:
    """Whose config is resolved, and where it goes.

    `given` are params that our config sets, `script` is the main one, where that names it.
    """

    pipeline: str
    profile: str
    given: Mapping[str, Any]
    code: Path
    runtime: Path
    output: Path
    log: Path
    script: str | None = None
    isolation: str = isolation.FULL
    inherited: Inherited = NOTHING


def resolve(spec: ResolveSpec) -> str:
    """Write resolved.json.

    Raises SourceError with Nextflow's own words where the config does not resolve, ConfigError
    where the pipeline insists on another version than the runtime's.
    """
    version = installed.version_of(spec.runtime)
    with files.scratch(spec.output.parent, "resolve") as folder:
        unpacking.unpack_tar(spec.code, folder / "code")
        nextflow = installed.install(spec.runtime, folder / "runtime", home=folder / "home",
                                     inherited=spec.inherited)
        (folder / "launch").mkdir()
        first, second = queries.configs(
            nextflow, folder / "code", profile=spec.profile, scratch=folder / "launch",
            log=spec.log, params=spec.given, least=spec.isolation, zones=TIME_ZONES)
        config = resolved_config.portable(same_in_both(first, second), folder / "code")
        config = resolved_config.portable(config, folder, ELSEWHERE)
    if spec.script:
        config["manifest"] = {**config.get("manifest", {}), "mainScript": spec.script}
    resolved = check({"pipeline": spec.pipeline, "profile": spec.profile, "config": config,
                      "isolation": isolation.level(spec.isolation)}, "resolved",
                     where="the resolved config")
    misfit = pipeline_version.misfit(version, config.get("manifest", {}).get("nextflowVersion"))
    files.write_json(spec.output, resolved)
    return misfit or f"{len(config.get('params', {}))} params, by Nextflow {version}"
