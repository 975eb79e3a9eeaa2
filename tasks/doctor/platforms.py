"""Whether images are for the platform of the engine that runs them."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.findings import WARN, Finding

CURE = ("set `platform` in the site's file to the offline hosts' own; here, images need an "
        "emulator (qemu-user-static)")


def see(own: str, wanted: str) -> Iterator[Finding]:
    """A line where this host's platform is another than the images'."""
    if own != wanted:
        yield Finding(check="engine", status=WARN, cure=CURE,
                      text=f"this host is {own}, and images are for {wanted}")
