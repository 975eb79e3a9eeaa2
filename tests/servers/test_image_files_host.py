"""An offline host with Apptainer or Singularity: a release's image files, run by the real Nextflow.

The engine is a stand-in on the PATH, and the real one where a machine has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import CommandError, HostError, StoreAwayError
from tasks.core.schema import read_json
from tasks.core.sif import container
from tasks.offline_host.bootstrap import bootstrap
from tasks.offline_host.fetch import fetch
from tasks.offline_host.run import run_test
from tasks.offline_host.run_folder import RunFolder
from tasks.offline_host.verify import verify
from tasks.runtime import build as runtimes
from tests.kit import apptainer, faults, image_files
from tests.kit.apptainer import Standin
from tests.kit.image_files import CONTAINER, Placed

KINDS = ("apptainer", "singularity")
Place = Callable[[str, str], Placed]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: runtimes.Runtime) -> Place:
    """Bring a release into place for a PATH and a kind of engine."""
    monkeypatch.chdir(tmp_path)
    return lambda path, kind: image_files.placed(runtime.archive, path, kind)


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same of a release that isn't run: it has no Nextflow."""
    monkeypatch.chdir(tmp_path)
    return lambda path, kind: image_files.placed(None, path, kind)


@pytest.fixture
def engine(tmp_path: Path) -> Standin:
    return apptainer.standin(tmp_path / "bin")


def the_run() -> RunFolder:
    folder, = Path("runs/hello").glob("*Z-*")
    return RunFolder(path=folder.absolute())


def counted(folder: RunFolder) -> str:
    return (folder.results / "count.txt").read_text().strip()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_takes_the_image_file_and_asks_nobody(place: Place, tmp_path: Path,
                                                    kind: str) -> None:
    engine = apptainer.standin(tmp_path / "bin", kind)
    here = place(engine.path, kind)
    assert ": 1 image files; Nextflow" in bootstrap(here.bootstrap_spec())
    receipt = read_json(here.staged.prod.bootstrap, "bootstrap")
    assert receipt["engine"] == {"kind": kind, "environment": {}}
    assert receipt["images"] == [CONTAINER]
    run_test(here.run_spec())
    assert counted(the_run()) == "2"
    trial, task = engine.calls()
    assert (trial["verb"], trial["command"], task["verb"]) == ("exec", ["true"], "exec")
    assert {trial["image"], task["image"]} == {str(here.image.absolute())}
    assert trial["strange"] == task["strange"] == []
    assert {"--no-home", "--pid", "-B"} <= {*trial["options"]} & {*task["options"]}


def test_a_record_says_the_image_file_and_the_engine(place: Place, engine: Standin) -> None:
    here = place(engine.path, "apptainer")
    bootstrap(here.bootstrap_spec())
    run_test(here.run_spec())
    record = read_json(the_run().record, "run")
    assert record["versions"]["apptainer"] == "3.11.4"
    assert record["tasks"][0]["container"] == str(here.image.absolute())
    assert record["images"] == [{
        "reference": str(here.image.absolute()), "id": f"sha256:{files.sha256(here.image)}",
        "digests": [CONTAINER], "why_not": None}]
    assert verify(the_run(), None).differences == ()


def test_a_user_s_config_leads_to_no_other_images(place: Place, engine: Standin,
                                                  tmp_path: Path) -> None:
    """Nor does it switch another engine on, which Nextflow would refuse, or pull by itself."""
    here = place(engine.path, "apptainer")
    bootstrap(here.bootstrap_spec())
    (tmp_path / "other").mkdir()
    own = tmp_path / "own.config"
    own.write_text(f"apptainer {{ libraryDir = '{tmp_path}/other'; cacheDir = '/none/cache'\n"
                   "ociAutoPull = true; registry = 'docker.io' }\n"
                   "singularity.enabled = true\npodman.enabled = true\n")
    run_test(here.run_spec(own))
    assert engine.calls()[-1]["image"] == str(here.image.absolute())


def test_nothing_is_written_beside_the_images(place: Place, engine: Standin) -> None:
    """Neither there nor into the cache: the release's place may be others' and read-only."""
    here = place(engine.path, "apptainer")
    bootstrap(here.bootstrap_spec())
    launch = Path(read_json(here.staged.prod.bootstrap, "bootstrap")["launch"]["folder"])
    assert f"apptainer.cacheDir = '{launch}/image-cache'" in (launch / "images.config").read_text()
    (launch / "image-cache").write_text("no folder, so nothing can be pulled into it\n")
    before = here.image.stat()
    run_test(here.run_spec())
    assert [path.name for path in here.image.parent.iterdir()] == [here.image.name]
    assert here.image.stat().st_mtime_ns == before.st_mtime_ns


def gone(here: Placed) -> str:
    here.image.unlink()
    return "is missing"


def short(here: Placed) -> str:
    size = here.image.stat().st_size
    with here.image.open("r+b") as stream:
        stream.truncate(size - 1)
    return f"has {size - 1} bytes, and not the {size} that it was carried with"


def no_image(here: Placed) -> str:
    here.image.write_bytes(b"x" * here.image.stat().st_size)
    return "can't run this image file: could not open image .*: image format not recognized"


def not_listed(here: Placed) -> str:
    (here.folder / "sif.json").unlink()
    return "carries no image files: it was made for an engine that pulls"


def other_platform(here: Placed) -> str:
    here.image.write_bytes(b"x" * here.image.stat().st_size)
    here.index(platform="linux/s390x")
    return "images are for linux/s390x, and this host is linux/"


@pytest.mark.parametrize("change", [gone, short, no_image, not_listed, other_platform])
def test_what_is_wrong_with_an_image_ends_it_before_anything_is_unpacked(
        look: Place, engine: Standin, change: Callable[[Placed], str]) -> None:
    here = look(engine.path, "apptainer")
    said = change(here)
    with pytest.raises(HostError, match=said):
        bootstrap(here.bootstrap_spec())
    assert not here.staged.prod.launch.exists() and not here.staged.prod.bootstrap.exists()


def test_a_file_that_is_changed_by_a_byte_is_brought_again_before_the_run(
        look: Place, engine: Standin) -> None:
    """As any file of a release; where the store is away nothing runs."""
    here = look(engine.path, "apptainer")
    whole, at = here.image.read_bytes(), here.staged.prod
    faults.flip(here.image)
    assert bootstrap(here.bootstrap_spec())  # which looks at its size, and starts it
    Path("store").rename("away")
    with pytest.raises(StoreAwayError, match="isn't whole in place here"):
        fetch(here.staged.fetch_spec())
    Path("away").rename("store")
    assert " 1 of them fetched now" in fetch(here.staged.fetch_spec())
    assert here.image.read_bytes() == whole
    assert len([*at.blobs.glob("*/*.img")]) == 1


@pytest.mark.parametrize(("kind", "version", "why"), [
    ("apptainer", "apptainer version 0.1.1", "apptainer 0.1.1 is too old: 1.0 or later"),
    ("singularity", "singularity version 3.7.4-1.el8", "3.7.4-1.el8 is too old: 3.8 or later"),
    ("apptainer", "Apt 3.0", "doesn't tell its version as apptainer does: 'Apt 3.0'")])
def test_an_engine_that_is_too_old_or_another_program_is_refused(
        look: Place, tmp_path: Path, kind: str, version: str, why: str) -> None:
    here = look(apptainer.standin(tmp_path / "bin", kind, said=version).path, kind)
    with pytest.raises(HostError, match=why):
        bootstrap(here.bootstrap_spec())


@pytest.mark.parametrize(("kind", "version"), [
    ("apptainer", "apptainer version 1.0.3-1.fc36"),
    ("singularity", "singularity-ce version 4.1.5-focal"),
    ("singularity", "apptainer version 1.5.3"), ("singularity", "singularity version 3.8.7")])
def test_the_versions_in_use_are_taken(look: Place, tmp_path: Path, kind: str,
                                       version: str) -> None:
    here = look(apptainer.standin(tmp_path / "bin", kind, said=version).path, kind)
    assert "1 image files" in bootstrap(here.bootstrap_spec())


def test_a_host_without_the_engine_says_so_at_once(look: Place, tmp_path: Path) -> None:
    """With all else that is missing, and where a cluster has it."""
    here = look(str(tmp_path), "apptainer")
    gone(here)
    with pytest.raises(HostError) as caught:
        bootstrap(here.bootstrap_spec())
    for said in ("'apptainer' is not on the PATH", "module load apptainer", "prod:submit",
                 "'bash' is not on the PATH", "is missing"):
        assert said in str(caught.value)


def test_an_option_that_this_host_needs_is_tried_and_kept(place: Place, tmp_path: Path) -> None:
    """As root's without all capabilities; a user's own config may set others."""
    engine = apptainer.standin(tmp_path / "bin", needs=["--userns"])
    here = place(engine.path, "apptainer")
    bootstrap(here.bootstrap_spec())
    run_test(here.run_spec())
    assert "--userns" in engine.calls()[-1]["options"]
    own = tmp_path / "own.config"
    own.write_text("apptainer.runOptions = '--userns --nv'\n")
    run_test(here.run_spec(own))
    assert {"--userns", "--nv"} <= {*engine.calls()[-1]["options"]}


def test_a_file_of_etc_that_the_host_lacks_is_named(look: Place, tmp_path: Path) -> None:
    """As 1.5.3 says it, by whatever options it is started; FUSE is no cure then."""
    needs = ["lstat /etc/resolv.conf: no such file or directory"]
    here = look(apptainer.standin(tmp_path / "bin", needs=needs).path, "apptainer")
    with pytest.raises(HostError, match=r"lstat /etc/resolv\.conf") as caught:
        bootstrap(here.bootstrap_spec())
    assert "create /etc/resolv.conf on this host" in str(caught.value)
    assert "fuse" not in str(caught.value)


def test_an_image_that_is_unpacked_for_each_task_is_warned_of(
        look: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    here = look(apptainer.standin(tmp_path / "bin", needs=["--unsquash"]).path, "apptainer")
    bootstrap(here.bootstrap_spec())
    assert "SLOW: apptainer unpacks the image for each task here" in caplog.text


def test_an_image_that_goes_after_the_bootstrap_ends_the_run(
        place: Place, engine: Standin) -> None:
    """Nextflow would pull it, and the stand-in has no network."""
    here = place(engine.path, "apptainer")
    bootstrap(here.bootstrap_spec())
    here.image.unlink()
    with pytest.raises(CommandError, match="an image file is gone from the release in place"):
        run_test(here.run_spec())
    record = read_json(the_run().record, "run")
    assert record["outcome"]["state"] == "failed"
    assert [call["verb"] for call in engine.calls()] == ["exec", "pull"]
    launch = here.staged.prod.launch
    assert [path.name for path in launch.rglob("*.img*") if not path.is_dir()] == []


def test_the_real_engine_runs_it(place: Place, tmp_path: Path) -> None:
    """As this user, who may be root without all of its capabilities."""
    program = apptainer.real()
    here = place(f"{program.parent}:/usr/bin:/bin", apptainer.kind_of(program))
    bootstrap(here.bootstrap_spec())
    run_test(here.run_spec())
    assert counted(the_run()) == "2"
    record = read_json(the_run().record, "run")
    assert record["images"][0]["id"] == f"sha256:{files.sha256(here.image)}"
    size = here.image.stat().st_size
    with here.image.open("r+b") as stream:  # its header stays
        stream.seek(container.DATA_AT)
        stream.write(bytes(size - container.DATA_AT))
    with pytest.raises(HostError, match="can't run this image file"):
        bootstrap(here.bootstrap_spec())
