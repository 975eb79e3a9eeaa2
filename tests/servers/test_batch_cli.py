"""The AWS CLI that is carried: made by the real pip, and run where no library is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tasks.batch import cli
from tasks.batch.explore import UNPACKED
from tasks.core import files
from tasks.core.archives import unpacking
from tests.kit import buckets, carried_cli, machine

NO_CREDENTIALS = {"AWS_EC2_METADATA_DISABLED": "true", "PATH": "/bin"}
MOUNT_AND_RUN = """\
mount --bind "$1" "$2/opt/airlock-cli"
mount -o remount,ro,bind "$2/opt/airlock-cli"
root=$2
shift 2
exec chroot "$root" "$@"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CLI, unpacked."""
    folder = tmp_path_factory.mktemp("cli") / "cli"
    unpacking.unpack_tar(carried_cli.carried() / carried_cli.BUNDLE, folder, allowed=UNPACKED)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system that holds a static busybox and nothing else: no C library."""
    machine.need_root()
    machine.need("unshare")
    root = tmp_path / "root"
    (root / "opt/airlock-cli").mkdir(parents=True)
    (root / "bin").mkdir()
    shutil.copy(machine.busybox(), root / "bin/busybox")
    for name in ("sh", "readlink", "cat"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def inside(root: Path, folder: Path, *words: str,
           env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["unshare", "--mount", "/bin/sh", "-ec", MOUNT_AND_RUN, "sh", folder,
                           root, *words], text=True, capture_output=True, check=False, timeout=120,
                          env={**env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def test_it_runs_read_only_where_no_library_is(root: Path, folder: Path) -> None:
    version = json.loads((carried_cli.carried() / carried_cli.MANIFEST).read_text())["version"]
    done = inside(root, folder, "/opt/airlock-cli/bin/aws", "--version", env={
        **NO_CREDENTIALS, "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere",
        "LD_LIBRARY_PATH": "/nowhere"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"aws-cli/{version} Python/3.")


def test_it_reads_and_writes_a_bucket(root: Path, folder: Path, tmp_path: Path) -> None:
    with buckets.gateway(tmp_path / "s3") as running:
        (running.root / "work").mkdir()
        (root / "big").write_bytes(os.urandom(9_000_000))  # in several parts
        env = {**NO_CREDENTIALS, "AWS_ACCESS_KEY_ID": buckets.ACCESS,
               "AWS_SECRET_ACCESS_KEY": buckets.SECRET, "AWS_ENDPOINT_URL": running.endpoint}
        words = ("/opt/airlock-cli/bin/aws", "--region", "us-east-1", "s3", "cp",
                 "--only-show-errors")
        sent = inside(root, folder, *words, "/big", "s3://work/big", env=env)
        assert (sent.returncode, sent.stdout, sent.stderr) == (0, "", "")
        back = inside(root, folder, *words, "s3://work/big", "/back", env=env)
        assert (back.returncode, back.stderr) == (0, "")
        assert (root / "back").read_bytes() == (root / "big").read_bytes()


def test_it_has_cas_of_its_own(folder: Path) -> None:
    cas, = (folder / "packages").rglob("cacert.pem")
    assert cas.read_text().count("BEGIN CERTIFICATE") > 50


def test_its_bytes_hang_on_nothing_but_what_it_is_made_of(
        folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    spec = carried_cli.spec(tmp_path / "elsewhere")
    cli.make(spec)
    first = carried_cli.carried()
    assert files.sha256(spec.bundle) == files.sha256(first / carried_cli.BUNDLE)
    assert spec.manifest.read_bytes() == (first / carried_cli.MANIFEST).read_bytes()
    assert sorted(path.name for path in spec.bundle.parent.iterdir()) == [
        carried_cli.BUNDLE, carried_cli.MANIFEST]


def test_every_module_is_compiled_and_names_no_place_of_this_machine(folder: Path) -> None:
    modules = [path for part in ("packages", "python") for path in (folder / part).rglob("*.py")]
    without = [path for path in modules if not list(
        path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"))]
    assert len(modules) > 1000
    assert without == []
    compiled = next((folder / "packages/awscli/__pycache__").glob("clidriver.*"))
    assert b"/opt/airlock-cli/packages/awscli/clidriver.py" in compiled.read_bytes()


def test_the_archive_has_no_owner_and_no_time() -> None:
    with tarfile.open(carried_cli.carried() / carried_cli.BUNDLE) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, 0)}
    assert {member.mode for member in members} <= {0o644, 0o755}
