"""The users' own data on a machine of several users: private files stay so, keys are asked for."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.config.load import load
from tasks.core.errors import ConfigError
from tasks.data.blobs import basename
from tasks.data.mirror import Source
from tasks.data.own_samplesheet import OwnSpec, mirror_own
from tasks.data.sources import Reach
from tests.kit import releases as staged
from tests.kit.locks import lock_at
from tests.kit.project import ROOT

SECRET = b"@patient\nACGT\n+\nIIII\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnSpec:
    """A sheet in a folder of its own, and what would come of it below the current folder."""
    monkeypatch.chdir(tmp_path)
    ready = staged.stage()
    (tmp_path / "home").mkdir()
    source = Source(reach=Reach(folders=(tmp_path / "shared",)), code=tmp_path / "code.tar",
                    resolved=tmp_path / "resolved.json", blobs=ready.layout.of_site.blobs,
                    lock=lock_at(tmp_path / "locks", "own-cohort"), relock=False)
    return OwnSpec(pipeline="hello", sheet=tmp_path / "home/cohort.csv", source=source,
                   folder=ready.layout.own / "cohort", limit=None)


def write(own: OwnSpec, *cells: str) -> OwnSpec:
    own.sheet.write_text("sample,file\n" + "".join(
        f"patient{number},{cell}\n" for number, cell in enumerate(cells)))
    return own


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_files_that_only_their_owner_may_read_stay_so_wherever_they_are_copied(
        own: OwnSpec, tmp_path: Path, umask: int) -> None:
    """By path, beside another, by file:// and in a folder; the sheets that name them too."""
    named = {"home/a.fq": b"a", "home/b.bam": b"b", "home/b.bam.bai": b"i", "shared/c.fq": b"c",
             "shared/all/d.fq": b"d", "home/more.csv": b""}
    for name, data in named.items():
        files.write_bytes(tmp_path / name, SECRET + data, mode=0o600)
    (tmp_path / "home/more.csv").write_text("file\na.fq\n")
    write(own, "a.fq", "b.bam", f"file://{tmp_path}/shared/c.fq", f"file://{tmp_path}/shared/all/",
          "more.csv").sheet.chmod(0o600)
    before = os.umask(umask)
    try:
        mirror_own(own)
    finally:
        os.umask(before)
    copies = [path for folder in ("build", "locks") for path in (tmp_path / folder).rglob("*")
              if path.is_file() and (path.read_bytes().startswith(SECRET)
                                     or b"patient1" in path.read_bytes()
                                     or b"file\ndata/" in path.read_bytes())]
    assert len(copies) >= len(named) + 2
    assert [str(path) for path in copies if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_what_others_may_read_stays_so(own: OwnSpec, tmp_path: Path) -> None:
    """A container with a user of its own reads what is mounted into it."""
    files.write_bytes(tmp_path / "home/a.fq", SECRET, mode=0o644)
    mirror_own(write(own, "a.fq"))
    blob = own.source.blobs / files.sha256_bytes(SECRET) / "a.fq"
    assert stat.S_IMODE(blob.stat().st_mode) == 0o644


def key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def test_keys_and_dotfiles_are_listed_at_once_and_carried_only_when_that_is_said(
        own: OwnSpec, tmp_path: Path) -> None:
    home = tmp_path / "home"
    key(home / "reads.fq")
    key(home / ".ssh/id_ed25519")
    for name, text in {".netrc": "machine x\n", "server.PEM": "x", "credentials": "x",
                       "vault.kdbx": "x", ".aws/config": "x", "plain.fq": "@r\nA\n",
                       "bag.fq": "Bag Attributes\n-----BEGIN RSA PRIVATE KEY-----\n",
                       "pgp.fq": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
                       "service.json": json.dumps({"private_key": "-----BEGIN PRIVATE KEY-----"}),
                       "putty.fq": "PuTTY-User-Key-File-3: ssh-ed25519\n",
                       "age.fq": "# created\nAGE-SECRET-KEY-1QQ\n", "cert.fq":
                       "-----BEGIN PUBLIC KEY-----\n",
                       "docker/config.json": json.dumps({"auths": {}}),
                       "model/config.json": json.dumps({"layers": 3})}.items():
        files.write_text(home / name, text)
    files.write_text(home / "nested.csv", "file\n.netrc\n")
    (home / "link.fq").symlink_to(".aws/config")
    private = ["reads.fq", ".ssh/id_ed25519", "server.PEM", "credentials", "vault.kdbx",
               ".aws/config", "bag.fq", "pgp.fq", "service.json", "putty.fq", "age.fq",
               "docker/config.json", "link.fq", str(home / ".netrc")]
    plain = ["plain.fq", "cert.fq", "model/config.json", "nested.csv"]
    cells = ["./credentials" if name == "credentials" else name for name in private]
    write(own, *cells, *plain)
    with pytest.raises(ConfigError) as caught:
        mirror_own(own)
    message = str(caught.value)
    assert "private=1" in message
    for number, name in enumerate(private, 1):
        line = next(line for line in message.splitlines()
                    if line.startswith(f"    {home / name}: "))
        assert f"cohort.csv, row {number}, column file" in line
    assert "nested.csv, row 1, column file" in message
    assert not [name for name in plain[:3] if f"{home / name}:" in message]
    assert not own.folder.exists()
    assert not list(own.source.blobs.glob("*/reads.fq"))
    mirror_own(dataclasses.replace(own, private=True))
    carried = json.loads((own.folder / "data.manifest.json").read_text())["files"]
    assert {basename(name) for name in private} <= {file["path"].rpartition("/")[2]
                                                    for file in carried}


def test_folders_and_patterns_are_looked_into(own: OwnSpec, tmp_path: Path) -> None:
    files.write_text(tmp_path / "shared/run/a.fq", "a")
    files.write_text(tmp_path / "shared/run/.env", "PASSWORD=x")
    key(tmp_path / "shared/run/b.fq")
    write(own, f"file://{tmp_path}/shared/run/", f"file://{tmp_path}/shared/run/*.fq")
    with pytest.raises(ConfigError) as caught:
        mirror_own(own)
    assert f"{tmp_path}/shared/run/.env: its path has a part that begins with a dot" in str(
        caught.value)
    assert f"{tmp_path}/shared/run/b.fq: it begins as a private key" in str(caught.value)
    assert "run/a.fq" not in str(caught.value)
    mirror_own(dataclasses.replace(own, private=True))


def test_what_is_taken_along_beside_a_file_is_looked_at_too(own: OwnSpec, tmp_path: Path) -> None:
    files.write_text(tmp_path / "home/a.bam", "a")
    key(tmp_path / "home/a.bam.bai")
    with pytest.raises(ConfigError, match=r"a\.bam\.bai: it begins as a private key; beside what"):
        mirror_own(write(own, "a.bam"))


def test_the_site_s_map_to_a_folder_is_no_way_around(own: OwnSpec, tmp_path: Path) -> None:
    files.write_text(tmp_path / "mapped/.ssh/id_rsa", "x")
    source = dataclasses.replace(own.source, reach=Reach(
        prefixes={"https://data.example.org/": f"file://{tmp_path}/mapped/"}))
    with pytest.raises(ConfigError, match=r"\.ssh/id_rsa"):
        mirror_own(dataclasses.replace(write(own, "https://data.example.org/.ssh/id_rsa"),
                                       source=source))


def test_a_folder_with_a_dot_above_the_sheet_is_no_fault(own: OwnSpec, tmp_path: Path) -> None:
    sheet = tmp_path / ".cache/data/cohort.csv"
    files.write_text(sheet, "file\na.fq\n")
    files.write_text(sheet.with_name("a.fq"), "a")
    mirror_own(dataclasses.replace(own, sheet=sheet))


def test_private_is_a_variable_of_the_command_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    assert load({"private": "1", "input": "x.csv"}, root=tmp_path).private
    assert not load({"private": "0", "input": "x.csv"}, root=tmp_path).private
    assert not load({"input": "x.csv"}, root=tmp_path).private
