"""A release's report as one page: for a change board, a security department, and who runs it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core import dag, page
from tasks.core.trust import proofs, signature
from tasks.core.trust.promotions import Subject
from tasks.report import beside

TEMPLATE = Path(__file__).with_name("report.html")
MAX_ROWS = 5000
"""Rows of a table that the page shows; the JSON has all."""


def html(report: Mapping[str, Any], runs: Sequence[Mapping[str, Any]] | None = None) -> str:
    """The page; all that it says stands in the report.

    On an offline host `runs` are those of the release, the newest first: name, state, process,
    started, seconds, took, who, and the page's address, None where there is none.
    """
    findings = report["reach"]
    return page.render(TEMPLATE, {
        **report, "runs": runs, "most_rows": MAX_ROWS, "json": beside.JSON,
        "checks": checks(report),
        "proof_lines": proofs.lines(report["proof"]) if report["proof"] else [],
        "largest_image": max((image["size"] for image in report["images"]), default=0),
        "largest_file": max((file["size"] for file in report["data"]), default=0),
        "open": [finding for finding in findings if not finding["answer"]],
        "answered": [finding for finding in findings if finding["answer"]],
        "unknown_licences": sum(not image["licences"] for image in report["images"]),
        "needs": [image for image in report["images"] if image["needs"]],
        "picture": dag.picture(report["graph"]) if report["graph"] else None})


def checks(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """What to type in a copy of the store's folder of this pipeline, to check it by hand.

    All names are quoted for a shell; `stands` says what must come out.
    """
    subject, name = Subject(pipeline=report["pipeline"]), report["id"]
    allowed = shlex.quote(f"{report['trust']}/allowed_signers")
    signer = shlex.quote(subject.signer(report["identity"]))

    def verify(path: str, namespace: str, whom: str = signer, seal: str = "") -> str:
        file = shlex.quote(path)
        return (f"ssh-keygen -Y verify -f {allowed} -I {whom} -n {namespace} "
                f"-s {shlex.quote(seal or f'{path}.sig')} < {file}")

    rows = [{"what": "Whose release it is", "type": verify(
                f"{name}/SHA256SUMS", signature.RELEASE), "stands": "Good signature"},
            {"what": "That its id is the digest of its list",
             "type": f"sha256sum {name}/SHA256SUMS",
             "stands": f"begins with {name.rpartition('-')[2]}"}]
    for promotion in report["promotions"][:1]:
        key = f"promotions/{promotion['number']:08}.json"
        rows.append({"what": f"Promotion {promotion['number']}, which made it the current one",
                     "type": verify(key, signature.PROMOTION), "stands": "Good signature"})
        if promotion["approved"]:
            whom = shlex.quote(subject.signer(promotion["approved"]))
            rows.append({"what": "The approval, by another key", "stands": "Good signature",
                         "type": verify(key, signature.APPROVAL, whom, f"{key}.approval.sig")})
        if promotion["proof"]:
            key = f"{name}/proofs/{promotion['proof']}.json"
            rows += [{"what": "How it was tried", "type": verify(key, signature.PROOF),
                      "stands": "Good signature"},
                     {"what": "That the promotion names this proof",
                      "type": f"sha256sum {key}", "stands": f"begins with {promotion['proof']}"}]
    folder = beside.folder(subject, name, report["made"]).removeprefix(f"{subject.place}/")
    return [*rows, {"what": "This report, as the store has it", "stands": "Good signature",
                    "type": verify(f"{folder}/{beside.PAGE}", signature.REPORT)}]
