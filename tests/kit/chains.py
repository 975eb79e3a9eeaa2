"""Chains of promotions in a store, signed by real keys, without releases behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.store.interface import Store
from tasks.core.store.store import open_store
from tasks.core.trust import signature
from tasks.core.trust.promotions import Promotion, Subject, Withdrawn
from tasks.release import chain
from tasks.release.chain import Chain

HELLO = Subject(pipeline="hello")
KEY = Signing(key=Path("keys/id_ed25519"), identity="airlock", create=True)


@contextmanager
def clone(name: str, at: StoreAt, signing: Signing = KEY) -> Iterator[Chain]:
    """The chain as one clone of the project sees it, with a memory of its own."""
    signature.ready(signing.key, create=True, identity=signing.identity)
    with chain.trusted(signing, Path("signers")) as trust:
        yield Chain(store=open_store(at), subject=HELLO, signing=signing, trust=trust,
                    memory=Path(name) / "promoted.json")


def promote(here: Chain, name: str, *, back: str | None = None,
            withdrawing: Withdrawn | None = None) -> Promotion:
    """Look at the newest, then make `name` the current one after it."""
    return chain.append(here, name, after=chain.tip(here).promotion, back=back,
                        withdrawing=withdrawing)


class Killed(Exception):
    """The process ends here."""


def killed(here: Chain, after: int) -> Chain:
    """The same clone, whose process ends before its write number `after`, counted from 0."""
    left = iter(range(after))

    class Ending:
        """The store, up to that write."""

        def __getattr__(self, name: str) -> Any:
            if name in ("replace", "put", "put_bytes") and next(left, None) is None:
                raise Killed
            return getattr(here.store, name)

    return dataclasses.replace(here, store=cast(Store, Ending()))
