"""Scanning a few sources for what they reach out to, in tests of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.schema import check
from tasks.reach.findings import Finding, Report
from tasks.reach.scan import scan
from tasks.reach.staged import Staged, toggles
from tests.kit.pipelines import write_sources

ROOT = Path(__file__).resolve().parents[2]
GUARDED = {
    "main.nf": ("include { FETCH } from './sub'\nworkflow {\n"
                "    FETCH(params.cache_too, params.name)\n}\n"),
    "sub.nf": ("include { GET as GET_CACHE } from './get'\nworkflow FETCH {\n    take:\n"
               "    wanted // whether\n    name\n    main:\n    if (wanted) {\n"
               "        GET_CACHE(name)\n    }\n}\n"),
    "get.nf": 'process GET {\n    script:\n    """\n    wget https://x.example.org/a\n    """\n}\n'}
"""A download that a workflow calls under a condition, which the main script hands down."""


def reached(tmp_path: Path, sources: Mapping[str, str], *, params: Mapping[str, Any] | None = None,
            carried: Mapping[str, Mapping[str, Any]] | None = None,
            plugins: Mapping[str, str] | None = None,
            config: Mapping[str, Any] | None = None, engine: str = "docker") -> Report:
    """Scan these files, whose config resolved to these params."""
    root = write_sources(tmp_path / "code",
                         {"main.nf": "workflow {}\n", "nextflow.config": "", **sources})
    staged = Staged(params=carried or {}, plugins=plugins or {},
                    toggles=toggles(ROOT / "config/offline.config",
                                    ROOT / f"config/engines/{engine}.config"))
    report = scan(root, {**(config or {}), "params": params or {}}, staged, "test")
    check({"pipeline": "x", "profile": "test", **report.as_json()}, "reach", where="reach.json")
    return report


def of(report: Report, kind: str) -> list[Finding]:
    return [finding for finding in report.sorted() if finding.kind == kind]


def one(report: Report, kind: str) -> Finding:
    only, = of(report, kind)
    return only


def by(finding: Finding) -> str | None:
    return finding.answer.by if finding.answer else None
