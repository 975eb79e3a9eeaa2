"""`preflight`: registry, login, store and signing key, looked at before anything is built.

What only fails at the end of a run has cost its hours. So these are asked first, by few requests,
and nothing is pushed: an upload is begun and given up, as is one in parts to a bucket.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, Finding
from tasks.core.net.network import Network
from tasks.doctor import key, registry, stores
from tasks.doctor.checks import Check, examine
from tasks.doctor.registry import RegistrySpec
from tasks.images.destination import Destination
from tasks.images.lock_format import read_lock

PAUSE = 2.0
"""Seconds after which what didn't answer is asked once more."""
NEEDED = ("registry", "login", "push", "store", "key")
"""What is asked for; of the rest, such as clocks, the doctor tells."""


@dataclass(frozen=True, kw_only=True)
class PreflightSpec:
    """Whom the steps will ask, and as whom; without `destination` no registry is asked.

    `locks` are those of the images that were locked before: an upload is begun where one goes.
    """

    destination: Destination | None
    ca: Path | None
    authfile: Path | None
    network: Network
    locks: tuple[Path, ...]
    store: StoreAt
    signing: Signing
    starts: str | None


def preflight(spec: PreflightSpec) -> str:
    """Look at all of it at once; AirlockError with each fault once, and its cure."""
    checks = [*_registries(spec), Check(name="store", look=lambda: stores.writable(spec.store)),
              Check(name="key", look=lambda: key.there(spec.signing))]
    faults = _faults(checks)
    if {fault.check for fault in faults} & {"registry", "store"}:
        time.sleep(PAUSE)  # a server may be busy for a moment
        faults = _faults(checks)
    if faults:
        raise _refuse(list(dict.fromkeys(faults)))
    asked = [check.name for check in checks]
    return f"{', '.join(dict.fromkeys(asked))}: as they must be"


def _faults(checks: Sequence[Check]) -> list[Finding]:
    return [finding for finding in examine(checks)
            if finding.status == FAIL and finding.check in NEEDED]


def _refuse(faults: Sequence[Finding]) -> AirlockError:
    if len(faults) == 1:
        return AirlockError(f"{faults[0].check}: {faults[0].text}", todo=faults[0].cure)
    return AirlockError("this would fail later:\n" + "\n".join(
        f"    {fault.check}: {fault.text}\n      to do: {fault.cure}" for fault in faults),
        todo="mend these first; nothing was built")


def _registries(spec: PreflightSpec) -> Iterator[Check]:
    """A check of each registry that images go to."""
    if spec.destination is None:
        return
    images = {spec.destination.repository(image.source): image.source
              for path in spec.locks if path.is_file() for image in read_lock(path)}
    paths = {name.partition("/")[0]: name.partition("/")[2] for name in sorted(images)}
    places = {spec.destination.address: spec.destination.prefix} | {
        place.partition("/")[0]: place.partition("/")[2]
        for place in spec.destination.repositories.values()}
    for address, below in places.items():
        asked = RegistrySpec(address=address, path=below, ca=spec.ca, authfile=spec.authfile,
                             network=spec.network, pushes=False, starts=spec.starts)
        begun = paths.get(address) or (f"{below}/{registry.NAME}" if below else None)
        yield Check(name="registry", look=partial(registry.pushable, asked, begun))
