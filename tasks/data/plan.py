"""What carrying the data costs, before it is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.net import urls

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file: its URL, its size in bytes where that is known, and the params and cells that
    name it; whether the cache `held` it already."""

    url: str
    size: int | None
    places: tuple[str, ...]
    held: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All files, each once, the largest first."""

    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Bytes in all, as far as the servers tell."""
        return sum(item.size or 0 for item in self.items)

    @property
    def coming(self) -> int:
        """Bytes that the cache lacks."""
        return sum(item.size or 0 for item in self.items if not item.held)

    @property
    def unknown(self) -> int:
        """How many files have an unknown size."""
        return sum(item.size is None for item in self.items)


def make(sizes: Mapping[str, int | None], places: Mapping[str, Sequence[str]],
         held: Mapping[str, bool]) -> Plan:
    """The plan for URLs with these sizes."""
    items = [Item(url=urls.redact(url), size=size, held=held.get(url, False),
                  places=tuple(dict.fromkeys(places[url])))
             for url, size in sizes.items()]
    return Plan(items=tuple(sorted(items, key=lambda item: (-(item.size or 0), item.url))))


def hold(plan: Plan, limit: int | None) -> None:
    """ConfigError that lists the largest where the plan is above the limit, in bytes."""
    if limit is None or plan.size <= limit:
        return
    shown = [f"    {_size(item.size):>9}  {item.url}\n               in {item.places[0]}"
             for item in plan.items[:SHOWN]]
    raise ConfigError(f"the data are {files.human_size(plan.size)}, more than the "
                      f"{files.human_size(limit)} of data.limit; the largest:\n"
                      + "\n".join(shown), where="data.limit",
                      todo="leave some out (params: {NAME: null}, references.attributes), or "
                           "raise the limit")


def table(plan: Plan) -> str:
    """The plan for people: a line for each file, then what each param costs."""
    lines = [f"{'there' if item.held else 'comes':<5}  {_size(item.size):>9}  {item.url}  "
             f"({_places(item.places)})" for item in plan.items]
    return "\n".join([*lines, *(f"{_size(size):>16}  in all for {name}"
                                for name, size in by_param(plan).items())])


def summary(plan: Plan) -> str:
    """The plan in one line."""
    unknown = f", {plan.unknown} of unknown size" if plan.unknown else ""
    return (f"{len(plan.items)} files, {files.human_size(plan.size)} in all{unknown}; "
            f"{files.human_size(plan.coming)} to fetch")


def by_param(plan: Plan) -> dict[str, int]:
    """Bytes for each param or sheet, the largest first; a file counts for all that name it."""
    bytes_by_place: dict[str, int] = {}
    for item in plan.items:
        for name in {place.partition(",")[0] for place in item.places}:
            bytes_by_place[name] = bytes_by_place.get(name, 0) + (item.size or 0)
    return dict(sorted(bytes_by_place.items(), key=lambda item: (-item[1], item[0])))


def as_json(plan: Plan, limit: int | None) -> dict[str, Any]:
    """The plan for programs, by schemas/data-plan.schema.json."""
    return {"bytes": plan.size, "coming": plan.coming, "unknown": plan.unknown, "limit": limit,
            "params": by_param(plan),
            "files": [{"url": item.url, "size": item.size, "held": item.held,
                       "places": list(item.places)} for item in plan.items]}


def _size(size: int | None) -> str:
    return "unknown" if size is None else files.human_size(size)


def _places(places: Sequence[str]) -> str:
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{places[0]}{more}"
