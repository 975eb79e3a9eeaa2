"""`release:approve` and `tool:approve`: a second person's signature over what was proposed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, IntegrityError, StoreError
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.store.interface import bring
from tasks.core.trust import approvals, proofs, signature
from tasks.core.trust.promotions import Promotion, Subject
from tasks.release import chain
from tasks.release.chain import Chain
from tasks.release.promote import opened


@dataclass(frozen=True, kw_only=True)
class ApproveSpec:
    """Whose proposed release is approved, by the approver's own `signing.key`.

    `name` is the id that it must have, where one is given. `after` is what it follows, where what
    is current can't be believed any more.
    """

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    name: str | None = None
    after: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class ApproveToolSpec:
    """The same for the tool."""

    layout: SitePaths
    store: StoreAt
    signing: Signing
    after: int | str | None = None


def approve_release(spec: ApproveSpec) -> str:
    """Sign the newest promotion of a pipeline once more, and make it the current one.

    ConfigError where this key is no approver's; IntegrityError where the same key has signed.
    """
    at = spec.layout
    return _approve(spec, Subject(pipeline=spec.pipeline), at.promoted, at.of_site.trusted,
                    spec.name)


def approve_tool(spec: ApproveToolSpec) -> str:
    """The same for the newest promotion of the tool."""
    at = spec.layout
    return _approve(spec, Subject(pipeline=None), at.tool_promoted, at.trusted)


def _approve(spec: ApproveSpec | ApproveToolSpec, subject: Subject, memory: Path,
             signers: Path, name: str | None = None) -> str:
    signature.ready(spec.signing.key, create=False, identity=spec.signing.identity)
    approver = _approver(spec.signing)
    with opened(subject, spec.store, spec.signing, memory, signers, spec.after) as here:
        tip = chain.tip(here)
        newest = _proposed(here, tip.promotion, name)
        _tell(here, newest)
        _seal(here, newest, approver)
        if tip.pointer != newest.pointer():
            chain.point(here, newest, tip.pointer)
        chain.remember(here, newest)
    kind = "release" if subject.pipeline else "tool"
    return (f"{newest.id} is the current {kind} in {spec.store.url}: promotion {newest.number}, "
            f"approved by {approver}")


def _approver(signing: Signing) -> str:
    """Whose key this is, by the site's file."""
    own = signature.public_key(signing.key)
    for name, public in signing.approvers.items():
        if " ".join(public.split()[:2]) == own:
            return name
    raise ConfigError("this key is no approver's", where=signing.key, todo=(
        "let AIRLOCK_SIGNING_KEY name the key of "
        f"{' or '.join(signing.approvers)}" if signing.approvers else
        "this site asks for no approval: signing.approvers in its file would name who may approve"))


def _proposed(here: Chain, newest: Promotion | None, name: str | None) -> Promotion:
    where = f"{here.store.url}: {here.subject.pointer}"
    if newest is None:
        raise StoreError("nothing was proposed", where=where,
                         todo="release:promote proposes a release, push:tool a tool; if a "
                              "colleague did, put their public key under signing.colleagues in "
                              "the site's file")
    if name is not None and newest.id != name:
        raise IntegrityError(f"the newest that was proposed is {newest.id}, not {name}",
                             where=where, todo="look at that one, or have yours proposed again")
    return newest


def _tell(here: Chain, newest: Promotion) -> None:
    """Print what is being approved: it is this step's to show."""
    tried = proofs.of(here.store, newest)
    print(f"promotion {newest.number} of {newest.signed}: {newest.id}")
    if newest.unproven:
        print(f"  NOT PROVEN: {newest.unproven}")
    elif tried is None:
        print("  without a proof")
    if newest.back:
        print(f"  goes back: {newest.back}")
    for entry in newest.withdrawn:
        print(f"  withdrawn: {entry.id}: {entry.reason}")
    for line in proofs.lines(tried) if tried else ():
        print(f"  {line}")


def _seal(here: Chain, newest: Promotion, approver: str) -> None:
    """Write the approval and read it back, held against what an offline host will ask of it."""
    key = here.subject.key(newest.number)
    data = bring(here.store, key)
    signed_by = signature.maker(data, bring(here.store, f"{key}.sig"),
                                namespace=signature.PROMOTION)
    place = here.subject.approval(newest.number)
    where = f"{here.store.url}: {place}"
    seal = signature.sign(here.signing.key, data, namespace=signature.APPROVAL)

    def see(held: bytes) -> None:
        approvals.verify(data, held, allowed=here.trust.allowed, approvers=[approver],
                         pipeline=here.subject.pipeline, signed_by=signed_by or "", where=where,
                         known_as=here.trust.known_as)

    see(seal)
    here.store.put_bytes(place, seal)
    see(bring(here.store, place))
