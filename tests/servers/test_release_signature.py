"""Releases are signed by the real ssh-keygen, and check with standard tools alone."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.settings import Signing
from tasks.core.errors import HostError, IntegrityError, StoreError
from tasks.core.schema import read_json
from tasks.core.trust import signature
from tasks.release import places, push, release, release_files, sign
from tests.kit.releases import Staged, change_code, stage


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staged:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return stage()


def allow(key: Path, at: Path) -> Path:
    at.write_text(signature.allowed_line("airlock", signature.public_key(key)))
    return at


def test_an_auditor_needs_no_more_than_ssh_keygen_and_sha256sum(ready: Staged) -> None:
    release.make(ready.release_spec())
    sign.sign_release(ready.sign_spec())
    folder = ready.layout.release
    allowed = allow(ready.signing.key, Path("allowed_signers"))
    with (folder / "SHA256SUMS").open("rb") as listed:
        subprocess.run(["ssh-keygen", "-Y", "verify", "-f", allowed, "-I",
                        "airlock/hello", "-n", "airlock-release", "-s",
                        folder / "SHA256SUMS.sig"], stdin=listed, check=True)
    place = Path("laid-out")
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        path = line[66:]
        source = release_files.source_of(ready.layout, "24.10.5", path, line[:64])
        files.copy(source, place / path)
    shutil.copy(folder / "SHA256SUMS", place)
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=place, check=True)
    assert ready.signing.key.stat().st_mode & 0o777 == 0o600


def test_the_same_files_make_the_same_release(ready: Staged, monkeypatch: pytest.MonkeyPatch
                                              ) -> None:
    def made() -> dict[str, bytes]:
        release.make(ready.release_spec())
        sign.sign_release(ready.sign_spec())
        return {name: (ready.layout.release / name).read_bytes() for name in places.SEALED}

    first = made()
    shutil.rmtree(ready.layout.release)
    assert made() == first
    change_code(ready, b"workflow { }\n")
    assert made()["SHA256SUMS"] != first["SHA256SUMS"]


def test_a_missing_key_is_an_error_that_says_how_to_make_one(ready: Staged) -> None:
    with pytest.raises(HostError, match="signing key is missing") as caught:
        signature.ready(Path("keys/none"), create=False, identity="airlock")
    assert "ssh-keygen -t ed25519" in str(caught.value)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    socket = str(tmp_path / "agent")
    output = subprocess.run(["ssh-agent", "-s", "-a", socket], check=True, capture_output=True,
                            text=True).stdout
    yield {**os.environ, "SSH_AUTH_SOCK": socket}
    os.kill(int(output.partition("SSH_AGENT_PID=")[2].partition(";")[0]), signal.SIGTERM)


def test_a_key_with_a_passphrase_needs_the_agent(ready: Staged, agent: dict[str, str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    locked, plain = Path("locked"), Path("plain")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", plain], check=True)
    shutil.copy(plain, locked)
    shutil.copy("plain.pub", "locked.pub")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", locked], check=True)
    with pytest.raises(HostError, match="can't be used") as caught:
        signature.sign(locked, b"data", namespace=signature.TOOL)
    assert "ssh-agent" in str(caught.value)
    subprocess.run(["ssh-add", "-q", plain], check=True, env=agent)
    monkeypatch.setenv("SSH_AUTH_SOCK", agent["SSH_AUTH_SOCK"])
    signed = signature.sign(locked, b"data", namespace=signature.TOOL)
    signature.verify(b"data", signed, namespace=signature.TOOL, where="here",
                     allowed=allow(plain, Path("allowed")), signer="airlock")


def test_what_a_signature_is_refused_for(ready: Staged) -> None:
    key = ready.signing.key
    signature.ready(key, create=True, identity="airlock")
    other = Path("keys/other")
    signature.ready(other, create=True, identity="airlock")
    signed = signature.sign(key, b"data", namespace=signature.TOOL)
    allowed, foreign = allow(key, Path("a")), allow(other, Path("b"))

    def verify(data: bytes, seal: bytes, signers: Path, signer: str,
               namespace: str = signature.TOOL) -> None:
        signature.verify(data, seal, namespace=namespace, allowed=signers, signer=signer,
                         where="here")

    verify(b"data", signed, allowed, "airlock")
    for data, seal, signers, signer, said in (
            (b"datb", signed, allowed, "airlock", "one of the two was changed"),
            (b"data", b"rubbish", allowed, "airlock", "one of the two was changed"),
            (b"data", signed, foreign, "airlock", "does not name"),
            (b"data", signed, allowed, "someone", "does not name")):
        with pytest.raises(IntegrityError, match=said):
            verify(data, seal, signers, signer)
    for namespace in (signature.RELEASE, signature.PROMOTION, "airlock"):
        with pytest.raises(IntegrityError, match="another kind of file"):
            verify(b"data", signed, allowed, "airlock", namespace)
    with pytest.raises(HostError, match="trusted keys is missing"):
        verify(b"data", signed, Path("none"), "airlock")


def test_another_key_signs_the_same_release_anew(ready: Staged) -> None:
    first = ready.publish()
    other = Signing(key=Path("keys/other"), identity="airlock", create=True)
    rotated = dataclasses.replace(ready, signing=other)
    assert rotated.publish() == first
    store = Path("store/releases/hello")
    listed, seal = ((store / first / name).read_bytes() for name in ("SHA256SUMS",
                                                                     "SHA256SUMS.sig"))
    assert signature.is_own(other.key, listed, seal, namespace=signature.RELEASE)
    assert read_json(store / "current.json", "pointer")["number"] == 2
    seal = (store / "promotions/00000002.json.sig").read_bytes()
    assert signature.is_own(other.key, (store / "promotions/00000002.json").read_bytes(), seal,
                            namespace=signature.PROMOTION)


def test_a_push_ends_with_the_pointer_and_reports_what_the_store_holds(ready: Staged) -> None:
    name = ready.publish()
    store = Path("store")
    receipts = [ready.layout.push_receipt(part)
                for part in (*places.BEFORE_RELEASE, "release", "promote")]
    stored = {entry["key"]: entry for path in receipts
              for entry in read_json(path, "push-receipt")["objects"]}
    there = {path.relative_to(store).as_posix(): path for path in files.tree(store)
             if ".airlock" not in path.parts and not path.name.startswith(".")}
    assert set(stored) == set(there)
    for key, path in there.items():
        assert (stored[key]["sha256"], stored[key]["size"]) == (files.sha256(path),
                                                                path.stat().st_size)
    pointer = read_json(store / "releases/hello/current.json", "pointer")
    assert pointer["id"] == name
    assert (store / f"releases/hello/{name}/SHA256SUMS.sig").is_file()


def test_a_release_whose_files_are_not_all_pushed_gets_no_pointer(ready: Staged) -> None:
    release.make(ready.release_spec())
    for part in places.BEFORE_RELEASE:
        push.push(ready.push_spec(part))
    change_code(ready, b"workflow { 1 }\n")
    release.make(ready.release_spec())
    sign.sign_release(ready.sign_spec())
    with pytest.raises(IntegrityError, match=r"no receipt names these files: code\.tar"):
        push.push_release(ready.push_spec("release"))
    assert not Path("store/releases").exists()


def test_a_pushed_release_is_never_replaced(ready: Staged) -> None:
    name = ready.publish()
    place = Path(f"store/releases/hello/{name}/SHA256SUMS")
    place.write_bytes(place.read_bytes() + b"\n")
    with pytest.raises(StoreError, match="never changes"):
        ready.publish()


def test_a_release_lists_what_would_still_reach_out(ready: Staged) -> None:
    finding = {"file": "main.nf", "line": 3, "kind": "download", "what": "wget x", "count": 1,
               "answer": None, "todo": "skip it by params.x"}
    reach = {"findings": [finding], "counted": [{"why": "only shown", "addresses": 2, "files": 1}]}
    files.write_json(ready.layout.reach, {"pipeline": "hello", "profile": "test", **reach})
    release.make(ready.release_spec())
    made = read_json(ready.layout.release / "release.json", "release")
    assert made["reach"] == reach
    assert "reach.json" in {file["path"] for file in made["files"]}
