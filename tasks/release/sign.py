"""`release:sign`, `tool:sign` and `images:sign`: the only steps that open the signing key.

What they sign is final: they run after everything that runs a pipeline's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.schema import read_json
from tasks.core.store.store import open_store
from tasks.core.trust import checksums, promotions, signature
from tasks.core.trust.promotions import Promotion, Subject
from tasks.release.places import PROMOTION


@dataclass(frozen=True, kw_only=True)
class SignSpec:
    """What a pipeline's release is signed with; `store` holds the promotions before.

    `unproven` is why it becomes current without proof, where it does.
    """

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    unproven: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignToolSpec:
    """What the tool is signed with."""

    layout: SitePaths
    store: StoreAt
    signing: Signing


@dataclass(frozen=True, kw_only=True)
class SignImagesSpec:
    """What the list beside a pipeline's archives is signed with."""

    pipeline: str
    listed: Path
    signing: Signing


def sign_release(spec: SignSpec) -> str:
    """Write SHA256SUMS.sig, and the promotion of this release with its signature."""
    folder = spec.layout.release
    listed = folder / "SHA256SUMS"
    revision = read_json(folder / "release.json", "release")["revision"]
    name = checksums.release_id(revision, listed.read_bytes())
    return _sign(listed, name, Subject(pipeline=spec.pipeline), spec.store, spec.signing,
                 spec.unproven)


def sign_tool(spec: SignToolSpec) -> str:
    """Write airlock.tar.sig, and the promotion of this tool with its signature."""
    folder = spec.layout.tool
    name = read_json(folder / "tool.json", "tool")["id"]
    return _sign(folder / "airlock.tar", name, Subject(pipeline=None), spec.store, spec.signing)


def sign_images(spec: SignImagesSpec) -> str:
    """Write SHA256SUMS.sig beside the archives for engines; nothing says which are current."""
    _ready(spec.signing)
    signature.seal(spec.listed, spec.signing.key, namespace=signature.IMAGES)
    return f"{spec.listed} signed as {spec.signing.identity}"


def holds(path: Path) -> bool:
    """Whether the promotion in a file needs no new signature yet."""
    return promotions.holds(path, datetime.now(timezone.utc))


def _sign(file: Path, name: str, subject: Subject, at: StoreAt, signing: Signing,
          unproven: str | None = None) -> str:
    _ready(signing)
    kind = signature.RELEASE if subject.pipeline else signature.TOOL
    signature.seal(file, signing.key, namespace=kind)
    promotion = _promotion(file.with_name(PROMOTION), name, subject, at, signing, unproven)
    until = f", until {promotion.expires}" if promotion.expires else ""
    return f"{name} signed as {signing.identity}, promotion {promotion.number}{until}" + (
        f", not proven: {unproven}" if unproven else "")


def _ready(signing: Signing) -> None:
    signature.ready(signing.key, create=signing.create, identity=signing.identity)


def _promotion(path: Path, name: str, subject: Subject, at: StoreAt,
               signing: Signing, unproven: str | None) -> Promotion:
    """The promotion that is written and signed: the one before, where it still says the same."""
    now = datetime.now(timezone.utc)
    last = promotions.read(path)
    newest = next(iter(promotions.numbers(open_store(at), subject)), 0)
    fits = (last is not None and (last.pipeline, last.id) == (subject.pipeline, name)
            and last.number >= newest and not last.is_due(now)
            and last.unproven == unproven and (last.expires is None) == (signing.valid is None)
            and _is_ours(path, signing))
    if last is None or not fits:
        before = max(newest, last.number if last else 0)
        last = promotions.plan(subject, name, before=before, valid=signing.valid, now=now,
                               unproven=unproven)
        # A promotion without a signature counts as not made; the other order would leave a
        # false pair.
        path.with_name(f"{path.name}.sig").unlink(missing_ok=True)
        files.write_bytes(path, last.data())
        signature.seal(path, signing.key, namespace=signature.PROMOTION)
    return last


def _is_ours(path: Path, signing: Signing) -> bool:
    seal = path.with_name(f"{path.name}.sig")
    return seal.is_file() and signature.is_own(signing.key, path.read_bytes(), seal.read_bytes(),
                                               namespace=signature.PROMOTION)
