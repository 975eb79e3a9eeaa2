"""The configuration, read once from its files and checked.

A value comes from the environment, else from `.env` (not on an offline host), else from
`config/sites/<site>.yml`. `.env.template` lists every variable.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import opened, ownership, parsing
from tasks.core.config import (
    ARCHIVES,
    TOOL,
    Config,
    Offline,
    Origin,
    Pipeline,
    PluginsAt,
    Registry,
    Sandbox,
    Signing,
    Site,
    StoreAt,
)
from tasks.core.config_files import ConfigFiles, Raw
from tasks.core.errors import ConfigError

VARIABLES = ("site", "pipeline", "role", "release", "relock", "input", "params", "private",
             "tool")
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
    "AIRLOCK_ENGINE": "engine",
}

LARGEST_DOTENV = 1 << 14
"""Bytes of .env: in a large one, references to other variables take quadratic time."""


def load(given: Mapping[str, str], root: Path = Path()) -> Config:
    """Read and check the configuration for the variables `given` on the command line.

    Raises ConfigError with every fault of a file at once.
    """
    _check_names(given, VARIABLES, kind="variable", show="doit NAME=VALUE")
    role = given.get("role", "online")
    _check_names([role], ("online", "prod"), kind="role", show="role=prod, or leave it out")
    _refuse_other_tool(given, root / TOOL)
    # On an offline host nothing is read that was not signed, or typed there.
    environment = {**(_dotenv(root / ".env") if role == "online" else {}), **os.environ}
    sites = sorted(path.stem for path in (root / "config/sites").glob("*.yml"))
    only = sites[0] if len(sites) == 1 else "local"  # an offline host is given one site alone
    name = given.get("site") or environment.get("AIRLOCK_SITE") or only
    _check_names([name], sites, kind="site", show="config/sites/<site>.yml")
    read = ConfigFiles(root / "build" / name / "config.json")
    given_here = {key: environment[key] for key in ENVIRONMENT if environment.get(key)}
    raw_site = read.read(root / f"config/sites/{name}.yml", "site",
                         lambda raw: _overlay(raw, given_here), given_here)
    if not isinstance(raw_site.get("pipelines"), list):
        read.finish()
    wanted = [given["pipeline"]] if "pipeline" in given else raw_site["pipelines"]
    _check_names(wanted, raw_site["pipelines"], kind="pipeline",
                 show=f"`pipelines` in config/sites/{name}.yml")
    raw_pipelines = ({} if role == "prod" else
                     {each: read.read(root / f"config/pipelines/{each}.yml", "pipeline")
                      for each in wanted})
    ownership.private_folder(root / "build" / name)
    read.finish()
    _refuse_unfit(raw_site, name)
    for each, raw in raw_pipelines.items():
        _refuse_unfit_origins(raw, each)
    return Config(site=_site(name, raw_site), role=role, variables=dict(given),
                  environment=dict(os.environ),
                  names=tuple(wanted),
                  pipelines=tuple(_pipeline(key, raw) for key, raw in raw_pipelines.items()))


def _check_names(names: Sequence[str] | Mapping[str, str], known: Sequence[str], *, kind: str,
                 show: str) -> None:
    for name in names:
        if name not in known:
            import difflib
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"there is no {kind} {name!r}{hint}", where=show,
                              todo=f"known: {', '.join(known) or 'none'}")


def _refuse_other_tool(given: Mapping[str, str], path: Path) -> None:
    """ConfigError where tool=ID asks for another tool than the one that runs."""
    if "tool" not in given:
        return
    own = "a checkout, and was not carried"
    if path.is_file():
        from tasks.core.schema import read_json
        own = read_json(path, "tool")["id"]
    if own != given["tool"]:
        raise ConfigError(f"this tool is {own}, and {given['tool']} was asked for",
                          where=path.absolute(),
                          todo="copy that one out of the store, and begin again in an empty folder")


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values
    try:
        text = opened.read(path, most=LARGEST_DOTENV).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"this is not UTF-8: {error.reason}", where=path) from error
    return {key: value for key, value in dotenv_values(stream=io.StringIO(text)).items()
            if value is not None}


def _overlay(raw: Raw, environment: Mapping[str, str]) -> Raw:
    """`raw` with the environment's values in their places."""
    for variable, given in environment.items():
        *parents, last = ENVIRONMENT[variable].split(".")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):  # else the schema has something to say
            number = parsing.whole_number(given)
            place[last] = given if number is None else number
    return raw


def _refuse_unfit_origins(raw: Mapping[str, Any], pipeline: str) -> None:
    """Refuse an archive without its SHA-256, and a SHA-256 of anything else."""
    for key, about in (("source", raw), ("configs.source", raw.get("configs"))):
        origin = _origin(about) if about else None
        if origin and origin.is_archive != (origin.sha256 is not None):
            raise ConfigError(
                "an archive needs its sha256" if origin.is_archive else
                f"sha256 is for archives ({', '.join(ARCHIVES)}); git and folders have none",
                where=f"{key} in config/pipelines/{pipeline}.yml",
                todo="add it: `sha256sum FILE`" if origin.is_archive else "take `sha256` out")


def _refuse_unfit(raw: Raw, site: str) -> None:
    """Refuse keys that contradict each other, though each fits its schema."""
    if raw.get("images", {}).get("carry") == "store" and raw["registry"].get("repositories"):
        raise ConfigError("images that go by the store are loaded into one registry, so "
                          "registry.repositories can't be kept",
                          where=f"images.carry in config/sites/{site}.yml",
                          todo="remove registry.repositories, or set images.carry to registry")


def _site(name: str, raw: dict[str, Any]) -> Site:
    registry = raw["registry"]
    store = StoreAt(**raw["store"])
    offline = raw.get("offline", {})
    hosts = raw.get("hosts", {})
    images = raw.get("images", {})
    return Site(
        name=name,
        pipelines=tuple(raw["pipelines"]),
        platform=raw["platform"],
        python=tuple(raw["python"]),
        registry=Registry(host=registry["host"], port=registry["port"],
                          prefix=registry.get("prefix", ""),
                          repositories=dict(registry.get("repositories", {})),
                          ca=_path(registry.get("ca")),
                          authfile=_path(registry.get("authfile"))),
        registries=dict(hosts.get("registries", {})),
        urls=dict(hosts.get("urls", {})),
        buckets=dict(hosts.get("buckets", {})),
        folders=tuple(Path(each) for each in hosts.get("folders", [])),
        inside=tuple(each.lower() for each in hosts.get("inside", [])),
        plugins=PluginsAt(**raw["plugins"]),
        store=store,
        signing=Signing(key=Path(raw["signing"]["key"]).expanduser(),
                        identity=raw["signing"]["identity"],
                        create=raw["signing"].get("create", False),
                        valid=_seconds(raw["signing"].get("valid"))),
        offline=Offline(store=StoreAt(**{**raw["store"], **offline.get("store", {})}),
                        trust=Path(offline["trust"])),
        carry=images.get("carry", "registry"),
        image_platforms=_further(images.get("platforms", []), raw["platform"]),
        licences=dict(images.get("licences", {})),
        engine=raw.get("engine"),
        smoke=raw.get("smoke", "stub"),
        isolation=raw.get("isolation", "namespaces"),
        sandbox=Sandbox(**raw["sandbox"]) if "sandbox" in raw else None,
    )


def _further(given: str | list[str], own: str) -> tuple[str, ...]:
    """The platforms of `images.platforms` (one, several or `all`) besides the hosts' own."""
    return tuple(sorted({*([given] if isinstance(given, str) else given)} - {own}))


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value).expanduser()


def _seconds(text: str | None) -> int | None:
    """Seconds of `90 days`."""
    if text is None:
        return None
    count, unit = text.split()
    return int(count) * {"hours": 3600, "days": 86400, "weeks": 7 * 86400}[unit]


def _origin(raw: Mapping[str, Any]) -> Origin:
    return Origin(source=raw["source"], revision=raw.get("revision"), sha256=raw.get("sha256"))


def _bytes(text: str) -> int:
    """Bytes of `20 GB`, by powers of 1,000."""
    unit = text.rstrip("B")[-1]
    power = " kMGT".index(unit) if unit in "kMGT" else 0
    return int(float(text.rstrip(" kMGTB")) * 1000 ** power)


def _pipeline(name: str, raw: dict[str, Any]) -> Pipeline:
    return Pipeline(
        name=name,
        code=_origin(raw),
        configs=_origin(raw["configs"]) if "configs" in raw else None,
        profile=raw["profile"],
        runtime=raw["nextflow"]["version"],
        coordinates=tuple(raw["nextflow"].get("coordinates", ())),
        dist=raw["nextflow"].get("dist"),
        dist_sha256=raw["nextflow"].get("sha256"),
        plugins=tuple(raw.get("plugins", ())),
        rows=raw["data"]["rows"],
        limit=_bytes(raw["data"]["limit"]) if "limit" in raw["data"] else None,
        folders={key: tuple(value) for key, value in raw["data"].get("folders", {}).items()},
        params=dict(raw.get("params", {})),
        genome=raw.get("references", {}).get("genome"),
        attributes=tuple(raw.get("references", {}).get("attributes", ())),
        images=dict(raw.get("images", {})),
        run=raw.get("run", "test"),
    )
