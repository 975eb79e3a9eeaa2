"""SSH signatures (`ssh-keygen -Y`): who says that a list of checksums is right.

The format is OpenSSH's PROTOCOL.sshsig; the namespace keeps our signatures from other uses.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from tasks.core import files, ownership, processes
from tasks.core.errors import CommandError, HostError, IntegrityError

NAMESPACE = "airlock"
INSTALL = "install OpenSSH's client (Debian: openssh-client)"
_creating = threading.Lock()


def _ssh_keygen(words: Sequence[str | Path], stdin: bytes | None = None) -> str:
    processes.find("ssh-keygen", todo=INSTALL)
    # Never ask for a passphrase: a build has nobody to answer.
    environment = {**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
    environment.pop("DISPLAY", None)
    return processes.run(["ssh-keygen", *words], stdin=stdin, env=environment)


def ready(key: Path, *, create: bool, identity: str) -> None:
    """See that the signing key is there; make it (ed25519, 0600, and .pub) where `create` says."""
    with _creating:
        ownership.refuse_writable_by_others(key)
        if key.is_file() or (key.with_name(f"{key.name}.pub").is_file() and not create):
            return
        if not create:
            raise HostError("the signing key is missing", where=key, todo=(
                f"make one: ssh-keygen -t ed25519 -N '' -C {identity} -f {key}; then put "
                f"'{identity} <its public key>' into allowed_signers on the offline hosts"))
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=key.parent) as scratch:
            made = Path(scratch) / "key"
            _ssh_keygen(["-q", "-t", "ed25519", "-N", "", "-C", identity, "-f", made])
            os.replace(made.with_name("key.pub"), key.with_name(f"{key.name}.pub"))
            os.replace(made, key)


def public_key(key: Path) -> str:
    """The public half of a key, as it stands in allowed_signers: `ssh-ed25519 AAAA…`."""
    public = key.with_name(f"{key.name}.pub")
    text = public.read_text() if public.is_file() else _ssh_keygen(["-y", "-f", key])
    return " ".join(text.split()[:2])


def sign(key: Path, data: bytes, *, identity: str) -> bytes:
    """The signature of `data`, armoured; HostError where the key can't be used.

    Where only `<key>.pub` is there, or the key has a passphrase, ssh-agent must hold it.
    """
    usable = key if key.is_file() else key.with_name(f"{key.name}.pub")
    try:
        signature = _ssh_keygen(["-Y", "sign", "-q", "-f", usable, "-n", NAMESPACE], data).encode()
        _verify_own(key, data, signature, identity)
    except (CommandError, IntegrityError) as error:
        raise HostError(f"the signing key can't be used: {error}", where=key,
                        todo="take a key without a passphrase, or add it to ssh-agent; "
                             "its mode must be 0600") from error
    return signature


def is_own(key: Path, data: bytes, signature: bytes, *, identity: str) -> bool:
    """Whether `signature` is this key's own for `data`."""
    try:
        _verify_own(key, data, signature, identity)
    except IntegrityError:
        return False
    return True


def _verify_own(key: Path, data: bytes, signature: bytes, identity: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        allowed = Path(scratch) / "allowed_signers"
        allowed.write_text(f"{identity} {public_key(key)}\n")
        verify(data, signature, allowed=allowed, identity=identity, where=key)


def verify(data: bytes, signature: bytes, *, allowed: Path, identity: str, where: object) -> None:
    """IntegrityError unless a key that `allowed` names for `identity` has signed `data`."""
    if not allowed.is_file():
        raise HostError("the list of trusted keys is missing", where=allowed, todo=(
            f"an administrator puts it there by hand: '{identity} <public key>'"))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "SHA256SUMS.sig"
        files.write_bytes(file, signature)
        common: list[str | Path] = ["-n", NAMESPACE, "-s", file]
        try:
            _ssh_keygen(["-Y", "verify", "-f", allowed, "-I", identity, *common], data)
        except CommandError as error:
            raise IntegrityError(_why(common, data, allowed, identity), where=where, todo=(
                "use nothing of it; ask those who pushed it, and compare their public key "
                f"with {allowed}")) from error


def _why(common: Sequence[str | Path], data: bytes, allowed: Path, identity: str) -> str:
    try:
        _ssh_keygen(["-Y", "check-novalidate", *common], data)
    except CommandError:
        return "the signature does not belong to these bytes: one of the two was changed"
    return f"the signature is by a key that {allowed} does not name for {identity!r}"
