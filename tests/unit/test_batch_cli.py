"""AWS's own CLI, laid out for jobs: from a zip of its form, since no registry has the real one."""

from __future__ import annotations

import gzip
import io
import json
import platform
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.batch import cli, shared_libraries
from tasks.batch.cli import CliSpec, SignCliSpec
from tasks.batch.cli_aws import Zip
from tasks.core import files
from tasks.core.config.settings import Signing
from tasks.core.errors import ConfigError, HostError, IntegrityError, SourceError
from tasks.core.machine_names import MACHINES
from tasks.core.net import pip
from tasks.core.trust import signature

PROGRAM = b"#!/bin/sh\necho aws-cli/2.31.0\n"


def published(members: dict[str, bytes]) -> bytes:
    """A zip as AWS makes it: modes of Unix, in folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2025, 1, 2, 3, 4, 6))
            executable = data.startswith(b"#!") or name.endswith(".so")
            info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            archive.writestr(info, data)
    return buffer.getvalue()


CLI_2 = {"aws/install": b"#!/bin/sh\n", "aws/README.md": b"read me\n", "aws/dist/aws": PROGRAM,
         "aws/dist/libpython3.13.so": b"library", "aws/dist/awscli/botocore/cacert.pem": b"CAs"}


def spec(folder: Path, data: bytes, *, sha256: str | None = None) -> CliSpec:
    (folder / "awscli.zip").write_bytes(data)
    return CliSpec(platform="linux/amd64", version="2.31.0",
                   zip=Zip(reached_at=(folder / "awscli.zip").as_uri(),
                           sha256=sha256 or files.sha256_bytes(data)),
                   bundle=folder / "batch/aws-cli.tar.gz", manifest=folder / "batch/cli.json")


def test_jobs_get_one_folder_with_bin_aws(tmp_path: Path) -> None:
    wanted = spec(tmp_path, published(CLI_2))
    cli.make(wanted)
    with tarfile.open(wanted.bundle) as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert members.keys() == {"bin/aws", "dist/aws", "dist/libpython3.13.so",
                              "dist/awscli/botocore/cacert.pem"}
    assert (members["bin/aws"].type, members["bin/aws"].linkname) == (tarfile.SYMTYPE,
                                                                      "../dist/aws")
    assert (members["dist/aws"].mode, members["dist/awscli/botocore/cacert.pem"].mode) == (
        0o755, 0o644)
    manifest = json.loads(wanted.manifest.read_text())
    assert manifest["sha256"] == files.sha256(wanted.bundle)
    assert (manifest["source"], manifest["version"], manifest["libc"]) == ("aws", "2.31.0",
                                                                           "glibc")
    assert manifest["key"] == f"blobs/sha256/{manifest['sha256']}/aws-cli.tar.gz"


def test_equal_zips_make_equal_archives(tmp_path: Path) -> None:
    first = spec(tmp_path, published(CLI_2))
    cli.make(first)
    before = first.bundle.read_bytes()
    cli.make(first)
    assert first.bundle.read_bytes() == before
    assert gzip.decompress(before)


def test_another_zip_than_was_pinned_is_refused(tmp_path: Path) -> None:
    wanted = spec(tmp_path, published(CLI_2), sha256="0" * 64)
    with pytest.raises(IntegrityError, match="not what was promised"):
        cli.make(wanted)
    assert not wanted.bundle.exists()


@pytest.mark.parametrize(("members", "message"), [
    ({"aws/install": b"#!/bin/sh\n"}, "holds no aws/dist/aws"),
    ({**CLI_2, "../evil": b"x"}, "not allowed here"),
])
def test_a_zip_that_is_not_the_cli_is_refused(tmp_path: Path, members: dict[str, bytes],
                                              message: str) -> None:
    wanted = spec(tmp_path, published(members))
    with pytest.raises(IntegrityError, match=message):
        cli.make(wanted)
    assert not wanted.bundle.exists()
    assert list((tmp_path / "batch").iterdir()) == []


def test_a_zip_that_is_not_there_says_so(tmp_path: Path) -> None:
    wanted = spec(tmp_path, published(CLI_2))
    (tmp_path / "awscli.zip").unlink()
    with pytest.raises(SourceError, match="no such file"):
        cli.make(wanted)


def test_one_for_another_machine_is_not_made_here(tmp_path: Path) -> None:
    wanted = CliSpec(platform="linux/arm64" if platform.machine() == "x86_64" else "linux/amd64",
                   version=None, zip=None, bundle=tmp_path / "b", manifest=tmp_path / "m")
    with pytest.raises(ConfigError, match="can't be made on"):
        cli.make(wanted)


def test_one_of_pypi_s_is_made_of_what_the_site_s_place_has(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(pip, "fetch", lambda *_, index, **__: asked.append(index))
    own = next(name for name, machine in MACHINES.items() if machine == platform.machine())
    with pytest.raises(FileNotFoundError):  # no package has come
        cli.make(CliSpec(platform=own, version=None, zip=None, bundle=tmp_path / "b",
                         manifest=tmp_path / "m", index="https://nexus.example.org/simple/"))
    assert asked == ["https://nexus.example.org/simple/"]


def test_the_digest_is_signed_as_what_it_is(tmp_path: Path) -> None:
    wanted = spec(tmp_path, published(CLI_2))
    cli.make(wanted)
    signing = Signing(key=tmp_path / "keys/id_ed25519", identity="airlock", create=True)
    cli.sign(SignCliSpec(manifest=wanted.manifest, signing=signing))
    seal = wanted.manifest.with_name("cli.json.sig").read_bytes()
    data = wanted.manifest.read_bytes()
    assert signature.is_own(signing.key, data, seal, namespace=signature.CLI)
    assert not signature.is_own(signing.key, data, seal, namespace=signature.TOOL)
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(signature.allowed_line("airlock", signature.public_key(signing.key)))
    signature.verify(data, seal, namespace=signature.CLI, allowed=allowed, signer="airlock",
                     where=wanted.manifest)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.core.processes.run", lambda _: (
        "/x/_bz2.so:\n\tlinux-vdso.so.1 (0x0)\n\tlibbz2.so.1.0 => not found\n"))
    with pytest.raises(HostError, match=r"missing: libbz2\.so\.1\.0"):
        shared_libraries.needed([Path("/x/_bz2.so")])
