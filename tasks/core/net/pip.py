"""pip, which brings packages by their digests: from PyPI, or from where the site says it is."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tasks.core import files, processes
from tasks.core.errors import CommandError, SourceError, quoted


def fetch(words: Sequence[str | Path], pinned: str, *, index: str | None, what: str,
          where: object) -> None:
    """Run `pip WORDS` on pinned requirements, of which published wheels alone are taken.

    SourceError says `what` could not be fetched, and where it is pinned.
    """
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        place = f"--index-url {index}\n" if index else ""  # a login in it is no argument
        files.write_text(requirements, place + pinned, mode=0o600)
        try:
            processes.run(
                [sys.executable, "-m", "pip", *words, "--progress-bar=off", "--no-input",
                 "--no-deps", "--require-hashes", "--disable-pip-version-check",
                 "--only-binary=:all:", "-r", requirements],
                quote=processes.tail)  # pip tells of a certificate on its standard output
        except CommandError as error:
            raise SourceError(f"pip could not fetch {what}:\n{quoted(error.tail)}", where=where,
                              todo="check the network and pip's index (hosts.urls of the site's "
                                   "file, PIP_INDEX_URL, pip.conf); a hash that does not match "
                                   "means another file than was published") from error
