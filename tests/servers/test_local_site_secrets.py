"""What the local site makes to stay secret is its user's alone, whatever the umask."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

from tasks.core.config.load import load
from tasks.local_site import trust
from tasks.local_site.plan import plan
from tests.kit import machine
from tests.kit.project import ROOT


def test_keys_and_logins_are_closed_even_where_the_umask_is_open(
        tmp_path: Path) -> None:
    machine.need("openssl", "htpasswd")
    shutil.copytree(ROOT / "config", tmp_path / "config")
    part = replace(plan(load({}, root=tmp_path).site), root=tmp_path / "sandbox")
    before = os.umask(0)
    try:
        trust.prepare(part)
    finally:
        os.umask(before)
    for folder in (part.secrets, part.trust):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in (part.authfile, part.trust / "config.json", part.secrets / "htpasswd",
                 part.secrets / "ca.key", part.secrets / "server.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
