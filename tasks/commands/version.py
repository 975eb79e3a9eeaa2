"""`doit version`: this project's, and those of what it runs on."""

from __future__ import annotations

import platform
from importlib import metadata

from tasks.core.graph.commands import Typed
from tasks.core.tool_version import TOOL_VERSION


def version(_typed: Typed) -> int:
    """Print one line."""
    print(f"nf-airlock {TOOL_VERSION} (doit {metadata.version('doit')}, "
          f"Python {platform.python_version()})")
    return 0
