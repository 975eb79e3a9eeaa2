"""What differs in the data: files by their URLs, and sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.core import files
from tasks.core.paths import MANIFEST
from tasks.core.schema import read_json
from tasks.diff.model import (
    ADDED,
    CHANGED,
    GONE,
    NOTHING,
    Change,
    End,
    File,
    Part,
    counted,
    plural,
)
from tasks.diff.model import unknown as why_unknown

NAME, TITLE = "data", "Data"
SHEETS = ("sheets/", "inputs.csv")
"""How the paths of sheets begin."""
OWN = "own/"
"""How the paths of the users' own sheets begin, a name and a path of SHEETS behind it."""
OF_CODE = "code:"
"""How the URLs of files begin that the pipeline's own code has."""


def compare(before: End, after: End) -> Part:
    """The part `data`."""
    unknown = why_unknown(NAME, before, after)
    old, new = of(before), of(after)
    if old is None or new is None:
        unknown = why_unknown(NAME, before, after, path=MANIFEST)
        return Part(name=NAME, title=TITLE, summary="not known", unknown=unknown)
    rows = [_change(name, old.get(name), new.get(name)) for name in sorted({*old, *new})
            if _differ(old.get(name), new.get(name))
            and not (name not in new and after.is_planned and name.startswith(OF_CODE))
            and not (name not in old and before.is_planned and name.startswith(OF_CODE))]
    rows += [_change(path, before.listed.get(path), after.listed.get(path), group="sheets")
             for path in sorted({*before.listed, *after.listed}) if _is_sheet(path)
             and (path.startswith(OWN) or not (before.is_planned or after.is_planned))
             and before.listed.get(path) != after.listed.get(path)]
    facts = {"in all": _all(new), "before": _all(old)}
    if NAME in after.moves:
        facts["to fetch"] = after.moves[NAME]
    summary = counted(rows) or "the same"
    return Part(name=NAME, title=TITLE, changes=rows, facts=facts, unknown=unknown,
                summary=f"{summary}; {_all(new)} in all" + (
                    f"; to fetch: {after.moves[NAME]}" if NAME in after.moves else ""))


def of(end: End) -> Mapping[str, File] | None:
    """The data files by URL; None where neither a manifest nor a plan tells them."""
    if end.kind == NOTHING:
        return {}
    if end.data is None and MANIFEST not in end.files:
        return None
    return {**(end.data or {}), **dict(_listed(end))}


def _listed(end: End) -> Iterator[tuple[str, File]]:
    """The files of the test data, and of the users' own sheets by the sheet's name."""
    for path in sorted(end.files):
        if path.rpartition("/")[2] != MANIFEST:
            continue
        own = path.removeprefix(OWN).rpartition("/")[0]
        for entry in read_json(end.files[path], "data-manifest")["files"]:
            yield (f"{own}: {entry['url']}" if own else entry["url"],
                   File(sha256=entry["sha256"], size=entry["size"]))


def _differ(one: File | None, two: File | None) -> bool:
    """Whether two files are known to differ; a size alone tells that, but not that they are one."""
    if one is None or two is None:
        return one is not two
    if one.sha256 and two.sha256:
        return one.sha256 != two.sha256
    return None not in (one.size, two.size) and one.size != two.size


def _change(name: str, one: File | None, two: File | None, group: str = "") -> Change:
    what = ADDED if one is None else GONE if two is None else CHANGED
    return Change(what=what, group=group, name=name, before=_digest(one), after=_digest(two),
                  size_before=one.size if one else None, size_after=two.size if two else None)


def _digest(file: File | None) -> str | None:
    return None if file is None else file.sha256 or "not fetched yet"


def _is_sheet(path: str) -> bool:
    own = path.startswith(OWN)
    return (path.split("/", 2)[2] if own and path.count("/") > 1 else path).startswith(SHEETS)


def _all(data: Mapping[str, Any]) -> str:
    unique = {file.sha256 or name: file.size or 0 for name, file in data.items()}
    return f"{plural(len(unique), 'file')}, {files.human_size(sum(unique.values()))}"
