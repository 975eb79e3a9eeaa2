"""`doit runs:verify`: whether a run's results are still those that it recorded."""

from __future__ import annotations

from tasks.commands import of_runs
from tasks.core.errors import shown
from tasks.core.graph.commands import Typed
from tasks.offline_host.verify import verify


def runs_verify(typed: Typed) -> int:
    """Print what differs from the record, and who signed that; 1 where anything differs."""
    place = of_runs.place(typed.variables)
    run = place.one(typed.words)
    looked = verify(run.folder, place.signers)
    for kind, path in looked.differences:
        print(shown(f"{kind:<12} {path}"))
    name = f"{run.record['pipeline']}/{run.folder.name}"
    done = (f"{len(looked.differences)} differences" if looked.differences else
            f"all {looked.count} results are as they were recorded")
    print(shown(f"{name}: {done}; {looked.signed}"))
    return 1 if looked.differences else 0
