"""Sources of a pipeline, written for a test, and what is read in them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.images import scan as scanner
from tasks.images.uses import Use

Pipeline = Callable[[Mapping[str, str]], Path]
"""What the fixture `pipeline` is: it writes these sources and returns their folder."""
MODULES = {"main.nf": """
    include { STAR as STAR_OLD } from './star'
    include { STAR } from './star'
    process OTHER { container 'a/other:1'; label 'gpu'; script: '' }
    process BARE { script: '' }
""", "star.nf": "process STAR {\n container 'a/star:1'\n script:\n ''\n}\n"}
TERNARY = """container "${ workflow.containerEngine in ['singularity', 'apptainer'] ?
    'https://depot.example.org/b' : 'a/b:1' }\""""


def write_sources(folder: Path, sources: Mapping[str, str]) -> Path:
    """Write sources by their paths below a folder, which is returned."""
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def directive(container: str, config: str = "docker.registry = 'quay.io'") -> dict[str, str]:
    """A pipeline of one process with this directive."""
    return {"main.nf": f"process A {{\n    tag \"x\"\n{container}\n\n    input:\n    val x\n\n"
                       "    script:\n    \"\"\"\n    container 'no'\n    \"\"\"\n}\n",
            "nextflow.config": config}


def scan(code: Path, given: Mapping[str, str], **options: Any) -> list[Use]:
    """The uses of images in a scan, which must be without faults."""
    uses = scanner.scan(code, given, **options)
    assert uses.faults == []
    return uses.uses
