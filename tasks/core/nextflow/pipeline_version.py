"""Whether a pipeline takes a version of Nextflow: `manifest.nextflowVersion` in its config."""

from __future__ import annotations

from tasks.core.errors import ConfigError
from tasks.core.nextflow import java
from tasks.core.nextflow.versions import LINES, MAX_PATCH, conditions, meets


def fitting(condition: str) -> str:
    """Say what fits a condition, and which known release lines do, with their Java."""
    wanted = conditions(condition)
    lines = []
    for line in LINES:
        fits = [f"{line}.{patch}" for patch in range(MAX_PATCH)
                if all(part.met(f"{line}.{patch}") for part in wanted)]
        if fits:
            since = "" if fits[0] == f"{line}.0" else f" from {fits[0]}"
            first, last = java.majors(fits[0])
            lines.append(f"{line}{since} (Java {first} to {last})")
    words = " and ".join(map(str, wanted))
    return f"{words}; of the known release lines " + (", ".join(lines) or "none")


def misfit(version: str, asked: str | None) -> str | None:
    """Say what would fit, where Nextflow `version` is not what the pipeline asks for.

    None where it fits. Raises ConfigError where the pipeline insists (a leading `!`), as
    Nextflow itself refuses to run it then; else it only warns.
    """
    text = (asked or "").strip()
    strict, condition = text.startswith("!"), text.removeprefix("!").strip()
    if meets(version, condition):
        return None
    reason = f"the pipeline asks for Nextflow {text}, and {version} was chosen"
    fits = fitting(condition)
    if strict:
        raise ConfigError(reason,
                          where="manifest.nextflowVersion in the pipeline's nextflow.config",
                          todo=f"set nextflow.version in its config to {fits}")
    return f"{reason}: it will run, but things may break; what fits is {fits}"
