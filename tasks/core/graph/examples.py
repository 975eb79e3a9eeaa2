"""Which of the bundled examples a pipeline is, by its code: a copy of one may have any name.

The local site's internet offers what the examples ask for, and nothing of it exists elsewhere.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tasks.core.config.settings import Config, Pipeline

HELLO, CHROMAPIPE = "hello", "chromapipe"
_ASKED = {HELLO: b"nf-airlock-hello", CHROMAPIPE: b"chromapipe/proteins.csv"}
"""What stands in the configs of an example's code: its plugin, its test's sheet."""
_CONFIGS = ("nextflow.config", "conf/*.config")
_MOST = 2**20
"""Bytes of a config that are looked at."""


def asking(example: str, config: Config) -> list[Pipeline]:
    """The pipelines of a site that ask for what an example does; none where it serves nothing."""
    return [pipeline for pipeline in config.pipelines
            if config.site.sandbox and _is_one(example, pipeline)]


def _is_one(example: str, pipeline: Pipeline) -> bool:
    if not pipeline.code.is_folder:  # the local internet has hello in git, too
        return PurePosixPath(pipeline.source).stem == example
    for pattern in _CONFIGS:
        for path in sorted(Path(pipeline.source).glob(pattern)):
            with path.open("rb") as stream:
                if _ASKED[example] in stream.read(_MOST):
                    return True
    return False
