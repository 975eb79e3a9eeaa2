"""Parts as CycloneDX 1.6 JSON, made and judged by CycloneDX's own library.

What CycloneDX has no key for stands in properties whose names begin with `airlock:`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tasks.core import files
from tasks.core.bill import licences
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
from tasks.core.errors import IntegrityError
from tasks.core.paths import SBOM_CYCLONEDX
from tasks.core.schema import check
from tasks.core.tool_version import TOOL_VERSION

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

TYPES = {CONFIGS: "file", DATA: "file", IMAGE: "container", JAR: "library", JAVA: "platform",
         PIPELINE: "application", PLUGIN: "library", RUNTIME: "application", WHEEL: "library"}
"""CycloneDX's own words for the kinds of parts."""
URL = re.compile(r"(https?|ftp)://[!-~]+")
NAMES = uuid.uuid5(uuid.NAMESPACE_DNS, "sbom.nf-airlock.invalid")
"""What serial numbers are made below: one for each content."""


def document(whole: Whole, parts: Sequence[Part]) -> bytes:
    """The document; IntegrityError where CycloneDX's own schema finds a fault in it."""
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6
    tool = Component(name="nf-airlock", version=TOOL_VERSION, type=ComponentType.APPLICATION)
    root = Component(name=whole.name, version=whole.version, type=ComponentType.APPLICATION,
                     bom_ref=whole.kind)
    by_key = {part.key: _component(part) for part in parts}
    bom = Bom(metadata=BomMetaData(component=root, tools=ToolRepository(components=[tool])),
              components=by_key.values())
    holders = {"": root, **by_key}
    for holder in dict.fromkeys(part.within for part in parts):
        bom.register_dependency(holders[holder], [
            by_key[part.key] for part in parts if part.within == holder])
    return _finished(json.loads(JsonV1Dot6(bom).output_as_string()))


def _finished(document: dict[str, Any]) -> bytes:
    """The document's bytes, by its content alone: no time, and a serial number made of it."""
    document.pop("serialNumber")
    document["metadata"].pop("timestamp")
    document["metadata"]["tools"]["components"][0].pop("bom-ref", None)
    document["components"].sort(key=lambda component: component["bom-ref"])
    digest = files.sha256_bytes(files.json_bytes(document))
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(NAMES, digest)}"
    data = files.json_bytes(check(document, "sbom-cyclonedx", where=SBOM_CYCLONEDX))
    _refuse_faults(data)
    return data


def _refuse_faults(data: bytes) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    if fault is not None:
        raise IntegrityError("the list of parts is no CycloneDX 1.6: "
                             f"{str(fault.data.message)[:300]}",
                             where=SBOM_CYCLONEDX, todo="report it, with the part that is named")


def _component(part: Part) -> Component:
    from cyclonedx.model import (
        ExternalReference,
        ExternalReferenceType,
        HashAlgorithm,
        HashType,
        XsUri,
    )
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL
    kind = (ExternalReferenceType.VCS if part.kind in (PIPELINE, CONFIGS)
            else ExternalReferenceType.DISTRIBUTION)
    return Component(
        type=ComponentType(TYPES[part.kind]), bom_ref=part.key, name=part.name,
        version=part.version or None, group=part.group or None,
        purl=PackageURL.from_string(part.purl) if part.purl else None,
        hashes=[HashType(alg=HashAlgorithm(name), content=value)
                for name, value in part.hashes.items()],
        licenses=_licences(part.licences),
        external_references=[ExternalReference(type=kind, url=XsUri(part.source))]
        if URL.fullmatch(part.source) else [],
        properties=list(_properties(part)))


def _properties(part: Part) -> Iterable[Any]:
    from cyclonedx.model import Property
    values = {"kind": part.kind, **part.notes,
              **({"source": part.source} if part.source else {}),
              **({} if part.bytes is None else {"size": str(part.bytes)}),
              **({} if part.licences else {"licence": "unknown"})}
    for name, value in values.items():
        yield Property(name=f"airlock:{name}", value=value)


def _licences(texts: Sequence[str]) -> Iterator[License]:
    """Licences as they were declared. Several are listed, since nothing says how they relate."""
    from cyclonedx import spdx
    from cyclonedx.model.license import (
        DisjunctiveLicense,
        LicenseAcknowledgement,
        LicenseExpression,
    )
    declared = LicenseAcknowledgement.DECLARED
    for text in texts:
        known = licences.expression(text)
        if known is not None and spdx.is_supported_id(known):
            yield DisjunctiveLicense(id=known, acknowledgement=declared)
        elif known is not None and len(texts) == 1:
            yield LicenseExpression(known, acknowledgement=declared)
        else:
            yield DisjunctiveLicense(name=text, acknowledgement=declared)
