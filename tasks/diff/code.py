"""What differs in a pipeline's code, and in institutional configs: files by their kind."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import limits, tars
from tasks.core.archives.broken import refusing_broken
from tasks.core.archives.limits import Count
from tasks.core.schema import read_json
from tasks.diff.model import ADDED, CHANGED, GONE, NOTHING, Change, End, Part, changes, plural
from tasks.diff.model import unknown as why_unknown

NAME, TITLE = "code", "Code"
KINDS = (
    ("schema", re.compile(r"nextflow_schema\.json|assets/schema[^/]*\.json")),
    ("tests and CI", re.compile(r"(.*/)?tests/.*|\.(github|ci|circleci|gitlab)/.*|"
                                r"\.gitlab-ci\.yml|.*\.nf\.test(\.snap)?|nf-test\.config")),
    ("modules", re.compile(r"modules/.*|modules\.json")),
    ("config", re.compile(r"conf/.*|.*\.config")),
    ("docs", re.compile(r"docs/.*|.*\.md|LICENSE[^/]*|CITATION[^/]*", re.IGNORECASE)),
    ("bin", re.compile(r"(bin|lib|templates)/.*")),
    ("workflow", re.compile(r"(workflows|subworkflows)/.*|.*\.nf")),
    ("assets", re.compile(r"assets/.*")),
)
"""The kinds of files, by their paths; the first that fits holds."""
OTHER = "other"
ARCHIVES = {"code.tar": "", "configs.tar": "institutional configs: "}
"""The archives, each with what its groups begin with."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit's digits, time and first line."""

    commit: str
    date: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class History:
    """The commits from one revision to another, newest first; `count` may be more than are listed.
    """

    count: int
    commits: Sequence[Commit]


def kind_of(path: str) -> str:
    """What a file of a pipeline is for."""
    return next((kind for kind, pattern in KINDS if pattern.fullmatch(path)), OTHER)


def compare(before: End, after: End, history: History | None) -> Part:
    """The part `code`; `history` is what the git cache knows of the way between the two."""
    unknown = why_unknown(NAME, before, after)
    rows = _origin(before, after)
    facts = {}
    if history:
        facts["commits"] = f"{history.count} between the two, as the git cache has them"
        rows += [Change(what=ADDED, group="commits", name=commit.commit[:12],
                        after=f"{commit.date}  {commit.subject}") for commit in history.commits]
    elif _commit(before) and _commit(after) and _commit(before) != _commit(after):
        facts["commits"] = ("those between the two aren't in the git cache; in a clone: "
                            f"git log {str(_commit(before))[:12]}..{str(_commit(after))[:12]}")
    listed = [row for path, start in ARCHIVES.items()
              for row in _archive(path, start, before, after)]
    return Part(name=NAME, title=TITLE, summary=_summary(before, after, listed), facts=facts,
                changes=[*rows, *listed], unknown=unknown)


def listing(archive: Path) -> dict[str, tuple[str, int | None]]:
    """The members of a tar: what tells two contents apart, and the bytes.

    IntegrityError where it is no tar, or one that is larger than code may be.
    """
    members: dict[str, tuple[str, int | None]] = {}
    count = Count(bounds=limits.CODE, where=archive.name)
    with refusing_broken(archive, "no whole tar archive"), archive.open("rb") as stream:
        reader = tars.Reader(stream=stream)
        for member in reader:
            count.add(member.name, member.size, is_folder=member.is_folder)
            if member.is_link:
                members[member.name] = (f"link to {member.link}", None)
            elif not member.is_folder:
                digest = hashlib.sha256()
                while block := reader.content(files.CHUNK):
                    digest.update(block)
                kind = "executable " if member.is_executable else ""
                members[member.name] = (f"{kind}{digest.hexdigest()}", member.size)
    return members


def _archive(path: str, start: str, before: End, after: End) -> list[Change]:
    """The files that differ; of an end that has nothing, the other's are counted alone."""
    digests = {end.listed[path].sha256 for end in (before, after) if path in end.listed}
    if len(digests) < 2 and (path in before.listed) == (path in after.listed):
        return []
    old, new = ({} if path not in end.files else listing(end.files[path])
                for end in (before, after))
    if NOTHING in (before.kind, after.kind):
        kinds = Counter(f"{start}{kind_of(name)}" for name in (*old, *new))
        what = ADDED if before.kind == NOTHING else GONE
        return [Change(what=what, group=group, name=plural(count, "file"))
                for group, count in sorted(kinds.items())]
    rows = []
    for name in sorted({*old, *new}):
        one, two = old.get(name), new.get(name)
        if one == two:
            continue
        what = ADDED if one is None else GONE if two is None else CHANGED
        rows.append(Change(what=what, group=f"{start}{kind_of(name)}", name=name,
                           before=one and _short(one[0]), after=two and _short(two[0]),
                           size_before=one and one[1], size_after=two and two[1]))
    order = {kind: at for at, (kind, _) in enumerate((*KINDS, (OTHER, None)))}
    return sorted(rows, key=lambda row: (order[row.group.removeprefix(start)], row.name))


def _short(member: str) -> str:
    """A member's digest as people compare it; a link whole."""
    if member.startswith("link "):
        return member
    return re.sub(r"[0-9a-f]{64}", lambda match: match[0][:12], member)


def _origin(before: End, after: End) -> list[Change]:
    """Source, revision and commit of the code and of the institutional configs."""
    rows = []
    for path, group in {"manifest.json": "origin",
                        "configs.manifest.json": "institutional configs: origin"}.items():
        if before.known(path) and after.known(path):
            rows += changes(_manifest(before, path), _manifest(after, path), group=group)
        elif path in before.files or path in after.files:
            one, two = (_manifest(end, path) for end in (before, after))
            rows += changes(one, two, group=group)
    return rows


def _manifest(end: End, path: str) -> Mapping[str, Any]:
    if path not in end.files:
        return {}
    manifest = read_json(end.files[path], "code-manifest")
    return {key: manifest[key] for key in ("source", "revision", "commit", "date")}


def _commit(end: End) -> Any:
    return _manifest(end, "manifest.json").get("commit")


def _summary(before: End, after: End, rows: Sequence[Change]) -> str:
    old, new = (_manifest(end, "manifest.json").get("revision") for end in (before, after))
    way = f"{old} → {new}" if old and new and old != new else str(new or old or "")
    if NOTHING in (before.kind, after.kind):
        return f"{way}, {'all new' if before.kind == NOTHING else 'all gone'}"
    if not rows:
        return f"{way}, the same files" if way else "the same files"
    kinds = Counter(row.group for row in rows)
    return (f"{way}, {plural(len(rows), 'file')}: "
            + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
