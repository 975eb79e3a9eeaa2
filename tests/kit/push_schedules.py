"""Two who push and one who fetches, over one store: schedules by a seed, and a judge of each.

Pushes, promotions and fetches are the real ones, of releases with one file, in this process.
Signatures are stood in for, since `ssh-keygen` would take most of the time: of whose key, over
which bytes, of which kind is held against the same allowed_signers. What two do within a server is
not interleaved, only what they ask of it.

    python -m tests.kit.push_schedules [COUNT] [FIRST]
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError, IntegrityError
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import PipelinePaths
from tasks.core.store import lease, send
from tasks.core.store.interface import Store, bring
from tasks.core.store.store import open_store
from tasks.core.trust import links, promotions, signature
from tasks.core.trust.promotions import Subject, Trust
from tasks.offline_host import fetch
from tasks.offline_host.fetch import FetchSpec
from tasks.offline_host.freshness import Host
from tasks.release import checkout, promote, push
from tests.kit import quick_releases, quick_signatures, turns
from tests.kit.turns import Killed, Luck, Turns

SHOWN = re.compile(r"promotion ([0-9]+) of [0-9]{4}-")
ROUNDS = 2
"""Releases that each pusher makes, one after the other."""
KEYS = {name: f"key-of {name}" for name in ("ann", "bert")}
"""Public keys, as they are stood in for."""
MOST_TRIES = 40
"""How often the same command is typed again before somebody gives up."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a schedule ended: what was promoted and fetched, what it met, and what is wrong."""

    number: int
    promoted: int
    fetched: int
    refused: int
    met: Counter[str]
    wrong: str = ""


@dataclass(kw_only=True)
class World:
    """One schedule: the store, who believes whom, and what came of it."""

    at: StoreAt
    template: dict[str, Any]
    dice: random.Random
    turns: Turns | None
    met: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    promoted: list[tuple[str, int, str]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    own: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seen: list[tuple[str, int]] = field(default_factory=list)
    shown: set[tuple[str, int]] = field(default_factory=set)
    fetched: int = 0
    refused: int = 0
    faulty: bool = True
    wrong: list[str] = field(default_factory=list)

    def store(self, name: str) -> Store:
        """The store as this one sees it."""
        kill, cut = (0.015, 0.025) if self.faulty else (0.0, 0.0)
        return turns.shared(open_store(self.at), name, self.turns, Luck(
            dice=self.dice, kill=kill, cut=cut, met=self.met[name]))


@dataclass(frozen=True, kw_only=True)
class Pusher:
    """Who pushes releases of a pipeline, in a clone of their own: a site of that name."""

    world: World
    name: str
    pipeline: str

    @property
    def layout(self) -> PipelinePaths:
        return PipelinePaths(site=self.name, pipeline=self.pipeline)

    def push(self, content: bytes) -> None:
        """Make a release of these bytes and push it, until that went well; then promote it."""
        name = quick_releases.make(self.layout, self.world.template, content)
        self.world.contents[name] = content
        self.world.own[self.name].add(name)
        after, last = None, None
        for _ in range(MOST_TRIES):
            try:
                push.push_release(push.PushSpec(pipeline=self.pipeline, part="release",
                                                layout=self.layout, store=self.world.at))
                promote.promote_release(promote.PromoteSpec(
                    pipeline=self.pipeline, layout=self.layout, store=self.world.at, after=after,
                    signing=Signing(key=Path(f"keys/{self.name}"), identity="airlock",
                                    colleagues=KEYS)))
            except Killed:
                continue  # the same command again
            except AirlockError as error:
                last = error
                if not (error.todo and error.what):
                    self.world.wrong.append(f"{self.name}: an error without advice: {error}")
                leave = SHOWN.search(str(error))
                if leave is not None:
                    self.world.refused += 1
                    self.world.shown.add((self.name, int(leave[1])))
                if leave is not None and self.world.dice.random() < 0.3 and self.world.faulty:
                    return  # let theirs stand
                after = int(leave[1]) if leave is not None else None
                continue
            number = promotions.read(self.layout.promoted)
            self.world.promoted.append((self.pipeline, number.number if number else 0, name))
            return
        self.world.wrong.append(f"{self.name} doesn't get through: {last}")


def look(world: World, pipeline: str, go_on: Callable[[int], bool]) -> None:
    """Fetch what is current, again and again, and hold it against what was pushed."""
    at = OfflinePaths(site="there", pipeline=pipeline)
    host = Host(trust=Path("trust"), identity="airlock", seen=Path("seen"))
    spec = FetchSpec(pipeline=pipeline, layout=at, store=world.at, host=host,
                     tool=Path("tool.json"), asked=False, release=None, place=InPlace(at))
    pointer = Subject(pipeline=pipeline).pointer
    tries = 0
    while go_on(tries):
        tries += 1
        had = open_store(world.at).head(pointer) is not None
        met = world.met["host"].total()
        try:
            fetch.fetch(spec)
        except Killed:
            continue
        except AirlockError as error:
            torn = isinstance(error, IntegrityError) or had
            if torn and world.met["host"].total() == met:  # nothing was cut
                world.wrong.append(f"the host met a torn store: {error}")
            continue
        world.fetched += 1
        name = json.loads(at.current.read_bytes())["id"]
        number = json.loads((host.seen / f"releases/{pipeline}.json").read_bytes())["number"]
        if (at.release(name) / "offline.config").read_bytes() != world.contents.get(name):
            world.wrong.append(f"the host has other bytes as {name}")
        if world.seen and number < world.seen[-1][1]:
            world.wrong.append(f"the host went back from {world.seen[-1]} to {name}")
        world.seen.append((name, number))


def judge(world: World, pipelines: Iterable[str]) -> Iterator[str]:
    """What is wrong with what the store holds in the end."""
    store = open_store(world.at)
    trust = Trust(allowed=Path("trust/allowed_signers"), identity="airlock")
    for pipeline in pipelines:
        try:
            newest = promotions.current(store, Subject(pipeline=pipeline), trust)
            chain = [newest, *links.back(store, newest)]
            for link in chain:
                promotions.signed(store, link.subject, link.number, trust)
        except AirlockError as error:
            yield f"{pipeline}: the chain is broken: {error}"
            continue
        there = {(link.number, link.id) for link in chain}
        for link, before in itertools.pairwise(chain):
            ours, theirs = (quick_signatures.maker(bring(
                store, f"{link.subject.key(one.number)}.sig")) for one in (link, before))
            if (ours != theirs and (ours, before.number) not in world.shown
                    and before.id not in world.own[ours]):
                yield f"{pipeline}: {ours}'s number {link.number} follows one that was not shown"
        for made, number, name in world.promoted:
            if made == pipeline and (number, name) not in there:
                yield f"{pipeline}: promotion {number} of {name} went well, and is lost"
        if chain[-1].predecessor is not None:
            yield f"{pipeline}: the chain has no beginning"
        for name, number in world.seen if pipeline == "hello" else ():
            if (number, name) not in there:
                yield f"the host took {name} as number {number}, which is no link"


def schedule(at: StoreAt, template: dict[str, Any], number: int) -> Outcome:
    """Carry out one schedule in the current folder, and judge what it left."""
    dice = random.Random(number)
    world = World(at=at, template=template, dice=dice, turns=None)
    is_one = dice.random() < 0.75
    ann = Pusher(world=world, name="ann", pipeline="hello")
    bert = Pusher(world=world, name="bert", pipeline="hello" if is_one else "twin")
    contents = [f"{number} {index} {dice.choice('xyz')}\n".encode() for index in range(ROUNDS)]
    theirs = [content if dice.random() < 0.2 else b"other " + content for content in contents]

    at_work = [ann, bert]

    def pushing(pusher: Pusher, contents: Sequence[bytes]) -> Callable[[], None]:
        def work() -> None:
            try:
                for content in contents:
                    pusher.push(content)
            finally:  # else the host looks for ever
                at_work.remove(pusher)
        return work

    files.write_text(Path("trust/allowed_signers"), signature.lines_for("airlock", KEYS, {}))
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, world)
        world.turns = turns_of = Turns(dice, seldom="host")
        turns_of.run({"ann": pushing(ann, contents), "bert": pushing(bert, theirs),
                      "host": lambda: look(world, "hello", lambda _: bool(at_work))})
        world.wrong += judge(world, ["hello"] if is_one else ["hello", "twin"])
        world.turns, world.faulty = None, False
        for pusher in (ann, bert):  # and whoever pushes then, alone, gets through
            pusher.push(b"last of " + pusher.name.encode())
        look(world, "hello", lambda tries: not tries)
        world.wrong += judge(world, ["hello"])
    last = [(name, number) for made, number, name in world.promoted if made == "hello"][-1:]
    if world.seen[-1:] != last:
        world.wrong.append(f"the host has {world.seen[-1:]} last, not {last}")
    return Outcome(number=number, promoted=len(world.promoted), fetched=world.fetched,
                   refused=world.refused, met=sum(world.met.values(), Counter()),
                   wrong="; ".join(world.wrong[:2]))


def stand_in(patch: pytest.MonkeyPatch, world: World) -> None:
    """Let each step take the store of its own, do one thing at a time, and sign in no time."""
    def opened(_: StoreAt) -> Store:
        return world.store(_who())

    for module in (push, promote, fetch):
        patch.setattr(module, "open_store", opened)
    patch.setattr(send, "run_all", lambda work, values: [work(value) for value in values])
    patch.setattr(fetch, "try_all", _try_all)
    for name in ("of_configuration", "of_project"):
        patch.setattr(checkout, name, lambda: checkout.Checkout(commit=None))
    patch.setattr(os, "fsync", lambda _: None)
    patch.setattr(lease, "BEAT", 3600.0)  # its thread has no turn


def _who() -> str:
    import threading
    return threading.current_thread().name


def _try_all(work: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    def attempt(value: Any) -> Any:
        try:
            return work(value)
        except AirlockError as error:
            return error
    return [attempt(value) for value in values]


def some(numbers: Sequence[int], at: StoreAt, root: Path) -> list[Outcome]:
    """Carry out schedules one after the other, each in a folder of its own and its part of a store.
    """
    outcomes = []
    before = Path.cwd()
    with quick_signatures.stand_in():
        template = quick_releases.template_at(root / f"template-{numbers[0]}")
        for number in numbers:
            folder = root / f"{number}"
            folder.mkdir()
            os.chdir(folder)
            try:
                own = replace(at, url=f"{at.url}/{number}")
                outcomes.append(schedule(own, template, number))
            finally:
                os.chdir(before)
                shutil.rmtree(folder)
    return outcomes


def many(numbers: Sequence[int], at: StoreAt, root: Path, workers: int = 2) -> list[Outcome]:
    """Carry out schedules, some at a time, in processes of their own."""
    import multiprocessing
    parts = [numbers[start::workers] for start in range(workers)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        done = pool.map(some, parts, [at] * workers, [root] * workers)
        return [outcome for outcomes in done for outcome in outcomes]


def report(outcomes: Sequence[Outcome]) -> str:
    """The counts: what went through, how often each kind of fault was met, and what is wrong."""
    met: Counter[str] = sum((outcome.met for outcome in outcomes), Counter())
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    total = {name: sum(getattr(outcome, name) for outcome in outcomes)
             for name in ("promoted", "fetched", "refused")}
    return "\n".join([
        f"{len(outcomes)} schedules: {total['promoted']} promotions, {total['refused']} refused "
        f"since another's was there, {total['fetched']} fetches, {len(wrong)} schedules wrong",
        *(f"  {count:6} x {kind}" for kind, count in sorted(met.items())),
        *(f"  schedule {outcome.number}: {outcome.wrong}" for outcome in wrong)])


def main() -> int:
    """Run as many as the first argument says, from the second on."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        outcomes = many(range(first, first + count), StoreAt(url=f"{name}/store"), Path(name))
    print(report(outcomes))
    print(f"{time.monotonic() - begun:.0f} s")
    return any(outcome.wrong for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
