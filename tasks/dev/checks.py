"""`test`: the checks and all tests, by the one command that continuous integration calls too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tasks.core import activity, processes
from tasks.core.errors import AirlockError, CommandError
from tasks.dev import skips

SERVERS = Path("tests/servers")
PARTS = 6
"""Into how many runs of pytest the tests with servers are parted, so that two run to the end."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A Python module with its arguments, and the name of its log."""

    name: str
    words: Sequence[str]

    def log(self, logs: Path) -> Path:
        return logs / f"test-{self.name}.log"

    def results(self, logs: Path) -> Path:
        """The JUnit file of a run of pytest."""
        return logs / f"test-{self.name}.xml"


HOST = Check(name="host", words=("pytest", str(SERVERS / "host")))
QUIET = (
    Check(name="kit", words=("tests.kit",)),
    Check(name="ruff", words=("ruff", "check", ".")),
    Check(name="mypy", words=("mypy",)),
    Check(name="unit", words=("pytest", "tests/unit")),
)


def server_checks() -> list[Check]:
    """The tests with servers of their own, by modules: each part has some of every letter."""
    modules = sorted(map(str, SERVERS.glob("test_*.py")))
    return [Check(name=f"servers-{part + 1}", words=("pytest", *modules[part::PARTS]))
            for part in range(min(PARTS, len(modules)))]


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """Half of the work is shown as it goes: the tests that take the whole machine for a host.

    The others run beside them, into `logs`, in the order of the list; once `shown` has ended, two
    at a time. First of these is what makes, in minutes, what the last of the shown tests need.
    Before them all `prepare` installs what tests need, where it may.
    """

    logs: Path
    allowed_skips: Path = Path("tests/allowed-skips.txt")
    prepare: Check = Check(name="machine", words=("tests.kit.machine",))
    shown: Check = HOST
    beside: tuple[Check, ...] | None = None


def run(spec: CheckSpec) -> str:
    """Run every check, even after one has failed; AirlockError names those that did.

    A test that was skipped without a line in `allowed_skips` fails the whole as well.
    """
    failed = [] if _passes(spec.prepare, spec.logs, show=True) else [spec.prepare.name]
    beside = [*QUIET, *server_checks()] if spec.beside is None else [*spec.beside]
    waiting, passed = iter(beside), {}

    def work() -> None:
        for check in waiting:  # shared: each is taken once
            passed[check] = _passes(check, spec.logs)

    with ThreadPoolExecutor(1) as pool:
        quiet = pool.submit(work)
        passed[spec.shown] = _passes(spec.shown, spec.logs, show=True)
        work()
        quiet.result()
    for check in beside:
        print(f"{_title(check)}\n{check.log(spec.logs).read_text()}", flush=True)
    checks = (spec.shown, *beside)
    failed += [check.name for check in checks if not passed[check]]
    skipped = skips.read(check.results(spec.logs) for check in checks)
    print(skips.summary(skipped), flush=True)
    failed += [f"{skip.test} was skipped, which {spec.allowed_skips} does not allow"
               for skip in skips.unlisted(skipped, spec.allowed_skips)]
    if failed:
        raise AirlockError(f"failed: {', '.join(failed)}", todo="the faults are printed above")
    return f"all checks passed, {len(skipped)} tests skipped"


def _title(check: Check) -> str:
    return f"== {check.name}: {' '.join(check.words)}"


def _passes(check: Check, logs: Path, *, show: bool = False) -> bool:
    """Whether a check ends well; where it isn't shown, its output goes to its log."""
    if show:
        print(_title(check), flush=True)
    results = check.results(logs)
    results.unlink(missing_ok=True)
    report = [f"--junitxml={results}"] if check.words[0] == "pytest" else []
    try:
        with activity.apart() if show else nullcontext():
            processes.run([sys.executable, "-m", *check.words, *report], show=show,
                          log=None if show else check.log(logs))
    except CommandError:
        return False
    return True
