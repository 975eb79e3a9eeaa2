"""`doit prod:import`: a run that an offline host packed, checked and laid out on this side."""

from __future__ import annotations

from pathlib import Path

from tasks.commands import of_runs
from tasks.core import config_places
from tasks.core.config.settings import Config
from tasks.core.errors import shown
from tasks.core.graph.commands import Typed
from tasks.core.paths import PipelinePaths, SitePaths
from tasks.core.store.store import open_store
from tasks.core.trust import checksums
from tasks.offline_host import take_back


def prod_import(typed: Typed) -> int:
    """Check the file and lay the run out; a fault ends it, with nothing left."""
    archive = Path(of_runs.needed(typed.variables, "from", "the file that prod:export has written"))
    config = of_runs.configured({**typed.variables, "role": "online"})
    to = typed.variables.get("to")
    folder = Path(to).expanduser() if to else SitePaths(site=config.site.name).runs
    signers = of_runs.signers(config)
    taken = take_back.take(archive.expanduser(), folder, signers=signers,
                           is_known=lambda pipeline, release: _is_known(config, pipeline, release))
    count = len(taken.record["results"])
    print(shown(f"{taken.folder.path}: {count} results of {taken.record['release']['id']}, each "
                f"as it was recorded{'' if taken.is_new else '; it was here already'}"))
    print(shown(f"{taken.signed}" if signers else
                f"NOT CHECKED who packed it: {taken.signed}; name the hosts' keys in "
                f"offline.run_signers of {config_places.site(config.site.name)}"))
    return 0


def _is_known(config: Config, pipeline: str, release: str) -> bool:
    """Whether a release was made here, or is in the store."""
    own = PipelinePaths(site=config.site.name, pipeline=pipeline).release / "SHA256SUMS"
    revision = release.rpartition("-")[0]
    if own.is_file() and checksums.release_id(revision, own.read_bytes()) == release:
        return True
    return open_store(config.site.store).head(
        f"releases/{pipeline}/{release}/SHA256SUMS") is not None
