"""Keys, passwords and dotfiles that a user's sheet names: asked about, not carried without a word.

A sheet may come from somebody else, and a folder or pattern in it takes more than was thought of.
What is known by its name or its first bytes is listed; a secret under another name is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.core import parsing
from tasks.core.errors import ConfigError
from tasks.core.net import urls
from tasks.data import sources, stage
from tasks.data.collect import Collected
from tasks.data.sources import Reach

NAMES = ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_*_sk", "*.pem", "*.key", "*.p12",
         "*.pfx", "*.ppk", "*.jks", "*.kdbx", "credentials", "credentials.*", "*_accesskeys.csv",
         "rootkey.csv", "_netrc")
"""Names of keys and password files, in lower case; those that begin with a dot are known by it."""
LOGINS = {"auths", "credHelpers", "credsStore"}
"""What a Docker config file with logins has, as `docker login` writes it."""
MAX_LOGIN_FILE = 2**20
BYTES_LOOKED_AT = 4096
"""Bytes in which a key's first line stands, after what openssl or a JSON file puts before it."""
KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\Aopenssh-key-v1\0"
                 rb"|\APuTTY-User-Key-File-|^AGE-SECRET-KEY-1|^AGE-PLUGIN-", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Named:
    """A file of this machine that would be carried: below which folder, and where it is named."""

    path: Path
    below: Sequence[Path]
    place: str


def refuse(files: Iterable[Named], sheet: Path) -> None:
    """ConfigError that lists all files that look private, with the places that name them."""
    lines = {f"    {named.path}: {why}; {named.place}" for named in files if (why := reason(named))}
    if lines:
        shown = sorted(lines)[:sources.MAX_FAULTS_SHOWN]
        more = len(lines) - len(shown)
        raise ConfigError("the sheet names files that look private:\n" + "\n".join(shown)
                          + (f"\n    and {more} more" if more else ""), where=sheet,
                          todo="take them out of the sheet; if they are to be carried, say so: "
                               "private=1")


def reason(named: Named) -> str | None:
    """Why a file looks private, by its names and its beginning, or None."""
    places = (named.path, named.path.resolve())
    if any(part.startswith(".") for place in places for part in _below(place, named.below)):
        return "its path has a part that begins with a dot"
    if any(fnmatchcase(place.name.lower(), pattern) for place in places for pattern in NAMES):
        return "its name is that of a key or password file"
    try:
        with named.path.open("rb") as stream:
            begins = stream.read(BYTES_LOOKED_AT)
    except OSError:
        return None  # the step that copies it says so
    if KEY.search(begins):
        return "it begins as a private key"
    if any(place.name.lower() == "config.json" for place in places) and _has_logins(named.path):
        return "it is a Docker config file with logins"
    return None


def _below(path: Path, folders: Sequence[Path]) -> tuple[str, ...]:
    """What of a path stands below the nearest of the folders; all of it below none."""
    return min((path.relative_to(folder).parts for folder in folders
                if path.is_relative_to(folder)), key=len, default=path.parts)


def _has_logins(path: Path) -> bool:
    if path.stat().st_size > MAX_LOGIN_FILE:
        return False
    try:
        settings = parsing.from_json(path.read_bytes(), is_unique=False)
    except ValueError:
        return False
    return isinstance(settings, dict) and bool(LOGINS & set(settings))


def local(collected: Collected, folders: Sequence[Path]) -> Iterator[Named]:
    """The files that cells name by paths, sheets among them, and the indexes beside them."""
    for key, path in collected.local.items():
        place = ", ".join(collected.local_places[key])
        yield Named(path=path, below=folders, place=place)
        for beside in collected.beside[key]:
            yield Named(path=beside, below=folders, place=f"beside what {place} names")
    for key, (place, path) in collected.origins.items():
        if not urls.is_url(key):
            yield Named(path=path, below=folders, place=place)


def by_url(wanted: stage.Wanted, collected: Collected, reach: Reach,
           folders: Sequence[Path]) -> Iterator[Named]:
    """The files that file:// or the site's map leads to, one by one where a folder is named."""
    sheets = {key: [place] for key, (place, _) in collected.origins.items() if urls.is_url(key)}
    named: Mapping[str, Sequence[str]] = {**sheets, **wanted.places}
    for url, places in named.items():
        _, reached = sources.at(url, reach)
        if reached.lower().startswith("file://"):
            own = () if reached == url else (sources.folder_of_map(url, reach.prefixes),)
            yield Named(path=Path(unquote(urlsplit(reached).path)), below=(*folders, *own),
                        place=", ".join(places))
