"""What differs in the images: by name and digest, with the bytes that are new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.schema import read_json
from tasks.diff.model import ADDED, CHANGED, GONE, NOTHING, Change, End, Part, plural
from tasks.diff.model import unknown as why_unknown

NAME, TITLE, LOCK = "images", "Images", "images.lock.json"
MOVED, VERSION = "another digest", "another version"
"""The groups of changes: a name that stands for other bytes, and a repository's other tag."""


def compare(before: End, after: End) -> Part:
    """The part `images`."""
    unknown = why_unknown(NAME, before, after, path=LOCK)
    if not (before.known(LOCK) and after.known(LOCK)):
        return Part(name=NAME, title=TITLE, summary="not known", unknown=unknown)
    old, new = (_locked(end.files.get(LOCK)) for end in (before, after))
    rows = _changes(old, new)
    held = _blobs(old.values())
    coming = {digest: size for digest, size in _blobs(new.values()).items() if digest not in held}
    facts = {"in all": f"{plural(len(new), 'image')}, {_size(_blobs(new.values()))}",
             "new layers and configs": f"{len(coming)}, {_size(coming)}"}
    licences = sorted(name for name, image in new.items()
                      if "licence" in image and "licence" not in old.get(name, {}))
    if licences:
        facts["newly need a licence"] = ", ".join(licences)
    if NAME in after.moves:
        facts["to mirror"] = after.moves[NAME]
    return Part(name=NAME, title=TITLE, changes=rows, facts=facts, unknown=unknown,
                summary=_summary(rows, coming, after))


def _locked(lock: Path | None) -> dict[str, Mapping[str, Any]]:
    """The lock's entries by the images' names; an image file is an image of one layer."""
    if lock is None:
        return {}
    content = read_json(lock, "images-lock")
    return {entry["source"]: entry for entry in (
        *content["images"], *map(_as_image, content.get("files", [])))}


def _as_image(file: Mapping[str, Any]) -> Mapping[str, Any]:
    blob = {"digest": f"sha256:{file['sha256']}", "size": file["size"]}
    return {"source": file["source"], "size": file["size"], "config": None, "layers": [blob],
            "manifest": file.get("manifest", blob["digest"])}


def _changes(old: Mapping[str, Mapping[str, Any]],
             new: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    rows = [Change(what=CHANGED, group=MOVED, name=name, before=_digests(old[name]),
                   after=_digests(new[name]), size_before=old[name]["size"],
                   size_after=new[name]["size"])
            for name in sorted(old.keys() & new.keys())
            if _digests(old[name]) != _digests(new[name])]
    gone, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    for name in list(gone):
        others = [other for other in added if _repository(other) == _repository(name)]
        rivals = [other for other in gone if _repository(other) == _repository(name)]
        if len(others) == len(rivals) == 1:
            rows.append(Change(
                what=CHANGED, group=VERSION, name=_repository(name),
                before=f"{_rest(name)}  {_digests(old[name])}",
                after=f"{_rest(others[0])}  {_digests(new[others[0]])}",
                size_before=old[name]["size"], size_after=new[others[0]]["size"]))
            gone.remove(name)
            added.remove(others[0])
    return [*rows,
            *(Change(what=ADDED, name=name, after=_digests(new[name]),
                     size_after=new[name]["size"]) for name in added),
            *(Change(what=GONE, name=name, before=_digests(old[name]),
                     size_before=old[name]["size"]) for name in gone)]


def _digests(image: Mapping[str, Any]) -> str:
    """What is pulled, and what is carried of it for further platforms."""
    further = [f"{other['platform']} {other['manifest']}" for other in image.get("others", [])]
    index = [f"index {image['index']}"] if image.get("whole") else []
    return ", ".join([image["manifest"], *further, *index])


def _repository(name: str) -> str:
    """An image's name without tag and digest."""
    path = name.partition("@")[0]
    folder, slash, last = path.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def _rest(name: str) -> str:
    return name.removeprefix(_repository(name)).lstrip(":@") or "latest"


def _blobs(images: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Every layer and config of all their platforms, once: digest to bytes."""
    return {blob["digest"]: blob["size"] for image in images
            for variant in (image, *image.get("others", []))
            for blob in (variant["config"], *variant["layers"]) if blob}


def _size(blobs: Mapping[str, int]) -> str:
    return files.human_size(sum(blobs.values()))


def _summary(rows: Sequence[Change], coming: Mapping[str, int], after: End) -> str:
    counts = {f"with {MOVED}": sum(row.group == MOVED for row in rows),
              f"with {VERSION}": sum(row.group == VERSION for row in rows),
              ADDED: sum(row.what == ADDED for row in rows),
              GONE: sum(row.what == GONE for row in rows)}
    summary = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "the same"
    if coming and after.kind != NOTHING:
        summary += f"; {_size(coming)} new"
    return summary + (f"; to mirror: {after.moves[NAME]}" if NAME in after.moves else "")
