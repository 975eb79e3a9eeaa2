"""The Nextflow runtime of each pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config
from tasks.core.graph import Task, group, step
from tasks.core.layout import Layout
from tasks.runtime import maven


def tasks(config: Config) -> Iterator[Task]:
    """`runtime:<pipeline>`: one archive with launcher and jars, from Maven."""
    yield group("runtime", "the Nextflow runtimes, from Maven")
    for pipeline in config.pipelines:
        layout = Layout(site=config.site.name, pipeline=pipeline.name)
        spec = maven.Runtime(
            pipeline=pipeline.name, version=pipeline.runtime, coordinates=pipeline.coordinates,
            archive=layout.runtime(pipeline.runtime), sums=layout.runtime_sums(pipeline.runtime),
            lock=layout.lock("runtime"), log=layout.log(f"runtime:{pipeline.name}"),
            relock=config.relock)
        yield step(f"runtime:{pipeline.name}", f"Nextflow {pipeline.runtime}, from Maven",
                   maven.build, spec, needs=[maven.LAUNCHER], makes=[spec.archive, spec.sums],
                   keeps=[spec.lock], always=config.relock,
                   servers=config.site.packages)
