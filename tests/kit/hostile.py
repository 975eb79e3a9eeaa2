"""A pipeline that means harm, on a site of its own; the real graph's own steps handle it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.core import files
from tasks.core.config import load
from tasks.core.graph import rooms
from tasks.core.offline_paths import OfflinePaths
from tasks.core.paths import PipelinePaths
from tests.kit import releases as staged

PUBLIC = "https://data.example.org/"
FOLDER = "https://folder.example.org/"
"""Mapped to the web server, and to the folder `allowed`."""
SECRET = "AKIA-s3cret-of-this-machine"
VERSION = staged.VERSION


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """The site and its pipeline below `root`, the current folder; `code` is what is staged."""

    root: Path
    url: str

    @property
    def code(self) -> Path:
        return self.root / "pipeline"

    @property
    def secret(self) -> Path:
        """A file beside the pipeline that holds SECRET; the user's credentials do, too."""
        return self.root / "secret.txt"

    @property
    def layout(self) -> PipelinePaths:
        return PipelinePaths(site="here", pipeline="hostile")

    @property
    def prod(self) -> OfflinePaths:
        return OfflinePaths(site="here", pipeline="hostile")

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the pipeline's code."""
        data = content.encode() if isinstance(content, str) else content
        files.write_bytes(self.code / name, data)
        return self.code / name

    def params(self, **values: str) -> None:
        """The config whose test profile has these params, quoted as Groovy wants it."""
        quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'")
                  for name, value in values.items()}
        lines = "".join(f"      {name} = '{value}'\n" for name, value in quoted.items())
        self.write("nextflow.config", f"profiles {{\n  test {{\n    params {{\n{lines}"
                                      "    }\n  }\n}\n")

    def configure(self, *, rows: int = 0, source: str = "pipeline",
                  revision: str | None = None) -> None:
        """Write the site's and the pipeline's configuration."""
        files.write_text(self.root / "config/sites/here.yml", yaml.safe_dump({
            "pipelines": ["hostile"], "platform": "linux/amd64", "python": ["3.11"],
            "registry": {"host": "127.0.0.1", "port": 9},
            "hosts": {"urls": {PUBLIC: f"{self.url}/", FOLDER: f"file://{self.root}/allowed/"}},
            "plugins": {"index": f"{self.url}/plugins.json"}, "store": {"url": "store"},
            "signing": {"key": "keys/id_ed25519", "identity": "airlock", "create": True},
            "offline": {"trust": "trust"}}))
        files.write_text(self.root / "config/pipelines/hostile.yml", yaml.safe_dump({
            "source": source, **({"revision": revision} if revision else {}), "profile": "test",
            "data": {"rows": rows},
            "nextflow": {"version": VERSION, "coordinates": ["io.nextflow:nextflow:24.10.5"]}}))

    def fault(self, step: str, *, role: str = "online") -> str | None:
        """Run one step as doit does: its failure's message, or None where it ended well.

        A fault that is not an error with words of its own is one of ours, and fails the test.
        """
        loaded = load.load({"site": "here", "role": role})
        action, arguments = next(task["actions"][0] for task in rooms.tasks(loaded)
                                 if _name(task) == f"{step}:hostile")
        failed = action(*arguments)
        if failed is None or isinstance(failed, str):
            return None
        message = str(failed.message)
        assert "a fault of nf-airlock itself" not in message, message
        return message

    def run(self, *steps: str, role: str = "online") -> None:
        """Run steps that must end well."""
        for step in steps:
            message = self.fault(step, role=role)
            assert message is None, f"{step}: {message}"

    def refused(self, step: str, *parts: str) -> str:
        """Run a step that must fail with an error that says all `parts`."""
        message = self.fault(step)
        assert message is not None, f"{step} ended well"
        assert not [part for part in parts if part not in message], message
        return message


def _name(task: dict[str, Any]) -> str:
    return f"{task['basename']}:{task.get('name')}"


def make(root: Path, url: str, runtime: Path) -> Hostile:
    """The site with all that steps before these would have made, and a harmless pipeline."""
    site = Hostile(root=root, url=url)
    staged.stage(site.layout.pipeline)
    archive = site.layout.runtime(VERSION)
    files.link_or_copy(runtime, archive)
    files.write_text(site.layout.runtime_sums(VERSION),
                     f"{files.sha256(archive)}  {archive.name}\n")
    site.configure()
    site.write("main.nf", "workflow {}\n")
    site.params()
    site.secret.write_text(SECRET)
    (root / "allowed").mkdir()
    return site


def plant(home: Path) -> dict[str, str]:
    """Fill a home folder with credentials; the environment of a user who has them."""
    for name in (".aws/credentials", ".netrc", ".docker/config.json", ".git-credentials"):
        files.write_text(home / name, SECRET)
    return {"HOME": str(home), **dict.fromkeys(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "NXF_TOKEN"), SECRET)}


def table(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def holding(root: Path, secret: str, *, apart_from: Iterable[Path]) -> list[Path]:
    """The files below `root` that hold a secret, in content, name or a link's target."""
    skipped = set(apart_from)
    return [path for path in files.tree(root) if path not in skipped
            and (secret in str(path) or secret.encode() in _content(path))]


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return path.read_bytes() if path.is_file() else b""
