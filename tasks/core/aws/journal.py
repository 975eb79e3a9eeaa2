"""A journal of calls that change something at AWS: each is written down before it is made.

A run that was cut off leaves a line without an end: what it meant to do is known, and the next run
reads what AWS has instead of guessing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasks.core.errors import AirlockError
from tasks.core.schema import check


class Journal:
    """One file of JSON lines, to which is only added."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def call(self, action: str, subject: str, settings: Mapping[str, Any]) -> Iterator[None]:
        """Note what is about to be done, then how it ended."""
        self._note({"state": "begun", "action": action, "subject": subject, "settings": settings})
        try:
            yield
        except AirlockError as error:
            self._note({"state": "failed", "action": action, "subject": subject,
                        "error": error.what})
            raise
        self._note({"state": "done", "action": action, "subject": subject})

    def _note(self, entry: Mapping[str, Any]) -> None:
        """Add a line, and have the disk hold it before anything else is done."""
        line = {"time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), **entry}
        check(line, "aws-journal", where=self._path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, sort_keys=True) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
