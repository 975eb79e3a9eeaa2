"""What is told at the end of about a run of a pipeline: where its results and pages are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PAGES = 3
"""Pages of results that are named."""
OWN = "pipeline_info"
"""The folder of results where nf-core's pipelines put what Nextflow writes; no page of theirs."""


def of_run(title: str, folder: Path) -> Iterator[str]:
    """Where the results of the run in `folder` are, its pages, report and record.

    Paths stand whole and alone, so that they can be clicked and copied.
    """
    at = Path(os.path.relpath(folder))
    results = folder / "results"
    if not results.is_dir():
        return
    yield f"{title}: {at}/"
    yield "  results  results/"
    pages = sorted(path.relative_to(folder) for path in results.rglob("*.html")
                   if OWN not in path.parts and path.is_file() and not path.is_symlink())
    for page in pages[:PAGES]:
        yield f"  page     {page}"
    if len(pages) > PAGES:
        yield f"           and {len(pages) - PAGES} more below results/"
    for name, path in (("report", "report.html"), ("nextflow", "reports/report.html"),
                       ("record", "run.json")):
        if (folder / path).is_file():
            yield f"  {name:<8} {path}"
