"""`release:sign`, `tool:sign` and `images:sign`: signatures of what was made, by the signing key.

They say whose it is, and nothing of what is current: promote.py signs that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.core.config.settings import Signing
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.schema import read_json
from tasks.core.trust import signature
from tasks.release import release_name


@dataclass(frozen=True, kw_only=True)
class SignSpec:
    """What a pipeline's release is signed with."""

    pipeline: str
    layout: PipelinePaths
    signing: Signing


@dataclass(frozen=True, kw_only=True)
class SignToolSpec:
    """What the tool is signed with."""

    layout: SitePaths
    signing: Signing


@dataclass(frozen=True, kw_only=True)
class SignImagesSpec:
    """What the list beside a pipeline's archives is signed with."""

    pipeline: str
    listed: Path
    signing: Signing


def sign_release(spec: SignSpec) -> str:
    """Write SHA256SUMS.sig."""
    _seal(spec.layout.release / "SHA256SUMS", spec.signing, signature.RELEASE)
    return f"{release_name.made(spec.layout)} signed as {spec.signing.identity}"


def sign_tool(spec: SignToolSpec) -> str:
    """Write airlock.tar.sig."""
    folder = spec.layout.tool
    name = read_json(folder / "tool.json", "tool")["id"]
    _seal(folder / "airlock.tar", spec.signing, signature.TOOL)
    return f"{name} signed as {spec.signing.identity}"


def sign_images(spec: SignImagesSpec) -> str:
    """Write SHA256SUMS.sig beside the archives for engines; nothing says which are current."""
    _seal(spec.listed, spec.signing, signature.IMAGES)
    return f"{spec.listed} signed as {spec.signing.identity}"


def _seal(file: Path, signing: Signing, namespace: str) -> None:
    signature.ready(signing.key, create=signing.create, identity=signing.identity)
    signature.seal(file, signing.key, namespace=namespace)
