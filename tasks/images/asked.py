"""Images that only a run can tell: what `nextflow inspect` names, with the staged data and params.

It lists the processes that a run with them calls. So it is taken where the sources don't tell, and
where it has an answer for every name by which workflows call a process.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from tasks.core.errors import ImageError
from tasks.core.source.directives import Directive
from tasks.images.processes import Process
from tasks.images.rules import Rule

Answers = Mapping[str, str | None]
"""The image of each process that is called, by its qualified name."""


def rules(process: Process, called: Collection[str], answers: Answers) -> list[Rule]:
    """What holds for each name that a process is called by, as if the config set it.

    ImageError that says what is lacking, where there is no answer for all of them.
    """
    lacking = sorted(name for name in called if not answers.get(name))
    if lacking or not called:
        none = [name for name in lacking if name in answers]
        raise ImageError(
            f"`nextflow inspect` names no image for {', '.join(none)}" if none else
            "`nextflow inspect` tells nothing of it: with the staged params it is not called"
            + (f" as {', '.join(lacking)}" if lacking else ""))
    return [Rule(kind="withName", pattern=re.escape(name), container=Directive(
        word="container", values=frozenset([answers[name]]), file=process.file,
        line=process.line)) for name in sorted(called)]


def notice(names: Collection[str], profile: str) -> list[str]:
    """What should be known of images that are taken from there."""
    return [f"{', '.join(sorted(names))}: the image is that which `nextflow inspect` names with "
            f"profile {profile} and the staged params; a run with others may take another"
            ] if names else []
