"""The report on a pipeline's reach: findings with their answers, and counts of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.core.net import urls

Kind = Literal["param", "reference", "config", "sheet", "setting", "service", "download", "url",
               "plugin", "unread"]
"""What kinds of findings there are; docs/reach.md tells of each."""


SHOWN = "only shown to people"
"""Why an address is only counted."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What answers offline: `by` is a part of the release, or what keeps the code from asking."""

    by: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place that would reach out; `count` such things are folded into it.

    Without an answer, `todo` says which param to set, or what else to do.
    """

    file: str
    line: int
    kind: Kind
    what: str
    process: str | None = None
    param: str | None = None
    answer: Answer | None = None
    todo: str | None = None
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """The form in reach.json."""
        finding: dict[str, Any] = {"file": self.file, "line": self.line, "kind": self.kind,
                                "what": _public(self.what), "count": self.count, "answer": None}
        if self.answer is not None:
            finding["answer"] = {"by": self.answer.by, "what": _public(self.answer.what)}
        for key in ("process", "param", "todo"):
            if (value := getattr(self, key)) is not None:
                finding[key] = value
        return finding


def _public(text: str) -> str:
    """A text without the secrets of the addresses in it."""
    return re.sub(r"\S+://\S+", lambda match: urls.redact(match[0]), text)


@dataclass(kw_only=True)
class Report:
    """Findings, and what is only counted: reason to the places, `file:line`, that have it."""

    findings: list[Finding] = field(default_factory=list)
    counted: dict[str, list[str]] = field(default_factory=dict)

    def add(self, file: str, line: int, kind: Kind, what: str, *, answer: Answer | None,
            todo: str, **more: Any) -> None:
        """Add a finding, with what to do where nothing answers it."""
        self.findings.append(Finding(file=file, line=line, kind=kind, what=what, answer=answer,
                                     todo=None if answer else todo, **more))

    def count(self, why: str, file: str, line: int) -> None:
        """Count an address that nothing asks at run time."""
        self.counted.setdefault(why, []).append(f"{file}:{line}")

    def sorted(self) -> Iterator[Finding]:
        """The findings by file and line, each once."""
        yield from sorted(dict.fromkeys(self.findings), key=lambda finding: (
            finding.file, finding.line, finding.kind, finding.what, finding.process or "",
            finding.param or ""))

    def as_json(self) -> dict[str, Any]:
        """The part of reach.json that the scan makes."""
        return {"findings": [finding.as_json() for finding in self.sorted()],
                "counted": [{"why": why, "addresses": len(places),
                             "files": len({place.rpartition(":")[0] for place in places})}
                            for why, places in sorted(self.counted.items())]}
