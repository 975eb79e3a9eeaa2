"""What differs in the release's own settings, plugins, runtime, offline.config and reach."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.core import files, parsing
from tasks.core.schema import read_json
from tasks.diff.model import (
    ADDED,
    CHANGED,
    GONE,
    NOTHING,
    Change,
    End,
    Part,
    changes,
    counted,
    plural,
)
from tasks.diff.model import unknown as why_unknown

ELSEWHERE = ("kind", "pipeline", "revision", "source", "commit", "configs", "nextflow", "reach",
             "files")
"""What of release.json is compared in another part, or is the same in all releases."""
WHOLE = "release.json"
"""Which file's being listed says that all files are."""
COVERED = re.compile(
    r"(code|configs|plugins|nextflow-[^/]*)\.tar|(configs\.)?manifest\.json|images\.lock\.json|"
    r"(data|trees|sheets|own|oci/blobs|sif)/.*|(.*/)?data\.manifest\.json|inputs\.csv|plugins\.txt|"
    r"offline\.config|reach\.json|release\.json")
"""The files that other parts look at."""


def release(before: End, after: End) -> Part:
    """The part `release`: its settings, and which of the two needs how many bytes."""
    old, new = ({key: value for key, value in end.about.items() if key not in ELSEWHERE}
                for end in (before, after))
    both = {*old} & {*new} if NOTHING not in (before.kind, after.kind) else {*old, *new}
    rows = changes({key: old[key] for key in old if key in both},
                   {key: new[key] for key in new if key in both})
    held = {file.sha256 for file in before.listed.values()}
    coming = {file.sha256: file.size or 0 for file in after.listed.values()
              if file.sha256 not in held}
    facts = {"new bytes": f"{files.human_size(sum(coming.values()))} in "
                          f"{plural(len(coming), 'file')}"} if WHOLE in after.listed else {}
    return Part(name="release", title="Release", changes=rows, facts=facts,
                unknown=why_unknown("release", before, after),
                summary=_settings(before, rows))


def _settings(before: End, rows: Iterable[Change]) -> str:
    if before.kind == NOTHING:
        return "all new"
    return ", ".join(f"{row.name}: {row.before or '–'} → {row.after or '–'}"
                     for row in rows) or "the same settings"


def plugins(before: End, after: End) -> Part:
    """The part `plugins`: versions, and other bytes under the same versions."""
    unknown = why_unknown("plugins", before, after, path="plugins.txt")
    if not (before.known("plugins.txt") and after.known("plugins.txt")):
        return Part(name="plugins", title="Plugins", summary="not known", unknown=unknown)
    old, new = (_plugins(end.files.get("plugins.txt")) for end in (before, after))
    rows = changes(old, new)
    unsure = {GONE: "plugins" in after.unknown, ADDED: "plugins" in before.unknown}
    rows = [row for row in rows if not unsure.get(row.what)]
    if not rows:
        rows += _archive("plugins.tar", before, after)
    return Part(name="plugins", title="Plugins", changes=rows, unknown=unknown,
                summary=", ".join(f"{row.name} {row.before or 'new'} → {row.after or 'gone'}"
                                  for row in rows) or "the same")


def _plugins(listed: Path | None) -> dict[str, str]:
    if listed is None:
        return {}
    return dict(line.split("@", 1) for line in listed.read_text().split() if "@" in line)


def _archive(path: str, before: End, after: End) -> list[Change]:
    """An archive of other bytes, where what it should hold has the same name."""
    one, two = before.listed.get(path), after.listed.get(path)
    if one is None or two is None or None in (one.sha256, two.sha256) or one.sha256 == two.sha256:
        return []
    return [Change(what=CHANGED, group="archive", name=path, before=one.sha256, after=two.sha256,
                   size_before=one.size, size_after=two.size)]


def runtime(before: End, after: End) -> Part:
    """The part `runtime`: Nextflow's version, and other bytes under the same version."""
    old, new = ({"Nextflow": end.about["nextflow"]} if "nextflow" in end.about else {}
                for end in (before, after))
    rows = changes(old, new)
    if old == new and old:
        rows += _archive(f"nextflow-{old['Nextflow']}.tar", before, after)
    version = new.get("Nextflow") or old.get("Nextflow") or "none"
    summary = f"Nextflow {version}" if not rows else ", ".join(
        f"{row.name} {row.before or 'new'} → {row.after or 'gone'}" for row in rows)
    return Part(name="runtime", title="Runtime", summary=summary, changes=rows,
                unknown=why_unknown("runtime", before, after))


def config(before: End, after: End) -> Part:
    """The part `config`: lines of offline.config, wherever they stand in it."""
    name = "offline.config"
    unknown = why_unknown("config", before, after, path=name)
    if not (before.known(name) and after.known(name)):
        return Part(name="config", title=name, summary="not known", unknown=unknown)
    old, new = (_lines(end.files.get(name)) for end in (before, after))
    rows = [*(Change(what=GONE, name=line.strip()) for line in (Counter(old) - Counter(new))),
            *(Change(what=ADDED, name=line.strip()) for line in (Counter(new) - Counter(old)))]
    summary = counted(rows)
    return Part(name="config", title=name, changes=rows, unknown=unknown,
                summary=f"lines: {summary}" if summary else "the same lines")


def _lines(path: Path | None) -> list[str]:
    text = path.read_text(errors="replace") if path else ""
    return [line for line in text.splitlines() if line.strip()]


def reach(before: End, after: End) -> Part:
    """The part `reach`: places that newly reach out, or no longer, and answers that changed."""
    unknown = why_unknown("reach", before, after, path="reach.json")
    if not (before.known("reach.json") and after.known("reach.json")):
        return Part(name="reach", title="What reaches out", summary="not known", unknown=unknown)
    old, new = (_places(end.files.get("reach.json")) for end in (before, after))
    answers = {id(end): OPEN if "reach" not in end.unknown else NOT_YET
               for end in (before, after)}
    rows = []
    for key in sorted({*old, *new}):
        one, two = old.get(key), new.get(key)
        if one and two and (unknown or _answer(one) == _answer(two)):
            continue
        place = two or one or {}
        what = ADDED if one is None else GONE if two is None else CHANGED
        rows.append(Change(
            what=what, group=place["kind"], name=f"{place['file']}:{place['line']}  "
            + place["what"] + (f"  (process {place['process']})" if "process" in place else ""),
            before=_answer(one, answers[id(before)]) if one else None,
            after=_answer(two, answers[id(after)]) if two else None))
    opened = sum(row.after == OPEN for row in rows)
    summary = counted(rows) or "the same places"
    return Part(name="reach", title="What reaches out", changes=rows, unknown=unknown,
                facts={} if unknown else {"without an answer": _open(new), "before": _open(old)},
                summary=summary + (f"; {opened} newly without an answer" if opened else ""))


OPEN, NOT_YET = "nothing answers it offline", "what answers it isn't known yet"


def _places(path: Path | None) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """The findings by what tells two apart, which the line doesn't: code above it may change."""
    if path is None:
        return {}
    return {(finding["kind"], finding["file"], finding["what"], finding.get("process", ""),
             finding.get("param", "")): finding
            for finding in read_json(path, "reach")["findings"]}


def _answer(finding: Mapping[str, Any], without: str = OPEN) -> str:
    answer = finding["answer"]
    return without if answer is None else f"{answer['by']}: {answer['what']}"


def _open(places: Mapping[tuple[str, ...], Mapping[str, Any]]) -> str:
    return f"{sum(place['answer'] is None for place in places.values())} of {len(places)} places"


def others(before: End, after: End) -> Part | None:
    """The part `files`: what else is carried, by digest; None where either end isn't whole."""
    if any(end.kind != NOTHING and WHOLE not in end.listed for end in (before, after)):
        return None
    old, new = ({path: file for path, file in end.listed.items() if not COVERED.fullmatch(path)}
                for end in (before, after))
    rows = [Change(what=row.what, name=row.name, before=row.before, after=row.after,
                   size_before=_size(old, row.name), size_after=_size(new, row.name))
            for row in changes(old, new, show=lambda file: file.sha256)]
    return Part(name="files", title="Other carried files", changes=rows,
                summary=counted(rows) or "the same")


def _size(listed: Mapping[str, Any], name: str) -> int | None:
    return listed[name].size if name in listed else None


def open_places(end: End) -> int:
    """How many places nothing answers offline; 0 where that isn't known."""
    if "reach.json" not in end.files or "reach" in end.unknown:
        return 0
    findings: Iterable[Mapping[str, Any]] = parsing.from_json(
        end.files["reach.json"].read_bytes())["findings"]
    return sum(finding["answer"] is None for finding in findings)
