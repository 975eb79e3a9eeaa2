"""The tool's wheels as parts, by what each says of itself.

Name and version are those of the file's name (packaging.python.org, "Binary distribution format").
The licence stands in METADATA ("Core metadata"): in License-Expression, and in older ones in
License and in classifiers. A wheel that can't be read is known by its name alone.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from pathlib import Path

from tasks.core import files
from tasks.core.archives import limits, zips
from tasks.core.bill.licences import expression
from tasks.core.bill.parts import JAVA, WHEEL, Part
from tasks.core.errors import IntegrityError
from tasks.core.licence_names import named

NAME = re.compile(r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)(?:-[^-]+){3,4}\.whl")
METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
LARGEST = 2**20
"""Bytes of METADATA that are read, which may hold a whole README; of `release` too."""
UNSAID = ("UNKNOWN", "OSI Approved")
"""What older builders write for no licence, and a classifier that names none."""
CLASSIFIER = "License :: "
RELEASE, JAVA_PROGRAM = "java-runtime/release", "java-runtime/bin/java"
VERSION = re.compile(r'^JAVA_VERSION="([A-Za-z0-9._+-]{1,50})"', re.MULTILINE)
"""As the file `release` of a Java has it."""


def parts(wheels: Iterable[Path]) -> Iterator[Part]:
    """Each wheel, and behind it the Java that it may hold."""
    for path in wheels:
        yield from _parts(path)


def _parts(path: Path) -> Iterator[Part]:
    from packageurl import PackageURL
    match = NAME.fullmatch(path.name)
    name, version = ((match["name"].replace("_", "-"), match["version"]) if match
                     else (path.name, ""))
    metadata, java = _read(path)
    licences, by = _licences(metadata)
    purl = str(PackageURL(type="pypi", name=name, version=version, qualifiers={
        "file_name": path.name})) if version else ""
    own = Part(kind=WHEEL, key=f"wheel:{path.name}", name=name, version=version, purl=purl,
               bytes=path.stat().st_size, hashes={"SHA-256": files.sha256(path)},
               licences=licences, notes={
                   "file": f"wheels/{path.name}", **({"licence-by": by} if by else {})})
    yield own
    if java:
        yield Part(kind=JAVA, key=f"java:{path.name}", name="java", version=java, within=own.key,
                   notes={"packed-into": path.name})


def _read(path: Path) -> tuple[str, str]:
    """METADATA, and the version of the Java in the wheel; each is empty where it isn't there."""
    try:
        with zips.open_zip(path, allowed=limits.WHEEL) as opened:
            names = set(opened.namelist())
            about = [name for name in names if METADATA.fullmatch(name)]
            homes = [home for name in names if name.endswith(f"/{RELEASE}")
                     and f"{(home := name.removesuffix(RELEASE))}{JAVA_PROGRAM}" in names]
            java = VERSION.search(_text(opened, f"{homes[0]}{RELEASE}")) if homes else None
            return (_text(opened, about[0]) if len(about) == 1 else "", java[1] if java else "")
    except IntegrityError:
        return "", ""


def _text(opened: zipfile.ZipFile, name: str) -> str:
    return zips.read_member(opened, name, most=LARGEST).decode(errors="replace")


def _licences(metadata: str) -> tuple[tuple[str, ...], str]:
    """The licences, and which field names them. A whole text in the field License is none.

    Classifiers say more than a License that is no expression, such as "Dual License".
    """
    fields = HeaderParser().parsestr(metadata)
    own = fields.get_all("License", [])[:1]
    classifiers = [text.rpartition(" :: ")[2] for text in fields.get_all("Classifier", [])
                   if text.startswith(CLASSIFIER)]
    for field, texts in (("License-Expression", fields.get_all("License-Expression", [])[:1]),
                         ("License", [text for text in own if expression(text)]),
                         ("Classifier", classifiers), ("License", own)):
        if names := named(text for text in texts if text not in UNSAID):
            return names, field
    return (), ""
