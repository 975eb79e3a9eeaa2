"""The signing key: there, closed to others, usable, and the one that offline hosts are told of."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.core import ownership
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, OK, WARN, Finding, failed
from tasks.core.frozen import frozen
from tasks.core.trust import signature
from tasks.core.trust.promotions import Subject

DATA = b"nf-airlock: doit doctor tries a signing key\n"


@frozen
class KeySpec:
    """The key, what it signs for, and the list that was laid ready for the offline host."""

    signing: Signing
    pipelines: Sequence[str]
    allowed: Path
    laid_by: str


def there(signing: Signing) -> Iterator[Finding]:
    """Look at the key's file alone, which isn't opened."""
    path = signing.key
    if not path.exists() and not signing.public.is_file():
        create = signing.create
        yield Finding(check="key", status=OK if create else FAIL, text=(
            f"{path} is made when it is first used" if create
            else f"the signing key is missing: {path}"), cure=None if create else
            f"ssh-keygen -t ed25519 -N '' -C {signing.identity} -f {path}, or correct "
            "signing.key (AIRLOCK_SIGNING_KEY)")
    elif path.exists():
        try:
            _refuse_open(path)
        except AirlockError as error:
            yield failed("key", error)


def key(spec: KeySpec) -> Iterator[Finding]:
    """Look at the key's file, then let it sign, then hold that against the list."""
    path, public = spec.signing.key, spec.signing.public
    if not path.exists() and not public.is_file():
        yield from there(spec.signing)
        return
    try:
        if path.exists():
            _refuse_open(path)
        signed = signature.sign(path, DATA, namespace=signature.TOOL)
    except AirlockError as error:
        yield failed("key", error)
        return
    held = str(path) if path.exists() else f"{public}, whose other half ssh-agent holds,"
    yield Finding(check="key", status=OK, text=f"{held} signs: {signature.public_key(path)}")
    yield _listed(spec, signed)


def _refuse_open(path: Path) -> None:
    """HostError where others can read or change it; ssh-keygen takes no such key either."""
    status = path.stat()
    if not os.access(path, os.R_OK):
        me, owner = ownership.user_name(os.geteuid()), ownership.owner(status)
        raise AirlockError(f"the signing key can't be read by this user (it is {owner}'s)",
                           where=path, todo=f"chown {me} {path}, or work as {owner}")
    if not stat.S_ISREG(status.st_mode):
        raise AirlockError("the signing key is no regular file", where=path,
                           todo="correct signing.key (AIRLOCK_SIGNING_KEY)")
    if status.st_mode & 0o077:
        raise AirlockError("others can read the signing key (mode "
                           f"{stat.S_IMODE(status.st_mode):04o})", where=path,
                           todo=f"chmod 600 {path}; if others are on this machine, make a new one")
    ownership.refuse_writable_by_others(path)


def _listed(spec: KeySpec, signed: bytes) -> Finding:
    """Whether the list names the key for the tool and for each pipeline's releases."""
    if not spec.allowed.is_file():
        return Finding(check="allowed_signers", status=WARN, cure=spec.laid_by,
                       text=f"no list was laid ready for the offline host: {spec.allowed}")
    identity = spec.signing.identity
    wanted = [(signature.TOOL, identity)]
    wanted += [(kind, Subject(pipeline=pipeline).signer(identity)) for pipeline in spec.pipelines
               for kind in (signature.RELEASE, signature.PROMOTION)]
    try:
        for namespace, signer in wanted:
            made = signed if namespace == signature.TOOL else signature.sign(
                spec.signing.key, DATA, namespace=namespace)
            signature.verify(DATA, made, namespace=namespace, allowed=spec.allowed, signer=signer,
                             where=spec.allowed)
    except AirlockError as error:
        line = signature.allowed_line(identity, signature.public_key(spec.signing.key)).strip()
        return failed("allowed_signers", error,
                      f"have it hold the line: {line} (there, and on the offline hosts); or name "
                      "the key that stands there in signing.key")
    return Finding(check="allowed_signers", status=OK,
                   text=f"{spec.allowed} names this key for {identity}")
