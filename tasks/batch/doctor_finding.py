"""What the doctor says of one thing: a line with a status, and what to do."""

from __future__ import annotations

from tasks.core.errors import AirlockError
from tasks.core.frozen import frozen

OK, WARN, FAIL, UNKNOWN = "ok", "warn", "fail", "not known"


@frozen
class Finding:
    """One line. `check` is the group that it belongs to."""

    check: str
    status: str
    text: str
    cure: str | None = None

    def __str__(self) -> str:
        return f"{self.status:9}  {self.check}: {self.text}" + (
            f" → {self.cure}" if self.cure else "")


def unknown(check: str, error: AirlockError) -> Finding:
    """The line for what couldn't be looked at."""
    where = f" ({error.where})" if error.where else ""
    return Finding(check=check, status=UNKNOWN, text=f"{error.what}{where}", cure=error.todo)
