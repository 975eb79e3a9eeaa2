"""images:verify: whether the destination still holds what the receipt says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import ImageError, IntegrityError
from tasks.core.registry.client import Access, Registries
from tasks.core.schema import read_json
from tasks.images.lock import Image, read_lock
from tasks.images.mirror import differences, each_of, receipt
from tasks.images.reference import Destination


@dataclass(frozen=True, kw_only=True)
class VerifySpec:
    """What images:verify reads; it removes the receipt where it isn't true any more."""

    pipeline: str
    lock: Path
    receipt: Path
    destination: Destination
    access: Access


def verify_images(spec: VerifySpec) -> str:
    """Print a line for each image; ImageError where any differs, and the receipt is gone then."""
    images = read_lock(spec.lock)
    target = Registries(spec.access).at(spec.destination.address)
    drift = compare(read_json(spec.receipt, "images-receipt"), receipt(images, spec.destination))

    def look(image: Image) -> list[str]:
        try:
            return differences(target, image, spec.destination)
        except IntegrityError as error:
            return [error.what]

    found = each_of(look, images)
    lines = [f"{'differs' if faults else 'ok':<8}{image.source}"
             + "".join(f"\n        {fault}" for fault in faults)
             for image, faults in zip(images, found, strict=True)]
    print("\n".join([*lines, *(f"differs {each}" for each in drift)]), flush=True)
    count = sum(bool(faults) for faults in found) + len(drift)
    if count:
        spec.receipt.unlink(missing_ok=True)
        raise ImageError(f"{count} of what the receipt says is not true any more; it was removed",
                         where=spec.destination.address,
                         todo=f"run `doit images:mirror:{spec.pipeline}` again, which repairs it")
    return f"{len(images)} images whole at {spec.destination.address}"


def compare(written: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where a receipt and the lock disagree."""
    found = ([] if written["registry"] == wanted["registry"] else
             [f"the receipt is for {written['registry']}, not {wanted['registry']}"])
    one = {each["source"]: each for each in written["images"]}
    other = {each["source"]: each for each in wanted["images"]}
    for source in sorted({*one, *other}):
        if source not in one:
            found.append(f"{source} is in the lock, not in the receipt")
        elif source not in other:
            found.append(f"{source} is in the receipt, not in the lock")
        elif one[source] != other[source]:
            keys = [key for key in one[source] if one[source][key] != other[source][key]]
            found.append(f"{source}: receipt and lock differ in {', '.join(keys)}")
    return found
