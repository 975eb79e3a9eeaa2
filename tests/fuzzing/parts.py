"""Readers of what jars, poms and wheels say of themselves."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tasks.core import files
from tasks.core.bill import cdx, spdx
from tasks.core.bill.parts import JAR, Part, Whole
from tasks.core.licence_names import LONGEST, MOST
from tasks.release import tool_wheels
from tasks.runtime import declared
from tasks.sbom import jars
from tests.fuzzing.inputs import torn
from tests.fuzzing.reader import Reader
from tests.kit.jars import jar, licences, parent
from tests.kit.jars import pom as text_of

KNOWN = declared.brought("@/a/b/1/b-1.jar")
JAR_NAME, WHEEL_NAME = "b-1.jar", "b-1-py3-none-any.whl"
POM = text_of(parent("a", "b", "1"), licences("MIT", "Two & more")).encode()
WORDS = [b"<licenses>", b"<license>", b"<name>", b"<parent>", b"</project>", b"<!DOCTYPE p [",
         b'<!ENTITY a "aaaaaaaaaa">', b"]>", b"&a;", b"&#0;", b"&#xD800;", b"<![CDATA[", b"<?x ?>",
         b'<?xml version="1.0" encoding="utf-7"?>', b'<?xml version="1.0" encoding="x"?>',
         b"<groupId>../..</groupId>", b"<artifactId>/etc/passwd</artifactId>", b"<a xmlns='b'>"]
PROPERTIES = b"groupId=a\nartifactId=b\nversion=1\n"
MANIFEST = b'Manifest-Version: 1.0\r\nBundle-License: "MIT";link="https://x.org",\r\n b\r\n'
METADATA = (b"Metadata-Version: 2.4\nName: b\nVersion: 1\nLicense-Expression: MIT\nLicense: x\n"
            b"Classifier: License :: OSI Approved :: MIT License\n\nText\n")
FIELDS = [b"License: ", b"License-Expression: ", b"Classifier: License :: ", b"\n ", b"\n\n",
          b"=?utf-8?b?gICA?=", b"Bundle-License: ", b'"', b";", b"version="]


def poms(data: bytes, folder: Path) -> None:
    """A pom that lies in Maven's repository, whose parent it may be itself."""
    files.write_bytes(folder / "a/b/1/b-1.pom", data)
    entry, = declared.described([{"name": JAR_NAME, "sha256": "0" * 64}], KNOWN, folder)
    _judge(tuple(entry["licences"]))


def packed(data: bytes, folder: Path) -> None:
    """A jar, of which both documents can be made."""
    files.write_bytes(folder / JAR_NAME, data)
    own, inside = jars.read(folder / JAR_NAME, JAR_NAME)
    for said in (own, *inside):
        _judge(said.licences)
        _write(Part(kind=JAR, key="x", name=said.name, version=said.version, group=said.group,
                    licences=said.licences))


def wheels(data: bytes, folder: Path) -> None:
    """A wheel, of which both documents can be made."""
    files.write_bytes(folder / WHEEL_NAME, data)
    found = list(tool_wheels.parts([folder / WHEEL_NAME]))
    for part in found:
        _judge(part.licences)
    _write(*found)


def _judge(names: tuple[str, ...]) -> None:
    assert len(names) <= MOST
    assert all(name.isprintable() and 0 < len(name) <= LONGEST for name in names)


def _write(*found: Part) -> None:
    whole = Whole(kind="tool", name="x", version="1")
    spdx.document(whole, found)
    cdx.document(whole, found)


def _jars() -> SearchStrategy[bytes]:
    place = "META-INF/maven/a/b"
    members = st.tuples(torn([POM], WORDS), torn([PROPERTIES], FIELDS), torn([MANIFEST], FIELDS))
    whole = members.map(lambda held: jar(dict(zip(
        (f"{place}/pom.xml", f"{place}/pom.properties", "META-INF/MANIFEST.MF"), held,
        strict=True))))
    return whole | whole.flatmap(lambda data: torn([data]))


def _wheels() -> SearchStrategy[bytes]:
    whole = st.tuples(torn([METADATA], FIELDS), torn([b'JAVA_VERSION="21"\n'], FIELDS)).map(
        lambda held: jar({"b-1.dist-info/METADATA": held[0], "j/java-runtime/release": held[1],
                          "j/java-runtime/bin/java": b""}))
    return whole | whole.flatmap(lambda data: torn([data]))


READERS = [
    Reader(name="pom", read=poms, inputs=torn([POM], WORDS)),
    Reader(name="jar", read=packed, inputs=_jars(), quick=20),
    Reader(name="wheel", read=wheels, inputs=_wheels(), quick=20),
]
