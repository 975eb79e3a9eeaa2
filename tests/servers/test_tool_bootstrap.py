"""The documentation's commands on an offline host, letter by letter, against a hostile store.

The tool is made, signed and pushed by the real steps; every attack is made by somebody who can
write into the store, and who has no trusted key.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tasks.core import files
from tasks.core.config.aws_settings import StoreAt
from tasks.core.config.load import load
from tasks.core.config.settings import Signing
from tasks.core.nextflow.isolation import without_network
from tasks.core.paths import SBOM_CYCLONEDX, SBOM_SPDX, SitePaths
from tasks.core.trust import signature
from tasks.release import graph, sign, tool
from tests.kit.faults import flip
from tests.kit.project import ROOT
from tests.kit.releases import stage

EVIL = "echo EVIL > \"$HOME/it-ran\""
PYTHON = "import os, pathlib\npathlib.Path(os.environ['HOME'], 'it-ran').write_text('EVIL')\n"


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A store with one tool, and what an administrator put by hand on the other side."""

    folder: Path
    id: str

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def tool(self) -> Path:
        """The tool's folder in the store, which an attacker can change."""
        return self.store / "tool" / self.id

    @property
    def trust(self) -> Path:
        return self.folder / "trust"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Gap:
    """The tool, made by the real steps from this very checkout."""
    folder = tmp_path_factory.mktemp("tool")
    before = Path.cwd()
    os.chdir(ROOT)
    patch = pytest.MonkeyPatch()
    patch.setattr(SitePaths, "root", property(lambda self: folder / "build" / self.site))
    try:
        site = load({}).site
        layout, store = SitePaths(site="local"), StoreAt(url=str(folder / "store"))
        signing = Signing(key=folder / "keys/id", identity="airlock", create=True)
        tool.make(tool.ToolSpec(
            layout=layout, platform=site.platform, python=(f"3.{sys.version_info.minor}",),
            carry=site.images.carry, config=graph.offline_site(site)))
        sign.sign_tool(sign.SignToolSpec(layout=layout, signing=signing))
        tool.push(tool.PushToolSpec(layout=layout, store=store, signing=signing))
    finally:
        patch.undo()
        os.chdir(before)
    files.write_text(folder / "trust/allowed_signers",
                     signature.allowed_line("airlock", signature.public_key(signing.key)))
    name = json.loads((folder / "build/local/tool/tool.json").read_text())["id"]
    return Gap(folder=folder, id=name)


@pytest.fixture
def gap(made: Gap, tmp_path: Path) -> Gap:
    """A copy that a test may spoil."""
    for name in ("store", "trust", "keys"):
        shutil.copytree(made.folder / name, tmp_path / name)
    (tmp_path / "home").mkdir()
    return Gap(folder=tmp_path, id=made.id)


def commands(gap: Gap, name: str | None = None) -> str:
    """The documentation's own lines, with this test's places for those of the example."""
    text = (ROOT / "docs/offline-hosts.md").read_text()
    section = text[text.index("## On the offline host"):]
    copy = re.search(r"`(cp -rL [^`]*)`", section)
    block = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert copy and block
    lines = f"{copy[1]} &&\n{block[1]}"
    assert lines.count("\n") == 4, "a copy, then three commands"
    assert "pipeline=demo" in lines
    return (lines.replace("/mnt/airlock", str(gap.store)).replace("/etc/airlock", str(gap.trust))
            .replace("ID", name or gap.id).replace("pipeline=demo", "list"))


def typed(gap: Gap, name: str | None = None) -> subprocess.CompletedProcess[str]:
    """What happens where a user types them in an empty folder, on a host without a network."""
    here = gap.folder / "here"
    here.mkdir()
    done = subprocess.run(
        [*without_network(), "sh", "-c", commands(gap, name)], cwd=here, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(gap.folder / "home")})
    assert not (gap.folder / "home/it-ran").exists(), done.stdout
    return done


def test_they_start_the_tool_without_a_network(gap: Gap) -> None:
    done = typed(gap)
    assert done.returncode == 0, done.stdout
    assert 'Good "airlock-tool" signature for airlock' in done.stdout
    assert "prod:run:hello" in done.stdout
    assert not [verb for verb in ("push", "stage", "sandbox") if verb in done.stdout]


def test_the_tool_lists_its_packages_with_their_licences(gap: Gap) -> None:
    """Each wheel by its digest, and the Java in one of them; both forms by their own validators."""
    with tarfile.open(gap.tool / "airlock.tar") as opened:
        opened.extractall(gap.folder / "list", [
            opened.getmember(name) for name in (SBOM_CYCLONEDX, SBOM_SPDX, "tool.json")],
            filter="data")
    text = (gap.folder / "list" / SBOM_CYCLONEDX).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert validate_full_spdx_document(
        parse_file(str(gap.folder / "list" / SBOM_SPDX)), "SPDX-2.3") == []
    kinds: dict[str, dict[str, Any]] = {}
    for entry in json.loads(text)["components"]:
        kind = next(said["value"] for said in entry["properties"]
                    if said["name"] == "airlock:kind")
        kinds.setdefault(kind, {})[entry["bom-ref"]] = entry
    wheels = json.loads((gap.folder / "list/tool.json").read_text())["wheels"]
    assert {entry["hashes"][0]["content"] for entry in kinds["wheel"].values()} == {
        wheel["sha256"] for wheel in wheels}
    assert [entry["bom-ref"] for entry in kinds["wheel"].values() if "licenses" not in entry] == []
    java, = kinds["java"].values()
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", java["version"])


def test_the_folder_of_the_tool_knows_its_role_and_its_site(gap: Gap) -> None:
    typed(gap)

    def said(*words: str) -> str:
        return subprocess.run(
            ["./doit", *words], cwd=gap.folder / "here/airlock", text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(gap.folder / "home"),
                 "AIRLOCK_SITE": "another"}).stdout

    assert "prod:run:hello" in said("list")
    assert said("list") == said("list", "role=prod") == said("list", "site=local")
    assert "./doit pipeline=NAME  " in said("help") and "images:mirror" not in said("help")
    found = json.loads(said("doctor", "--json"))
    assert (found["role"], found["site"]) == ("prod", "local")
    assert "there is no role 'online'" in said("list", "role=online")


def releases_own_list(gap: Gap) -> None:
    """A release's genuine list and signature, beside an archive that neither names."""
    os.chdir(gap.folder)
    staged = stage()
    staged.publish()
    place = next(Path("store/releases/hello").glob("*/SHA256SUMS")).parent
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        shutil.copy(place / name, gap.tool)
    shutil.copy(place / "SHA256SUMS.sig", gap.tool / "airlock.tar.sig")
    spoil(gap)


def list_of_a_release(gap: Gap) -> None:
    """The same, the archive being the very bytes that were signed as a release by our key."""
    data = b"0" * 64 + b"  code.tar\n"
    (gap.tool / "airlock.tar").write_bytes(data)
    (gap.tool / "airlock.tar.sig").write_bytes(signature.sign(
        gap.folder / "keys/id", data, namespace=signature.RELEASE))


def spoil(gap: Gap) -> None:
    """An archive that runs what the attacker likes."""
    (gap.folder / "evil").mkdir()
    script = gap.folder / "evil/doit"
    script.write_text(f"#!/bin/sh\n{EVIL}\n")
    script.chmod(0o755)
    subprocess.run(["tar", "cf", gap.tool / "airlock.tar", "-C", gap.folder / "evil", "doit"],
                   check=True)


def foreign_key(gap: Gap) -> None:
    spoil(gap)
    key = gap.folder / "keys/foreign"
    signature.ready(key, create=True, identity="airlock")
    (gap.tool / "airlock.tar.sig").write_bytes(signature.sign(
        key, (gap.tool / "airlock.tar").read_bytes(), namespace=signature.TOOL))


def no_signature(gap: Gap) -> None:
    (gap.tool / "airlock.tar.sig").unlink()


def appended(gap: Gap) -> None:
    """tar goes on after an end that it is told to pass over; the signature covers every byte."""
    with (gap.tool / "airlock.tar").open("ab") as stream:
        stream.write(b"\0" * 512)


@pytest.mark.parametrize("attack", [releases_own_list, list_of_a_release, spoil, foreign_key,
                                    no_signature, appended])
def test_an_archive_that_the_tools_key_did_not_sign_is_not_opened(
        gap: Gap, attack: Callable[[Gap], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gap.folder)
    attack(gap)
    done = typed(gap)
    assert done.returncode != 0
    assert "EVIL" not in done.stdout
    assert not (gap.folder / "here/airlock").exists()


def beside(gap: Gap) -> None:
    """Everything that a program might pick up from the folder that it was copied to."""
    for name in ("yaml.py", "doit.py", "json.py", "venv.py", "sitecustomize.py", "dodo.py",
                 "usercustomize.py", "tasks/__init__.py", "tasks/core/config/settings.py"):
        files.write_text(gap.tool / name, PYTHON)
    for name in ("doit", "python3", "pip", ".venv/bin/python", ".venv/bin/doit"):
        files.write_text(gap.tool / name, f"#!/bin/sh\n{EVIL}\n", mode=0o755)
    files.write_text(gap.tool / ".env", "AIRLOCK_OFFLINE_STORE=/evil\nAIRLOCK_TRUST=/evil\n")
    files.write_text(gap.tool / "pip.conf", "[global]\nindex-url = http://127.0.0.1:1/\n")
    files.write_text(gap.tool / "doit.cfg", "[GLOBAL]\ndodoFile = /evil\n")
    files.write_text(gap.tool / "pyproject.toml", "not = [toml\n")


def more_wheels(gap: Gap) -> None:
    """Wheels that nobody listed: a newer one of each name, and new names."""
    for path in list((gap.tool / "wheels").iterdir()):
        name, version, rest = path.name.split("-", 2)
        shutil.copy(path, gap.tool / f"wheels/{name}-{version}.post9-{rest}")
    files.write_bytes(gap.tool / "wheels/evil-1.0-py3-none-any.whl", b"PK")
    files.write_text(gap.tool / "wheels/setup.py", PYTHON)


@pytest.mark.parametrize("attack", [beside, more_wheels])
def test_what_lies_beside_the_archive_is_not_read(gap: Gap, attack: Callable[[Gap], None]) -> None:
    attack(gap)
    done = typed(gap)
    assert done.returncode == 0, done.stdout
    assert "prod:run:hello" in done.stdout
    assert "evil" not in done.stdout.lower()


def ready_made(gap: Gap) -> None:
    """The folder into which the archive is to be unpacked, with a program in it."""
    for name in (".venv/bin/doit", ".venv/bin/python", "yaml.py"):
        files.write_text(gap.tool / "airlock" / name, f"#!/bin/sh\n{EVIL}\n", mode=0o755)


def test_a_folder_that_is_there_already_is_refused(gap: Gap) -> None:
    ready_made(gap)
    done = typed(gap)
    assert done.returncode != 0
    assert "cannot create directory" in done.stdout
    assert "prod:run" not in done.stdout


def longer(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"\0")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoilt", [flip, longer, pipe, Path.unlink])
def test_a_wheel_that_is_not_the_one_named_is_refused(
        gap: Gap, spoilt: Callable[[Path], None]) -> None:
    path = next((gap.tool / "wheels").glob("urllib3-*.whl"))
    spoilt(path)
    done = typed(gap)
    assert done.returncode == 3, done.stdout
    assert path.name in done.stdout
    assert "the packages that came with this tool can't be used" in done.stdout
    assert not (gap.folder / "here/airlock/.venv/made-from").exists()


def test_a_tool_unpacked_over_other_files_names_them(gap: Gap) -> None:
    """Not what the documentation says, and still not run in silence."""
    here = gap.folder / "here"
    shutil.copytree(gap.tool, here / "copied")
    files.write_text(here / "copied/unpacked/tasks/yaml.py", PYTHON)
    subprocess.run(["tar", "xf", here / "copied/airlock.tar", "-C", here / "copied/unpacked"],
                   check=True)
    done = subprocess.run([here / "copied/unpacked/doit", "role=prod", "list"], text=True,
                          check=False, capture_output=True,
                          env={"PATH": os.environ["PATH"], "HOME": str(gap.folder / "home")})
    assert done.returncode == 3
    assert "not part of the tool, and not signed: tasks/yaml.py" in done.stderr


def test_another_tool_than_the_one_asked_for_is_refused(gap: Gap) -> None:
    """An older tool, genuine in every byte, under the name of the one that was asked for."""
    other = "0123456789ab"
    gap.tool.rename(gap.tool.with_name(other))
    done = typed(gap, other)
    assert done.returncode == 3
    assert f"this tool is {gap.id}, and {other} was asked for" in done.stdout


def test_the_tools_id_is_that_of_its_content(gap: Gap) -> None:
    folder = gap.folder / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "xf", gap.tool / "airlock.tar", "-C", folder], check=True)
    shutil.copytree(gap.tool / "wheels", folder / "wheels")
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    listed = {line[66:] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(folder).as_posix() for path in files.tree(folder)}
    assert there - listed == {"SHA256SUMS", "tool.json"}
    assert files.sha256(folder / "SHA256SUMS")[:12] == gap.id
