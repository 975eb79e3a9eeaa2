"""Which rooms' graphs there are for a role, in the order in which `doit list` shows their tasks.

A tool that is carried holds what the offline side's graphs can run and no others: see
tasks/release/tool_contents.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from tasks.core.config.engines import FILES, STORE
from tasks.core.config.settings import Config
from tasks.core.graph.step import Task


def graphs(config: Config) -> list[str]:
    """The modules below tasks/ that declare tasks.

    AWS Batch runs images of a registry: nothing is made for it where releases carry image files.
    """
    in_batch = config.site.aws and config.site.batch and config.site.images.carry != FILES
    if config.role == "prod":
        return [*(["images.offline_graph"] if config.site.images.carry == STORE else []),
                "offline_host.graph", "commands.offline_graph"]
    return [*(["local_site.graph"] if config.site.sandbox else []),
            "runtime.graph", "code.graph", "resolve.graph", "images.graph", "data.graph",
            "commands.graph", "plugins.graph", "reach.graph", "offline_config.graph", "dev.graph",
            "sbom.graph", "release.graph", "carry.graph",
            *(["aws.graph"] if config.site.aws else []),
            *(["batch.graph"] if in_batch else [])]


def tasks(config: Config) -> Iterator[Task]:
    """All tasks of the role."""
    for graph in graphs(config):
        yield from importlib.import_module(f"tasks.{graph}").tasks(config)
