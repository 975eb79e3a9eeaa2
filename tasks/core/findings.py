"""What a check says of what it looked at: lines with a status, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.core.errors import AirlockError, shown
from tasks.core.frozen import frozen

OK, WARN, FAIL, UNKNOWN = "ok", "warn", "fail", "not known"


@frozen
class Finding:
    """One line. `check` is the group that it belongs to, where there are groups."""

    status: str
    text: str
    cure: str | None = None
    check: str = ""

    def __str__(self) -> str:
        return (f"{self.status:9}  {f'{self.check}: ' if self.check else ''}{self.text}"
                + (f" → {self.cure}" if self.cure else ""))

    @property
    def as_json(self) -> dict[str, str | None]:
        """The line as the schemas of checks have it."""
        return {"check": self.check, "status": self.status, "text": self.text, "cure": self.cure}


def report(findings: Sequence[Finding]) -> Mapping[str, int]:
    """Print the lines; return how many have which status."""
    for finding in findings:
        print(shown(str(finding)))
    return counts(findings)


def counts(findings: Sequence[Finding]) -> Mapping[str, int]:
    """Return how many of the lines have which status."""
    return {status: sum(finding.status == status for finding in findings)
            for status in (OK, WARN, FAIL, UNKNOWN)}


def in_words(counted: Mapping[str, int], *statuses: str) -> str:
    """Return the counts of these statuses, as far as there are any."""
    return ", ".join(f"{counted[status]} {status}" for status in statuses if counted[status])


def unknown(check: str, error: AirlockError) -> Finding:
    """The line for what couldn't be looked at."""
    return _of_error(check, UNKNOWN, error)


def failed(check: str, error: AirlockError, cure: str | None = None) -> Finding:
    """The line for what doesn't work; its cure is the error's own, unless another is given."""
    return _of_error(check, FAIL, error, cure)


def _of_error(check: str, status: str, error: AirlockError, cure: str | None = None) -> Finding:
    where = f" ({error.where})" if error.where else ""
    return Finding(check=check, status=status, text=" ".join(f"{error.what}{where}".split()),
                   cure=cure or error.todo)
