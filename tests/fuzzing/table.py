"""All readers of foreign bytes, by name."""

from __future__ import annotations

from tests.fuzzing import code, parts, registries, runs, trust
from tests.fuzzing.reader import Reader

READERS: dict[str, Reader] = {
    reader.name: reader for reader in [
        *trust.READERS, *registries.READERS, *code.READERS, *parts.READERS,
        *runs.READERS]}
