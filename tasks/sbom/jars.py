"""What a jar says of itself: Maven's coordinates and its licences, or nothing.

Read are META-INF/maven/<group>/<artifact>/pom.properties and pom.xml, which Maven puts into what it
packs, and Bundle-License of META-INF/MANIFEST.MF (OSGi Core, "Bundle Manifest Headers").
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core import pom
from tasks.core.archives import limits, zips
from tasks.core.errors import IntegrityError
from tasks.core.licence_names import LONGEST, named

MANIFEST = "META-INF/MANIFEST.MF"
PROPERTIES = re.compile(r"META-INF/maven/([^/]+)/([^/]+)/pom\.properties")
FILE_NAME = re.compile(r"(?P<name>.+?)-(?P<version>\d[\w.+-]*)\.jar")
"""artifact-version.jar, as Maven's repositories have it."""
LARGEST = 2**20
"""Bytes of a manifest, or of pom.properties, that are read."""


@dataclass(frozen=True, kw_only=True)
class Jar:
    """What one artifact is; `group` is empty where only the file's name tells of it."""

    group: str
    name: str
    version: str
    licences: tuple[str, ...]


def read(path: Path, name: str) -> tuple[Jar, list[Jar]]:
    """The jar of that file name, and the artifacts that were packed into it.

    A jar that can't be read as one is known by its name alone.
    """
    try:
        with zips.open_zip(path, allowed=limits.JAR) as opened:
            inside = sorted(_artifacts(opened), key=lambda jar: (jar.group, jar.name, jar.version))
            bundle = _bundle_licences(headers(_text(opened, MANIFEST)))
    except IntegrityError:
        inside, bundle = [], ()
    by_name = _by_name(name)
    own = [jar for jar in inside if (jar.name, jar.version) == (by_name.name, by_name.version)]
    if not own and len(inside) == 1:
        own = [jar for jar in inside if name.startswith(f"{jar.name}-") or name.startswith(
            f"{jar.name}.")]
    if not own:
        return replace(by_name, licences=bundle), inside
    return (replace(own[0], licences=own[0].licences or bundle),
            [jar for jar in inside if jar != own[0]])


def _by_name(name: str) -> Jar:
    match = FILE_NAME.fullmatch(name)
    return Jar(group="", name=match["name"] if match else name.removesuffix(".jar"),
               version=match["version"] if match else "", licences=())


def _artifacts(opened: zipfile.ZipFile) -> Iterator[Jar]:
    for member in opened.namelist():
        if not (match := PROPERTIES.fullmatch(member)):
            continue
        properties = dict(line.split("=", 1) for line in _text(opened, member).splitlines()
                          if "=" in line and not line.startswith("#"))
        group, name, version = (properties.get(key, "").strip()
                                for key in ("groupId", "artifactId", "version"))
        if (group, name) == match.groups() and version.isprintable():
            yield Jar(group=group, name=name, version=version, licences=pom.read(
                _bytes(opened, f"{member.rpartition('/')[0]}/pom.xml")).licences)


def headers(manifest: str) -> dict[str, str]:
    """The main section of a jar's manifest; a line that begins with a space goes on from before."""
    whole = re.sub(r"\r?\n ", "", manifest)
    main = re.split(r"\r?\n\r?\n", whole, maxsplit=1)[0]
    return {key.strip(): value.strip() for key, mark, value in
            (line.partition(":") for line in main.splitlines()) if mark}


def _bundle_licences(manifest: dict[str, str]) -> tuple[str, ...]:
    """Bundle-License's entries: names or URLs, each with attributes after a semicolon."""
    entries = re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)',
                       manifest.get("Bundle-License", "")[:10 * LONGEST])
    return named(entry.split(";")[0].strip().strip('"') for entry in entries)


def _text(opened: zipfile.ZipFile, name: str) -> str:
    return _bytes(opened, name).decode(errors="replace")


def _bytes(opened: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes; none where it isn't there, or is larger than any of its kind."""
    try:
        return zips.read_member(opened, name, most=LARGEST)
    except (KeyError, IntegrityError):
        return b""
