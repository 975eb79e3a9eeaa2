"""What a Maven pom from outside says of its artifact: its licences, and whose child it is.

The format: maven.apache.org/pom.html. A pom with a DTD is read as one that says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tasks.core.licence_names import MOST, named

LARGEST = 2**20
"""Bytes of a pom that is read; those of large projects have some 100 kB."""
PLACEHOLDER = "${"
"""A property that only Maven can fill in stands for no name of a licence."""
GROUP = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,100}){0,20}")
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """An artifact of Maven's, by names that can stand in a path of a repository."""

    group: str
    artifact: str
    version: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def pom(self) -> str:
        """Where a repository has its pom."""
        return (f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/"
                f"{self.artifact}-{self.version}.pom")


@dataclass(frozen=True, kw_only=True)
class Pom:
    """What is taken of one: its own licences, and the parent that has them where it has none."""

    licences: tuple[str, ...] = ()
    parent: Coordinates | None = None


def coordinates(group: str, artifact: str, version: str) -> Coordinates | None:
    """The artifact of these names; None where they are none that Maven takes."""
    if not GROUP.fullmatch(group) or not all(map(WORD.fullmatch, (artifact, version))):
        return None
    return Coordinates(group=group, artifact=artifact, version=version)


def read(data: bytes) -> Pom:
    """What a pom says; nothing where it is no XML, or one that stands for more than it holds."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring
    if len(data) > LARGEST:
        return Pom()
    try:
        root: Any = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return Pom()
    listed = root.findall("./{*}licenses/{*}license")[:MOST]
    parent = root.find("./{*}parent")
    return Pom(licences=named(_name(licence) for licence in listed),
               parent=None if parent is None else coordinates(*(
                   _text(parent, name) for name in ("groupId", "artifactId", "version"))))


def _name(licence: Any) -> str:
    """A licence's name, or its URL where it has no name that says something."""
    texts = (_text(licence, key) for key in ("name", "url"))
    return next((text for text in texts if text and PLACEHOLDER not in text), "")


def _text(element: Any, name: str) -> str:
    return (element.findtext(f"{{*}}{name}") or "").strip()
