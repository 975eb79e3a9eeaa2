"""The pipelines' test data."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.config import Config
from tasks.core.graph import Task, group, step
from tasks.core.layout import Layout
from tasks.data.mirror import Mirror, mirror
from tasks.data.sources import Reach


def tasks(config: Config) -> Iterator[Task]:
    """`mirror:data:<pipeline>`: samplesheets, manifest and lock; the files by digest in a cache."""
    yield group("mirror:data", "the pipelines' test data")
    for pipeline in config.pipelines:
        layout = Layout(site=config.site.name, pipeline=pipeline.name)
        spec = Mirror(
            pipeline=pipeline.name, profile=pipeline.profile, rows=pipeline.rows,
            reach=Reach(prefixes=config.site.urls, buckets=config.site.buckets,
                        folders=config.site.folders),
            store=config.site.store.url, code=layout.code,
            runtime=layout.runtime(pipeline.runtime), blobs=layout.of_site.blobs,
            manifest=layout.data_manifest, sums=layout.data_sums, inputs=layout.inputs,
            inputs_store=layout.inputs_store, lock=layout.lock("data"),
            log=layout.log(f"mirror:data:{pipeline.name}"), relock=config.relock)
        yield step(f"mirror:data:{pipeline.name}", "the test data, fetched and locked",
                   mirror, spec, needs=[spec.code, spec.runtime],
                   makes=[spec.manifest, spec.sums, spec.inputs, spec.inputs_store],
                   keeps=[spec.lock], always=config.relock,
                   servers=config.site.servers)
