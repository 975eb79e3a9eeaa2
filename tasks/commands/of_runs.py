"""Which folder of runs a command is about, and who may have signed their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core import config_places
from tasks.core.config.load import load
from tasks.core.config.settings import Config
from tasks.core.errors import ConfigError
from tasks.core.paths import SitePaths
from tasks.offline_host import runs
from tasks.offline_host.runs import Run
from tasks.offline_host.verify import SIGNERS


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder of runs, and the file that says whose keys may have signed them."""

    runs: Path
    signers: Path | None
    pipeline: str | None

    def one(self, words: tuple[str, ...]) -> Run:
        """The run that a command's word names, or the latest."""
        return runs.one(self.runs, words[0] if words else None, self.pipeline)


def place(variables: Mapping[str, str]) -> Place:
    """This host's runs, or, on the online side, those that were brought back."""
    config = configured(variables)
    if config.role == "prod":
        offline = config.site.offline
        return Place(runs=offline.runs, signers=offline.trust / SIGNERS,
                     pipeline=variables.get("pipeline"))
    return Place(runs=SitePaths(site=config.site.name).runs, signers=signers(config),
                 pipeline=variables.get("pipeline"))


def signers(config: Config) -> Path | None:
    """The online side's list of hosts' keys; ConfigError where the site names one that is missing.
    """
    path = config.site.offline.run_signers
    if path is not None and not path.is_file():
        raise ConfigError("the list of the offline hosts' keys is missing", where=path,
                          todo="write it: 'HOST namespaces=\"airlock-run\" <public key>' for each; "
                               f"or take offline.run_signers out of "
                               f"{config_places.site(config.site.name)}")
    return path


def configured(variables: Mapping[str, str]) -> Config:
    """The site's configuration; in a tool that was carried, this is an offline host."""
    return load({name: value for name, value in variables.items() if name in ("site", "role")})


def needed(variables: Mapping[str, str], name: str, what: str) -> str:
    """The value of a variable that a command can't do without."""
    value = variables.get(name)
    if not value:
        raise ConfigError(f"{name}= is missing: {what}", todo=f"add {name}=…")
    return value
