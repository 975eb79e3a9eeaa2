"""What pruning says: a plan or what was done, as lines, as JSON, and as a list for somebody's hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.schema import check
from tasks.core.store.interface import NotDeletable
from tasks.core.trust import promotions
from tasks.release.places import SEALED
from tasks.release.prune_images import NEXUS, Named
from tasks.release.prune_plan import Held, Marks, Verdict
from tasks.release.prune_survey import SIGNED_TOOL, Survey

SHOWN = 5
"""Lines of a long list that are printed; the report has all."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would go of a store and a registry at a time, by the store's clock.

    `after` are the keys that nothing names once this is done; `old` the marks from before it, and
    `marks` those with what it adds. `images_kept` are images that no release names and that stay
    all the same, with why.
    """

    verdicts: list[Verdict]
    survey: Survey
    images: Named | None
    now: datetime
    grace: int
    after: frozenset[str]
    old: Marks = field(default_factory=Marks)
    marks: Marks = field(default_factory=Marks)
    images_kept: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def goes(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.stays]

    @cached_property
    def keys_now(self) -> frozenset[str]:
        """The keys whose time of grace is over."""
        return self.old.over(self.grace, self.now)[0] & self.after

    @cached_property
    def images_now(self) -> frozenset[str]:
        """The images whose time of grace is over, and that may go."""
        return self.old.over(self.grace, self.now)[1] - self.images_kept.keys()

    @property
    def until(self) -> str:
        """When the grace of what is marked now will be over."""
        return f"{self.now + timedelta(seconds=self.grace):%Y-%m-%d %H:%M} UTC"


@dataclass(kw_only=True)
class Done:
    """What an apply has deleted, and what it could not.

    `versions` are keys whose bytes the bucket keeps as older versions; `denied` is why the store
    deletes nothing; `torn` are files that releases lack now, and did not before.
    """

    keys: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    images: frozenset[str] = frozenset()
    images_left: Mapping[str, str] = field(default_factory=dict)
    denied: NotDeletable | None = None
    torn: list[str] = field(default_factory=list)

    def note(self, key: str, *, keeps_version: bool) -> None:
        self.keys.add(key)
        if keeps_version:
            self.versions.add(key)


def lines(plan: Plan) -> Iterator[str]:
    """A plan for people: each release and tool, then blobs and images that nothing names."""
    rows = [(verdict.held.pipeline or "tool", verdict.held.id, _why(plan, verdict))
            for verdict in plan.verdicts]
    widths = [max([len(row[column]) for row in rows], default=0) for column in range(2)]
    for kind, name, why in rows:
        yield f"{kind:<{widths[0]}}  {name:<{widths[1]}}  {why}"
    for place, gone in plan.survey.missing(plan.survey.releases).items():
        yield f"{place} is not whole: {len(gone)} of its files are missing; push it again"
    if plan.after:
        yield f"files: nothing that stays names {_amount(plan, plan.after)}; {_when(plan)}"
    if plan.images is None:
        yield "images: no registry is asked from this side, and nothing is deleted there"
        return
    for image in sorted(plan.marks.images):
        if image in plan.images_kept:
            yield f"image {image} stays: {plan.images_kept[image]}"
        else:
            when = "now" if image in plan.images_now else f"from {_end(plan, image)} on"
            yield f"image {image} goes {when}: no release that stays names it"


def _when(plan: Plan) -> str:
    """When the files go that nothing names."""
    if plan.keys_now == plan.after:
        return "they go now"
    later = f"once nothing has named them for {_span(plan.grace)}, by {plan.until}"
    return (f"{_amount(plan, plan.keys_now)} of them go now, the others {later}" if plan.keys_now
            else f"they go {later}")


def _end(plan: Plan, image: str) -> str:
    return f"{plan.marks.images[image] + timedelta(seconds=plan.grace):%Y-%m-%d %H:%M} UTC"


def _span(seconds: int) -> str:
    days, hours = divmod(seconds // 3600, 24)
    return f"{days} days" if days and not hours else f"{seconds // 3600} hours"


def _why(plan: Plan, verdict: Verdict) -> str:
    if verdict.stays:
        return f"stays  {verdict.why}"
    return f"goes   {verdict.why}; {_amount(plan, verdict.held.keys & plan.after)} with it"


def _amount(plan: Plan, keys: frozenset[str]) -> str:
    return f"{_count(len(keys), 'file')}, {files.human_size(plan.survey.size(keys))}"


def summary(plan: Plan) -> str:
    """A plan in a line."""
    tools = sum(verdict.held.pipeline is None for verdict in plan.goes)
    return (f"{_count(len(plan.goes) - tools, 'release')} and {_count(tools, 'tool')} to go; "
            f"{_amount(plan, plan.keys_now)} and {_count(len(plan.images_now), 'image')} now")


def outcome(plan: Plan, done: Done) -> str:
    """What was done, in a line."""
    gone = frozenset(done.keys)
    stays = sum(verdict.stays and verdict.held.pipeline is not None for verdict in plan.verdicts)
    return (f"{_amount(plan, gone)} and {_count(len(done.images), 'image')} deleted; "
            f"{_amount(plan, plan.after - gone)} wait; {_count(stays, 'release')} in the store")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def remarks(plan: Plan, done: Done, by_hand: Path) -> Iterator[str]:
    """What somebody has to do, or to know, after an apply; each line ends."""
    if done.denied:
        yield f"{done.denied}\n"
        yield (f"what could not be deleted stands in {by_hand}, in the order to delete it: let one "
               "who may do that (at AWS, aws.roles.admin), while nobody pushes; then run this "
               "again\n")
    if done.images_left:
        yield f"{len(done.images_left)} images could not be deleted:\n"
        for image, why in list(done.images_left.items())[:SHOWN]:
            yield f"  {image}: {why}\n"
        yield f"all of them stand in {by_hand}; {NEXUS}\n"
    elif done.images:
        yield f"the registry keeps their layers until it collects them: {NEXUS}\n"
    if done.versions:
        yield (f"the bucket keeps {_amount(plan, frozenset(done.versions))} as older versions: a "
               "lifecycle rule (NoncurrentVersionExpiration) or an administrator ends those\n")


def seals(one: Held) -> list[str]:
    """The keys of what makes a release or tool one, in the order in which they go: the list first.
    """
    if one.pipeline is None:
        return [f"tool/{one.id}/{SIGNED_TOOL}"]
    return [f"releases/{one.pipeline}/{one.id}/{name}" for name in sorted(SEALED)]


def write_by_hand(path: Path, url: str, plan: Plan, done: Done) -> None:
    """What was to go now and nobody let us delete, a line for each, in the order to delete it."""
    left = []
    if done.denied:
        keys = [*(key for verdict in plan.goes for key in seals(verdict.held)),
                *sorted(plan.keys_now)]
        left += [f"{url.rstrip('/')}/{key}" for key in keys if key not in done.keys]
    left += sorted(done.images_left)
    if left:
        files.write_text(path, "".join(f"{line}\n" for line in left))
    else:
        path.unlink(missing_ok=True)


def write(path: Path, plan: Plan, done: Done | None) -> None:
    """The report, by schemas/prune.schema.json."""
    files.write_json(path, check(_report(plan, done), "prune", where=path))


def _report(plan: Plan, done: Done | None) -> dict[str, Any]:
    def amount(keys: frozenset[str]) -> dict[str, int]:
        return {"count": len(keys), "bytes": plan.survey.size(keys)}

    return {
        "at": plan.now.strftime(promotions.TIME_FORMAT), "applied": done is not None,
        "releases": [{
            "pipeline": verdict.held.pipeline, "id": verdict.held.id, "stays": verdict.stays,
            "why": verdict.why, **amount(frozenset() if verdict.stays else
                                         verdict.held.keys & plan.after)}
            for verdict in plan.verdicts],
        "files": {"unnamed": amount(plan.after), "now": amount(plan.keys_now),
                  "deleted": amount(frozenset(done.keys if done else ())),
                  "versions": amount(frozenset(done.versions if done else ()))},
        "images": [{"image": image, "since": since.strftime(promotions.TIME_FORMAT),
                    "state": _state(plan, done, image),
                    "why": _reason(plan, done, image)}
                   for image, since in sorted(plan.marks.images.items())],
        "denied": done.denied.what if done and done.denied else None,
    }


def _state(plan: Plan, done: Done | None, image: str) -> str:
    if done and image in done.images:
        return "deleted"
    if done and image in done.images_left:
        return "left"
    return "stays" if image in plan.images_kept else "now" if image in plan.images_now else "waits"


def _reason(plan: Plan, done: Done | None, image: str) -> str:
    left = done.images_left.get(image) if done else None
    return left or plan.images_kept.get(image) or "no release that stays names it"
