"""`release`: release.json, and SHA256SUMS over every carried file; `release:sign` signs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.core.config.engines import FILES, REGISTRY
from tasks.core.nextflow import isolation
from tasks.core.nextflow.tested_lines import is_tested
from tasks.core.paths import PipelinePaths
from tasks.core.schema import check, read_json
from tasks.core.tool_version import RELEASE_FORMAT, TOOL_VERSION
from tasks.core.trust import checksums
from tasks.release import release_files


@dataclass(frozen=True, kw_only=True)
class ReleaseSpec:
    """What a release is made from; with `carry` at `store` or `files`, of the images too.

    `smoke` says how the site tries it before it is signed.
    `configs` says whether institutional configs are carried, and `own` are the names of the
    users' own sheets that are.
    """

    pipeline: str
    layout: PipelinePaths
    runtime: str
    profile: str
    run: str
    platform: str
    carry: str = REGISTRY
    smoke: str = "stub"
    configs: bool = False
    own: tuple[str, ...] = ()
    isolation: str = isolation.FULL


def make(spec: ReleaseSpec) -> str:
    """Write the release folder; IntegrityError where a file is not what was claimed."""
    release_files.check_platform(spec.layout, spec.platform)
    release_files.write_lock(spec.layout)
    carried = release_files.collect(spec.layout, spec.runtime, carry=spec.carry,
                               configs=spec.configs, own=spec.own)
    folder = spec.layout.release
    about = describe(spec, carried)
    check(about, "release", where=folder / "release.json")
    files.write_json(folder / "release.json", about)
    digests = {file.path: file.sha256 for file in carried}
    digests["release.json"] = files.sha256(folder / "release.json")
    listed = checksums.format_sums(digests)
    files.write_bytes(folder / "SHA256SUMS", listed)
    size = sum(file.size for file in carried)
    return (f"{checksums.release_id(about['revision'], listed)}: {len(digests)} files, "
            f"{files.human_size(size)}")


def _configs(spec: ReleaseSpec) -> dict[str, Any] | None:
    if not spec.configs:
        return None
    manifest = read_json(spec.layout.configs_manifest, "code-manifest")
    return {key: manifest[key] for key in ("source", "revision", "commit")}


def describe(spec: ReleaseSpec, carried: Sequence[release_files.Carried]) -> dict[str, Any]:
    """What release.json says: nothing of when, where or by whom, so that equal content has one id.

    So `isolation` is the least that the site accepts, not what one machine could do.
    """
    manifest = read_json(spec.layout.code_manifest, "code-manifest")
    reach = read_json(spec.layout.reach, "reach")
    return {
        "kind": "release",
        "format": RELEASE_FORMAT,
        "pipeline": spec.pipeline,
        "revision": safe_revision(manifest["revision"]),
        "source": manifest["source"],
        "commit": manifest["commit"],
        "tool": TOOL_VERSION,
        "configs": _configs(spec),
        "nextflow": spec.runtime,
        "tested": is_tested(spec.runtime),
        "profile": spec.profile,
        "run": spec.run,
        "smoke": spec.smoke if spec.carry == REGISTRY else "none",
        "platform": spec.platform,
        **({} if spec.carry == FILES else {"registry": release_files.registry_of(spec.layout)}),
        "isolation": spec.isolation,
        "reach": {key: reach[key] for key in ("findings", "counted")},
        "files": [{"path": file.path, "sha256": file.sha256, "size": file.size, "kind": file.kind}
                  for file in carried],
    }


def safe_revision(revision: str) -> str:
    """A revision as part of a folder's name: of a branch feature/x, feature-x."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", revision).lstrip(".-") or "dev"
