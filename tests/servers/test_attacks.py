"""Attacks that hold off: genuine parts put together wrongly, odd ids, foreign keys, and bytes that
change between check and use. Others of their kinds stand beside what they attack.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store
from tasks.core.trust import checksums, signature
from tasks.offline_host import fetch as fetching
from tasks.offline_host.fetch import fetch
from tests.kit.releases import Staged, change_code, stage

HELLO = Path("store/releases/hello")
EVIL = b"evil bytes"


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    """Two pushed releases, 1 and 2, and a host that trusts their key and has seen neither."""
    monkeypatch.chdir(tmp_path)
    staged = stage()
    staged.publish()
    change_code(staged, b"workflow { 2 }\n")
    staged.publish()
    staged.trust_key()
    return staged


def ids(ready: Staged) -> tuple[str, str]:
    """The ids of the first and the second release."""
    first, second = (json.loads((HELLO / f"promotions/{number:08}.json").read_text())["id"]
                     for number in (1, 2))
    assert second == ready.id()
    return first, second


def refused(ready: Staged, name: str | None = None) -> str:
    """Fetch, which must fail and put nothing in place; what is said."""
    with pytest.raises(AirlockError) as caught:
        fetch(ready.fetch_spec(name))
    assert not ready.prod.root.exists()
    assert not (ready.host.seen / "releases").exists()
    return str(caught.value)


# Mixed releases: every file is genuine, and signed where it has to be.

def test_the_list_of_one_release_beside_the_description_of_another(ready: Staged) -> None:
    first, second = ids(ready)
    shutil.copy(HELLO / first / "release.json", HELLO / second / "release.json")
    assert "its bytes have changed" in refused(ready)


def test_a_whole_release_under_the_id_of_another(ready: Staged) -> None:
    first, second = ids(ready)
    shutil.rmtree(HELLO / second)
    shutil.copytree(HELLO / first, HELLO / second)
    assert f"the release under the name {second} is {first}" in refused(ready)
    assert f"the release under the name {second} is {first}" in refused(ready, second)


def test_a_promotion_under_the_number_of_another(ready: Staged) -> None:
    for end in ("", ".sig"):
        shutil.copy(HELLO / f"promotions/00000001.json{end}",
                    HELLO / f"promotions/00000002.json{end}")
    assert "this is promotion 1" in refused(ready)


def test_a_promotion_with_the_signature_of_another(ready: Staged) -> None:
    shutil.copy(HELLO / "promotions/00000001.json.sig", HELLO / "promotions/00000002.json.sig")
    assert "one of the two was changed" in refused(ready)


def test_a_pointer_to_one_promotion_with_the_id_of_another(ready: Staged) -> None:
    first, second = ids(ready)
    for number, name in ((1, second), (2, first)):
        (HELLO / "current.json").write_text(json.dumps(
            {"pipeline": "hello", "id": name, "number": number}))
        assert "the pointer names" in refused(ready)


def test_a_list_that_was_signed_as_a_promotion_and_the_other_way_round(ready: Staged) -> None:
    _, second = ids(ready)
    for path, kind in ((HELLO / second / "SHA256SUMS", signature.PROMOTION),
                       (HELLO / "promotions/00000002.json", signature.RELEASE)):
        seal = path.with_name(f"{path.name}.sig")
        before = seal.read_bytes()
        seal.write_bytes(signature.sign(ready.signing.key, path.read_bytes(), namespace=kind))
        assert "made for another kind" in refused(ready)
        seal.write_bytes(before)
    fetch(ready.fetch_spec())


# Swapped blobs: genuine bytes in the wrong place.

def blobs() -> list[Path]:
    return files.tree(Path("store/blobs"))


def test_two_blobs_under_each_others_key(ready: Staged) -> None:
    one, other = (next(path for path in blobs() if path.name == name)
                  for name in ("reads_1.fq", "reads_2.fq"))
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)
    said = refused(ready)
    assert "reads_1.fq" in said
    assert "reads_2.fq" in said


def test_the_code_of_one_release_in_place_of_the_others(ready: Staged) -> None:
    second = files.sha256(ready.layout.code)
    one, other = sorted((path for path in blobs() if path.name == "code.tar"),
                        key=lambda path: path.parent.name != second)
    shutil.copy(other, one)
    assert "code.tar" in refused(ready)
    fetch(ready.fetch_spec(ids(ready)[0]))


# Between check and use.

class Fickle:
    """A store that gives each file as it is the first time, and other bytes from then on."""

    def __init__(self, inner: Store, fickle: str, evil: bytes) -> None:
        self._inner, self._fickle, self._evil = inner, fickle, evil
        self._asked: dict[str, int] = {}
        self.url = inner.url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get(self, key: str, path: Path, **more: Any) -> None:
        self._asked[key] = self._asked.get(key, 0) + 1
        self._inner.get(key, path, **more)
        if key.endswith(self._fickle) and self._asked[key] > 1:
            path.write_bytes(self._evil)


@pytest.mark.parametrize("name", ["current.json", "00000002.json", "00000002.json.sig",
                                  "SHA256SUMS", "SHA256SUMS.sig", "release.json", "code.tar"])
def test_a_store_that_answers_otherwise_the_second_time(
        ready: Staged, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever is asked for twice: what is laid out is what was signed, or nothing is."""
    first, _ = ids(ready)
    others = [path.read_bytes() for path in (HELLO / first / name, HELLO / "promotions" / name)
              if path.is_file()]
    for evil in (EVIL, *others):
        fickle = Fickle(open_store(ready.store), name, evil)
        monkeypatch.setattr(fetching, "open_store", lambda *_, store=fickle: store)
        try:
            for _ in range(3):
                fetch(ready.fetch_spec())
        except IntegrityError:
            pass
        for folder in (ready.prod.root / "releases").glob("*"):
            assert {path.relative_to(folder).as_posix(): files.sha256(path)
                    for path in files.tree(folder)} == checksums.parse_sums(
                        (HELLO / folder.name / "SHA256SUMS").read_bytes(), where="")
        shutil.rmtree("build/there", ignore_errors=True)


def linked(path: Path, to: Path) -> None:
    """Let a link to a file with the same bytes stand in a file's place."""
    shutil.copy(path, to)
    path.unlink()
    path.symlink_to(to.absolute())


@pytest.mark.parametrize("where", ["release", "cache"])
def test_a_link_in_place_of_a_file_is_not_taken_for_it(ready: Staged, where: str) -> None:
    """Its bytes are right when they are looked at, and whatever another user likes later."""
    fetch(ready.fetch_spec())
    folder = ready.prod.release(ready.id())
    path = (folder / "code.tar" if where == "release"
            else next(file for file in files.tree(ready.prod.blobs)
                      if file.samefile(folder / "code.tar")))
    linked(path, Path("theirs.tar"))
    fetch(ready.fetch_spec())
    Path("theirs.tar").chmod(0o644)
    Path("theirs.tar").write_bytes(EVIL)
    assert not any(file.is_symlink() for file in files.tree(ready.prod.blobs))
    assert not any(file.is_symlink() for file in files.tree(folder))
    assert (folder / "code.tar").read_bytes() == ready.layout.code.read_bytes()


@pytest.mark.parametrize("change", [
    lambda path: (path.chmod(0o644), path.write_bytes(EVIL)),
    lambda path: (path.unlink(), path.write_bytes(EVIL)),
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: path.unlink()])
def test_what_was_changed_on_the_host_is_laid_out_anew(
        ready: Staged, change: Callable[[Path], object]) -> None:
    fetch(ready.fetch_spec())
    change(ready.prod.release(ready.id()) / "code.tar")
    fetch(ready.fetch_spec())
    assert (ready.prod.release(ready.id()) / "code.tar").read_bytes() == (
        ready.layout.code.read_bytes())


# Odd ids.

def odd_ids(genuine: str) -> list[str]:
    revision, _, digest = genuine.rpartition("-")
    return [".", "..", "/", "/etc", f"{genuine}/", f"./{genuine}", f"../hello/{genuine}",
            f"{genuine}/.", f"{genuine}/../{genuine}", f"{genuine}\n", f"{genuine}\0",
            f"{genuine}\0.json", f" {genuine}", f"{genuine} ", "x" * 5000, f"{genuine}" * 30,
            "promotions", "current.json", f"other-{digest}", f"-{digest}", digest,
            f"{revision}-{digest.upper()}", f"{revision}\u2010{digest}",
            genuine.replace("e", "\u0435"), f"{genuine}\u200b", f"{genuine}\udcff",
            "\uff0e\uff0e/x", f"{revision}-{'0' * 12}", "%2e%2e", f"{genuine}?x", "*", "?" * 16,
            "\\..\\x", "~", "--help"]


def test_no_odd_id_is_taken_for_a_release(ready: Staged) -> None:
    for name in odd_ids(ready.id()):
        with pytest.raises(AirlockError) as caught:
            fetch(ready.fetch_spec(name))
        assert str(caught.value).isprintable() or "\n" in str(caught.value)
        assert not ready.prod.root.exists(), name
    fetch(ready.fetch_spec(ready.id()))


def test_an_id_with_the_right_digest_and_another_revision(ready: Staged) -> None:
    """All is genuine and signed, but for the folder's name, which an attacker gives."""
    wrong = f"v9-{ready.id().rpartition('-')[2]}"
    shutil.copytree(HELLO / ready.id(), HELLO / wrong)
    assert f"the release under the name {wrong} is {ready.id()}" in refused(ready, wrong)


# Foreign keys.

KINDS = 'namespaces="airlock-*"'


def keygen(*words: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", *words], check=True, capture_output=True)


def sealed_by(ready: Staged, key: Path) -> None:
    """Sign anew, with another key, all that a fetch looks at."""
    _, second = ids(ready)
    for path, kind in ((HELLO / second / "SHA256SUMS", signature.RELEASE),
                       (HELLO / "promotions/00000002.json", signature.PROMOTION)):
        seal = path.with_name(f"{path.name}.sig")
        seal.unlink()
        words: list[str | Path] = ["-Y", "sign", "-n", kind, "-f", key, path]
        keygen(*words)


@pytest.mark.parametrize("kind", [["ed25519"], ["rsa", "-b", "2048"], ["ecdsa"]])
def test_a_foreign_key_of_any_kind(ready: Staged, kind: list[str]) -> None:
    keygen("-t", *kind, "-N", "", "-C", "airlock", "-f", "foreign")
    sealed_by(ready, Path("foreign"))
    assert "does not name" in refused(ready)
    # The very same is taken once the administrator names the key.
    (ready.trust / "allowed_signers").write_text(
        f"airlock,airlock/* {KINDS} {signature.public_key(Path('foreign'))}\n")
    fetch(ready.fetch_spec())


@pytest.mark.parametrize("options", [
    f'{KINDS},valid-before="20200101"', f'{KINDS},valid-after="29990101"',
    'namespaces="airlock-tool"', 'namespaces="git"', f"cert-authority,{KINDS}"])
def test_a_key_that_is_not_trusted_for_this(ready: Staged, options: str) -> None:
    (ready.trust / "allowed_signers").write_text(
        f"airlock,airlock/* {options} {signature.public_key(ready.signing.key)}\n")
    assert "does not name" in refused(ready)


@pytest.mark.parametrize("principals", [
    "airlock", "airlock/twin", "airlock/hell", "airlock/hello2", "*/twin", "!airlock/hello,*",
    "airlock/hello/*", "hello"])
def test_a_key_for_somebody_else(ready: Staged, principals: str) -> None:
    (ready.trust / "allowed_signers").write_text(
        f"{principals} {KINDS} {signature.public_key(ready.signing.key)}\n")
    assert "does not name" in refused(ready)


def test_a_certificate_of_an_authority_that_nobody_named(ready: Staged) -> None:
    """The key says `airlock/hello` itself, by a certificate of the attacker's own authority."""
    for name in ("theirs", "authority"):
        keygen("-t", "ed25519", "-N", "", "-f", name)
    keygen("-s", "authority", "-I", "x", "-n", "airlock,airlock/hello", "theirs.pub")
    sealed_by(ready, Path("theirs-cert.pub"))
    assert "does not name" in refused(ready)
    signers = ready.trust / "allowed_signers"
    trusted = signature.public_key(ready.signing.key)
    signers.write_text(
        f"airlock,airlock/* cert-authority,{KINDS} {trusted}\nairlock/* {KINDS} {trusted}\n")
    assert "does not name" in refused(ready)
    # It is a certificate indeed: where the administrator names its authority, it is taken.
    signers.write_text(f"airlock/* cert-authority,{KINDS} "
                       f"{signature.public_key(Path('authority'))}\n")
    fetch(ready.fetch_spec())


def test_a_signature_cut_off_doubled_or_empty(ready: Staged) -> None:
    _, second = ids(ready)
    seal = HELLO / second / "SHA256SUMS.sig"
    genuine = seal.read_bytes()
    foreign = Path("keys/foreign")
    signature.ready(foreign, create=True, identity="airlock")
    theirs = signature.sign(foreign, (HELLO / second / "SHA256SUMS").read_bytes(),
                            namespace=signature.RELEASE)
    for data in (b"", genuine[:len(genuine) // 2], theirs, theirs + genuine, b"\0" * 10_000,
                 genuine.replace(b"SSH SIGNATURE", b"OPENSSH PRIVATE KEY")):
        seal.write_bytes(data)
        refused(ready)
    seal.write_bytes(genuine)
    fetch(ready.fetch_spec())


def test_every_mixture_of_two_releases_is_one_of_them_or_refused(ready: Staged) -> None:
    """Each of the four files from either release: what comes in place is what was signed."""
    names = ids(ready)
    parts = ("SHA256SUMS", "SHA256SUMS.sig", "release.json")
    genuine = {(name, part): (HELLO / name / part).read_bytes()
               for name in names for part in parts}
    for mixture in itertools.product(names, repeat=len(parts)):
        for name in names:
            for part, origin in zip(parts, mixture, strict=True):
                (HELLO / name / part).write_bytes(genuine[origin, part])
            is_whole = set(mixture) == {name}
            assert _is_taken(ready, name) == is_whole, (name, mixture)


def _is_taken(ready: Staged, name: str) -> bool:
    shutil.rmtree("build/there", ignore_errors=True)
    try:
        fetch(ready.fetch_spec(name))
    except IntegrityError:
        return False
    assert [path.name for path in (ready.prod.root / "releases").iterdir()] == [name]
    return True
