"""What is told at the end about a crossing."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core import endings, schema
from tasks.core.paths import PipelinePaths


def of_crossing(at: PipelinePaths) -> Iterator[str]:
    """Where the results of the crossing's run are, what it tried, and what comes next."""
    if not at.crossing.is_file():
        return
    crossing = schema.read_json(at.crossing, "crossing")
    folder = at.of_site.sandbox / "host/disk" / at.pipeline / "airlock" / crossing["run"]
    yield from endings.of_run(f"{at.pipeline} ran on the offline host", folder)
    refused = sum(attempt["refused"] for attempt in crossing["probes"])
    tried = (f": {refused} of {len(crossing['probes'])} attempts to get out were refused"
             if crossing["probes"] else "")
    yield f"  crossing {at.crossing}{tried}"
    yield ("next: change a line of the pipeline and type `./doit list`; `./doit sandbox:down` "
           "ends the servers")
