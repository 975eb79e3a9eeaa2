"""A change to a pipeline's own config that adds a profile, as `patch -p1` and `git apply` take it.
"""

from __future__ import annotations

import difflib
import re


def with_profile(text: str, profile: str, included: str) -> str:
    """Return a config with one block more at its end, which includes a file in the profile.

    Where there is such a profile already, this one extends it, and holds: Nextflow reads a config
    from its first line to its last (tried with 24.10). A config that has the block stays as it is.
    """
    block = ["", f"// Settings for AWS Batch: `doit batch:config` makes {included}.", "profiles {",
             f"    {profile} {{ includeConfig '{included}' }}", "}", ""]
    if re.search(rf"\b{re.escape(profile)}\s*\{{\s*includeConfig\s+'{re.escape(included)}'", text):
        return text
    end = "\r\n" if "\r\n" in text else "\n"
    missing = "" if not text or text.endswith("\n") else end
    return f"{text}{missing}{end.join(block if text else block[1:])}"


def difference(path: str, before: str | None, after: str) -> str:
    """Return the unified diff of a file; None before is a file that isn't there yet."""
    if before == after:
        return ""
    old = "/dev/null" if before is None else f"a/{path}"
    lines = []
    for line in difflib.unified_diff(_lines(before or ""), _lines(after), old, f"b/{path}"):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    mode = "new file mode 100644\n" if before is None else ""
    return f"diff --git a/{path} b/{path}\n{mode}{''.join(lines)}"


def _lines(text: str) -> list[str]:
    """The lines with their ends; only a line feed ends one, as patch has it."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
