"""`release:prune:*`: of the whole site, since its pipelines share blobs and images."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core import config_places
from tasks.core.config.engines import REGISTRY
from tasks.core.config.settings import Config
from tasks.core.graph.deferred import deferred
from tasks.core.graph.step import Task, group, step
from tasks.core.net.network import Network
from tasks.core.paths import SitePaths

with deferred():
    from tasks.core.registry.client import Access
    from tasks.release import prune
    from tasks.release.prune_images import ImagesSpec


def tasks(config: Config) -> Iterator[Task]:
    """With pipeline=NAME nothing goes but that pipeline's releases, and what nobody names."""
    site = config.site
    at = SitePaths(site=site.name)
    spec = prune.PruneSpec(
        pipelines=config.names, tools="pipeline" not in config.variables, policy=site.prune,
        store=site.store, images=_images(config) if site.images.carry == REGISTRY else None,
        runs=at.runs, report=at.prune_plan, by_hand=at.prune_by_hand)
    yield group("release:prune", "which releases would go, and what with them",
                ["release:prune:plan"])
    yield step("release:prune:plan", "what would go from store and registry, what stays, and why",
               prune.show_plan, spec, look=True, servers=site.servers)
    yield step("release:prune:apply", "releases, blobs, tools and images that nothing needs go",
               prune.apply, spec, always=True, servers=site.servers)


def _images(config: Config) -> ImagesSpec:
    site, registry = config.site, config.site.own_registry
    own = (f"{registry.address}/{registry.prefix}".rstrip("/"), *registry.repositories.values())
    network = Network.of(config).naming(*(f"https://{place}" for place in own))
    return ImagesSpec(
        own=own,
        site=site.name, store=site.store.url, built=SitePaths(site=site.name).root,
        sites=config_places.folders("sites"),
        access=Access(registries=site.hosts.registries, ca=site.ca,
                      authfile=site.authfile, network=network))

