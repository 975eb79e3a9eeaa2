"""sites/NAME.yml, as a new site gets it: commented, by its schema, and never overwritten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import config_places, files, parsing
from tasks.core.errors import ConfigError
from tasks.core.schema import check
from tasks.site.questions import listed, registry

COMMENTS = {
    "pipelines": "those that run when none is named: pipelines/NAME.yml",
    "platform": "of the offline hosts",
    "python": "of theirs too: packages are collected for these versions",
    "registry": "images are pushed here, and pulled from here on the offline side",
    "registry.prefix": "a path before every repository",
    "registry.ca": "of the CA that signed its certificate",
    "registry.authfile": "its login, as `docker login` writes it",
    "images.carry": "registry: both sides reach it; store: the offline hosts alone do",
    "plugins": "where plugins are looked up",
    "store": "what carries code, data, plugins and the release itself",
    "signing.key": "held back from others (mode 0600); only the steps that sign open it",
    "signing.identity": "its name in allowed_signers on the offline hosts",
    "offline": "what the offline hosts see",
    "offline.engine": "docker or podman, which pull images; apptainer or singularity run files",
    "offline.store": "the store as it is reached there",
    "offline.trust": "an administrator fills it by hand",
}
LEFT_OUT = """\
# What else there is; schemas/site.schema.json describes every key:
# hosts:                                # public hosts that are reached elsewhere from here
#   registries: {quay.io: "https://nexus.example.org:8443/quay-proxy"}
#   urls: {"https://github.com/": "https://git-mirror.example.org/"}
# signing:
#   colleagues: {ann: "ssh-ed25519 AAAA…"}   # who else signs under this identity
#   approvers: {bert: "ssh-ed25519 AAAA…"}   # what is promoted needs the approval of one of them
# engine: unix:///var/run/docker.sock   # of the smoke run; DOCKER_HOST else
# smoke: none                           # no smoke run, where there is no engine
# isolation: none                       # where no namespaces can be made; releases tell it
"""


def values(answers: Mapping[str, str]) -> dict[str, Any]:
    """The keys of the site, from the answers to its questions."""
    images = _images(answers) if "registry" in answers else {}
    store = _filled(url=_place(answers["store"]), endpoint=answers.get("endpoint"),
                    region=answers.get("region"))
    offline: dict[str, Any] = {"engine": answers["engine"], "trust": answers["trust"]}
    if answers["offline_store"]:
        offline = {"store": _filled(url=answers["offline_store"],
                                    endpoint=answers.get("offline_endpoint")), **offline}
    plugins = answers["plugins"]
    return {
        "pipelines": listed(answers["pipelines"]), "platform": answers["platform"],
        "python": listed(answers["python"]), **images,
        "plugins": {"index" if plugins.endswith("plugins.json") else "registry": plugins},
        "store": store,
        "signing": {"key": _absolute(answers["key"]), "identity": answers["identity"]},
        "offline": offline}


def _images(answers: Mapping[str, str]) -> dict[str, Any]:
    """The registry, and how images cross by it."""
    of_registry: dict[str, Any] = registry(answers["registry"])
    for name in ("ca", "authfile"):
        if answers[name]:
            of_registry[name] = _absolute(answers[name])
    return {"registry": of_registry, "images": {"carry": answers["carry"]}}


def _filled(**keys: str | None) -> dict[str, str]:
    return {key: value for key, value in keys.items() if value}


def _absolute(path: str) -> str:
    """A path as it means the same in whatever folder; ~ stays as it was typed."""
    return path if path.startswith("~") else str(Path(path).absolute())


def _place(store: str) -> str:
    return store if "://" in store else _absolute(store)


def text(name: str, site: Mapping[str, Any]) -> str:
    """The file's text, which says the same as `site`; ConfigError where it fits no schema."""
    lines = [f"# The site {name}, as `./doit site {name}` wrote it: yours to edit.",
             f"# `./doit doctor site={name}` looks at all that it names."]
    for key, value in site.items():
        lines += ["" if isinstance(value, dict) else None, *_lines(key, value, "", key)] \
            if isinstance(value, dict) else _lines(key, value, "", key)
    written = "\n".join(line for line in lines if line is not None) + "\n\n" + LEFT_OUT
    check(site, "site", where=config_places.site(name))
    if parsing.from_yaml(written) != site:
        raise ConfigError("these answers can't be written as YAML", where=f"site {name}",
                          todo="take odd characters out of them")
    return written


def _lines(key: str, value: Any, indent: str, path: str) -> list[str]:
    comment = f"# {COMMENTS[path]}" if path in COMMENTS else ""
    if isinstance(value, dict):
        lines = [f"{f'{indent}{key}:':<36}  {comment}".rstrip()]
        return [*lines, *(line for name, below in value.items()
                          for line in _lines(name, below, f"{indent}  ", f"{path}.{name}"))]
    shown = json.dumps(value, ensure_ascii=False)  # of which YAML takes all
    return [f"{f'{indent}{key}: {shown}':<36}  {comment}".rstrip()]


def write(name: str, written: str) -> Path:
    """Write the file, whole or not at all; ConfigError where there is one."""
    path = config_places.new(f"sites/{name}.yml")
    try:
        files.write_new(path, written)
    except FileExistsError:
        raise exists(path) from None
    return path


def exists(path: Path) -> ConfigError:
    """The error where a site's file is there already."""
    return ConfigError("this site is there, and is never overwritten", where=path,
                       todo="edit it, or choose another name; without NAME=VALUE, the trust "
                            "folder is laid ready again from what stands there")
