"""AWS's own CLI, version 2: its self-contained zip, laid out so that jobs can be shown one folder.

The zip holds `aws/install` and `aws/dist` (Python, its libraries, CA certificates and `dist/aws`,
which finds them from where it lies), and needs glibc of the job's image. Its place and the
signature beside it: docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import files
from tasks.core.archives import zips
from tasks.core.archives.limits import Bounds
from tasks.core.errors import IntegrityError
from tasks.core.net import download, urls
from tasks.core.net.network import Network

MAX_ZIP = 500_000_000
"""Bytes; it has some 70 MB."""
UNPACKED = Bounds(size=2_000_000_000, members=50_000)
"""It has some 250 MB."""
PROGRAM = "aws/dist/aws"


@dataclass(frozen=True, kw_only=True)
class Zip:
    """One version's zip, and its SHA-256; `reached_at` is where this site fetches it."""

    reached_at: str
    sha256: str
    network: Network = field(default_factory=Network)


def build(folder: Path, source: Zip, scratch: Path) -> None:
    """Fill the folder with `dist` and `bin/aws`, a link into it; `scratch` is a folder to work in.

    IntegrityError where the zip is another than was pinned, or not AWS's CLI.
    """
    archive, unpacked = scratch / "awscli.zip", scratch / "unpacked"
    fetched = download.fetch(urls.located(source.reached_at), archive, most=MAX_ZIP,
                             network=source.network.naming(source.reached_at))
    download.hold(fetched, source.sha256, what="the AWS CLI is not what was promised",
                  where=urls.redact(source.reached_at),
                  todo="compare batch.cli with the version's own signature (see docs/batch.md)")
    zips.unpack_zip(archive, unpacked, allowed=UNPACKED)
    if not (unpacked / PROGRAM).is_file():
        raise IntegrityError(f"this zip holds no {PROGRAM}, so it is not AWS's CLI 2",
                             where=urls.redact(source.reached_at),
                             todo="set batch.cli.version to a version of the CLI 2")
    _set_modes(archive, unpacked)
    os.replace(unpacked / "aws/dist", folder / "dist")
    (folder / "bin").mkdir()
    (folder / "bin/aws").symlink_to("../dist/aws")


def _set_modes(archive: Path, unpacked: Path) -> None:
    """Make those files executable that are so in the zip, which keeps modes as Unix has them."""
    with zips.open_zip(archive, allowed=UNPACKED) as opened:
        for member in opened.infolist():
            if not member.is_dir() and member.external_attr >> 16 & 0o100:
                files.inside(unpacked, member.filename).chmod(0o755)
