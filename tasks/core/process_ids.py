"""What tells one process from all others on its machine, though numbers are used again."""

from __future__ import annotations

from pathlib import Path


def boot() -> str:
    """The id of this boot; OSError where the kernel shows none."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started(number: int) -> int | None:
    """When a living process began, in clock ticks since the boot (proc(5), stat's field 22)."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
