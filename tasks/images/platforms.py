"""Which of an index's manifests are carried: pure, by the image index of the OCI image format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import ImageError
from tasks.images.reference import DIGEST, Reference

ALL = "all"
UNKNOWN = "unknown/unknown"
"""What BuildKit writes for attestations, which stand in an index beside the images."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Digests of an index's manifests.

    `first` is that of the offline hosts' platform, `others` are those beside it with
    their platforms, and `whole` says that these are all.
    """

    first: str
    others: tuple[tuple[str, str], ...]
    whole: bool


def other_platform(own: str, platform: str, reference: Reference) -> ImageError:
    """The error to raise for an image that is made for another platform than the site's."""
    return ImageError(f"{reference} is made for {own}, the site's platform is {platform}",
                      todo="use an image that has this platform, given by hand under `images` in "
                           "the pipeline's file")


def name(entry: Mapping[str, Any]) -> str:
    """os/architecture[/variant] of an entry of an index."""
    at = entry.get("platform")
    if not isinstance(at, dict) or not at.get("os") or not at.get("architecture"):
        return UNKNOWN
    variant = f"/{at['variant']}" if at.get("variant") else ""
    return f"{at['os']}/{at['architecture']}{variant}"


def fits(offered: str, wanted: str) -> bool:
    """Whether a platform is the one wanted; a variant is left open by a name without one."""
    return offered == wanted or offered.startswith(f"{wanted}/")


def choose(index: Mapping[str, Any], reference: Reference, platform: str,
           platforms: Sequence[str]) -> Chosen:
    """What is carried of an index for the offline hosts' `platform`, and for `platforms` beside it.

    One beside it that the index lacks is left out. Where all platforms are carried, so are
    attestations, for registries refuse an index that names what they lack. ImageError where
    `platform` itself is missing.
    """
    entries = index.get("manifests", [])
    if not isinstance(entries, list):
        raise ImageError(f"the index of {reference} has no list of manifests")
    listed = [entry for entry in entries if isinstance(entry, dict)]
    usable = [(name(entry), str(entry["digest"])) for entry in listed
              if DIGEST.fullmatch(str(entry.get("digest")))]
    first = _best(usable, platform)
    if first is None:
        raise ImageError(f"{reference} has no image for {platform}; it has "
                         f"{', '.join(sorted({one for one, _ in usable} - {UNKNOWN})) or 'none'}",
                         todo="use an image that has this platform, given by hand under `images` "
                              "in the pipeline's file")
    picked = dict.fromkeys([first, *(best for wanted in platforms
                                     if (best := _best(usable, wanted)) is not None)])
    if ALL in platforms:
        picked |= dict.fromkeys(usable)
    whole = (len(usable) == len(entries)
             and all(pair in picked or pair[0] == UNKNOWN for pair in usable))
    if whole:
        picked |= dict.fromkeys(usable)
    others = {digest: one for one, digest in picked if digest != first[1]}
    return Chosen(first=first[1], whole=whole,
                  others=tuple((one, digest) for digest, one in others.items()))


def _best(usable: Sequence[tuple[str, str]], wanted: str) -> tuple[str, str] | None:
    """The entry with this very name, else the first that leaves its variant open."""
    exact = [pair for pair in usable if pair[0] == wanted]
    near = [pair for pair in usable if fits(pair[0], wanted)]
    return next(iter([*exact, *near]), None)
