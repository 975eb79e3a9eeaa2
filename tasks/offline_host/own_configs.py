"""`profile=` and `config=`: what a user adds to a release's own settings, such as Slurm's.

A user's configs come after all that the release and this host set, but before offline.config, whose
images, engine and switches nothing on an offline host may change, nor where image files lie.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.core.errors import ConfigError
from tasks.core.frozen import frozen
from tasks.core.nearest import hint
from tasks.core.nextflow.launch import IMAGES_CONFIG, Launch
from tasks.core.source import custom_configs
from tasks.core.source.configs import MAIN, Include, Reader
from tasks.core.source.files import opened

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
GUARDS = ("offline.config", IMAGES_CONFIG)


@frozen
class OwnConfigs:
    """The profiles and configs that were given, in their order; paths are absolute."""

    profiles: tuple[str, ...] = ()
    configs: tuple[Path, ...] = ()

    def profile(self, first: str) -> str:
        """The profiles of a run whose own is `first`, or none; `offline` is added at the launch."""
        return ",".join(dict.fromkeys(filter(None, [first, *self.profiles])))

    def given(self) -> Iterator[tuple[Path, str]]:
        """The configs that were given, as folder and path; ConfigError where one can't be read."""
        for path in self.configs:
            _refuse_unread(path)
            yield path.parent, path.name

    def applied(self, ready: Launch) -> Launch:
        """The launch with the user's configs in their place; ConfigError for what can't be had."""
        for path in self.configs:
            _refuse_unread(path)
        self._refuse_unknown(ready)
        before = [path for path in ready.configs if path.name not in GUARDS]
        guards = [path for path in ready.configs if path.name in GUARDS]
        return dataclasses.replace(ready, configs=(*before, *self.configs, *guards))

    def _refuse_unknown(self, ready: Launch) -> None:
        """ConfigError for a profile that nothing has, as far as all can be read: else Nextflow says
        it."""
        if not self.profiles:
            return
        named, is_all = {"offline"}, True
        for folder, path in roots(ready, self.configs):
            names, is_whole = _declared(folder, path)
            named |= names
            is_all = is_all and is_whole
        for profile in self.profiles:
            if not NAME.fullmatch(profile) or (profile not in named and is_all):
                raise ConfigError(
                    f"there is no profile {profile!r}{hint(profile, named)}",
                    where=f"profile={','.join(self.profiles)}",
                    todo=f"the pipeline and the configs given have: {', '.join(sorted(named))}")


def roots(ready: Launch, more: Iterable[Path] = ()) -> Iterator[tuple[Path, str]]:
    """Every config that is read first, as folder and path: the pipeline's, an institution's."""
    yield ready.code, MAIN
    for path in custom_configs.includes(ready.code).named:
        yield ready.tree, path
    for config in (*ready.configs, *more):
        yield config.parent, config.name


def _refuse_unread(path: Path) -> None:
    if not path.is_file():
        raise ConfigError("there is no such file, given by config=", where=path,
                          todo="give its absolute path; several are separated by commas")
    if not os.access(path, os.R_OK):
        raise ConfigError("this user can't read the file given by config=", where=path,
                          todo="mend its rights")


def _declared(folder: Path, path: str) -> tuple[set[str], bool]:
    """The profiles in a config and what it includes, and whether all of that could be read.

    What it includes of the institution's tree is read for itself.
    """
    with opened(folder) as sources:
        if not sources.has(path):
            return set(), path == MAIN
        reader = Reader(sources, {})
        unread = [statement for statement in reader.read(path) if isinstance(statement, Include)
                  and statement.missing and not custom_configs.named(statement)]
    return reader.declared, not unread and not reader.broken
