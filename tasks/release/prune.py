"""`release:prune:*`: what no release that stays needs goes from store and registry, in two steps.

First a release's list goes: nobody can begin to fetch it then. Its blobs and images go a time of
grace later, for hosts that can't tell the store that they are fetching. Whatever ends this half
way, each release that has a list is whole, and the next apply goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Prune
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.parallel import try_all
from tasks.core.run_records import last_ran
from tasks.core.store import lease
from tasks.core.store.interface import NotDeletable, Store, content
from tasks.core.store.lease import Lease
from tasks.core.store.store import open_store
from tasks.core.trust.checksums import MAX_LIST
from tasks.core.trust.promotions import Subject
from tasks.release import prune_images, prune_report
from tasks.release.prune_images import ImagesSpec
from tasks.release.prune_plan import Held, Verdict, judge, unless_asked
from tasks.release.prune_report import Done, Plan
from tasks.release.prune_survey import (
    EVIDENCE,
    Survey,
    history,
    read_marks,
    survey,
    write_marks,
)


@dataclass(frozen=True, kw_only=True)
class PruneSpec:
    """Whose releases may go, and by which rules.

    `images` is None where the online side doesn't reach the registry. `runs` has the records of
    runs that came back.
    """

    pipelines: tuple[str, ...]
    tools: bool
    policy: Prune
    store: StoreAt
    images: ImagesSpec | None
    runs: Path
    report: Path
    by_hand: Path


def show_plan(spec: PruneSpec) -> str:
    """Print what would go, what stays, and why; nothing is written but the report."""
    store = open_store(spec.store)
    plan = _plan(store, spec, datetime.now(timezone.utc))
    print("\n".join(prune_report.lines(plan)), flush=True)
    prune_report.write(spec.report, plan, None)
    return f"{prune_report.summary(plan)}; `doit release:prune:apply` does it"


def apply(spec: PruneSpec) -> str:
    """Do what is planned now, alone on the store.

    Busy where somebody pushes. IntegrityError where a release can't be read: nothing goes then.
    """
    store = open_store(spec.store)
    with lease.pruning(store) as held:
        plan = _plan(store, spec, lease.written(store))
        print("\n".join(prune_report.lines(plan)), flush=True)
        done = _act(store, spec, plan, held)
    prune_report.write(spec.report, plan, done)
    prune_report.write_by_hand(spec.by_hand, spec.store.url, plan, done)
    print("".join(prune_report.remarks(plan, done, spec.by_hand)), end="", flush=True)
    if done.torn:
        raise IntegrityError("releases that stay lack files that were there before:\n"
                             + "\n".join(f"  {key}" for key in done.torn), where=spec.store.url,
                             todo="push those releases again at once, from where they were made; "
                                  "an older version of this project may have pushed meanwhile")
    return prune_report.outcome(plan, done)


def _plan(store: Store, spec: PruneSpec, now: datetime) -> Plan:
    held = survey(store)
    verdicts = _verdicts(store, spec, held, now)
    goes = {(one.held.pipeline, one.held.id) for one in verdicts if not one.stays}
    named = None
    if spec.images is not None:
        named = prune_images.named(
            store, [one for one in held.releases if (one.pipeline, one.id) not in goes],
            [one for one in held.releases if (one.pipeline, one.id) in goes], spec.images)
    return _marked(store, spec, held, Plan(
        verdicts=verdicts, survey=held, images=named, now=now, grace=spec.policy.grace,
        after=held.unnamed([one.held for one in verdicts if one.stays])))


def _verdicts(store: Store, spec: PruneSpec, held: Survey, now: datetime) -> list[Verdict]:
    """What becomes of all releases and tools; those that weren't asked about stay."""
    # A clock that is ahead, this one or the store's, must not make anything older than it is.
    today = min(now, datetime.now(timezone.utc))
    verdicts, ran = [], last_ran(spec.runs)
    for pipeline in [*held.pipelines, None]:
        own = [one for one in held.held if one.pipeline == pipeline]
        past = history(store, pipeline, ran.get(pipeline or "", {}))
        if past.current is not None and past.current not in {one.id for one in own}:
            raise IntegrityError(
                f"{past.current}, the current {'release' if pipeline else 'tool'}, isn't in the "
                "store, so nothing goes", where=f"{store.url}: {Subject(pipeline=pipeline).place}/",
                todo="find out who took it away, and push it again")
        verdicts += unless_asked(judge(own, past, spec.policy, today), is_asked=(
            pipeline in spec.pipelines if pipeline else spec.tools))
    return verdicts


def _marked(store: Store, spec: PruneSpec, held: Survey, plan: Plan) -> Plan:
    """With the marks that hold: of what nothing named before this, and of what nothing names now.

    What is named again, or was written again since, loses its mark.
    """
    marks, before = read_marks(store), held.unnamed(held.held)
    written = {key for key, since in marks.keys.items()  # marks have whole seconds
               if key in before and held.entries[key].modified.replace(microsecond=0) > since}
    images, listed = frozenset(marks.images), frozenset[str]()
    if plan.images is not None:
        images, listed = images - plan.images.kept, plan.images.gone
    old = marks.only(before - written, images - listed)
    return replace(plan, old=old, marks=old.also(plan.after, listed | images, plan.now),
                   images_kept={image: why for image in sorted(listed | images)
                                if plan.images and spec.images
                                and (why := plan.images.why_kept(image, spec.images))})


def _act(store: Store, spec: PruneSpec, plan: Plan, held: Lease) -> Done:
    """Marks, then lists, then what was marked long enough before: blobs, and images last."""
    write_marks(store, plan.marks)
    done = Done()
    for verdict in plan.verdicts:
        if not verdict.stays:
            _retire(store, verdict.held, held, done)
    if not done.denied:
        _sweep(store, sorted(plan.keys_now), held, done)
    if spec.images is not None:
        deleted = prune_images.delete(plan.images_now, spec.images.access, held.see_held)
        done.images, done.images_left = deleted.gone, deleted.left
    write_marks(store, plan.marks.without(done.keys, done.images))
    before = plan.survey.missing(plan.survey.releases)
    after = survey(store)
    done.torn = sorted(key for place, keys in after.missing(after.releases).items()
                       for key in {*keys} - {*before.get(place, [])})
    return done


def _retire(store: Store, one: Held, held: Lease, done: Done) -> None:
    """Take away what makes a release or a tool one; its signed list stays elsewhere, as evidence.
    """
    keys = prune_report.seals(one)
    for key in keys:
        data = content(store, key, most=MAX_LIST)
        if data is not None:
            held.see_held()
            store.put_bytes(f"{EVIDENCE}/{one.pipeline or 'tool'}/{one.id}/{Path(key).name}", data)
    for key in keys:
        _delete(store, held, done, key)


def _sweep(store: Store, keys: Iterable[str], held: Lease, done: Done) -> None:
    """Delete keys side by side; what ends it is raised once all that was begun has ended."""
    outcomes = try_all(partial(_delete, store, held, done), keys)
    for outcome in outcomes:
        if isinstance(outcome, AirlockError):
            raise outcome


def _delete(store: Store, held: Lease, done: Done, key: str) -> None:
    """Delete a key, or note that this isn't allowed; then the store isn't asked again."""
    if done.denied:
        return
    held.see_held()
    try:
        keeps_version = store.delete(key)
    except NotDeletable as error:
        done.denied = error
        return
    done.note(key, keeps_version=keeps_version)
