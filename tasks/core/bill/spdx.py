"""Parts as SPDX 2.3 JSON.

Data files are packages too: SPDX would have the SHA-1 of a file, which nothing here relies on.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Any

from tasks.core import files
from tasks.core.bill import licences
from tasks.core.bill.cdx import NAMES, URL
from tasks.core.bill.parts import (
    CONFIGS,
    DATA,
    IMAGE,
    JAR,
    JAVA,
    PIPELINE,
    PLUGIN,
    RUNTIME,
    WHEEL,
    Part,
    Whole,
)
from tasks.core.paths import SBOM_SPDX
from tasks.core.schema import check
from tasks.core.tool_version import TOOL_VERSION

PURPOSES = {CONFIGS: "FILE", DATA: "FILE", IMAGE: "CONTAINER", JAR: "LIBRARY",
            JAVA: "FRAMEWORK", PIPELINE: "APPLICATION", PLUGIN: "LIBRARY",
            RUNTIME: "APPLICATION", WHEEL: "LIBRARY"}
"""SPDX's own words for the kinds of parts."""
UNKNOWN = "NOASSERTION"
DOCUMENT = "SPDXRef-DOCUMENT"
NO_TIME = "1970-01-01T00:00:00Z"
NO_TIME_SAID = ("SPDX asks for a time. Equal content has equal bytes here, so it is always this "
                "one; when it was promoted is signed with its promotion.")


def document(whole: Whole, parts: Sequence[Part]) -> bytes:
    """The document's bytes, by its content alone."""
    texts: dict[str, str] = {}
    own = f"SPDXRef-{whole.kind}"
    root = {"SPDXID": own, "name": whole.name,
            "versionInfo": whole.version, "downloadLocation": UNKNOWN,
            "filesAnalyzed": False, "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN,
            "copyrightText": UNKNOWN, "primaryPackagePurpose": "APPLICATION"}
    ids = {"": own, **{part.key: _id(part) for part in parts}}
    packages = [root, *(_package(part, ids[part.key], texts) for part in parts)]
    relations = [_relation(DOCUMENT, "DESCRIBES", own),
                 *(_relation(ids[part.within], "CONTAINS", ids[part.key]) for part in parts)]
    made: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": DOCUMENT,
        "name": f"{whole.name} {whole.version}",
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
    comment = "; ".join(f"{key}: {value}" for key, value in sorted(notes.items()))
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
        **({"comment": comment} if comment else {})}


def _location(part: Part) -> str:
    if not URL.fullmatch(part.source):
        return UNKNOWN
    commit = part.notes.get("commit")
    return f"git+{part.source}@{commit}" if commit else part.source


def _declared(names: tuple[str, ...], texts: dict[str, str]) -> str:
    """An expression; of a name, or of several whose relation nothing tells, a reference."""
    if not names:
        return UNKNOWN
    known = licences.expression(names[0]) if len(names) == 1 else None
    if known is not None:
        return known
    name = licences.reference(names)
    texts[name] = "\n".join(names)
    return name
