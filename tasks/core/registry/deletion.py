"""Manifests taken out of a registry, where it allows that (OCI distribution specification 1.1)."""

from __future__ import annotations

from tasks.core.errors import RegistryError
from tasks.core.net import bounds
from tasks.core.registry.auth import Refused
from tasks.core.registry.client import Registry

NOT_ALLOWED = (400, 405, 501)
"""What registries answer that delete nothing: 405 by the specification; some say 400 or 501."""


class NotAllowed(RegistryError):
    """The registry lets nobody, or not this login, delete."""


def delete_manifest(registry: Registry, path: str, digest: str) -> bool:
    """Take a manifest or index out of a repository, with the tags that stand for it.

    False where it wasn't there. NotAllowed where the registry doesn't do that. Its blobs stay until
    the registry collects them, by its administrator's hand.
    """
    url, name = registry.url(path, f"manifests/{digest}"), registry.name(path, digest)
    scopes = (f"repository:{registry.inner(path)}:pull,delete",)
    try:
        response = registry.ask("DELETE", url, scopes, name)
    except Refused as error:
        raise NotAllowed(f"{registry.host} doesn't let this login delete {name}", where=url,
                         todo="give it the right to delete, or delete it by hand") from error
    if response.status in NOT_ALLOWED:
        raise NotAllowed(registry.unexpected(response, name, url).what, where=url,
                         todo="turn deletion on in the registry, or delete it by hand")
    if response.status in (200, 202, 204, 404):
        bounds.dismiss(response)
        return response.status != 404
    raise registry.unexpected(response, name, url)
