"""Configuration files: read, held against their schemas, and remembered by their bytes.

YAML and jsonschema take longer to import than the whole graph to build, so what has passed once
is kept as JSON under the digest of all that it came from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.core import files, nofollow, parsing
from tasks.core.errors import ConfigError
from tasks.core.schema import SCHEMAS, check

MAX_CONFIG = 2**20
"""Bytes of a configuration file."""
Raw = dict[str, Any]


class ConfigFiles:
    """Reads configuration files; `finish` raises the faults of all of them at once."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        try:
            self._known: dict[str, Raw] = json.loads(memory.read_bytes())
        except (OSError, ValueError):
            self._known = {}
        self._used: dict[str, Raw] = {}
        self._faults: list[str] = []

    def read(self, path: Path, schema: str, amend: Callable[[Raw], Raw] | None = None,
             because_of: object = None) -> Raw:
        """The mapping in a YAML file, after `amend`, which `because_of` alone decides.

        A file that breaks its schema is returned all the same; its faults wait for `finish`.
        """
        try:
            data = nofollow.read(path, most=MAX_CONFIG)
        except FileNotFoundError as error:
            raise ConfigError("a configuration file is missing", where=path) from error
        key = files.sha256_bytes(b"\0".join(
            [data, (SCHEMAS / f"{schema}.schema.json").read_bytes(),
             files.json_bytes(because_of)]))
        raw = self._known.get(key)
        if raw is None:
            raw = _parse(data, path)
            raw = amend(raw) if amend else raw
            if not self._passes(raw, schema, path):
                return raw
        self._used[key] = raw
        return raw

    def _passes(self, raw: Raw, schema: str, path: Path) -> bool:
        try:
            check(raw, schema, where=path)
        except ConfigError as error:
            self._faults.append(str(error))
            return False
        return True

    def finish(self) -> None:
        """Raise ConfigError with the faults of all files; else remember what has passed."""
        if self._faults:
            raise ConfigError("\n".join(self._faults))
        if self._used.keys() != self._known.keys():
            files.write_json(self._memory, self._used)


def _parse(data: bytes, path: Path) -> Raw:
    try:
        loaded = parsing.from_yaml(data.decode("utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"this is not YAML: {error}", where=path) from error
    if not isinstance(loaded, dict):
        raise ConfigError("this must be a mapping of keys", where=path)
    try:
        files.json_bytes(loaded)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this holds what is no text, number, list or mapping: {error}",
                          where=path) from error
    return loaded
