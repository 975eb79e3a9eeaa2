"""Every file from outside is held against its JSON Schema, all faults at once."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.core.errors import ConfigError

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


@lru_cache
def schema(name: str) -> dict[str, Any]:
    """The schema `schemas/<name>.schema.json`."""
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return loaded


def check(value: Any, name: str, *, where: object) -> Any:
    """Return `value`, or raise ConfigError that lists every fault by key."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema(name))
    faults = sorted(validator.iter_errors(value), key=lambda fault: list(map(str, fault.path)))
    if faults:
        lines = [f"  {'.'.join(map(str, fault.path)) or '(top)'}: {fault.message}"
                 for fault in faults]
        raise ConfigError(f"{where} does not fit its schema:\n" + "\n".join(lines),
                          todo=f"correct the keys named; the schema is schemas/{name}.schema.json")
    return value


def read_json(path: Path, name: str) -> Any:
    """Read a JSON file and hold it against its schema."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError("a file is missing", where=path) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"this is not JSON: {error}", where=path,
                          todo="remove the file, and it is made again") from error
    return check(value, name, where=path)
