"""A class by `@frozen` behaves as one by `@dataclass(frozen=True, kw_only=True)`."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tasks.core.frozen import frozen


@frozen
class Base:
    name: str
    places: tuple[Path, ...] = ()


@frozen
class Derived(Base):
    """With a default that is made, and a field that isn't compared."""

    needed: int
    texts: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)
    unseen: int = dataclasses.field(default=0, compare=False)

    @cached_property
    def shout(self) -> str:
        return self.name.upper()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Same:
    name: str
    places: tuple[Path, ...] = ()


def test_it_has_the_fields_defaults_and_text_of_a_dataclass() -> None:
    one = Derived(name="a", needed=1)
    assert (one.places, one.texts, one.shout) == ((), {}, "A")
    assert [field.name for field in dataclasses.fields(Derived)] == [
        "name", "places", "needed", "texts", "unseen"]
    assert repr(Base(name="a")) == repr(Same(name="a")).replace("Same", "Base")
    assert dataclasses.asdict(Base(name="a")) == dataclasses.asdict(Same(name="a"))
    assert dataclasses.replace(one, name="b") == Derived(name="b", needed=1)


def test_it_is_compared_hashed_and_copied_by_its_fields() -> None:
    one = Derived(name="a", needed=1)
    assert one == Derived(name="a", needed=1, unseen=2)
    assert one != Derived(name="a", needed=2)
    other: object = Same(name="a")
    assert Base(name="a") != other
    assert hash(Base(name="a")) == hash(Base(name="a"))
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))  # noqa: S301


def test_it_is_frozen_and_takes_its_fields_alone() -> None:
    one: Any = Derived(name="a", needed=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.name
    made: Any = Derived
    for given in ({"name": "a"}, {"name": "a", "needed": 1, "more": 2}):
        with pytest.raises(TypeError):
            made(**given)
    with pytest.raises(TypeError):
        made("a", 1)
