"""`reach`: everything that a pipeline would still ask of the network, and what answers it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.schema import check
from tasks.core.source import resolved_config
from tasks.reach import staged
from tasks.reach.findings import Report
from tasks.reach.scan import scan


@dataclass(frozen=True, kw_only=True)
class ReachSpec:
    """What is scanned, what is carried beside it, and where the findings go."""

    pipeline: str
    profile: str
    code: Path
    resolved: Path
    data_manifest: Path
    plugins: Path
    toggles: Path
    engine_toggles: Path
    output: Path


def reach(spec: ReachSpec) -> str:
    """Write reach.json, and print a summary; what nothing answers is no error here."""
    carried = staged.read(spec.data_manifest, spec.plugins, spec.toggles,
                          spec.engine_toggles)
    report = scan(spec.code, resolved_config.config(spec.resolved), carried, spec.profile,
                 root=resolved_config.PLACE)
    content = {"pipeline": spec.pipeline, "profile": spec.profile, **report.as_json()}
    files.write_json(spec.output, check(content, "reach", where=spec.output))
    print(summary(report), flush=True)
    open_ = sum(finding.answer is None for finding in report.findings)
    return f"{len(content['findings'])} findings, {open_ or 'none'} without an answer"


def summary(report: Report) -> str:
    """Lines for people: counts, then each finding that nothing answers, with what to set."""
    findings = list(report.sorted())
    by = Counter(finding.answer.by for finding in findings if finding.answer)
    lines = [f"       answered by {name}: {count}" for name, count in sorted(by.items())]
    lines += [f"       {why}: {len(places)} addresses"
              for why, places in sorted(report.counted.items())]
    for finding in findings:
        if finding.answer is None:
            shown = finding.as_json()
            lines += [f"OPEN   {finding.file}:{finding.line}  {shown['what']}"
                      + (f"  (process {finding.process})" if finding.process else ""),
                      f"       {shown['todo']}"]
    return "\n".join(lines)
