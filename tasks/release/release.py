"""`release`: release.json, SHA256SUMS over every carried file, and its signature."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core import files, isolation, signature, sums
from tasks.core.config import Signing
from tasks.core.errors import AirlockError
from tasks.core.layout import Layout
from tasks.core.schema import check, read_json
from tasks.core.shown import shown
from tasks.release import contents


@dataclass(frozen=True, kw_only=True)
class ReleaseSpec:
    """What a release is made from; with `carry` at `store`, of the images themselves too.

    `configs` says whether institutional configs are carried, and `own` are the names of the
    users' own sheets that are.
    """

    pipeline: str
    layout: Layout
    runtime: str
    profile: str
    run: str
    platform: str
    signing: Signing
    carry: str = "registry"
    configs: bool = False
    own: tuple[str, ...] = ()
    isolation: str = isolation.FULL


def make(spec: ReleaseSpec) -> str:
    """Write the release folder; IntegrityError where a file is not what was claimed."""
    signature.ready(spec.signing.key, create=spec.signing.create, identity=spec.signing.identity)
    contents.check_platform(spec.layout, spec.platform)
    carried = contents.collect(spec.layout, spec.runtime, carry=spec.carry,
                               configs=spec.configs, own=spec.own)
    folder = spec.layout.release
    told = describe(spec, carried, before=_before(folder, spec.signing))
    check(told, "release", where=folder / "release.json")
    files.write_json(folder / "release.json", told)
    digests = {each.path: each.sha256 for each in carried}
    digests["release.json"] = files.sha256(folder / "release.json")
    listed = sums.format_sums(digests)
    seal(folder, listed, spec.signing)
    size = sum(each.size for each in carried)
    return f"{release_id(told['revision'], listed)}: {len(digests)} files, " \
           f"{files.human_size(size)}, signed as {spec.signing.identity}"


def _configs(spec: ReleaseSpec) -> dict[str, Any] | None:
    if not spec.configs:
        return None
    told = read_json(spec.layout.configs_manifest, "code-manifest")
    return {key: told[key] for key in ("source", "revision", "commit")}


def _isolation(spec: ReleaseSpec) -> str:
    """The least of what held while the config was resolved, and of what this machine can do now."""
    then = read_json(spec.layout.resolved, "resolved")["isolation"]
    return isolation.NONE if isolation.NONE in (then, isolation.found(spec.isolation)) \
        else isolation.FULL


def describe(spec: ReleaseSpec, carried: Sequence[contents.Carried],
             before: dict[str, Any]) -> dict[str, Any]:
    """What release.json says. `created` stays as it was `before` where nothing else differs."""
    manifest = read_json(spec.layout.code_manifest, "code-manifest")
    reach = read_json(spec.layout.reach, "reach")
    told = {
        "pipeline": spec.pipeline,
        "revision": safe_revision(manifest["revision"]),
        "commit": manifest["commit"],
        "configs": _configs(spec),
        "nextflow": spec.runtime,
        "shown": shown(spec.runtime),
        "profile": spec.profile,
        "run": spec.run,
        "platform": spec.platform,
        "registry": contents.registry_of(spec.layout),
        "isolation": _isolation(spec),
        "reach": {key: reach[key] for key in ("findings", "counted")},
        "files": [{"path": each.path, "sha256": each.sha256, "size": each.size, "kind": each.kind}
                  for each in carried],
    }
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    same = {key: value for key, value in before.items() if key != "created"} == told
    return {**told, "created": before["created"] if same else now}


def _before(folder: Path, signing: Signing) -> dict[str, Any]:
    """The last release.json; none where another key signed it: that makes another release."""
    path = folder / "release.json"
    try:
        told: dict[str, Any] = check(json.loads(path.read_bytes()), "release", where=path)
        listed, signed = ((folder / name).read_bytes() for name in ("SHA256SUMS",
                                                                    "SHA256SUMS.sig"))
    except (OSError, ValueError, AirlockError):
        return {}
    return told if signature.is_own(signing.key, listed, signed,
                                    identity=signing.identity) else {}


def safe_revision(revision: str) -> str:
    """A revision as part of a folder's name: of a branch feature/x, feature-x."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", revision).lstrip(".-") or "dev"


def release_id(revision: str, listed: bytes) -> str:
    """`<revision>-<12 of the SHA-256 of SHA256SUMS>`."""
    return f"{revision}-{files.sha256_bytes(listed)[:12]}"


def seal(folder: Path, listed: bytes, signing: Signing) -> None:
    """Write SHA256SUMS and its signature; both stay as they are where they still fit."""
    target, seal_at = folder / "SHA256SUMS", folder / "SHA256SUMS.sig"
    if (target.is_file() and target.read_bytes() == listed and seal_at.is_file()
            and signature.is_own(signing.key, listed, seal_at.read_bytes(),
                                 identity=signing.identity)):
        return
    signed = signature.sign(signing.key, listed, identity=signing.identity)
    # A list without its signature counts as not made; the other order would leave a false pair.
    seal_at.unlink(missing_ok=True)
    files.write_bytes(target, listed)
    files.write_bytes(seal_at, signed)
