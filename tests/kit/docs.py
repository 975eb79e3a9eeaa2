"""What the guide says: its pages, what they show to be typed, and where their links lead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kit.project import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md",
         *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_ENDS = {"&&", "||", "|", ";", "&", ">", "<", "2>", "2>&1"}
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One call of doit that a page shows: the words behind it."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: doit {' '.join(self.words)}"

    @property
    def variables(self) -> dict[str, str]:
        """NAME=VALUE, those before a word and those behind it."""
        return dict(word.split("=", 1) for word in self.words if re.match("[a-z_]+=", word))

    @property
    def rest(self) -> tuple[str, ...]:
        """All other words."""
        return tuple(word for word in self.words if not re.match("[a-z_]+=", word))


def text(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, those in lists too, without their indentation."""
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
            for indent, kind, block in _FENCED.findall(text(page)) if kind == language]


def commands(page: str) -> Iterator[Command]:
    """Every `doit …` and `./doit …` of a page's blocks and of its inline code."""
    for block in blocks(page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _typed(page, line.strip().removeprefix("$ "))
    for shown in _INLINE.findall(_FENCED.sub("", text(page))):
        yield from _typed(page, shown)


def _typed(page: str, line: str) -> Iterator[Command]:
    """The calls that a line makes: `VARIABLE=x ./doit …`, and those that follow `&&`."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a sentence of the output
        return
    call: list[str] | None = None
    begins = True
    for word in [*words, "&&"]:
        if word in _ENDS:
            if call is not None:
                yield Command(page=page, words=tuple(call))
            call, begins = None, True
        elif begins and re.fullmatch(r"[A-Z_]+=\S*", word):
            continue
        elif begins:
            call, begins = ([] if word in ("doit", "./doit") else None), False
        elif call is not None:
            call.append(word)


def links(page: str) -> list[str]:
    """Targets of the links that stay in this repository."""
    return _LINK.findall(_FENCED.sub("", text(page)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    times: dict[str, int] = {}
    slugs = set()
    for heading in _HEADING.findall(_FENCED.sub("", page.read_text())):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        slugs.add(f"{slug}-{times[slug]}" if slug in times else slug)
        times[slug] = times.get(slug, 0) + 1
    return slugs
