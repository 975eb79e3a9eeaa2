"""The steps over the images of one pipeline, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.registry.client import Access
from tasks.core.schema import read_json
from tasks.images.destination import Destination
from tasks.images.lock import LockSpec, lock_images
from tasks.images.mirror import MirrorSpec, PlanSpec, mirror_images, show_plan
from tasks.images.oci_layout import LayoutSpec, lay_out
from tasks.images.save import SaveSpec, save_images
from tasks.images.verify import VerifySpec
from tests.kit.locks import lock_at


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The specs of one pipeline; `save` writes below its `folder`."""

    lock: LockSpec
    plan: PlanSpec
    mirror: MirrorSpec
    verify: VerifySpec
    layout: LayoutSpec
    save: SaveSpec

    def lock_and_mirror(self) -> str:
        lock_images(self.lock)
        return mirror_images(self.mirror)

    def lock_and_save(self) -> str:
        lock_images(self.lock)
        lay_out(self.layout)
        return save_images(self.save)

    def archives(self) -> dict[str, str]:
        """The SHA-256 of each archive, by its name."""
        return {path.name: files.sha256(path) for path in self.save.folder.glob("*.tar")}

    def received(self, source: str) -> dict[str, Any]:
        """An image's entry in the receipt."""
        return _entry(self.mirror.receipt, "images-receipt", source)

    def planned(self, source: str) -> dict[str, Any]:
        """An image's entry in the plan, which is made anew."""
        show_plan(self.plan)
        return _entry(self.plan.report, "images-plan", source)


def _entry(path: Path, schema: str, source: str) -> dict[str, Any]:
    images: list[dict[str, Any]] = read_json(path, schema)["images"]
    return next(image for image in images if image["source"] == source)


def steps(folder: Path, images: Iterable[str], access: Access, destination: Destination,
          **locking: Any) -> Steps:
    """The steps over these images; `locking` is what LockSpec has beyond its paths."""
    lock, receipt, oci = folder / "lock.json", folder / "images.receipt.json", folder / "oci"
    config = folder / "images/offline.load.config"
    (folder / "store").mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "images.txt", "".join(f"{image}\n" for image in images))
    files.write_text(config, "// as tasks/offline_config writes it\n")
    committed = lock_at(folder / "locks", "images")
    common: dict[str, Any] = {"pipeline": "test", "lock": lock, "access": access}
    return Steps(
        lock=LockSpec(**{**common, "images": folder / "images.txt", "relock": False,
                         "lock": committed, "merged": lock,
                         "pinned": folder / "pinned.txt", "platform": "linux/amd64", **locking}),
        plan=PlanSpec(**common, destination=destination, locks=(lock,), receipt=receipt,
                      report=folder / "images.plan.json"),
        mirror=MirrorSpec(**common, committed=committed, receipt=receipt,
                          labels=folder / "images.labels.json", destination=destination),
        verify=VerifySpec(**common, locks=(lock,), receipt=receipt, destination=destination,
                          store=StoreAt(url=str(folder / "store"))),
        layout=LayoutSpec(**common, committed=committed, index=oci / "index.json",
                          marker=oci / "oci-layout", blobs=folder / "blobs",
                          destination=None, receipt=receipt),
        save=SaveSpec(pipeline="test", lock=lock, index=oci / "index.json",
                      blobs=folder / "blobs", config=config, folder=folder / "images"))
