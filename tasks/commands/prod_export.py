"""`doit prod:export`: a run's record and results in one file."""

from __future__ import annotations

from pathlib import Path

from tasks.commands import of_runs
from tasks.core import files
from tasks.core.errors import ConfigError
from tasks.core.graph.commands import Typed
from tasks.offline_host import runs
from tasks.offline_host.export import export


def prod_export(typed: Typed) -> int:
    """Pack the run; print the file, its digest, and whether it is signed."""
    name = of_runs.needed(typed.variables, "run", "the run, as `doit runs` lists it, or latest")
    to = of_runs.needed(typed.variables, "to", "the file, or a folder that is there")
    if to.endswith("/") and not Path(to).is_dir():
        raise ConfigError("there is no such folder, given by to=", where=Path(to).absolute(),
                          todo="make it, or see that the disk is mounted")
    place = of_runs.place({"role": "prod", **typed.variables})
    run = runs.one(place.runs, name, place.pipeline)
    target = export(run.folder, Path(to).expanduser())
    signed = "signed by this host's key" if run.folder.signature.is_file() else "NOT signed"
    print(f"{target}: {files.human_size(target.stat().st_size)}, sha256 {files.sha256(target)}; "
          f"its list is {signed}")
    return 0
