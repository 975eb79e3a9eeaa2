"""The version of this project, which each release names; pyproject.toml reads it here."""

from __future__ import annotations

TOOL_VERSION = "0.1.0"
"""By semantic versioning. Not the commit: equal content has one release id, whoever makes it."""
