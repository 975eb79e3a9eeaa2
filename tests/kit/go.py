"""Programs that tests and benches take from Go: at one version, which Go's checksum log knows."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def program(module: str, version: str) -> Path | None:
    """The program of a module, built once (a minute or so) and kept in the user's cache.

    None where there is no Go. Go holds what comes against sum.golang.org, whatever the user's
    settings leave out of that.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = module.rpartition("/")[2]
    folder = cache / f"nf-airlock/{name}-{version.removeprefix('v')}"
    if not (folder / name).is_file():
        if shutil.which("go") is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["go", "install", f"{module}@{version}"], check=True, env={
            **os.environ, "GOBIN": str(folder), "GOSUMDB": "sum.golang.org",
            "GONOSUMDB": "none"})
    return folder / name
