"""What must hold of every store's compare-and-swap, by many writers at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tasks.core.parallel import run_all
from tasks.core.store.interface import Overtaken, Store

KEY = "releases/hello/current.json"
TURNS = 5


def see_that_nobody_is_overtaken_unasked(store: Store, tmp_path: Path, *,
                                         writers: int) -> None:
    """What is there is only replaced by one who has seen it, also among many at once."""
    with pytest.raises(Overtaken):
        store.replace(KEY, b"1", b"0")
    store.replace(KEY, b"0", None)
    with pytest.raises(Overtaken) as fault:
        store.replace(KEY, b"1", None)
    assert KEY in str(fault.value)
    with pytest.raises(Overtaken):
        store.replace(KEY, b"1", b"")
    place = tmp_path / "back"
    ready = threading.Barrier(writers)

    def write(writer: int) -> int:
        ready.wait()
        done = 0
        while done < TURNS:
            path = tmp_path / f"{writer}"
            store.get(KEY, path, most=100)
            held = path.read_bytes()
            try:
                store.replace(KEY, str(int(held) + 1).encode(), held)
                done += 1
            except Overtaken:
                continue
        return done

    assert sum(run_all(write, range(writers))) == writers * TURNS
    store.get(KEY, place, most=100)
    assert place.read_bytes() == str(writers * TURNS).encode(), "an overwritten write is lost"
    assert store.list("releases/") == [KEY]
