"""The report of a release as one document, by schemas/report.schema.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.tool_version import TOOL_VERSION
from tasks.report import content
from tasks.report.content import Content

SCHEMA = "report"
CURRENT, PROPOSED, BEFORE, NEVER = "current", "proposed", "before", "never"
"""What became of a release: it is the current one, waits for an approval, was it, or never was."""
MAX_CHANGES = 400
"""Changes of a part that are kept; release:diff shows all."""
ABOUT = ("revision", "source", "commit", "tool", "nextflow", "tested", "profile", "run", "smoke",
         "platform", "registry", "isolation")
"""What is taken from release.json as it stands."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the store's signed statements say of a release, which its files can't know.

    `promotions` are its own, the newest first. `changes` is the comparison with the release that
    was current before, as `shortened` returns it, None where there was none.
    """

    state: str
    promotions: Sequence[Mapping[str, Any]] = ()
    proof: Mapping[str, Any] | None = None
    withdrawn: str | None = None
    changes: Mapping[str, Any] | None = None


def document(release: Content, standing: Standing, *, identity: str, trust: str, made: str,
             graph: Mapping[str, Any] | None) -> dict[str, Any]:
    """The report; `trust` is the offline hosts' trust folder, and `made` is when, in UTC."""
    about = release.about
    files = about["files"]
    listed = [{key: file[key] for key in ("path", "sha256", "size", "kind")} for file in files]
    images = content.images(release)
    return {
        "kind": "report", "pipeline": about["pipeline"], "id": release.id, "made": made,
        "version": TOOL_VERSION, "identity": identity, "trust": trust,
        "about": {key: about.get(key) for key in ABOUT},
        "state": standing.state, "withdrawn": standing.withdrawn,
        "promotions": [dict(promotion) for promotion in standing.promotions],
        "proof": standing.proof and dict(standing.proof),
        "changes": standing.changes and dict(standing.changes),
        "files": listed, "bytes": sum({file["sha256"]: file["size"] for file in files}.values()),
        "kinds": content.kinds(files), "code": content.code(release), "images": images,
        "images_bytes": content.blobs(release), "plugins": content.plugins(release),
        "parts": [dict(part) for part in release.bill.parts], "data": content.data(release),
        "params": content.params(release), "reach": about["reach"]["findings"],
        "counted": about["reach"]["counted"], "graph": graph and dict(graph)}


def shortened(changes: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison by schemas/release-diff.schema.json, cut to what a page can hold."""
    return {"from": changes["from"]["id"], "attention": changes["attention"],
            "equal": changes["equal"], "parts": [
                {**{key: part[key] for key in ("name", "title", "differs", "summary", "facts",
                                               "unknown")},
                 "changes": part["changes"][:MAX_CHANGES],
                 "more": max(len(part["changes"]) - MAX_CHANGES, 0)}
                for part in changes["parts"]]}


def says_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two reports differ in nothing but when and by which version they were made."""
    def lasting(report: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in report.items() if key not in ("made", "version")}

    return lasting(one) == lasting(other)
