"""Institutional configs that are carried along: what they set counts as the pipeline's own does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tasks.core.source import custom_configs
from tasks.core.source.configs import MAIN, Include, Reader, Setting
from tasks.core.source.files import Sources, opened
from tasks.core.source.groovy.values import PROJECT

BASE = f"params.{custom_configs.BASE}"


def statements(sources: Sources, reader: Reader,
               configs: Path | None) -> Iterator[Setting | Include]:
    """What nextflow.config and all that it includes say; carried ones stand where it names them.

    `configs` is the folder or tar of those. Their files are named as below the param that leads
    there.
    """
    for statement in reader.read() if sources.has(MAIN) else ():
        paths = custom_configs.named(statement) if isinstance(statement, Include) else []
        if configs is None or not paths:
            yield statement
            continue
        with opened(configs) as tree:
            carried = Reader(tree, {**reader.names, BASE: frozenset([PROJECT])}, reader.profiles)
            for path in paths:
                for inner in carried.read(path) if tree.has(path) else ():
                    yield replace(inner, file=f"{custom_configs.BASE}/{inner.file}")
