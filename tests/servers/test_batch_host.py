"""The user data of instances, run for real: against a metadata service and an S3 server."""

from __future__ import annotations

import dataclasses
import gzip
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tasks.batch import host
from tasks.batch.host import HostSpec
from tasks.core import files
from tasks.core.aws.paths import BatchSitePaths
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError, StoreError
from tasks.core.trust import checksums
from tests.kit import buckets, instance, machine, metadata, relays
from tests.kit.instance import ADDRESS, Instance
from tests.kit.metadata import Metadata

PORT = 9000
"""Where the instance reaches S3, on its own loopback."""
REGION = "us-east-1"  # versitygw's own
AWS = "#!/bin/sh\necho aws-cli/2.31.0 of the test\n"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Gateway]:
    machine.need_root()
    with buckets.gateway(tmp_path_factory.mktemp("s3")) as running:
        (running.root / "store").mkdir()
        yield running


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_login: None) -> None:
    monkeypatch.chdir(tmp_path)


def carry(s3: buckets.Gateway, *, padding: int = 0, program: str = AWS) -> HostSpec:
    """A bundle with a program that says its version, listed in cli.json; the step's spec."""
    at = BatchSitePaths(site="test")
    files.write_text(Path("cli/bin/aws"), program, mode=0o755)
    files.write_bytes(Path("cli/padding"), os.urandom(padding))
    files.write_tar(Path("cli.tar"), Path("cli"), files.tree(Path("cli")))
    files.write_bytes(at.cli, gzip.compress(Path("cli.tar").read_bytes(), mtime=0))
    digest = files.sha256(at.cli)
    files.write_json(at.cli_manifest, {
        "kind": "cli", "source": "aws", "version": "2.31.0", "platform": "linux/amd64",
        "libc": "glibc", "sha256": digest, "size": at.cli.stat().st_size, "unpacked": padding + 1,
        "key": checksums.blob_key(at.cli.name, digest)})
    files.write_text(at.cli_signature, "a signature")
    store = StoreAt(url="s3://store/carried", endpoint=s3.endpoint, region=REGION)
    return HostSpec(mode="carried-cli", region=REGION, at=at, sent_to=store,
                    read_from=dataclasses.replace(store, endpoint=f"http://127.0.0.1:{PORT}"))


def userdata(spec: HostSpec) -> bytes:
    host.make(spec)
    return spec.at.userdata.read_bytes()


@contextmanager
def started(s3: buckets.Gateway, tmp_path: Path, *, disk: str = "200m", route: bool = True,
            service: Metadata | None = None) -> Iterator[Instance]:
    """An instance with a metadata service, and a route to S3."""
    service = service or Metadata(access=buckets.ACCESS, secret=buckets.SECRET)
    with ExitStack() as stack:
        ec2 = stack.enter_context(instance.instance(tmp_path / "instance", disk=disk))
        stack.enter_context(metadata.serving(service, ec2.listen(ADDRESS, 80)))
        if route:
            stack.enter_context(relays.relay(int(s3.endpoint.rpartition(":")[2]),
                                             ec2.listen("127.0.0.1", PORT)))
        yield ec2


def left(ec2: Instance) -> str:
    """What lies below /opt there."""
    return ec2.run("find", "/opt", "-mindepth", "1").stdout


def test_the_cli_comes_whole_and_no_secret_is_shown(s3: buckets.Gateway, tmp_path: Path) -> None:
    spec = carry(s3, padding=300_000)
    service = Metadata(access=buckets.ACCESS, secret=buckets.SECRET)
    with started(s3, tmp_path, service=service) as ec2:
        done = ec2.boot(userdata(spec))
        assert done.returncode == 0, done.stdout
        assert "airlock: /opt/airlock-cli: aws-cli/2.31.0 of the test\n" in done.stdout
        assert ec2.run("/opt/airlock-cli/bin/aws").stdout == "aws-cli/2.31.0 of the test\n"
        assert ec2.run("stat", "-c", "%a %U", "/opt/airlock-cli").stdout == "755 root\n"
        assert ec2.run("sh", "-c", "ls -A /opt").stdout == "airlock-cli\n"
        assert host.ECS_SETTINGS in ec2.run("cat", "/etc/ecs/ecs.config").stdout
        shown = "\n".join([*ec2.lines("curl-arguments"), done.stdout])
        again = ec2.boot(userdata(spec))
        assert (again.returncode, "is there already" in again.stdout) == (0, True)
        settings = ec2.run("cat", "/etc/ecs/ecs.config").stdout
        assert settings.count("ECS_IMAGE_PULL_BEHAVIOR=once\n") == 1
    for secret in (buckets.SECRET, service.session, service.token, buckets.ACCESS):
        assert secret not in shown
    assert service.asked == ["PUT /latest/api/token", f"GET {metadata.ROLES}",
                             f"GET {metadata.ROLES}{metadata.ROLE}"]


def test_another_version_takes_the_place_of_the_one_before(s3: buckets.Gateway,
                                                           tmp_path: Path) -> None:
    with started(s3, tmp_path) as ec2:
        assert ec2.boot(userdata(carry(s3))).returncode == 0
        assert ec2.boot(userdata(carry(s3, program=AWS.replace("2.31", "2.32")))).returncode == 0
        assert ec2.run("/opt/airlock-cli/bin/aws").stdout == "aws-cli/2.32.0 of the test\n"
        assert ec2.run("sh", "-c", "ls -A /opt").stdout == "airlock-cli\n"


def test_a_wrong_key_is_not_tried_again(s3: buckets.Gateway, tmp_path: Path) -> None:
    service = Metadata(access=buckets.ACCESS, secret="anotherkey")
    with started(s3, tmp_path, service=service) as ec2:
        done = ec2.boot(userdata(carry(s3)))
        assert done.returncode == 1
        assert "S3 refuses (403 SignatureDoesNotMatch)" in done.stdout
        assert "s3:GetObject" in done.stdout
        assert ec2.lines("sleeps") == []
        assert left(ec2) == ""


def test_a_file_that_is_not_there_is_not_tried_again(s3: buckets.Gateway, tmp_path: Path) -> None:
    data = userdata(carry(s3)).replace(b"/blobs/", b"/blobz/")
    with started(s3, tmp_path) as ec2:
        done = ec2.boot(data)
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, [], "")
        assert "no such file (404 NoSuchKey)" in done.stdout
        assert "doit batch:host" in done.stdout


def test_another_region_is_named(s3: buckets.Gateway, tmp_path: Path) -> None:
    data = userdata(carry(s3)).replace(b"region=us-east-1", b"region=eu-west-1")
    with started(s3, tmp_path) as ec2:
        done = ec2.boot(data)
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, [], "")
        assert "compare the bucket's region with eu-west-1" in done.stdout


def test_a_wrong_digest_is_used_for_nothing(s3: buckets.Gateway, tmp_path: Path) -> None:
    spec = carry(s3, padding=64)
    data = userdata(spec)
    digest = files.sha256(spec.at.cli)
    stored = s3.root / "store/carried/blobs/sha256" / digest / spec.at.cli.name
    changed = bytearray(stored.read_bytes())
    changed[-1] ^= 1
    stored.write_bytes(changed)
    with started(s3, tmp_path) as ec2:
        done = ec2.boot(data)
        assert (done.returncode, left(ec2)) == (1, "")
        assert f"the file's SHA-256 is not {digest}" in done.stdout


def test_a_larger_file_is_not_taken(s3: buckets.Gateway, tmp_path: Path) -> None:
    spec = carry(s3, padding=100_000)
    data = userdata(spec)
    size = spec.at.cli.stat().st_size
    with started(s3, tmp_path) as ec2:
        done = ec2.boot(data.replace(f"size={size}\n".encode(), b"size=1000\n"))
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, [], "")
        assert "larger than the 1000 bytes" in done.stdout


def test_without_a_route_it_gives_up_after_five_attempts(s3: buckets.Gateway,
                                                         tmp_path: Path) -> None:
    with started(s3, tmp_path, route=False) as ec2:
        data = userdata(carry(s3)).replace(b"http://127.0.0.1:9000", b"http://10.255.0.1")
        done = ec2.boot(data)
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, ["2", "4", "8", "16"], "")
        assert "S3 can't be reached after 5 attempts" in done.stdout
        assert "gateway endpoint" in done.stdout


def test_a_connection_that_breaks_is_tried_again(s3: buckets.Gateway, tmp_path: Path) -> None:
    spec = carry(s3, padding=500_000)
    with started(s3, tmp_path, route=False) as ec2, relays.relay(
            int(s3.endpoint.rpartition(":")[2]), ec2.listen("127.0.0.1", PORT)) as between:
        between.cuts = [100_000, 200_000]
        done = ec2.boot(userdata(spec))
        assert (done.returncode, ec2.lines("sleeps")) == (0, ["2", "4"]), done.stdout


@pytest.mark.parametrize(("disk", "message"), [
    ("100k", "no space for the AWS CLI below /opt"),  # full while it is fetched
    ("500k", "can't be unpacked below /opt"),
])
def test_a_full_disk_leaves_nothing(s3: buckets.Gateway, tmp_path: Path, disk: str,
                                    message: str) -> None:
    with started(s3, tmp_path, disk=disk) as ec2:
        done = ec2.boot(userdata(carry(s3, padding=300_000)))
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, [], "")
        assert message in done.stdout
        assert "larger disk" in done.stdout


def test_a_cli_that_does_not_run_is_not_put_in_place(s3: buckets.Gateway, tmp_path: Path) -> None:
    with started(s3, tmp_path) as ec2:
        done = ec2.boot(userdata(carry(s3, program="#!/nowhere/python\n")))
        assert (done.returncode, left(ec2)) == (1, "")
        assert "doesn't run on this instance" in done.stdout


@pytest.mark.parametrize(("service", "message", "sleeps"), [
    (Metadata(access="", secret="", role=None), "this instance has no role (status 404)", []),
    (Metadata(access="", secret="", code="AssumeRoleUnauthorizedAccess"),
     f"the role {metadata.ROLE} can't be used: AssumeRoleUnauthorizedAccess", []),
])
def test_no_role_or_one_that_cannot_be_used(s3: buckets.Gateway, tmp_path: Path, service: Metadata,
                                            message: str, sleeps: list[str]) -> None:
    with started(s3, tmp_path, service=service) as ec2:
        done = ec2.boot(userdata(carry(s3)))
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, sleeps, "")
        assert message in done.stdout


def test_no_metadata_service(s3: buckets.Gateway, tmp_path: Path) -> None:
    with instance.instance(tmp_path / "instance") as ec2:
        done = ec2.boot(userdata(carry(s3)))
        assert (done.returncode, ec2.lines("sleeps"), left(ec2)) == (1, ["2", "4"], "")
        assert "the metadata service gives no token (status 000)" in done.stdout


def test_a_killed_start_is_cleared_away(s3: buckets.Gateway, tmp_path: Path) -> None:
    with started(s3, tmp_path) as ec2:
        ec2.run("mkdir", "-p", "/opt/.airlock-cli.Ab12Cd/cli")
        assert ec2.boot(userdata(carry(s3))).returncode == 0
        assert ec2.run("sh", "-c", "ls -A /opt").stdout == "airlock-cli\n"


@pytest.mark.parametrize(("disks", "device"), [
    ("", None), ("/dev/nvme1n1", "/dev/nvme1n1"),
    ("/dev/nvme1n1 /dev/nvme2n1", "/dev/airlock/scratch")])
def test_fusion_gets_the_instances_own_disks(s3: buckets.Gateway, tmp_path: Path, disks: str,
                                             device: str | None) -> None:
    spec = dataclasses.replace(carry(s3), mode="fusion")
    listed = "".join(f"{disk} Amazon EC2 NVMe Instance Storage\\n" for disk in disks.split())
    with started(s3, tmp_path) as ec2:
        ec2.program("lsblk", "#!/bin/sh\nprintf '/dev/nvme0n1 Amazon Elastic Block Store\\n"
                              f"{listed}'\n")
        for name in ("mkfs.xfs", "mount", "pvcreate", "vgcreate", "lvcreate"):
            ec2.program(name, f'#!/bin/sh\necho "{name} $*" >>"{ec2.folder}/disks"\n')
        ec2.program("mkdir", '#!/bin/sh\ncase "$2" in /scratch/*) exec /bin/mkdir -p '
                              f'"{ec2.folder}$2";; esac; exec /bin/mkdir "$@"\n')
        ec2.program("chmod", "#!/bin/sh\n")
        done = ec2.boot(userdata(spec))
        assert done.returncode == 0, done.stdout
        assert ec2.lines("disks")[-2:] == ([] if device is None else [
            f"mkfs.xfs -q {device}", f"mount {device} /scratch/fusion"])
        assert ("pvcreate /dev/nvme1n1 /dev/nvme2n1" in ec2.lines("disks")) == (" " in disks)
        assert host.ECS_SETTINGS in ec2.run("cat", "/etc/ecs/ecs.config").stdout
        assert ec2.lines("curl-arguments") == []


def test_the_receipt_says_what_the_store_holds(s3: buckets.Gateway) -> None:
    spec = carry(s3)
    host.make(spec)
    receipt = spec.at.cli_receipt.read_text()
    digest = files.sha256(spec.at.cli)
    assert f"blobs/sha256/{digest}/aws-cli.tar.gz" in receipt
    assert f"cli/{digest[:12]}/cli.json.sig" in receipt
    assert (s3.root / f"store/carried/cli/{digest[:12]}/cli.json").is_file()


def test_a_store_that_refuses_leaves_no_user_data(s3: buckets.Gateway,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    spec = carry(s3)
    with pytest.raises(StoreError):
        host.make(spec)
    assert not spec.at.userdata.exists()


def test_a_folder_is_no_store_for_instances(s3: buckets.Gateway) -> None:
    spec = dataclasses.replace(carry(s3), read_from=StoreAt(url="/srv/store"))
    with pytest.raises(ConfigError, match="can't read the AWS CLI from a folder"):
        host.make(spec)


def test_shellcheck_has_nothing_to_say(s3: buckets.Gateway) -> None:
    machine.need("shellcheck")
    spec = carry(s3)
    for mode in ("carried-cli", "fusion"):
        done = subprocess.run(["shellcheck", "--shell", "bash", "-"], text=True, check=False,
                              input=instance.script(userdata(dataclasses.replace(spec, mode=mode))),
                              capture_output=True)
        assert done.stdout == ""
