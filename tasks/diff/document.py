"""The whole comparison as one document, by schemas/release-diff.schema.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.diff import code, data, images, params, parts
from tasks.diff.code import History
from tasks.diff.model import NOTHING, NOW, End, Part

SCHEMA = "release-diff"


def document(pipeline: str, before: End, after: End, *, store: str, compared: str,
             history: History | None = None) -> dict[str, Any]:
    """Compare one end with the other; `compared` is when, in UTC."""
    same = before.id is not None and before.id == after.id
    compared_parts = [] if same else compare(before, after, history)
    differs = [part.differs for part in compared_parts]
    content: dict[str, Any] = _writable({
        "pipeline": pipeline, "store": store, "compared": compared,
        "from": _end(before), "to": _end(after),
        "equal": False if True in differs else None if None in differs else True,
        "attention": [*_attention(after), *_licences(compared_parts)],
        "parts": [part.as_json for part in compared_parts],
    })
    return content


def _writable(value: Any) -> Any:
    """The same in UTF-8: code may name half a surrogate pair, in an escape or a file's name."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return [_writable(item) for item in value] if isinstance(value, list) else value


def compare(before: End, after: End, history: History | None = None) -> list[Part]:
    """All parts, in the order in which people ask for them."""
    others = parts.others(before, after)
    return [parts.release(before, after), code.compare(before, after, history),
            images.compare(before, after), parts.plugins(before, after),
            data.compare(before, after), parts.runtime(before, after),
            params.compare(before, after), parts.config(before, after),
            parts.reach(before, after), *([others] if others else [])]


def _end(end: End) -> dict[str, Any]:
    promoted = {key: value for key, value in vars(end.promoted).items() if value is not None}
    return {"kind": end.kind, "id": end.id, "title": end.title,
            "files": len(end.listed), "bytes": end.size, "promoted": promoted}


def _attention(end: End) -> list[str]:
    """What a change board should know of the later one, whatever it was before."""
    if end.kind == NOTHING:
        return []
    about, promoted = end.about, end.promoted
    lines = []
    if promoted.withdrawn:
        lines.append(f"It was withdrawn: {promoted.withdrawn}")
    if promoted.unproven:
        lines.append("It became the current release without a validation and a smoke run: "
                     + promoted.unproven)
    if end.kind != NOW and promoted.number is None:
        lines.append("It was never made the current release.")
    if about.get("isolation") == "none":
        lines.append("The site lets the pipeline's code read and change what its maker can, on a "
                     "machine that can't confine it.")
    if about.get("tested") is False:
        lines.append(f"Nextflow {about.get('nextflow')} is a version that no test of nf-airlock "
                     "has run.")
    if about.get("smoke") == "none":
        lines.append("The site has no smoke run: it wasn't tried before it was signed.")
    if count := parts.open_places(end):
        lines.append(f"Nothing answers {count} of the places that reach out at run time.")
    return lines


def _licences(compared_parts: Sequence[Part]) -> list[str]:
    names = (part.facts.get("newly need a licence") for part in compared_parts)
    return [f"Images that newly need a licence of your organisation: {listed}"
            for listed in filter(None, names)]
