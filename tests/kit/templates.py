"""nf-core's own template in three generations, made by nf-core/tools from PyPI, and the stand-in.

Neither the template nor its modules are part of this repository: each is made where tests run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import yaml

from tasks.core import files
from tasks.core.archives import limits, unpacking
from tasks.local_site import plugin
from tests.kit.kept import kept

WHOLE = "nf-core==3.2.1"
"""What is installed with all that it needs; the others differ in little, so they lie above it."""
ABOVE = {
    "2.14.1": ("nf-core==2.14.1",),
    "3.2.1": (),
    "3.5.2": ("nf-core==3.5.2", "textual==7.4.0", "rich-click==1.9.7"),
}
ABOUT = {"author": "Tests", "description": "A pipeline that is not ours", "version": "1.0.0"}
STANDIN = Path(__file__).with_name("standin-plugin")
PLUGIN = re.compile(r"^\s*id '([a-z-]+)@([0-9.]+)'", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Template:
    """A pipeline of one release of the template: a git repository with the tag 1.0.0."""

    name: str
    tools: str

    @property
    def folder(self) -> Path:
        """The repository, made on first use."""
        made_from = f"{self.name} {self.tools} {Path(__file__).read_text()}"
        return kept(f"templates/{self.name}", made_from, self._make)

    def plugins(self) -> list[tuple[str, str]]:
        """Id and version of each plugin that it pins."""
        return PLUGIN.findall((self.folder / "nextflow.config").read_text())

    def _make(self, place: Path) -> None:
        tools = _tools()
        scratch = place / "scratch"
        bin_folder = scratch / "bin"
        # The tools ask Nextflow for the manifest, to fill .nf-core.yml, and pre-commit to format.
        manifest = "".join(f"manifest.{key} = '{value}'\n" for key, value in {
            **ABOUT, "name": f"nf-core/{self.name}"}.items())
        files.write_text(bin_folder / "nextflow", f"#!/bin/sh\ncat <<'END'\n{manifest}END\n",
                         mode=0o755)
        files.write_text(bin_folder / "pre-commit", "#!/bin/sh\n", mode=0o755)
        answers = scratch / "template.yml"
        files.write_text(answers, yaml.safe_dump({
            **ABOUT, "name": self.name, "force": True, "org": "nf-core", "is_nfcore": True,
            "skip_features": ["rocrate"]}))  # it would ask nf-co.re for the list of pipelines
        old = ["create", "--name", self.name, "--plain",
               *(word for key, value in ABOUT.items() for word in (f"--{key}", value))]
        new = ["pipelines", "create", "--template-yaml", answers]
        target = place / "pipeline"
        done = subprocess.run(
            [tools / "whole/bin/python", "-m", "nf_core",
             *(old if self.tools.startswith("2.") else new), "--outdir", target],
            cwd=scratch, capture_output=True, text=True, check=False,
            env=_environment(scratch, bin_folder, tools / self.tools))
        assert done.returncode == 0, done.stdout + done.stderr
        subprocess.run(["git", "-C", target, "tag", "1.0.0"], check=True)
        for path in target.iterdir():
            path.rename(place / path.name)


OLDEST = Template(name="oldest", tools="2.14.1")
MIDDLE = Template(name="middle", tools="3.2.1")
NEWEST = Template(name="newest", tools="3.5.2")
TEMPLATES = (OLDEST, MIDDLE, NEWEST)


def _environment(home: Path, bin_folder: Path, above: Path) -> dict[str, str]:
    who = {f"GIT_{who}_{what}": "tests@example.org" for who in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}
    return {**who, "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(home),
            "PYTHONPATH": str(above), "NO_COLOR": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def _tools() -> Path:
    """nf-core/tools in three releases, in an environment that later runs of the tests find."""
    def make(place: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", place / "whole"], check=True)
        pip = [str(place / "whole/bin/python"), "-m", "pip", "install", "--quiet", "--no-compile",
               "--disable-pip-version-check"]
        subprocess.run([*pip, WHOLE], check=True)
        for release, packages in ABOVE.items():
            if packages:
                subprocess.run([*pip, "--no-deps", "--target", str(place / release),
                                *packages], check=True)

    return kept("templates/tools", f"{sys.version} {WHOLE} {ABOVE}", make)


def serve_plugins(folder: Path, runtime: Path, scratch: Path) -> None:
    """The stand-in under each id and version that a template pins, with an index, in `folder`."""
    unpacking.unpack_tar(runtime, scratch / "runtime", allowed=limits.RUNTIME)
    library = next((scratch / "runtime").glob("nextflow-*/lib"))
    classes = scratch / "classes"
    sources = sorted(STANDIN.rglob("*.java"))
    subprocess.run(["javac", "--release", "11", "-encoding", "UTF-8", "-proc:none", "-nowarn",
                    "-classpath", f"{library}/*", "-d", classes, *sources], check=True,
                   capture_output=True)
    builder = _hello_builder()
    compiled = {**builder.files_below(classes),
                **builder.files_below(STANDIN / "src/main/resources")}
    index: dict[str, list[dict[str, str]]] = {}
    for identity, version in sorted({
            pinned for template in TEMPLATES for pinned in template.plugins()}):
        archive = folder / f"{identity}-{version}.zip"
        builder.write_zip({f"classes/{name}": data for name, data in {
            **compiled, "META-INF/MANIFEST.MF": _manifest(identity, version)}.items()}, archive)
        index.setdefault(identity, []).append({
            "version": version, "url": archive.name, "date": plugin.DATE, "requires": ">=23.04.0",
            "sha512sum": hashlib.sha512(archive.read_bytes()).hexdigest()})
    files.write_json(plugin.index(folder),
                     [{"id": identity, "releases": releases}
                      for identity, releases in index.items()])


def _manifest(identity: str, version: str) -> bytes:
    return (f"Manifest-Version: 1.0\nPlugin-Id: {identity}\nPlugin-Version: {version}\n"
            "Plugin-Class: airlock.standin.StandInPlugin\n"
            "Plugin-Provider: nf-airlock's tests\nPlugin-Requires: >=23.04.0\n").encode()


def _hello_builder() -> ModuleType:
    """The build script of the bundled example: it writes zips of a plugin's form."""
    spec = importlib.util.spec_from_file_location("build_plugin", plugin.SOURCE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
