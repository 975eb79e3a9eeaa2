"""A user's own sheet in the runs of this side, where the profile itself names no data."""

from __future__ import annotations

import dataclasses
import json
import logging

from tasks.core import files
from tasks.core.inputs import staged_data
from tasks.core.nextflow.launch import Launch
from tasks.core.paths import MANIFEST, PipelinePaths
from tasks.core.source import resolved_config

PARAM = "input"

logger = logging.getLogger(__name__)


def taken(at: PipelinePaths, ready: Launch, step: str) -> Launch:
    """The launch with the first staged sheet of a user as its input, where the profile has none.

    Which it is is said; without any, the launch stays as it is.
    """
    names = at.own_names()
    if not names or resolved_config.config(at.resolved).get("params", {}).get(PARAM):
        return ready
    name, *others = names
    manifest, folder = at.own / name / MANIFEST, ready.folder / "own" / name
    locate = staged_data.lay_out(manifest, at.of_site.blobs, folder / "staged")
    params = ready.folder / "own.params.json"
    files.write_json(params, {**json.loads(ready.params.read_bytes()),
                              **staged_data.render(manifest, locate, folder)})
    more = f"; also staged: {', '.join(others)}" if others else ""
    logger.info("%s  the profile has no input: your own sheet %s is taken%s", step, name, more)
    return dataclasses.replace(ready, params=params)
