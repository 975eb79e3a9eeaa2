"""Where the configuration's files lie: those that come with this project, a user's own over them.

`AIRLOCK_CONFIG=DIR` names a folder, as a rule another git repository, with `sites/`, `pipelines/`,
`locks/`, `engines/` and `offline.config`. A file there is used in place of the bundled one of its
name, and what is written comes to lie there.

Which folder that is belongs to the process, as its current folder does, which the bundled files are
relative to: load() says it first of all, and whoever names a file of the configuration asks here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.core.errors import ConfigError

VARIABLE = "AIRLOCK_CONFIG"
BUNDLED = Path("config")
OFFLINE_CONFIG = "offline.config"
PARTS = ("sites", "pipelines", "locks", "engines", OFFLINE_CONFIG)
_OVERLAID = ("sites/*.yml", "pipelines/*.yml", "engines/*.config", OFFLINE_CONFIG)
"""What a user's own file of the same name is used instead of; locks are one set."""
_in_use: dict[str, Path | None] = {"own": None}


def use(own: Path | None) -> None:
    """Say which folder holds the user's own configuration; None where there is none."""
    _in_use["own"] = own


def own() -> Path | None:
    """The folder of the user's own configuration."""
    return _in_use["own"]


def checked(text: str, root: Path = Path(), *, begins: bool = False) -> Path:
    """The folder that AIRLOCK_CONFIG names; ConfigError where it can hold no configuration.

    Where one `begins`, by a command that writes its first file, it may hold none yet.
    """
    folder = root.absolute() / Path(text).expanduser()
    fault, todo = _fault(folder, root.absolute())
    if fault is None and not begins and not any((folder / part).exists() for part in PARTS):
        fault = f"there is no configuration in it: none of {', '.join(PARTS)}"
        inner = folder / BUNDLED
        todo = (f"{VARIABLE}={inner}" if any((inner / part).exists() for part in PARTS) else
                "name another folder; or begin in this one, by `./doit site NAME`")
    if fault:
        raise ConfigError(fault, where=f"{VARIABLE}: {folder}", todo=todo)
    return folder


def _fault(folder: Path, root: Path) -> tuple[str | None, str]:
    """What is wrong with a folder, and what to do."""
    named = f"correct {VARIABLE}, in the environment or in .env, or take it out"
    if not str(folder).isprintable():
        return "the folder's name can't be shown, nor written into messages", named
    if not os.path.lexists(folder):
        return "there is no such folder", f"{named}; `git clone` brings a colleague's"
    if not folder.is_dir():
        return "this is no folder", named
    if not os.access(folder, os.R_OK | os.X_OK):
        return "this user may not read the folder", f"have it opened to this user; or {named}"
    return _misplaced(folder.resolve(), root.resolve())


def _misplaced(folder: Path, root: Path) -> tuple[str | None, str]:
    if folder.is_relative_to(root / "build"):
        return ("this is below build/, which holds what is built and may be removed at any time",
                "move it out of there, into a repository of its own")
    if folder in (root, root / BUNDLED):
        return ("this is the configuration that comes with the project, and no other one",
                f"take {VARIABLE} out, or name a folder of your own")
    return None, ""


def place(name: str, root: Path = Path()) -> Path:
    """The file of a name such as sites/acme.yml: the user's own, else the bundled one."""
    folder = own()
    if folder is not None and os.path.lexists(folder / name):
        return folder / name
    return root / BUNDLED / name


def new(name: str) -> Path:
    """Where a file of that name is written."""
    return (own() or BUNDLED) / name


def site(name: str) -> Path:
    """A site's file; where there is none, the one that would be written."""
    return _there_or_new(f"sites/{name}.yml")


def pipeline(name: str) -> Path:
    """A pipeline's file; where there is none, the one that would be written."""
    return _there_or_new(f"pipelines/{name}.yml")


def _there_or_new(name: str) -> Path:
    there = place(name)
    return there if os.path.lexists(there) else new(name)


def offline_config() -> Path:
    """The hand-written settings that hold for all pipelines on the offline side."""
    return place(OFFLINE_CONFIG)


def engine(kind: str) -> Path:
    """The hand-written settings that switch this engine on in offline.config, and others off."""
    return place(f"engines/{kind}.config")


def names(part: str, root: Path = Path()) -> list[str]:
    """The names of all sites or pipelines, whichever folder holds their files."""
    return sorted({path.stem for folder in folders(part, root) for path in folder.glob("*.yml")})


def folders(part: str, root: Path = Path()) -> tuple[Path, ...]:
    """The folders that may hold sites or pipelines; of two files of one name the last counts."""
    folder = own()
    return (root / BUNDLED / part, *([folder / part] if folder is not None else []))


def locks(site: str, pipeline: str) -> Path:
    """The folder of a pipeline's locks for a site.

    They are the user's own where either is: what the bundled local site makes of a bundled pipeline
    is of this machine alone, and no matter for that repository.
    """
    folder = own()
    is_own = folder is not None and any(
        os.path.lexists(folder / name) for name in (f"sites/{site}.yml",
                                                    f"pipelines/{pipeline}.yml"))
    return (folder or BUNDLED) / "locks" if is_own else BUNDLED / "locks"


def shadows() -> list[str]:
    """Which of the user's own files are used in place of bundled ones, a line each."""
    folder = own()
    if folder is None:
        return []
    return [f"{folder / name} is used, and hides the bundled {bundled}"
            for pattern in _OVERLAID for bundled in sorted(BUNDLED.glob(pattern))
            if os.path.lexists(folder / (name := bundled.relative_to(BUNDLED)))]


def carried_name(path: Path) -> str:
    """What a file of the configuration is called in what is carried: no machine's path."""
    folder = own()
    is_own = folder is not None and path.is_relative_to(folder)
    return f"${VARIABLE}/{relative(str(path))}" if is_own else str(path)


def relative(path: str) -> str:
    """A path as a file of the user's own configuration has it: relative to its folder."""
    folder = own()
    if folder is None or not Path(path).is_relative_to(folder):
        return path
    return Path(path).relative_to(folder).as_posix()


def written(path: str) -> str:
    """A path of this machine as a file that is written now names it."""
    folder = own()
    return path if folder is None else relative(os.path.normpath(Path(path).absolute()))


def base_of(path: Path) -> Path | None:
    """The folder that relative paths in a file are of; None for a bundled one: the current one."""
    folder = own()
    return folder if folder is not None and path.is_relative_to(folder) else None


def rebased(raw: Any, keys: Sequence[str], folder: Path | None) -> Any:
    """A mapping whose `keys`, dotted, hold paths: relative ones become those of `folder`."""
    for key in keys if folder is not None else ():
        *parents, last = key.split(".")
        node = raw
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict) and last in node:
            value = node[last]
            node[last] = ([_joined(item, folder) for item in value] if isinstance(value, list)
                          else _joined(value, folder))
    return raw


def _joined(value: Any, folder: Path | None) -> Any:
    """A relative path behind the folder; a URL, a git address by SSH and `~` stay as they are."""
    is_relative = isinstance(value, str) and value != "" and not (
        value.startswith(("/", "~", "git@")) or "://" in value)
    return os.path.normpath(folder / value) if folder is not None and is_relative else value
