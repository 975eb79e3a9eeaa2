"""SSH signatures (`ssh-keygen -Y`): who says that these bytes are right, and what kind they are.

The format is OpenSSH's PROTOCOL.sshsig. Each kind of signed file has a namespace of its own, so
that a signature made for one kind is none for another. Who may sign what stands in
`allowed_signers` (ssh-keygen(1)): the site's identity is the principal for the tool, and
`<identity>/<pipeline>` the one for a pipeline's releases and promotions.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core import files, ownership, processes
from tasks.core.errors import CommandError, HostError, IntegrityError

TOOL, RELEASE, PROMOTION = "airlock-tool", "airlock-release", "airlock-promotion"
"""The namespaces of airlock.tar, of a release's SHA256SUMS, and of what says which is current."""

IMAGES = "airlock-images"
"""The namespace of the SHA256SUMS beside archives for engines to load."""

CARRY = "airlock-carry"
"""The namespace of the SHA256SUMS over all of a folder that is carried by disk."""

REPORT = "airlock-report"
"""The namespace of a release's report: nothing is run by it."""

CLI = "airlock-cli"
"""The namespace of cli.json, which says by digest which AWS CLI instances of Batch get."""

RUN = "airlock-run"
"""The namespace of the SHA256SUMS of a run's record and results; an offline host's key signs it."""
PROOF, APPROVAL = "airlock-proof", "airlock-approval"
"""The namespaces of what says how a release was tried, and of a second person's word for a
promotion: that covers the promotion's own bytes."""

FINGERPRINT = re.compile(r"\bkey (SHA256:[A-Za-z0-9+/]{43})")
"""The key in what ssh-keygen says of a good signature; of a certificate, that of its key."""
BARRED = re.compile(r":([0-9]+): (key .+)")
"""What it says of a line that has the signer and the key, and doesn't hold: its number, and why."""

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
                f"'{identity},{identity}/* <its public key>' into allowed_signers on the offline "
                "hosts"))
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=key.parent) as scratch:
            new = Path(scratch) / "key"
            _ssh_keygen(["-q", "-t", "ed25519", "-N", "", "-C", identity, "-f", new])
            os.replace(new.with_name("key.pub"), key.with_name(f"{key.name}.pub"))
            os.replace(new, key)


def principal(identity: str, pipeline: str) -> str:
    """Whom `allowed_signers` must name for a pipeline's releases."""
    return f"{identity}/{pipeline}"


def allowed_line(identity: str, public: str) -> str:
    """The line of `allowed_signers` that lets a key sign the tool and all pipelines' releases."""
    return f'{identity},{identity}/* namespaces="airlock-*" {public}\n'


def approver_line(name: str, public: str) -> str:
    """The line of `allowed_signers` that lets a key approve what others have signed."""
    return f'{name},{name}/* namespaces="{APPROVAL}" {public}\n'


def lines_for(identity: str, colleagues: Mapping[str, str], approvers: Mapping[str, str]) -> str:
    """The lines of those whose public keys a site's file names: who signs, and who approves."""
    def plain(key: str) -> str:
        return " ".join(key.split()[:2])
    return "".join([*(allowed_line(identity, plain(key)) for key in colleagues.values()),
                    *(approver_line(name, plain(key)) for name, key in approvers.items())])


def public_key(key: Path) -> str:
    """The public half of a key, as it stands in allowed_signers: `ssh-ed25519 AAAA…`."""
    public = key.with_name(f"{key.name}.pub")
    text = public.read_text() if public.is_file() else _ssh_keygen(["-y", "-f", key])
    return " ".join(text.split()[:2])


def sign(key: Path, data: bytes, *, namespace: str) -> bytes:
    """The signature of `data`, armoured; HostError where the key can't be used.

    Where only `<key>.pub` is there, or the key has a passphrase, ssh-agent must hold it.
    """
    usable = key if key.is_file() else key.with_name(f"{key.name}.pub")
    try:
        signature = _ssh_keygen(["-Y", "sign", "-q", "-f", usable, "-n", namespace], data).encode()
        _verify_own(key, data, signature, namespace)
    except (CommandError, IntegrityError) as error:
        raise HostError(f"the signing key can't be used: {error}", where=key,
                        todo="take a key without a passphrase, or add it to ssh-agent; "
                             "its mode must be 0600") from error
    return signature


def seal(file: Path, key: Path, *, namespace: str) -> None:
    """Write `<file>.sig`; one that fits the file and the key stays as it is."""
    target = file.with_name(f"{file.name}.sig")
    data = file.read_bytes()
    if target.is_file() and is_own(key, data, target.read_bytes(), namespace=namespace):
        return
    files.write_bytes(target, sign(key, data, namespace=namespace))


def is_own(key: Path, data: bytes, signature: bytes, *, namespace: str) -> bool:
    """Whether `signature` is this key's own for `data`."""
    try:
        _verify_own(key, data, signature, namespace)
    except IntegrityError:
        return False
    return True


def _verify_own(key: Path, data: bytes, signature: bytes, namespace: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        allowed = Path(scratch) / "allowed_signers"
        allowed.write_text(f"own {public_key(key)}\n")
        verify(data, signature, namespace=namespace, allowed=allowed, signer="own", where=key)


def verify(data: bytes, signature: bytes, *, namespace: str, allowed: Path, signer: str,
           where: object, known_as: str = "") -> str:
    """IntegrityError unless a key that `allowed` names for `signer` has signed `data` as this kind.

    `signer` is a principal of allowed_signers. `known_as` is what people know that list by,
    where its file was made for now alone. Returns the key's fingerprint.
    """
    if not allowed.is_file():
        raise HostError("the list of trusted keys is missing", where=allowed, todo=(
            "an administrator puts it there by hand: "
            f"'{signer} namespaces=\"{namespace}\" <public key>'"))
    ownership.refuse_writable_by_others(allowed)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "signature"
        files.write_bytes(file, signature)
        common: list[str | Path] = ["-n", namespace, "-s", file]
        try:
            printed = _ssh_keygen(["-Y", "verify", "-f", allowed, "-I", signer, *common], data)
        except CommandError as error:
            barred = [f"line {match[1]}: {match[2]}" for line in error.tail
                      if (match := BARRED.search(line))]
            raise IntegrityError(
                _why(common, data, known_as or str(allowed), signer, barred), where=where, todo=(
                    "use nothing of it; ask those who pushed it, and compare their public key "
                    f"with those that {known_as or allowed} names")) from error
    return _fingerprint(printed)


def maker(data: bytes, signature: bytes, *, namespace: str) -> str | None:
    """The fingerprint of the key that has signed `data` as this kind, trusted or not.

    None where the signature belongs to other bytes, or another kind.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "signature"
        files.write_bytes(file, signature)
        try:
            return _fingerprint(_ssh_keygen(
                ["-Y", "check-novalidate", "-n", namespace, "-s", file], data))
        except CommandError:
            return None


def fingerprint(public: str) -> str:
    """The fingerprint of a public key, as ssh-keygen shows it."""
    return _ssh_keygen(["-l", "-f", "-"], f"{public}\n".encode()).split()[1]


def _fingerprint(printed: str) -> str:
    match = FINGERPRINT.search(printed)
    if match is None:
        raise HostError("this ssh-keygen doesn't say by which key something was signed",
                        todo="install OpenSSH 8.2 or newer")
    return match[1]


def _why(common: Sequence[str | Path], data: bytes, known_as: str, signer: str,
         barred: Sequence[str]) -> str:
    try:
        printed = _ssh_keygen(["-Y", "check-novalidate", *common], data)
    except CommandError:
        return ("the signature does not belong to these bytes, or was made for another kind of "
                "file: one of the two was changed")
    return (f"the signature is by the key {_fingerprint(printed)}, which {known_as} does not name "
            f"for {signer!r}" + (f" ({'; '.join(barred)})" if barred else ""))
