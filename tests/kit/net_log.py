"""What a page asks for by network in a real Chromium, as the browser's own net log has it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.kit import machine

LIMIT = 120
"""Seconds that a page may take."""
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--proxy-server=http://127.0.0.1:9", "--virtual-time-budget=5000")
"""Options without which the browser asks for more of its own; the proxy answers nobody."""
OWN = re.compile(r"https?://(?:[\w-]+\.)*(?:google\.com|gvt1\.com|"
                 r"(?:update|content-autofill|optimizationguide-pa)\.googleapis\.com)(?:[:/]|$)")
"""What it asks its maker for, whichever page it shows."""


def asked(page: Path, folder: Path) -> set[str]:
    """Open a page from its file, and return the addresses that it asked for, scripts and icons
    among them."""
    machine.need("chromium")
    log = folder / "net-log.json"
    subprocess.run(["chromium", *QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom",
                    f"--log-net-log={log}", page.absolute().as_uri()],
                   capture_output=True, timeout=LIMIT, check=True)
    said = log.read_text(errors="replace")
    assert page.name in said, "the log has not even the page itself"
    return {url for url in re.findall(r'"url":"(\w+://[^"]*)"', said)
            if re.match(r"(?:https?|wss?|ftp)://", url) and not OWN.match(url)}
