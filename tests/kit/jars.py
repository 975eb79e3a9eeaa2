"""Jars and poms, small."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from xml.sax.saxutils import escape

from tasks.runtime.build import BUILD_INFO
from tasks.runtime.dist import MAIN


def jar(members: Mapping[str, bytes]) -> bytes:
    """The bytes of a zip with these members, of 1980 and not of now."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, data in members.items():
            opened.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def nextflow(version: str, main: str = MAIN) -> bytes:
    """A jar that says that it is Nextflow."""
    return jar({main: b"class", BUILD_INFO: f"build=1\nversion={version}\n".encode()})


def pom(*parts: str) -> str:
    """A pom with these elements."""
    return f"<project>{''.join(parts)}</project>"


def licences(*names: str) -> str:
    """The element of a pom that names licences."""
    return "<licenses>" + "".join(
        f"<license><name>{escape(name)}</name></license>" for name in names) + "</licenses>"


def parent(group: str, artifact: str, version: str) -> str:
    """The element of a pom that names its parent."""
    return (f"<parent><groupId>{escape(group)}</groupId>"
            f"<artifactId>{escape(artifact)}</artifactId>"
            f"<version>{escape(version)}</version></parent>")
