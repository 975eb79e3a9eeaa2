"""Nextflow's versions: their order, and conditions on them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.core.errors import ConfigError

LINES = ("23.04", "23.10", "24.04", "24.10", "25.04", "25.10", "26.04")
"""The stable release lines, oldest first."""

MAX_VERSION = 200
"""Characters of a version."""

MAX_PATCH = 30
"""No release line has had more patches; the highest is asked whether a line fits at all."""

_CONDITION = re.compile(r"\s*(>=|<=|!=|<>|==|>|<|=|)\s*v?([0-9][0-9A-Za-z_.-]*?)(\.?)(\+?)\s*")
_WORDS = {">=": "{} or later", ">": "later than {}", "<=": "{} or earlier", "<": "before {}",
          "=": "exactly {}", "!=": "not {}"}

Order = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison with a version; `operator` is one of >= > <= < = != or + (a prefix)."""

    operator: str
    version: str

    def met(self, version: str) -> bool:
        """Whether `version` fulfils it."""
        here, there = order(version), order(self.version)
        if self.operator == "+":
            return _prefix(version, self.version) and here >= there
        return {">=": here >= there, "<=": here <= there, ">": here > there, "<": here < there,
                "=": here == there, "!=": here != there}[self.operator]

    def __str__(self) -> str:
        if self.operator == "+":
            parent = self.version.rpartition(".")[0]
            return f"{self.version} or later" + (f" of {parent}" if parent else "")
        return _WORDS[self.operator].format(self.version)


def order(version: str) -> Order:
    """A key that sorts versions: numbers, then releases after pre-releases (semver.org, 11).

    Missing numbers count as 0, what follows a + is left out. ConfigError for what is too long.
    """
    if len(version) > MAX_VERSION:
        raise ConfigError(f"{version[:MAX_VERSION]!r}… is no version")
    numbers, _, suffix = version.partition("+")[0].partition("-")
    parts = [int(digits) for digits in re.findall(r"\d+", numbers)]
    while parts and parts[-1] == 0:  # 25 and 25.0.0 are one version
        parts.pop()
    ahead = tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part)
                  for part in suffix.split(".") if part)
    return tuple(parts), not suffix, ahead


def conditions(text: str) -> tuple[Condition, ...]:
    """The comparisons of `>=23.04.0, <25`, all of which must be met; none of an empty text.

    The form is that of `manifest.nextflowVersion` and of what plugins require (Nextflow's
    VersionNumber). Raises ConfigError for what can't be read.
    """
    read = []
    for part in text.removeprefix("nextflow@").replace("&", ",").split(","):
        if part.strip() in ("", "*"):
            continue
        match = _CONDITION.fullmatch(part)
        if match is None or (match[1] and match[4]):
            raise ConfigError(f"{part.strip()!r} is no condition on a version",
                              todo="write it as >=24.04.2, or several of these with commas")
        operator = {"": "=", "==": "=", "<>": "!="}.get(match[1], match[1])
        read.append(Condition(operator=match[4] or operator,
                              version=match[2] + (".0" if match[3] else "")))
    return tuple(read)


def meets(version: str, condition: str) -> bool:
    """Whether a version of Nextflow meets all comparisons; one that can't be read is not met."""
    try:
        return all(comparison.met(version) for comparison in conditions(condition))
    except ConfigError:
        return False


def line(version: str) -> str:
    """The release line of a version: 24.10 of 24.10.5."""
    return ".".join(version.split(".")[:2])


def _prefix(version: str, wanted: str) -> bool:
    """Whether all numbers of `wanted` but the last are those of `version`: 24.10 of 24.10.2."""
    stem = re.findall(r"\d+", wanted)[:-1]
    return re.findall(r"\d+", version)[:len(stem)] == stem
