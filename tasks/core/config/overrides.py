"""What overrides a site's file: variables of the environment, and of `.env`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from tasks.core import nofollow, parsing
from tasks.core.config.yaml_files import Raw
from tasks.core.errors import ConfigError

ENVIRONMENT = {
    "AIRLOCK_REGISTRY_HOST": "registry.host",
    "AIRLOCK_REGISTRY_PORT": "registry.port",
    "AIRLOCK_REGISTRY_CA": "registry.ca",
    "AIRLOCK_REGISTRY_AUTHFILE": "registry.authfile",
    "AIRLOCK_STORE": "store.url",
    "AIRLOCK_STORE_ENDPOINT": "store.endpoint",
    "AIRLOCK_STORE_REGION": "store.region",
    "AIRLOCK_SIGNING_KEY": "signing.key",
    "AIRLOCK_OFFLINE_STORE": "offline.store.url",
    "AIRLOCK_OFFLINE_STORE_ENDPOINT": "offline.store.endpoint",
    "AIRLOCK_OFFLINE_STORE_REGION": "offline.store.region",
    "AIRLOCK_TRUST": "offline.trust",
    "AIRLOCK_RUNS": "offline.runs",
    "AIRLOCK_RUN_KEY": "offline.key",
    "AIRLOCK_ENGINE": "engine",
}
"""Which key of the site each variable of the environment sets."""
MAX_DOTENV = 1 << 14
"""Bytes of .env: in a large one, references to other variables take quadratic time."""


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a .env file; none where there is no such file."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values
    try:
        text = nofollow.read(path, most=MAX_DOTENV).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"this is not UTF-8: {error.reason}", where=path) from error
    return {key: value for key, value in dotenv_values(stream=io.StringIO(text)).items()
            if value is not None}


def overlay(raw: Raw, environment: Mapping[str, str]) -> Raw:
    """`raw` with the environment's values in their places."""
    for variable, text in environment.items():
        *parents, last = ENVIRONMENT[variable].split(".")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):  # else the schema has something to say
            number = parsing.whole_number(text)
            place[last] = text if number is None else number
    return raw
