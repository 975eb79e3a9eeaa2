"""The runtime and the plugins as parts, each with the jars that it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.archives.limits import Bounds
from tasks.core.bill.licences import expression
from tasks.core.bill.parts import JAR, PLUGIN, RUNTIME, Part
from tasks.core.licence_names import named
from tasks.core.schema import read_json
from tasks.sbom import jars

PLUGIN_MANIFEST = "classes/META-INF/MANIFEST.MF"
LICENCE = "Plugin-License"
"""The licence in a plugin's manifest (PF4J, "Plugins")."""
NEXTFLOW = ("io.nextflow", "nextflow")
"""Group and artifact of the jar that is Nextflow itself."""


def runtime(archive: Path, version: str, declared: Path) -> Iterator[Part]:
    """Nextflow itself, and its jars; `declared` is the file of what Maven's poms say of these.

    Its licence is that of the jar that it is named by.
    """
    from packageurl import PackageURL
    purl = PackageURL(type="github", namespace="nextflow-io", name="nextflow",
                      version=f"v{version}")
    own = Part(kind=RUNTIME, key=f"runtime:nextflow@{version}", name="nextflow", version=version,
               purl=str(purl), bytes=archive.stat().st_size,
               hashes={"SHA-256": files.sha256(archive)}, notes={"file": archive.name})
    known = {(entry["name"], entry["sha256"]): entry
             for entry in read_json(declared, "runtime-jars")["jars"]}
    with _unpacked(archive, limits.RUNTIME) as folder:
        held = list(_jars(folder, own, known))
    for jar in held:
        if (jar.group, jar.name) == NEXTFLOW and jar.licences:
            by = jar.notes.get("licence-by", f"{':'.join(NEXTFLOW)}:{jar.version}")
            own = replace(own, licences=jar.licences, notes={**own.notes, "licence-by": by})
    yield from (own, *held)


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
    return named([jars.headers(path.read_bytes().decode(errors="replace")).get(LICENCE)])


@contextlib.contextmanager
def _unpacked(archive: Path, allowed: Bounds) -> Iterator[Path]:
    with files.scratch(archive.parent, "sbom") as place:
        unpacking.unpack_tar(archive, place / "all", allowed=allowed)
        yield place / "all"


def _jars(folder: Path, holder: Part, known: Mapping[tuple[str, str], Mapping[str, Any]]
          ) -> Iterator[Part]:
    """The jars below a folder, and what was packed into each.

    `known` is what Maven's poms say, by name and SHA-256.
    """
    for path in sorted(folder.rglob("*.jar")):
        if path.is_symlink() or not path.is_file():
            continue
        jar, packed = jars.read(path, path.name)
        place, digest = path.relative_to(folder).as_posix(), files.sha256(path)
        jar, by = _as_declared(jar, known.get((path.name, digest), {}))
        own = _part(jar, f"jar:{holder.name}/{place}", holder,
                    {"file": place, **({"licence-by": by} if by else {})},
                    hashes={"SHA-256": digest}, size=path.stat().st_size)
        yield own
        for inside in packed:
            yield _part(inside, f"{own.key}!{inside.group}:{inside.name}@{inside.version}", own,
                        {"packed-into": path.name})


def _as_declared(jar: jars.Jar, known: Mapping[str, Any]) -> tuple[jars.Jar, str]:
    """A jar with what Maven's poms say of it, and the pom that names its licence.

    The poms come first, since few jars have all of theirs inside; but an identifier of SPDX in
    the jar says more than a name in a pom.
    """
    if "group" in known:
        jar = replace(jar, group=known["group"], name=known["artifact"], version=known["version"])
    licences = tuple(known.get("licences", ()))
    if not licences or (_is_exact(jar.licences) and not _is_exact(licences)):
        return jar, ""
    return replace(jar, licences=licences), f"the pom of {known['licences_of']}"


def _is_exact(licences: tuple[str, ...]) -> bool:
    return bool(licences) and all(expression(text) for text in licences)


def _part(jar: jars.Jar, key: str, holder: Part, notes: Mapping[str, str], *,
          hashes: Mapping[str, str] | None = None, size: int | None = None) -> Part:
    from packageurl import PackageURL
    purl = PackageURL(type="maven", namespace=jar.group, name=jar.name,
                      version=jar.version) if jar.group and jar.version else ""
    return Part(kind=JAR, key=key, name=jar.name, version=jar.version, group=jar.group,
                purl=str(purl), hashes=hashes or {}, licences=jar.licences, bytes=size,
                within=holder.key, notes=notes)
