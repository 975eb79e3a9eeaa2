"""A release's parts as SPDX 2.3 JSON.

Data files are packages too: SPDX would have the SHA-1 of a file, which nothing here relies on.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Any

from tasks.core import files
from tasks.core.paths import SBOM_SPDX
from tasks.core.schema import check
from tasks.core.tool_version import TOOL_VERSION
from tasks.sbom import licences
from tasks.sbom.cdx import NAMES, URL
from tasks.sbom.parts import CONFIGS, DATA, IMAGE, JAR, PIPELINE, PLUGIN, RUNTIME, Part

PURPOSES = {CONFIGS: "FILE", DATA: "FILE", IMAGE: "CONTAINER", JAR: "LIBRARY",
            PIPELINE: "APPLICATION", PLUGIN: "LIBRARY", RUNTIME: "APPLICATION"}
"""SPDX's own words for the kinds of parts."""
UNKNOWN = "NOASSERTION"
DOCUMENT, RELEASE = "SPDXRef-DOCUMENT", "SPDXRef-release"
NO_TIME = "1970-01-01T00:00:00Z"
NO_TIME_SAID = ("SPDX asks for a time. Equal content has equal bytes here, so it is always this "
                "one; when the release was promoted is signed with its promotion.")


def document(parts: Sequence[Part]) -> bytes:
    """The document's bytes, by its content alone."""
    pipeline = next(part for part in parts if part.kind == PIPELINE)
    texts: dict[str, str] = {}
    release = {"SPDXID": RELEASE, "name": f"release of {pipeline.name}",
               "versionInfo": pipeline.version, "downloadLocation": UNKNOWN,
               "filesAnalyzed": False, "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN,
               "copyrightText": UNKNOWN, "primaryPackagePurpose": "APPLICATION"}
    ids = {"": RELEASE, **{part.key: _id(part) for part in parts}}
    packages = [release, *(_package(part, ids[part.key], texts) for part in parts)]
    relations = [_relation(DOCUMENT, "DESCRIBES", RELEASE),
                 *(_relation(ids[part.within], "CONTAINS", ids[part.key]) for part in parts)]
    made: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": DOCUMENT,
        "name": f"release of {pipeline.name} {pipeline.version}",
        "creationInfo": {"created": NO_TIME, "comment": NO_TIME_SAID,
                         "creators": [f"Tool: nf-airlock-{TOOL_VERSION}"]},
        "packages": packages, "relationships": relations,
        **({"hasExtractedLicensingInfos": [
            {"licenseId": name, "name": text.splitlines()[0], "extractedText": text}
            for name, text in sorted(texts.items())]} if texts else {})}
    digest = files.sha256_bytes(files.json_bytes(made))
    made["documentNamespace"] = f"urn:uuid:{uuid.uuid5(NAMES, digest)}"
    return files.json_bytes(check(made, "sbom-spdx", where=SBOM_SPDX))


def _id(part: Part) -> str:
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", part.name).strip("-")[:40]
    return f"SPDXRef-{part.kind}-{plain}-{hashlib.sha256(part.key.encode()).hexdigest()[:12]}"


def _relation(of: str, kind: str, to: str) -> dict[str, str]:
    return {"spdxElementId": of, "relationshipType": kind, "relatedSpdxElement": to}


def _package(part: Part, name: str, texts: dict[str, str]) -> dict[str, Any]:
    """One part; the `texts` of licences that are no expressions are added to."""
    notes = {**part.notes, **({} if part.bytes is None else {"size": str(part.bytes)})}
    said = "; ".join(f"{key}: {value}" for key, value in sorted(notes.items()))
    return {
        "SPDXID": name,
        "name": f"{part.group}:{part.name}" if part.group else part.name,
        **({"versionInfo": part.version} if part.version else {}),
        "downloadLocation": _location(part), "filesAnalyzed": False,
        **({"sourceInfo": part.source} if part.source else {}),
        **({"checksums": [{"algorithm": algorithm.replace("-", ""), "checksumValue": value}
                          for algorithm, value in sorted(part.hashes.items())]}
           if part.hashes else {}),
        "licenseConcluded": UNKNOWN, "licenseDeclared": _declared(part.licences, texts),
        "copyrightText": UNKNOWN, "primaryPackagePurpose": PURPOSES[part.kind],
        **({"externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": part.purl}]} if part.purl else {}),
        **({"comment": said} if said else {})}


def _location(part: Part) -> str:
    if not URL.fullmatch(part.source):
        return UNKNOWN
    commit = part.notes.get("commit")
    return f"git+{part.source}@{commit}" if commit else part.source


def _declared(said: tuple[str, ...], texts: dict[str, str]) -> str:
    """An expression; of a name, or of several whose relation nothing tells, a reference."""
    if not said:
        return UNKNOWN
    known = licences.expression(said[0]) if len(said) == 1 else None
    if known is not None:
        return known
    name = licences.reference(said)
    texts[name] = "\n".join(said)
    return name
