"""images.receipt.json: what the destination was seen to hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.images.destination import Destination
from tasks.images.lock_format import Image


def receipt(images: Sequence[Image], destination: Destination) -> dict[str, Any]:
    """The receipt's form, by schemas/images-receipt.schema.json; what doesn't apply is left out."""
    in_order = sorted(images, key=lambda image: str(image.source))
    return {"registry": destination.address,
            "images": [entry_of(image, destination) for image in in_order]}


def entry_of(image: Image, destination: Destination) -> dict[str, Any]:
    """What it tells of one image."""
    entry: dict[str, Any] = {
        "source": str(image.source), "destination": destination.repository(image.source),
        "digest": image.manifest, "platform": image.platform, "size": image.size}
    if image.converted_from:
        entry["converted"] = {"from": image.converted_from, "reason": image.convert}
    if image.whole:
        entry["index"] = image.index
    if image.others:
        entry["others"] = [
            {"digest": other.manifest, "platform": other.platform, "size": other.size}
            for other in image.others]
    return entry
