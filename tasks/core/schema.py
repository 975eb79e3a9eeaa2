"""Every file from outside is held against its JSON Schema, all faults at once."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tasks.core import nofollow, parsing
from tasks.core.errors import ConfigError

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
MAX_BYTES = {"release": 64 * 2**20, **dict.fromkeys(
    ("current", "promotion", "code-manifest", "code-lock"), 2**20)}
"""Bytes of a file, by its schema."""
MAX_OTHER = 256 * 2**20
"""Bytes of the others: a line or two per file or image that is carried."""
MAX_FAULTS, MAX_FAULT = 200, 600
"""Faults that are listed of one file, and characters of one."""


@lru_cache
def schema(name: str) -> dict[str, Any]:
    """The schema `schemas/<name>.schema.json`."""
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return loaded


@lru_cache
def _validator() -> Any:
    """JSON Schema as it is meant: in Python, `$` would let a newline follow, `\\d` would let in the
    digits of all scripts, 1.0 would be an integer, and the 31st of February a time."""
    import jsonschema

    def pattern(_: Any, wanted: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
        meant = re.sub(r"(?<!\\)\$", r"\\Z", wanted)
        if isinstance(value, str) and not re.search(meant, value, re.ASCII):
            yield jsonschema.ValidationError(f"{value!r} does not match {wanted!r}")

    base = jsonschema.Draft202012Validator
    formats = jsonschema.FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(_is_time)
    extend: Any = jsonschema.validators.extend
    return partial(extend(base, {"pattern": pattern}, type_checker=base.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int)), format_checker=formats)


def _is_time(value: Any) -> bool:
    """True; ValueError for a text that is no time. Which digits it has, a pattern says."""
    if isinstance(value, str):
        datetime.fromisoformat(value.rstrip("Z"))
    return True


def check(value: Any, name: str, *, where: object) -> Any:
    """Return `value`, or raise ConfigError that lists every fault by key."""
    validator = _validator()(schema(name))
    try:
        faults = sorted((list(map(str, fault.path)), _short(fault.message)) for fault in
                        itertools.islice(validator.iter_errors(value), MAX_FAULTS))
    except RecursionError as error:
        raise ConfigError("lists and mappings are nested too deep", where=where) from error
    if faults:
        lines = [f"  {'.'.join(path) or '(top)'}: {message}" for path, message in faults]
        raise ConfigError(f"{where} does not fit its schema:\n" + "\n".join(lines),
                          todo=f"correct the keys named; the schema is schemas/{name}.schema.json")
    return value


def _short(message: str) -> str:
    """Return a fault's text, cut short: it shows the value, which may be the whole file."""
    return message if len(message) <= MAX_FAULT else f"{message[:MAX_FAULT]} …"


def read_json(path: Path, name: str) -> Any:
    """Read a JSON file and hold it against its schema.

    ConfigError where it is missing, no JSON, or doesn't fit; IntegrityError where it is no regular
    file, or larger than any of its kind.
    """
    try:
        data = nofollow.read(path, most=MAX_BYTES.get(name, MAX_OTHER))
    except FileNotFoundError as error:
        raise ConfigError("a file is missing", where=path) from error
    return from_bytes(data, name, where=path)


def from_bytes(data: bytes, name: str, *, where: object) -> Any:
    """A JSON document, held against its schema; ConfigError where it is none, or doesn't fit."""
    try:
        value = parsing.from_json(data)
    except ValueError as error:
        raise ConfigError(f"this is not JSON: {error}", where=where,
                          todo="remove the file, and it is made again") from error
    return check(value, name, where=where)
