"""Checks that are made side by side, each for a short while: none ends another, or the whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, Finding, failed
from tasks.core.frozen import frozen
from tasks.core.graph.step import fault

LIMIT = 25.0
"""Seconds that all checks have together; each request of theirs has fewer."""
SLOW = "look at the network, and at what answers there: it is slow, or never ends"


@frozen
class Check:
    """What is looked at: `look` yields lines, and `cure` is for where it comes to no end."""

    name: str
    look: Callable[[], Iterable[Finding]]
    cure: str = SLOW


class _Run:
    """A check in a thread of its own, which dies with the process where it hangs."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._findings: list[Finding] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def until(self, end: float) -> list[Finding]:
        """Its lines, those of a check that goes on after that time with a word that it does."""
        self._thread.join(max(0.0, end - time.monotonic()))
        findings = list(self._findings)
        if self._thread.is_alive():
            findings.append(Finding(check=self._check.name, status=FAIL, cure=self._check.cure,
                                    text=f"this came to no end within {LIMIT:.0f} seconds"))
        return findings

    def _look(self) -> None:
        try:
            for finding in self._check.look():
                self._findings.append(finding)
        except AirlockError as error:
            self._findings.append(failed(self._check.name, error))
        except Exception as error:
            self._findings.append(failed(self._check.name, _in_words(self._check.name, error)))


def _in_words(name: str, error: Exception) -> AirlockError:
    """An unforeseen error, also where its traceback can't be kept, as on a full disk."""
    try:
        return fault(f"doctor:{name}", error)
    except (OSError, AirlockError):
        return AirlockError(f"a fault of nf-airlock itself: {type(error).__name__}: {error}")


def examine(checks: Sequence[Check]) -> list[Finding]:
    """Make all checks at once; their lines, in the checks' order, those of one name together."""
    end = time.monotonic() + LIMIT
    runs = [_Run(check) for check in checks]
    findings = [finding for run in runs for finding in run.until(end)]
    order = list(dict.fromkeys(finding.check for finding in findings))
    return sorted(findings, key=lambda finding: order.index(finding.check))
