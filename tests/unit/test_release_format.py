"""The number of the form of releases: what it is raised for is noticed here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tasks.core.tool_version import RELEASE_FORMAT

ROOT = Path(__file__).resolve().parents[2]
READ = ("release", "images-receipt", "images-scan", "sif", "data-manifest", "oci-index")
"""The schemas by which an offline host reads a release's files."""
WORDS = ("title", "description", "$schema", "x-readers")
FORMS = {1: "0e705c712204"}
"""The beginning of the schemas' SHA-256, without their words, by the number of the form."""


def plain(schema: Any) -> Any:
    """A schema without what only people read; a key that is called so stays."""
    if isinstance(schema, dict):
        return {key: plain(value) for key, value in schema.items()
                if key not in WORDS or isinstance(value, dict)}
    return [plain(value) for value in schema] if isinstance(schema, list) else schema


def digest() -> str:
    schemas = [plain(json.loads((ROOT / f"schemas/{name}.schema.json").read_text()))
               for name in READ]
    return hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()


def test_a_form_that_older_tools_cant_read_has_a_number_of_its_own() -> None:
    """Where this fails, ask whether the tool of the last version in CHANGELOG.md reads what is
    written now. If it doesn't, raise RELEASE_FORMAT, and say in CHANGELOG.md that the tool is to be
    carried again. Then note the digest, below the number.
    """
    assert max(FORMS) == RELEASE_FORMAT
    assert digest().startswith(FORMS[RELEASE_FORMAT]), f"the schemas are {digest()[:12]} now"
