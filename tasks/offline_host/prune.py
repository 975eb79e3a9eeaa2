"""`prod:prune:*`: what this host keeps, and no longer needs.

That is releases in place with what was unpacked of them, files of the cache, and folders in which
tasks have worked. Who takes a release away holds the lock on it, which each fetch and run shares,
and is the one who places. Its folder goes by being renamed, so no half of it is ever in place.
Runs, their records and results are the user's, and stay.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from tasks.core import files
from tasks.core.config import engines
from tasks.core.engine import pulling
from tasks.core.errors import HostError
from tasks.core.graph.sweep import sweep_folder
from tasks.core.in_place import placing, unused
from tasks.core.offline_paths import OfflinePaths
from tasks.offline_host import prune_plan
from tasks.offline_host.prune_plan import Plan, PruneSpec, Release


def show_plan(spec: PruneSpec) -> str:
    """Print what would go, what stays, and why; nothing is written but the report."""
    plan = prune_plan.plan(spec)
    _tell(spec, plan)
    return (f"{_count(plan.goes, 'release')} to go, with {_amount(plan.cache)} of the cache and "
            f"{_amount(plan.work, 'work folder')}; `doit role=prod prod:prune:apply` does it")


def apply(spec: PruneSpec) -> str:
    """Do what is planned now; what a run or a fetch uses stays."""
    with placing(spec.layout, "prod:prune:apply"):
        for folder in spec.layout.root.glob("prod/*/[lr]*"):  # launch and releases
            sweep_folder(folder)
        plan = prune_plan.plan(spec)
        _tell(spec, plan)
        gone = [release for release in plan.goes if _remove(spec, release)]
        still = prune_plan.named(spec) if plan.cache else set()
        cache = [blob for blob in plan.cache if blob not in still]
        size = prune_plan.size(cache)
        for blob in cache:
            blob.unlink()
            _remove_if_empty(blob.parent)
        size_of_work = prune_plan.size(plan.work)
        work, left = _remove_work(plan.work)
    lines = [f"{place} could not be removed: {why}" for place, why in left.items()]
    print("".join(f"{line}\n" for line in lines), end="", flush=True)
    return (f"{_count(gone, 'release')} and {_count(cache, 'file')} of the cache removed, "
            f"{files.human_size(size)}; {_count(work, 'work folder')}, "
            f"{files.human_size(size_of_work)}")


def remove_images(spec: PruneSpec) -> str:
    """Take out of the engine what the plan lists: images that no release in place names."""
    if spec.kind in engines.SIF_KINDS:
        return f"{spec.kind} holds no images: their files go with their releases"
    engine = pulling.asked(spec.engine)
    with placing(spec.layout, "prod:prune:images"):
        plan = prune_plan.plan(spec)
        there = sorted({*plan.images} - {*engine.missing(plan.images)})
        left = engine.remove(there)
        prune_plan.write(spec, plan, images=sorted(left))
    if left:
        raise HostError("the engine keeps images:\n" + "\n".join(
            f"  {image}: {why}" for image, why in left.items()), where=spec.engine.url,
            todo="remove the containers that use them, then run the same command again")
    return f"{_count(there, 'image')} removed from {spec.engine.url}"


def _remove(spec: PruneSpec, release: Release) -> bool:
    """Take a release's folder away, and what was unpacked of it; whether nobody used it."""
    at = OfflinePaths(site=spec.layout.site, pipeline=release.pipeline)
    with unused(at, release.id) as is_free:
        if not is_free:
            return False
        for folder in (at.release(release.id), at.launch / release.id):
            if folder.is_dir() and not folder.is_symlink():
                # As what is half made: a fetch sweeps it, should this be killed here.
                aside = folder.with_name(f".{folder.name}.{time.time_ns()}.part")
                folder.rename(aside)
                shutil.rmtree(aside)
    return True


def _remove_work(folders: Iterable[Path]) -> tuple[list[Path], dict[str, str]]:
    """Those that are gone, and those that stay with why: containers may have written as root."""
    gone, left = [], {}
    for folder in folders:
        try:
            shutil.rmtree(folder)
            gone.append(folder)
        except OSError as error:
            left[str(folder)] = os.strerror(error.errno or 0)
        _remove_if_empty(folder.parent)
    return gone, left


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _tell(spec: PruneSpec, plan: Plan) -> None:
    for release in plan.releases:
        state = "stays" if release.stays else "goes "
        print(f"{release.pipeline}  {release.id}  {state}  {release.why}")
    if plan.fault:
        print(f"cache: all of it stays: {plan.fault}")
    else:
        print(f"cache: no release that stays names {_amount(plan.cache)}")
    for pipeline, why in plan.busy.items():
        print(f"work of {pipeline}: stays: {why}")
    print(f"work: nothing has changed for {spec.recent // 86400} days in "
          f"{_amount(plan.work, 'work folder')}")
    for image in plan.images:
        print(f"image {image}: no release that stays names it; `doit role=prod prod:prune:images` "
              "takes it out of the engine")
    for tool, name in plan.tools.items():
        print(f"tool {name} lies in {tool}: remove it by hand, once its runs and results are "
              "elsewhere")
    for folder, freed in plan.shared.items():
        print(f"library: {folder}, {files.human_size(freed)}, stays: other users may run it; once "
              f"nobody does: rm -r {folder}")
    print(end="", flush=True)
    prune_plan.write(spec, plan, images=plan.images)


def _amount(paths: Iterable[Path], what: str = "file") -> str:
    listed = list(paths)
    return f"{_count(listed, what)}, {files.human_size(prune_plan.size(listed))}"


def _count(things: Iterable[object], what: str) -> str:
    number = len(list(things))
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
