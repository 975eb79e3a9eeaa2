"""The doctor on an offline host whose engine runs image files: no registry, and images are tried.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tasks.core import files
from tasks.core.engine import apptainer as program
from tasks.core.machine_names import architecture
from tasks.core.offline_paths import OfflinePaths
from tests.kit import apptainer
from tests.kit.own_site import OwnSite
from tests.kit.releases import Staged, trusted

FILE = "quay.io-a-tool@sha256-0.img"


@pytest.fixture
def ready(own: OwnSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Staged:
    """A site with Apptainer, whose host has it, and the trust folder without CA and login."""
    staged = trusted()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", apptainer.standin(tmp_path / "bin").path)
    raw = yaml.safe_load(own.path.read_text())
    raw["offline"] = {"store": {"url": "store"}, "trust": str(staged.trust.absolute()),
                      "engine": "apptainer"}
    raw.setdefault("images", {})["carry"] = "files"
    own.path.write_text(yaml.safe_dump(raw))
    files.write_text(Path("store/tool/0123456789ab/airlock.tar"), "a tool")
    files.write_text(Path("store/tool/current.json"), "{}")
    return staged


def put_in_place(staged: Staged) -> Path:
    """A release with one image file, as it was fetched; returns that file."""
    at = OfflinePaths(site="acme", pipeline="hello")
    name = staged.id()
    files.copy(staged.layout.release / "release.json", at.release(name) / "release.json")
    files.write_json(at.current, {"pipeline": "hello", "id": name})
    image = apptainer.image(at.release(name) / "sif" / FILE)
    files.write_json(at.release(name) / "sif.json", {"images": [{
        "source": "quay.io/a/tool:1", "container": "quay.io/a/tool@sha256:0", "file": FILE,
        "sha256": files.sha256(image), "size": image.stat().st_size,
        "platform": f"linux/{architecture()}"}]})
    return image


def test_no_registry_is_asked_and_the_engine_is_looked_at(
        own: OwnSite, ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "lacks", lambda found: [])
    looked = own.look("prod")
    assert looked.failing() == set(), looked.of("config")
    assert not {"registry", "certificate", "login"} & {line["check"] for line in looked.all}
    assert [Path(line["text"].partition(",")[0]).name for line in looked.of("trust")] == [
        "allowed_signers"]
    engine = looked.one("engine")
    assert engine["text"].startswith("apptainer 3.11.4 at /")


def test_what_the_host_lacks_for_image_files_has_its_cure(
        own: OwnSite, ready: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_setting", lambda name: (
        "0" if name == "user/max_user_namespaces" else None))
    monkeypatch.setattr(program, "_fuse", lambda: None)
    monkeypatch.setattr(program, "_squashfuse", lambda found: "install squashfuse")
    _, namespaces, squashfuse = own.look("prod").of("engine")
    assert namespaces["status"] == "fail"
    assert "user.max_user_namespaces=0 forbids it" in namespaces["cure"]
    assert "apptainer-suid" in namespaces["cure"]
    assert (squashfuse["status"], squashfuse["cure"]) == ("warn", "install squashfuse")


def test_the_images_in_place_are_tried(own: OwnSite, ready: Staged,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "lacks", lambda found: [])
    image = put_in_place(ready)
    _, tried = own.look("prod").of("engine")
    assert tried["status"] == "ok" and "hello: its image files are in place" in tried["text"]
    image.chmod(0o644)
    image.write_bytes(b"x" * image.stat().st_size)
    _, tried = own.look("prod").of("engine")
    assert tried["status"] == "fail" and "image format not recognized" in tried["text"]
    image.unlink()
    _, tried = own.look("prod").of("engine")
    assert tried["status"] == "fail" and f"{FILE} is missing" in tried["text"]
    assert "prod:fetch" in tried["cure"]


def test_the_library_is_looked_at(own: OwnSite, ready: Staged, tmp_path: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "lacks", lambda found: [])
    root = tmp_path / "library"
    own.change("offline.library", str(root))
    missing = own.look("prod").one("library")
    assert missing["status"] == "fail" and "can't be had: No such file" in missing["text"]
    assert f"install -d -m 755 -o USER {root}" in missing["cure"]
    image, at = put_in_place(ready), OfflinePaths(site="acme", pipeline="hello")
    place = root / "hello" / ready.id()
    place.mkdir(parents=True)
    root.chmod(0o755)
    shutil.move(image, place / FILE)
    image.parent.rmdir()
    looked = own.look("prod")
    assert looked.one("library")["text"] == f"{root} can be read and filled: by prod:fetch"
    assert any(f"are free for the library ({root})" in room["text"] for room in looked.of("disk"))
    assert f"hello: its image files are in place in {place}, " in looked.of("engine")[1]["text"]
    assert not (at.release(ready.id()) / "sif").exists()
    monkeypatch.setattr("tasks.offline_host.library.is_writable", lambda root: False)
    assert own.look("prod").one("library")["text"].endswith(" fills it")
    root.chmod(0o777)
    refused = own.look("prod").one("library")
    assert refused["status"] == "fail" and f"chmod go-w {root}" in refused["cure"]


def test_a_host_without_it_is_told_how_to_have_it(own: OwnSite, ready: Staged,
                                                  tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin/apptainer").unlink()
    monkeypatch.setenv("PATH", apptainer.path_without())
    put_in_place(ready)
    engine = own.look("prod").one("engine")
    assert engine["status"] == "fail" and "'apptainer' is not on the PATH" in engine["text"]
    assert "module load apptainer" in engine["cure"]
