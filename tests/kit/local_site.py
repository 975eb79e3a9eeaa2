"""Asking the offline host of a local site."""

from __future__ import annotations

from tasks.local_site import host
from tasks.local_site.plan import SiteSpec


def inside(spec: SiteSpec, script: str) -> str:
    """What a shell script prints on the offline host."""
    return host.run_inside(spec.site, ["sh", "-ec", script])
