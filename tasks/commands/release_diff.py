"""`release:diff`: what differs between two releases, before anything is moved or after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.code import git
from tasks.commands import release_now
from tasks.commands.release_now import NowSpec
from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.settings import Signing
from tasks.core.errors import HostError
from tasks.core.paths import PipelinePaths
from tasks.core.schema import check, read_json
from tasks.core.store.store import open_store
from tasks.core.trust import promotions, releases
from tasks.core.trust.promotions import Subject
from tasks.core.trust.releases import Release
from tasks.diff import page, stored, text
from tasks.diff.code import Commit, History
from tasks.diff.document import document
from tasks.diff.model import NOTHING, NOW, End
from tasks.diff.stored import Stored
from tasks.release import chain

MAX_COMMITS = 200


@dataclass(frozen=True, kw_only=True)
class DiffSpec:
    """What is compared: `before` and `after` are ids, beginnings of ids, or now; before is None
    for the store's current release.

    `signers` is the allowed_signers that was laid ready for offline hosts.
    """

    pipeline: str
    layout: PipelinePaths
    store: StoreAt
    signing: Signing
    signers: Path
    before: str | None
    after: str
    now: NowSpec | None


def diff(spec: DiffSpec) -> str:
    """Print what differs, and write it as a page and as JSON."""
    report, board = spec.layout.release_diff, spec.layout.release_diff.with_suffix(".html")
    for path in (report, board):  # nobody decides by those of another comparison
        path.unlink(missing_ok=True)
    content = compare(spec, datetime.now(timezone.utc))
    files.write_json(report, check(content, "release-diff", where=report))
    files.write_text(board, page.html(content, report.name))
    print(text.text(content, board), flush=True)
    return f"{_summary(content)}; the page: {board}"


def compare(spec: DiffSpec, now: datetime, known: Sequence[str] | None = None) -> dict[str, Any]:
    """The comparison as a document, and nothing written.

    `known` are the ids of all releases in the store, where it was asked for them before.
    """
    with files.scratch(spec.layout.root, "diff") as scratch:
        before, after = _ends(spec, scratch, known)
        return document(spec.pipeline, before, after, store=spec.store.url,
                        history=_history(spec.layout.git_cache, before, after),
                        compared=now.strftime(promotions.TIME_FORMAT))


def _summary(content: dict[str, Any]) -> str:
    if content["equal"]:
        return "no difference"
    count = sum(part["differs"] is True for part in content["parts"])
    return (f"{count} of {len(content['parts'])} parts differ" if count else
            "no difference as far as it is known")


def _ends(spec: DiffSpec, scratch: Path, known: Sequence[str] | None) -> tuple[End, End]:
    """Both ends, each with its files."""
    store, subject = open_store(spec.store), Subject(pipeline=spec.pipeline)
    names = releases.ids(store, subject) if known is None else known
    asked = [name if name is None or name == NOW else stored.choose(names, name)
             for name in (spec.before, spec.after)]
    now = release_now.end(spec.now, _folder(scratch, "now")) if spec.now else End(kind=NOTHING)
    if not names:
        before, after = (now if name == NOW else End(kind=NOTHING) for name in asked)
        return before, after
    with chain.trusted(spec.signing, spec.signers) as trust:
        if not trust.allowed.read_bytes():
            raise HostError("there is no public key to verify the store's releases by",
                            where=spec.signing.public, todo="put the site's public key there, or "
                            "correct signing.key in the site's file")
        held = Stored(store=store, subject=subject, trust=trust)
        newest = stored.current(held)
        default = newest.id if newest else None
        heads: list[tuple[End, Release | None]] = [
            (now, None) if name == NOW else stored.end(held, name or default, newest)
            for name in asked]
        (before, one), (after, two) = heads
        if before.id is not None and before.id == after.id:
            return before, after
        return (stored.bring(held, one, before, after, _folder(scratch, "from")) if one else before,
                stored.bring(held, two, after, before, _folder(scratch, "to")) if two else after)


def _folder(scratch: Path, name: str) -> Path:
    (scratch / name).mkdir()
    return scratch / name


def _history(cache: Path, before: End, after: End) -> History | None:
    """The commits between the two, where both have one and the git cache knows them."""
    old, new = (read_json(end.files["manifest.json"], "code-manifest")["commit"]
                if "manifest.json" in end.files else None for end in (before, after))
    if not old or not new or old == new:
        return None
    commits = git.between(cache, old, new, most=MAX_COMMITS)
    return commits and History(count=commits[0], commits=[
        Commit(commit=commit, date=date, subject=subject) for commit, date, subject in commits[1]])
