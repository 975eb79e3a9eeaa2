"""What this room builds on the offline side, where releases carry the images."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core import in_place
from tasks.core.config.settings import Config
from tasks.core.engine import address
from tasks.core.graph.deferred import deferred, uncompared
from tasks.core.graph.step import Task, step
from tasks.core.graph.verbs import for_names
from tasks.core.net.network import Network
from tasks.core.offline_paths import OfflinePaths

with deferred():
    from tasks.images.load import LoadSpec, load_images


def tasks(config: Config) -> Iterator[Task]:
    """`images:load:<pipeline>`."""
    return for_names(config, {"images:load": ("the registry filled from the release", _load)},
                     {name: name for name in config.names})


def _load(name: str, doc: str, config: Config, pipeline: str) -> Task:
    at = OfflinePaths(site=config.site.name, pipeline=pipeline)
    return step(name, doc, load_images, LoadSpec(
        pipeline=pipeline, layout=at, trust=config.site.offline.trust,
        network=Network.of(config), engine=uncompared(address.of_site(
            config.site.offline.engine, config.environment)),
        place=uncompared(in_place.shared(config.shared, at))),
        needs=[at.current], makes=[at.images_receipt], mends=True)
