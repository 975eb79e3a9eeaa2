"""The configuration, read once from its files and checked.

A value comes from the environment, else from `.env` (not on an offline host), else from the site's
file. `.env.template` lists every variable; AIRLOCK_CONFIG among them says whose files these are
(config_places.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core import config_places, ownership
from tasks.core.config import engines, fields
from tasks.core.config.overrides import ENVIRONMENT, overlay, read_dotenv
from tasks.core.config.settings import ARCHIVES, TOOL, Config, Pipeline, Site, is_carried
from tasks.core.config.yaml_files import ConfigFiles, Raw
from tasks.core.errors import ConfigError
from tasks.core.nearest import hint
from tasks.core.schema import read_json, schema

VARIABLES = ("site", "pipeline", "role", "release", "relock", "input", "params", "private",
             "tool", "unproven", "after", "hold", "from", "to", "id", "reason",
             "profile", "config", "part", "remove", "images")

KNOWN_IN_DOTENV = ("AIRLOCK_SITE", config_places.VARIABLE, *ENVIRONMENT, "AIRLOCK_GIT_TOKEN")
SITE_PATHS = ("registry.ca", "registry.authfile", "signing.key", "store.url", "hosts.folders",
              "offline.run_signers")
PIPELINE_PATHS = ("source", "configs.source")
"""Keys whose values are paths on this side: relative ones are those of the repository that the
file stands in."""
MAX_REASON = 200
"""Characters of unproven=REASON and reason=REASON, as schemas/promotion.schema.json has it."""
NUMBER, DIGEST = re.compile("[1-9][0-9]{0,7}"), re.compile("[0-9a-f]{64}")
SIZE = re.compile(r"[0-9]+(\.[0-9]+)? ?[kMGT]?B")
LEAST_PART = 10**6
"""Bytes of the smallest part=SIZE."""
PIPELINE = re.compile("[a-z][a-z0-9_-]*")
RESERVED = frozenset((
    "approve", "aws", "back", "batch", "blobs", "carry", "configs", "diff", "lay", "list", "load",
    "logs", "maven", "prod", "promote", "prune", "runs", "sandbox", "sign", "store", "tool",
    "withdraw"))
"""What no pipeline may be called: folders of build/<site>/, and second words of verbs."""


def enter(role: str, root: Path = Path(), *, begins: bool = False) -> Mapping[str, str]:
    """Find the user's own configuration, and return the environment with what `.env` says.

    On an offline host nothing is read that was not signed, or typed there. `begins` is for what
    writes a configuration's first file.
    """
    own = read_dotenv(root / ".env") if role == "online" else {}
    _check_names([name for name in own if name.startswith("AIRLOCK_")], KNOWN_IN_DOTENV,
                 kind="variable", show=".env; .env.template lists them")
    environment = {**own, **os.environ}
    folder = environment.get(config_places.VARIABLE)
    config_places.use(config_places.checked(folder, root, begins=begins)
                      if folder and not is_carried(root) else None)
    return environment


def load(variables: Mapping[str, str], root: Path = Path(), *, begins: bool = False) -> Config:
    """Read and check the configuration for the `variables` of the command line.

    Raises ConfigError with every fault of a file at once. `begins` is as for enter().
    """
    _check_names(variables, VARIABLES, kind="variable", show="doit NAME=VALUE")
    role = _role(variables, root)
    _refuse_other_tool(variables, root / TOOL)
    for name in ("unproven", "reason"):
        _check_reason(name, variables.get(name, ""))
    _check_number(variables.get("after", "1"))
    _check_size(variables.get("part", "4GB"))
    environment = enter(role, root, begins=begins)
    sites = config_places.names("sites", root)
    name = (variables.get("site") or _carried_site(root) or environment.get("AIRLOCK_SITE")
            or _usual_site(sites))
    _check_names([name], sites, kind="site", show=_folders("sites", root))
    read = ConfigFiles(root / "build" / name / "config.json")
    overrides = {key: environment[key] for key in ENVIRONMENT if environment.get(key)}
    raw_site = _read(config_places.place(f"sites/{name}.yml", root), "site", SITE_PATHS, read,
                     overrides)
    if not isinstance(raw_site.get("pipelines"), list):
        read.finish()
    wanted = [variables["pipeline"]] if "pipeline" in variables else raw_site["pipelines"]
    _check_pipelines(wanted, raw_site["pipelines"], root, role)
    raw_pipelines = ({} if role == "prod" else
                     {pipeline: _read(config_places.place(f"pipelines/{pipeline}.yml", root),
                                      "pipeline", PIPELINE_PATHS, read) for pipeline in wanted})
    _make_own(root / "build" / name)
    read.finish()
    site = _site(name, raw_site)
    pipelines = tuple(fields.read(Pipeline, {**raw, "name": key}, schema("pipeline"))
                      for key, raw in raw_pipelines.items())
    _refuse_contradictions(site)
    for pipeline in pipelines:
        _refuse_unfit_origins(pipeline)
    return Config(site=site, role=role, variables=dict(variables),
                  environment=dict(os.environ), names=tuple(wanted), pipelines=pipelines)


def _usual_site(sites: Sequence[str]) -> str:
    """The site where none is named: the only one of the user's own, or the only one; else `local`.
    """
    folder = config_places.own()
    own = [] if folder is None else [path.stem for path in (folder / "sites").glob("*.yml")]
    return next((named[0] for named in (own, sites) if len(named) == 1), "local")


def _folders(part: str, root: Path) -> str:
    """Where files of sites or pipelines lie, for an error."""
    return " and ".join(f"{folder}/NAME.yml" for folder in config_places.folders(part, root))


def _read(path: Path, kind: str, paths: tuple[str, ...], files: ConfigFiles,
          overrides: Mapping[str, str] | None = None) -> Raw:
    """A file's mapping, with the environment's `overrides` and, in the user's own, its `paths` as
    they are relative to that configuration."""
    base = config_places.base_of(path)

    def amended(raw: Raw) -> Raw:
        return overlay(config_places.rebased(raw, paths, base), overrides or {})
    return files.read(path, kind, amended, [dict(overrides or {}), base and str(base)])


def _role(variables: Mapping[str, str], root: Path) -> str:
    """prod in the folder of a carried tool, where no other can be; else online, or as it is typed.
    """
    if is_carried(root):
        _check_names([variables.get("role", "prod")], ("prod",), kind="role",
                     show="a tool that was carried is for the offline host")
        return "prod"
    role = variables.get("role", "online")
    _check_names([role], ("online", "prod"), kind="role", show="role=prod, or leave it out")
    _refuse_own_configs(variables, role)
    return role


def _refuse_own_configs(variables: Mapping[str, str], role: str) -> None:
    """ConfigError where what only a run on an offline host takes would be passed over."""
    for name in ("profile", "config"):
        if name in variables and role != "prod":
            raise ConfigError(f"{name}= is for runs on an offline host", where=f"{name}=",
                              todo="set `profile` in the pipeline's config for the test "
                                   "run; on the offline host, give it there")


def _make_own(place: Path) -> None:
    """The folder that all is built in, which is one user's alone; ConfigError for another user."""
    try:
        ownership.private_folder(place)
        is_ours = os.access(place, os.W_OK)
    except PermissionError:
        is_ours = False
    if not is_ours:
        raise ConfigError("this user may not write here, so it is another user's folder",
                          where=place.absolute(),
                          todo="have a folder of your own: each user unpacks the tool, or clones "
                               "the project, and has a state of their own")


def _carried_site(root: Path) -> str | None:
    """The site that a carried tool is for: an environment for another one doesn't count there."""
    if not is_carried(root):
        return None
    name: str = read_json(root / TOOL, "tool")["site"]
    return name


def _site(name: str, raw: Raw) -> Site:
    """The site; where the offline host's store doesn't say where it is, it is the store's own.

    How files are written is no matter of that side, which may have them in a folder.
    """
    offline = raw["offline"]
    usual = engines.usual_carry(offline.get("engine", engines.DOCKER))
    place = {key: raw["store"][key] for key in ("url", "endpoint", "region") if key in raw["store"]}
    return fields.read(Site, {
        **raw, "name": name, "images": {"carry": usual, **raw.get("images", {})},
        "offline": {**offline, "store": {**place, **offline.get("store", {})}}}, schema("site"))


def _check_names(names: Sequence[str] | Mapping[str, str], known: Sequence[str], *, kind: str,
                 show: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no {kind} {name!r}{hint(name, known)}", where=show,
                              todo=f"known: {', '.join(known) or 'none'}")


def _check_pipelines(wanted: Sequence[str], of_site: Sequence[str], root: Path, role: str) -> None:
    """Refuse a pipeline without a file online; offline, where none has one, what can be no name.

    There, `prod:fetch` says whether the store has a release of it, signed for that name.
    """
    if role == "prod":
        for name in map(str, wanted):
            if not PIPELINE.fullmatch(name):
                raise ConfigError(f"{name!r} is no name of a pipeline", where="pipeline=NAME",
                                  todo=f"those of the site: {', '.join(of_site)}")
        return
    known = config_places.names("pipelines", root)
    _check_names([*map(str, wanted)], known, kind="pipeline",
                 show=f"{_folders('pipelines', root)}; `doit add SOURCE` writes one")
    for name in wanted:
        if name in RESERVED or not PIPELINE.fullmatch(name):
            raise ConfigError(f"{name!r} can't name a pipeline",
                              where=config_places.place(f"pipelines/{name}.yml", root),
                              todo="rename that file: small letters, digits, - and _; not one of "
                                   f"{', '.join(sorted(RESERVED))}")


def _refuse_other_tool(variables: Mapping[str, str], path: Path) -> None:
    """ConfigError where tool=ID asks for another tool than the one that runs."""
    if "tool" not in variables:
        return
    own = "a checkout, and was not carried"
    if path.is_file():
        own = read_json(path, "tool")["id"]
    if own != variables["tool"]:
        raise ConfigError(f"this tool is {own}, and {variables['tool']} was asked for",
                          where=path.absolute(),
                          todo="copy that one out of the store, and begin again in an empty folder")


def _check_reason(name: str, reason: str) -> None:
    """ConfigError where a reason can't stand in a promotion, which offline hosts print."""
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise ConfigError("the reason is no line of text, or too long", where=f"{name}=REASON",
                          todo=f"give one of {MAX_REASON} characters at most")


def _check_number(after: str) -> None:
    """ConfigError where after=NUMBER is no promotion's number, and no SHA-256 of one either."""
    if not NUMBER.fullmatch(after) and not DIGEST.fullmatch(after):
        raise ConfigError(f"{after!r} is no promotion's number", where="after=NUMBER",
                          todo="give the number that the error named, or that "
                               "`doit release:list` shows")


def _check_size(text: str) -> None:
    """ConfigError where part=SIZE is no size that a disk could have."""
    if not SIZE.fullmatch(text) or fields.bytes_of(text) < LEAST_PART:
        raise ConfigError(f"{text!r} is no size of a volume", where="part=SIZE",
                          todo="give 1 MB at least: part=4GB for sticks with FAT32, part=4.7GB for "
                               "DVDs (GB are 1,000 MB)")


def _refuse_unfit_origins(pipeline: Pipeline) -> None:
    """Refuse an archive without its SHA-256, and a SHA-256 of anything else."""
    for key, origin in (("source", pipeline.code), ("configs.source", pipeline.configs)):
        if origin and origin.is_archive != (origin.sha256 is not None):
            raise ConfigError(
                "an archive needs its sha256" if origin.is_archive else
                f"sha256 is for archives ({', '.join(ARCHIVES)}); git and folders have none",
                where=f"{key} in {config_places.pipeline(pipeline.name)}",
                todo="add it: `sha256sum FILE`" if origin.is_archive else "take `sha256` out")


def _refuse_contradictions(site: Site) -> None:
    """Refuse keys that contradict each other, though each fits its schema."""
    _refuse_unfit_carry(site)
    if site.registry is None and site.images.carry != engines.FILES:
        raise ConfigError(f"images that go by the {site.images.carry} need the organisation's "
                          "registry", where=config_places.site(site.name),
                          todo="name it under `registry`; only image files, for "
                               f"{' and '.join(engines.SIF_KINDS)}, need none")
    if site.images.carry == engines.STORE and site.own_registry.repositories:
        raise ConfigError("images that go by the store are loaded into one registry, so "
                          "registry.repositories can't be kept",
                          where=f"images.carry in {config_places.site(site.name)}",
                          todo="remove registry.repositories, or set images.carry to registry")
    if site.signing.identity in site.signing.approvers:
        raise ConfigError(f"{site.signing.identity} signs, so it can't be an approver as well",
                          where=f"signing.approvers in {config_places.site(site.name)}",
                          todo="give approvers names of their own, and other keys than sign")
    if site.batch and site.batch.mode == "carried-cli" and site.batch.cli is None:
        raise ConfigError("nothing says which AWS CLI is carried",
                          where=f"batch.cli in {config_places.site(site.name)}",
                          todo="name one by source, version and sha256, or set batch.mode to "
                               "fusion")
    if site.store.kms_key and site.store.encryption != "aws:kms":
        raise ConfigError("a KMS key is only used by the encryption aws:kms",
                          where=f"store.kms_key in {config_places.site(site.name)}",
                          todo="set store.encryption to aws:kms, or remove store.kms_key")


def _refuse_unfit_carry(site: Site) -> None:
    """Refuse image files for an engine that pulls, and a registry for one that runs files."""
    engine, where = site.offline.engine, f"images.carry in {config_places.site(site.name)}"
    if engine in engines.SIF_KINDS and site.images.carry != engines.FILES:
        raise ConfigError(f"{engine} runs image files, which releases carry", where=where,
                          todo=f"set it to {engines.FILES}, or leave it out")
    if engine not in engines.SIF_KINDS and site.offline.library:
        raise ConfigError(f"{engine} runs no image files, so there is no library of them",
                          where=f"offline.library in {config_places.site(site.name)}",
                          todo="remove it, or set offline.engine to "
                               f"{' or '.join(engines.SIF_KINDS)}")
    if engine not in engines.SIF_KINDS and site.images.carry == engines.FILES:
        raise ConfigError(f"{engine} runs no image files", where=where,
                          todo=f"set it to {engines.REGISTRY} or {engines.STORE}, or "
                               f"offline.engine to {' or '.join(engines.SIF_KINDS)}")
    if site.images.carry == engines.FILES and site.images.platforms:
        raise ConfigError("an image file is for one platform, the site's",
                          where=f"images.platforms in {config_places.site(site.name)}",
                          todo="remove it; a site of its own carries for other hosts")
