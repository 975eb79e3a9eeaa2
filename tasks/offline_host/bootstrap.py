"""`prod:bootstrap`: all that a fetched release needs here; what is lacking is said at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files, processes
from tasks.core.config import engines
from tasks.core.disk import REMOTE, existing, file_system
from tasks.core.engine.address import Engine, Podman
from tasks.core.errors import AirlockError, HostError
from tasks.core.graph.sweep import sweep_folder
from tasks.core.in_place import InPlace, placing
from tasks.core.net.network import Network
from tasks.core.nextflow import java, launch
from tasks.core.nextflow.library import Library
from tasks.core.nextflow.machine import Machine
from tasks.core.offline_paths import OfflinePaths
from tasks.core.schema import check, read_json
from tasks.offline_host import library
from tasks.offline_host.image_files import ImageFiles
from tasks.offline_host.pulled_images import PulledImages

LOCAL = Path("/var/tmp")  # noqa: S108 - the folder below it is looked at


@dataclass(frozen=True, kw_only=True)
class BootstrapSpec:
    """The release in place, the folder with the registry's CA and login, and this machine.

    `launch` is the folder below which it is unpacked, absolute, since the params name files there;
    each release has its own, so that two can run at once. `kind` is that of the site's engine, and
    `library` the folder of image files that users share, where there is one.
    """

    pipeline: str
    layout: OfflinePaths
    launch: Path
    trust: Path
    network: Network
    engine: Engine | Podman
    machine: Machine
    place: InPlace
    kind: str = engines.DOCKER
    library: Path | None = None

    @property
    def step(self) -> str:
        return f"prod:bootstrap:{self.pipeline}"

    def images(self) -> PulledImages | ImageFiles:
        """How this host comes to the images of its release."""
        folder = self.layout.release(self.place.name)
        if self.kind in engines.SIF_KINDS:
            return ImageFiles(
                release=folder, kind=self.kind, path=self.machine.inherited.path,
                folder=library.image_folder(self.layout, self.place.name, self.library),
                shared=self.library)
        return PulledImages(release=folder, trust=self.trust, network=self.network,
                            engine=self.engine)


def bootstrap(spec: BootstrapSpec) -> str:
    """Unpack code, runtime and plugins, render the params, have the images, write bootstrap.json.

    What is there already stays, so this is also what mends: each run begins with it. The file holds
    all that a run needs to know of this host, so that `prod:run` only reads it.

    HostError with all that this host lacks.
    """
    name = spec.place.name
    spec.place.use(name, spec.step)
    folder = spec.layout.release(name)
    release = read_json(folder / "release.json", "release")
    images = spec.images()
    lacks = lacking(spec, release, images)
    if lacks:
        raise HostError("this host can't run the release yet:\n"
                        + "\n".join(_indent(lack) for lack in lacks),
                        todo="mend these, then run the same command again")
    ready = _unpacked(spec, release, images)
    brought = images.bring(lambda: placing(spec.layout.of_site, spec.step))
    path = spec.layout.bootstrap
    receipt = check(_receipt(spec, release, images, ready), "bootstrap", where=path)
    spec.place.receipt = receipt
    if not path.is_file() or path.read_bytes() != files.json_bytes(receipt):
        files.write_json(path, receipt)
    return f"{name}: {brought}; Nextflow {release['nextflow']} on {ready.nextflow.java}"


def _unpacked(spec: BootstrapSpec, release: dict[str, Any],
              images: PulledImages | ImageFiles) -> launch.Launch:
    """The launch, unpacked by one run at a time, and rendered for this size of the host."""
    unpacked, here = spec.launch / spec.place.name, spec.machine
    size = f"host-{here.limits.cpus}-{here.limits.megabytes}"
    held = carried(images.release, release["nextflow"],
                   library=images.library(unpacked / size / "image-cache"))
    if not launch.is_unpacked(held, unpacked):
        with placing(spec.layout.of_site, spec.step):
            sweep_folder(unpacked)
            launch.unpack(held, unpacked)
    return launch.render(held, unpacked, here, into=unpacked / size)


def _receipt(spec: BootstrapSpec, release: dict[str, Any], images: PulledImages | ImageFiles,
             ready: launch.Launch) -> dict[str, Any]:
    here = spec.machine.limits
    return {"pipeline": spec.pipeline, "release": spec.place.name, "nextflow": release["nextflow"],
            "profile": release["profile"], "run": release["run"], "images": images.names,
            "engine": {"kind": spec.kind, "environment": images.environment},
            "launch": launch.as_json(ready),
            "limits": {"cpus": here.cpus, "memory": here.memory},
            "work": str(work_folder(spec.layout))}


def carried(folder: Path, version: str, *, library: Library | None = None) -> launch.Carried:
    """The files of a release that is laid out in `folder`."""
    configs = folder / "configs.tar"
    return launch.Carried(
        configs=configs if configs.is_file() else None,
        code=folder / "code.tar", runtime=folder / f"nextflow-{version}.tar",
        plugins=folder / "plugins.tar", config=folder / "offline.config",
        data_manifest=folder / "data.manifest.json",
        locate=lambda path: files.inside(folder, path), library=library)


def _indent(lack: AirlockError) -> str:
    return "\n".join(f"  {line}" for line in str(lack).splitlines())


def lacking(spec: BootstrapSpec, release: dict[str, Any],
            images: PulledImages | ImageFiles) -> list[AirlockError]:
    """Everything that this host lacks for the release."""
    lacks = []
    looks: list[Callable[[], object]] = [
        lambda: processes.find("bash", todo="install bash: Nextflow's tasks need it",
                               path=spec.machine.inherited.path),
        lambda: java.find(release["nextflow"], spec.machine.inherited),
        *images.looks(),
        lambda: _see_space(images.release, spec.launch)]
    for see in looks:
        try:
            see()
        except AirlockError as error:
            lacks.append(error)
    return lacks


def shared_work_folder(layout: OfflinePaths) -> Path:
    """Return where tasks work that run on other machines: below build/, wherever that is."""
    return (layout.root / "work").absolute()


def work_folder(layout: OfflinePaths) -> Path:
    """Return where tasks work: below build/, or /var/tmp where that is on another machine."""
    place = shared_work_folder(layout)
    if file_system(place, Path("/proc/self/mounts").read_text()) in REMOTE:
        return LOCAL / f"airlock-{os.geteuid()}" / layout.pipeline
    return place


def _see_space(folder: Path, place: Path) -> None:
    """Room to unpack what is carried, unless it was: as much again as its archives."""
    if (place / folder.name).is_dir():
        return
    needed = sum(path.stat().st_size for path in folder.glob("*.tar"))
    free = shutil.disk_usage(existing(place)).free
    if free < needed:
        raise HostError(f"the disk has {files.human_size(free)} left, "
                        f"{files.human_size(needed)} are needed", where=place,
                        todo="free space there")
