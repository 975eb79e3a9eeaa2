"""The runtime and the plugins as parts, each with the jars that it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.archives.limits import Bounds
from tasks.core.schema import read_json
from tasks.sbom import jars
from tasks.sbom.parts import JAR, PLUGIN, RUNTIME, Part

PLUGIN_MANIFEST = "classes/META-INF/MANIFEST.MF"
LICENCE = "Plugin-License"
"""The licence in a plugin's manifest (PF4J, "Plugins")."""


def runtime(archive: Path, version: str, coordinates: tuple[str, ...]) -> Iterator[Part]:
    """Nextflow itself, and its jars; `coordinates` are those that Maven was asked for."""
    from packageurl import PackageURL
    purl = PackageURL(type="github", namespace="nextflow-io", name="nextflow",
                      version=f"v{version}")
    own = Part(kind=RUNTIME, key=f"runtime:nextflow@{version}", name="nextflow", version=version,
               purl=str(purl), bytes=archive.stat().st_size,
               hashes={"SHA-256": files.sha256(archive)}, notes={"file": archive.name})
    yield own
    groups = {f"{name}@{number}": group for group, name, number in
              (coordinate.split(":") for coordinate in coordinates)}
    with _unpacked(archive, limits.RUNTIME) as folder:
        yield from _jars(folder, own, groups)


def plugins(archive: Path, lock: Path) -> Iterator[Part]:
    """Each plugin, by the digests of the zip that it was published as, and its jars."""
    from packageurl import PackageURL
    locked = read_json(lock, "plugins-lock")["plugins"]
    with _unpacked(archive, limits.PLUGINS) as folder:
        for entry in locked:
            own = Part(kind=PLUGIN, key=f"plugin:{entry['id']}@{entry['version']}",
                       name=entry["id"], version=entry["version"], source=entry["url"],
                       purl=str(PackageURL(type="generic", name=entry["id"],
                                           version=entry["version"], qualifiers={
                                               "download_url": entry["url"],
                                               "checksum": f"sha256:{entry['sha256']}"})),
                       hashes={"SHA-256": entry["sha256"], "SHA-512": entry["sha512"]},
                       licences=_plugin_licence(folder / f"{entry['id']}-{entry['version']}"),
                       notes={"file": f"plugins.tar: {entry['id']}-{entry['version']}"})
            yield own
            yield from _jars(folder / f"{entry['id']}-{entry['version']}", own, {})


def _plugin_licence(folder: Path) -> tuple[str, ...]:
    path = folder / PLUGIN_MANIFEST
    if path.is_symlink() or not path.is_file() or path.stat().st_size > jars.LARGEST:
        return ()
    said = jars.headers(path.read_bytes().decode(errors="replace")).get(LICENCE, "").strip()
    return (said,) if said and said.isprintable() and len(said) <= jars.LONGEST else ()


@contextlib.contextmanager
def _unpacked(archive: Path, allowed: Bounds) -> Iterator[Path]:
    with files.scratch(archive.parent, "sbom") as place:
        unpacking.unpack_tar(archive, place / "all", allowed=allowed)
        yield place / "all"


def _jars(folder: Path, holder: Part, groups: Mapping[str, str]) -> Iterator[Part]:
    """The jars below a folder, and what was packed into each; `groups` are known otherwise."""
    for path in sorted(folder.rglob("*.jar")):
        if path.is_symlink() or not path.is_file():
            continue
        jar, packed = jars.read(path, path.name)
        place = path.relative_to(folder).as_posix()
        own = _part(jar, f"jar:{holder.name}/{place}", holder,
                    jar.group or groups.get(f"{jar.name}@{jar.version}", ""), {"file": place},
                    hashes={"SHA-256": files.sha256(path)}, size=path.stat().st_size)
        yield own
        for inside in packed:
            yield _part(inside, f"{own.key}!{inside.group}:{inside.name}@{inside.version}", own,
                        inside.group, {"packed-into": path.name})


def _part(jar: jars.Jar, key: str, holder: Part, group: str, notes: Mapping[str, str], *,
          hashes: Mapping[str, str] | None = None, size: int | None = None) -> Part:
    from packageurl import PackageURL
    purl = PackageURL(type="maven", namespace=group, name=jar.name,
                      version=jar.version) if group and jar.version else ""
    return Part(kind=JAR, key=key, name=jar.name, version=jar.version, group=group,
                purl=str(purl), hashes=hashes or {}, licences=jar.licences, bytes=size,
                within=holder.key, notes=notes)
