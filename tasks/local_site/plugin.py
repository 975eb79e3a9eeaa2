"""hello's plugin and its index, as a public plugin server would offer them."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.core.config import ROOT
from tasks.core.errors import HostError

SOURCE = ROOT / "examples/hello-plugin"
DATE = "2025-01-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class PluginSpec:
    """The runtime's archive to compile against, and the served folder for zip and index."""

    runtime: Path
    folder: Path


def build(spec: PluginSpec) -> str:
    """Compile the plugin; the index names it by a URL relative to itself."""
    manifest = _manifest()
    target = archive(spec.folder)
    builder = _builder()
    with tempfile.TemporaryDirectory() as scratch:
        runtime = Path(scratch) / "runtime"
        unpacking.unpack_tar(spec.runtime, runtime, allowed=limits.RUNTIME)
        library = next(runtime.glob("nextflow-*/lib"))
        try:
            builder.build(library, "javac", target.absolute())
        except builder.BuildError as error:
            raise HostError(str(error), where=SOURCE) from error
    release = {"version": manifest["Plugin-Version"], "url": target.name, "date": DATE,
               "requires": manifest["Plugin-Requires"],
               "sha512sum": hashlib.sha512(target.read_bytes()).hexdigest()}
    files.write_json(index(spec.folder), [{"id": manifest["Plugin-Id"], "releases": [release]}])
    return target.name


def index(folder: Path) -> Path:
    """The plugin index in the served folder."""
    return folder / "plugins.json"


def archive(folder: Path) -> Path:
    """The plugin itself in the served folder."""
    manifest = _manifest()
    return folder / f"{manifest['Plugin-Id']}-{manifest['Plugin-Version']}.zip"


def sources() -> list[Path]:
    """The files that the plugin is made of, relative to the project."""
    return [path.relative_to(ROOT) for path in files.tree(SOURCE)
            if "__pycache__" not in path.parts]


def _manifest() -> dict[str, str]:
    text = (SOURCE / "src/main/resources/META-INF/MANIFEST.MF").read_text()
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def _builder() -> Any:
    """The plugin's own build script: an example, so it isn't part of this package."""
    script = importlib.util.spec_from_file_location("hello_plugin_build", SOURCE / "build.py")
    if script is None or script.loader is None:
        raise HostError("the plugin's build script is missing", where=SOURCE / "build.py")
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    return module
