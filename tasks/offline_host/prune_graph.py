"""`prod:prune:*`: of the whole host, since pipelines share the cache and the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.core.config.settings import Config
from tasks.core.engine import address
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, step
from tasks.core.paths import SitePaths
from tasks.offline_host import freshness

with deferred():
    from tasks.offline_host import prune
    from tasks.offline_host.prune_plan import PruneSpec


def tasks(config: Config) -> Iterator[Task]:
    """With pipeline=NAME only that pipeline's releases and work folders go."""
    site = config.site
    spec = PruneSpec(
        layout=SitePaths(site=site.name), only=config.variables.get("pipeline"),
        seen=freshness.state_folder(site.name, config.environment), runs=site.offline.runs,
        here=Path().absolute(), recent=site.prune.recent,
        engine=address.of_site(site.offline.engine, config.environment),
        kind=site.offline.engine, library=site.offline.library)
    yield group("prod:prune", "what this host no longer needs", ["prod:prune:plan"])
    yield step("prod:prune:plan", "what would go from this host, what stays, and why",
               prune.show_plan, spec, look=True)
    yield step("prod:prune:apply", "releases, cache and work folders that nothing needs go",
               prune.apply, spec, always=True)
    yield step("prod:prune:images", "images that no release in place names go from the engine",
               prune.remove_images, spec, always=True)
