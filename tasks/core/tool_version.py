"""The version of this project, and which releases it reads; pyproject.toml reads the version here.
"""

from __future__ import annotations

TOOL_VERSION = "0.2.0"
"""By semantic versioning; CHANGELOG.md says what is in it. Not the commit: equal content has one
release id, whoever makes it."""

RELEASE_FORMAT = 1
"""The number of the form in which releases are written, and the highest that is read.

It is raised where a tool that knows the number before can't read a release, or would read it
wrongly: docs/decisions/which-tool-reads-a-release.md. A release without a number is older than 1.
"""
