"""What Nextflow itself leaves of a run, made to be looked at without a network.

Its dag.html asks a CDN for the script that draws it, so the DAG is taken as Mermaid's text, and
drawn here. Its report and timeline carry their scripts, but ask for an icon and a font (seen in
the net log of Chromium: Nextflow 24.10.5): a policy in the page keeps it from asking for anything.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tasks.core import dag, files, nofollow, picture
from tasks.core.errors import AirlockError, IntegrityError

logger = logging.getLogger(__name__)

MERMAID, PICTURE = "dag.mmd", "dag.svg"
"""The DAG of a run as Nextflow writes it, and as it is drawn from that."""
PAGES = ("report.html", "timeline.html")
MAX_HEAD = 2**16
"""Bytes in which a page's head begins; Nextflow's templates have a licence's 700 before it."""
HEAD = re.compile(rb"<head(?:\s[^>]*)?>", re.IGNORECASE)
ICON = re.compile(rb"<link\s[^>]*\brel=[\"']?icon\b[^>]*>\s*", re.IGNORECASE)
POLICY = (b"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'unsafe-inline' "
          b"'unsafe-eval' data: blob:\">")
"""Nothing but what is in the page itself (Content Security Policy Level 3)."""


def finish(folder: Path, *, title: str) -> None:
    """Draw the DAG of a run that has ended, and close its pages; a fault in that is only told."""
    draw(folder / MERMAID, folder / PICTURE, title=title)
    close(folder / name for name in PAGES)


def draw(mermaid: Path, target: Path, *, title: str) -> bool:
    """Draw the processes of a DAG; False where there are none, or the file isn't there."""
    graph = dag.read(mermaid)
    if graph is None:
        return False
    files.write_text(target, picture.svg(dag.picture(graph), title=title))
    return True


def close(pages: Iterable[Path]) -> None:
    """Keep pages of Nextflow's, those that are there, from asking anything of a network."""
    for page in pages:
        try:
            if page.exists():
                _close(page)
        except (OSError, AirlockError) as error:
            logger.warning("%s may ask for something by network when it is opened: %s", page, error)


def _close(page: Path) -> None:
    with nofollow.reading(page.parent, page.name) as stream, files.atomic(page) as writer:
        begin = stream.read(MAX_HEAD)
        if POLICY not in begin:
            match = HEAD.search(begin)
            if match is None:
                raise IntegrityError("it has no head", where=page)
            begin = begin[:match.end()] + b"\n" + POLICY + ICON.sub(b"", begin[match.end():])
        writer.write(begin)
        shutil.copyfileobj(stream, writer, files.CHUNK)
