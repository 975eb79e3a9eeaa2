"""`reach`: everything that a pipeline would still ask of the network, and what answers it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.schema import check
from tasks.core.source import project
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
    output: Path


def reach(spec: ReachSpec) -> str:
    """Write reach.json, and print a summary; what nothing answers is no error here."""
    carried = staged.read(spec.data_manifest, spec.plugins, spec.toggles)
    found = scan(spec.code, project.config(spec.resolved), carried, spec.profile,
                 root=project.PLACE)
    told = {"pipeline": spec.pipeline, "profile": spec.profile, **found.as_json()}
    files.write_json(spec.output, check(told, "reach", where=spec.output))
    print(summary(found), flush=True)
    open_ = sum(each.answer is None for each in found.findings)
    return f"{len(told['findings'])} findings, {open_ or 'none'} without an answer"


def summary(found: Report) -> str:
    """Lines for people: counts, then each finding that nothing answers, with what to set."""
    findings = list(found.sorted())
    by = Counter(each.answer.by for each in findings if each.answer)
    lines = [f"       answered by {name}: {count}" for name, count in sorted(by.items())]
    lines += [f"       {why}: {len(places)} addresses"
              for why, places in sorted(found.counted.items())]
    for each in findings:
        if each.answer is None:
            told = each.as_json()
            lines += [f"OPEN   {each.file}:{each.line}  {told['what']}"
                      + (f"  (process {each.process})" if each.process else ""),
                      f"       {told['todo']}"]
    return "\n".join(lines)
