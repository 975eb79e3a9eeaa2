"""An offline host in a folder of its own: real releases out of a store, run by the real Nextflow.

Its pipelines need no image, and wait in their one task until a file is there.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tasks.core import files
from tasks.core.offline_paths import OfflinePaths
from tests.kit.project import ROOT, Project
from tests.kit.releases import Staged, change_code

SITE = "there"
MAIN = """\
process WAIT {{
    publishDir params.outdir
    input: val gate
    output: path 'said.txt'
    script: "while [ ! -e $gate ]; do sleep 0.1; done; echo {word} > said.txt"
}}
workflow {{ WAIT(params.gate) }}
"""


def without_images(staged: Staged, word: str) -> str:
    """Publish a release whose run says a word once its gate is open; return its id."""
    change_code(staged, MAIN.format(word=word).encode())
    scan: dict[str, list[object]] = {"images": [], "processes": [], "selectors": []}
    files.write_json(staged.layout.images_scan, scan)
    files.write_json(staged.layout.images_receipt, {"registry": "10.0.0.1:5443", "images": []})
    files.write_json(staged.layout.lock("images"), {"platform": "linux/amd64", "images": []})
    files.write_text(staged.layout.offline_config, "profiles { offline {} }\n"
                     + (ROOT / "config/offline.config").read_text()
                     + (ROOT / "config/engines/docker.config").read_text())
    files.write_text(staged.layout.images, "")
    files.write_text(staged.layout.images_pinned, "")
    return staged.publish()


@dataclass(frozen=True, kw_only=True)
class Host:
    """A project's folder as an offline host has it, with the store and the trust folder beside."""

    project: Project
    store: Path

    @property
    def root(self) -> Path:
        return self.project.root

    def at(self, pipeline: str = "hello") -> OfflinePaths:
        return OfflinePaths(site=SITE, pipeline=pipeline)

    def configure(self, trust: Path, pipelines: list[str]) -> None:
        """Write its site's file."""
        files.write_text(self.root / f"config/sites/{SITE}.yml", yaml.safe_dump({
            "pipelines": pipelines, "platform": "linux/amd64", "python": ["3.11"],
            "registry": {"host": "127.0.0.1", "port": 9}, "store": {"url": str(self.store)},
            "signing": {"key": "none", "identity": "airlock"},
            "plugins": {"index": "https://plugins.example.org/plugins.json"},
            "offline": {"trust": str(trust)}}))

    def start(self, *words: str) -> Started:
        """Start doit there, and don't wait for it."""
        log = self.root.parent / f"{time.monotonic_ns()}.log"
        environment = self.project.environment({"HOME": str(self.root.parent / "home"),
                                                "NXF_OPTS": "-Xmx512m -XX:TieredStopAtLevel=1"})
        with log.open("wb") as stream:
            process = subprocess.Popen(
                self.project.command("role=prod", f"site={SITE}", *words), cwd=self.root,
                env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        return Started(process=process, log=log)

    def run(self, *words: str, status: int = 0) -> str:
        """What doit prints there until it ends, with this status."""
        return self.start(*words).ends(status)


@dataclass(frozen=True, kw_only=True)
class Started:
    """A doit that runs, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, text: str, seconds: float = 90) -> None:
        """Wait until it has printed a text."""
        until(lambda: text in self.said or self.process.poll() is not None, seconds)
        assert text in self.said, self.said

    def ends(self, status: int = 0, seconds: float = 180) -> str:
        assert self.process.wait(seconds) == status, self.said
        return self.said


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
