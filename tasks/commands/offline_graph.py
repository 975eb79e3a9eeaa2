"""`prod:report`: the page of the release in place, made on the offline host."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Config
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_names
from tasks.core.offline_paths import OfflinePaths

with deferred():
    from tasks.commands import offline_report


def tasks(config: Config) -> Iterator[Task]:
    """`prod:report:<pipeline>`, when it is asked for."""
    yield from for_names(config, {
        "prod:report": ("what the release in place is, as a page", _report)},
        {name: name for name in config.names})


def _report(name: str, doc: str, config: Config, pipeline: str) -> Task:
    """It tells of what was fetched, and fetches nothing; from=DIR has the store's own report, too.
    """
    site, given = config.site, config.variables.get("from")
    at = OfflinePaths(site=site.name, pipeline=pipeline)
    return step(name, doc, offline_report.report, offline_report.OfflineReportSpec(
        pipeline=pipeline, layout=at, trust=site.offline.trust, identity=site.signing.identity,
        store=StoreAt(url=given) if given else site.offline.store,
        runs=uncompared(site.offline.runs)),
        makes=[at.report, at.report.with_suffix(".html")], always=True)
