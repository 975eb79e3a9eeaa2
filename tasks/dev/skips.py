"""Which tests pytest skipped and why, and whether that is allowed, by pytest's own JUnit files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A test, such as tests.unit.test_docs::test_links, and the reason that it gave."""

    test: str
    reason: str


def read(paths: Iterable[Path]) -> list[Skip]:
    """The skipped tests of several runs; a run that ended before its file was written has none."""
    cases = [case for path in paths if path.is_file()
             for case in ElementTree.parse(path).iter("testcase")]  # noqa: S314 - our own
    return [Skip(test=f"{case.get('classname')}::{case.get('name')}",
                 reason=skipped.get("message", ""))
            for case in cases for skipped in case.iter("skipped")
            if skipped.get("type") == "pytest.skip"]


def unlisted(skips: Iterable[Skip], allowed: Path) -> list[Skip]:
    """The skips that no line of the list allows: a pattern of tests, and how the reason begins."""
    lines = [line.split(maxsplit=1) for line in allowed.read_text().splitlines()
             if line.strip() and not line.startswith("#")]
    return [skip for skip in skips
            if not any(fnmatchcase(skip.test, pattern) and skip.reason.startswith(reason)
                       for pattern, reason in lines)]


def summary(skips: Sequence[Skip]) -> str:
    """The skipped tests below each reason."""
    tests: dict[str, list[str]] = defaultdict(list)
    for skip in skips:
        tests[skip.reason].append(skip.test)
    return "\n".join([f"== skipped: {len(skips)} tests",
                      *(f"{reason}\n    " + "\n    ".join(names)
                        for reason, names in sorted(tests.items()))])
