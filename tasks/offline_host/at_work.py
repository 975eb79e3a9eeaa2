"""Whether what wrote a record still runs, though it may have been killed without a word."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import process_ids
from tasks.offline_host.run_folder import cleaned


def this_process() -> dict[str, Any]:
    """This process, told from all others: its id, its start in clock ticks, and the boot's id."""
    return {"pid": os.getpid(), "started": process_ids.started(os.getpid()),
            "boot": process_ids.boot()}


def this_host() -> str:
    """This machine's name, as it can stand in a list of signers."""
    return cleaned(platform.node())


def runs_still(host: str, process: Mapping[str, Any]) -> bool:
    """Whether the process that `this_process` told of lives; on another host that isn't known."""
    if host != this_host():
        return True
    return bool(process["boot"] == process_ids.boot()
                and process["started"] == process_ids.started(process["pid"]))


def session_of(launch: Path) -> str | None:
    """The session that Nextflow keeps in the folder where it was started, the newest one.

    Its history has a line for each start: time, duration, name, status, revision, session, command.
    """
    try:
        lines = (launch / ".nextflow/history").read_text(errors="replace").splitlines()
    except OSError:
        return None
    cells = lines[-1].split("\t") if lines else []
    return cells[5] if len(cells) > 5 and _cache(launch, cells[5]).is_dir() else None


def is_locked(launch: Path, session: str) -> bool:
    """Whether a Nextflow is at work on a session: it outlives what started it, if that is killed.

    It locks its database's file LOCK as Java does, by fcntl.
    """
    try:
        with (_cache(launch, session) / "db/LOCK").open("r+b") as stream:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _cache(launch: Path, session: str) -> Path:
    return launch / ".nextflow/cache" / Path(session).name
