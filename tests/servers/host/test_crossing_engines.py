"""hello on offline hosts with Podman, rootless and rootful, and with Apptainer.

All from what Docker's crossing built, and with its results.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core.paths import SitePaths
from tasks.core.schema import read_json
from tasks.local_site import host, host_user
from tasks.local_site.plan import State
from tests.kit import apptainer, machine, net_log
from tests.kit.engines import remove_cgroups
from tests.kit.project import Project, copy, steps

pytestmark = pytest.mark.skipif(bool(machine.no_host()), reason=machine.no_host())
ROOTFUL = host.HOME / "rootful"
BUILT = {f"{verb}:hello" for verb in ("stage", "runtime", "images:lock",
                                      "images:mirror", "mirror:data", "plugins:cache")}
"""Steps that know nothing of the offline hosts' engine."""


@dataclass(frozen=True, kw_only=True)
class Crossed(Project):
    """A project that has crossed with Docker, then with Podman; what each printed and came to."""

    docker: Mapping[str, Any]
    podman: Mapping[str, Any]
    said: str

    @property
    def there(self) -> Path:
        """The tool's folder on the offline host, as it is called here."""
        return self.root / "build/local/sandbox/host/disk/hello/airlock"

    def typed(self, *words: str, folder: Path = host.HOME / "hello/airlock",
              rootless: bool = True) -> str:
        """What a command says on the offline host, with its errors."""
        state = State.read(SitePaths(site="local").sandbox)
        return host.run_inside(
            "local", ["sh", "-c", 'exec "$@" 2>&1', "sh", *words], cwd=folder, rootless=rootless,
            env={"PATH": host.path_with(Path(state.python_prefix)),
                 **({} if rootless else {"HOME": "/root"})})


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossed]:
    """One online build; the second crossing makes of it what is another engine's alone."""
    machine.need("podman", "newuidmap", "runc")
    project = copy(tmp_path_factory.mktemp("podman"), number=9)
    receipt = project.root / "build/local/hello/crossing.json"
    try:
        project.doit()
        docker = json.loads(receipt.read_text())
        raw = project.site()
        raw["offline"]["engine"] = "podman"
        project.write_site(raw)
        said = project.doit().stdout
        yield Crossed(root=project.root, docker=docker, podman=json.loads(receipt.read_text()),
                      said=said)
    finally:
        project.doit("sandbox:down", check=False)


@pytest.fixture(autouse=True)
def here(crossed: Crossed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crossed.root)


def hashes(receipt: Mapping[str, Any]) -> dict[str, str]:
    return {result["path"]: result["sha256"] for result in receipt["results"]
            if not result["path"].startswith("pipeline_info/")}


def test_the_results_are_docker_s_byte_for_byte(crossed: Crossed) -> None:
    assert "summary/summary.tsv" in hashes(crossed.docker)
    assert hashes(crossed.podman) == hashes(crossed.docker)
    assert not steps(crossed.said) & BUILT
    assert {"config:hello", "dev:smoke:hello", "sandbox:cross:hello"} <= steps(crossed.said)


def test_the_page_shows_date_release_and_images_which_lie_beside_it(crossed: Crossed,
                                                                    tmp_path: Path) -> None:
    """Not in the page, whose bytes are compared here."""
    run = crossed.there / crossed.podman["run"]
    record, page = read_json(run / "run.json", "run"), run / "results/summary/summary.html"
    about = (run / "results/pipeline_info/hello_run.html").read_text()
    for text in (crossed.podman["release"], record["name"], f"{record['started'][:10]} ",
                 *(image["reference"] for image in record["images"])):
        assert text in about
        assert text not in page.read_text()
    assert 'data="../pipeline_info/hello_run.html"' in page.read_text()
    assert net_log.asked(page, tmp_path) == set()


def test_no_page_that_the_run_left_asks_for_anything(crossed: Crossed, tmp_path: Path) -> None:
    left = crossed.there / crossed.podman["run"] / "reports"
    smoke = crossed.root / "build/local/hello/smoke"
    for page in (left / "report.html", left / "timeline.html", left / "dag.svg",
                 smoke / "report.html", smoke / "DAG.svg"):
        assert net_log.asked(page, tmp_path) == set(), page.name


def test_a_rootless_host_reached_nothing_else(crossed: Crossed) -> None:
    assert crossed.podman["isolated"] is True
    probed = crossed.podman["probes"]
    assert all(probe["refused"] for probe in probed), probed
    assert {probe["image"] for probe in probed} - {None}, "from a container, too"


def test_what_a_rootless_run_wrote_is_the_user_s(crossed: Crossed) -> None:
    run = crossed.there / crossed.podman["run"]
    work = Path(read_json(run / "run.json", "run")["work"])
    work = crossed.there.parents[1] / work.relative_to(host.HOME)
    written = [*(run / "results").rglob("*"), *work.rglob("*")]
    assert len(written) > 20
    assert {path.lstat().st_uid for path in written} == {host_user.ID}


def test_a_run_s_record_says_what_podman_ran(crossed: Crossed) -> None:
    record = read_json(crossed.there / crossed.podman["run"] / "run.json", "run")
    assert record["versions"]["podman"] and "docker" not in record["versions"]
    locked = json.loads((crossed.root / "build/local/hello/images.receipt.json").read_text())
    digests = {f"{image['destination']}@{image['digest']}" for image in locked["images"]}
    assert record["images"]
    for image in record["images"]:
        assert image["reference"] in digests and image["reference"] in image["digests"]
        assert image["id"].startswith("sha256:") and image["why_not"] is None
    assert {task["container"] for task in record["tasks"]} == {
        image["reference"] for image in record["images"]}


def test_nothing_of_nextflow_s_lies_in_the_user_s_home(crossed: Crossed) -> None:
    """Podman has the user's own HOME, and so has Nextflow: it still keeps to its NXF_HOME."""
    home = crossed.there.parents[1]
    assert (home / ".local/share/containers").is_dir()
    kept = {path.name for path in home.iterdir()} - {"hello", "rootful"}
    assert kept <= {".local", ".config", ".cache"}, kept
    for name in (".config", ".cache"):
        assert {path.name for path in (home / name).glob("*")} <= {"containers", "cni", "pip"}


def test_podman_needs_nothing_below_etc_for_the_registry(crossed: Crossed) -> None:
    etc = "/etc/containers/certs.d /root/.docker /home/airlock/.docker"
    said = crossed.typed("sh", "-c", f"ls -d {etc} || :", folder=Path("/"))
    assert said.count("No such file") == 3
    images = crossed.typed("podman", "images", "--quiet", "--no-trunc").split()
    crossed.typed("podman", "rmi", "--force", *images)
    assert "2 images, 2 of them pulled now" in crossed.typed(
        "./doit", "role=prod", "prod:bootstrap:hello")
    trust = crossed.root / "build/local/sandbox/host/trust"
    crossed.typed("podman", "rmi", "--force", images[0])
    for name, said in (("config.json", "login"), ("ca.crt", "not trusted")):
        (trust / name).rename(trust / "aside")
        try:
            told = crossed.typed("sh", "-c", "./doit role=prod prod:bootstrap:hello || :")
        finally:
            (trust / "aside").rename(trust / name)
        assert "FAILED prod:bootstrap:hello" in told and said in told, told
        assert "/etc/docker" not in told


def test_the_doctor_knows_the_host(crossed: Crossed) -> None:
    told = crossed.typed("sh", "-c", "./doit role=prod doctor || :")
    assert "rootless: images at /home/airlock/.local/share/containers/storage" in told
    assert "docker" not in told.lower()


def test_a_user_without_subordinate_ids_is_told_at_once(crossed: Crossed) -> None:
    """Each command stands in a mount namespace of its own, with another list of ids."""
    as_user = (f"--reuid={host_user.ID}", f"--regid={host_user.ID}", "--clear-groups")
    said = crossed.typed(
        "unshare", "--mount", "sh", "-ec", 'mount --bind /dev/null /etc/subuid; exec "$@" || :',
        "sh", "setpriv", *as_user, "env", "HOME=/tmp/other", "XDG_RUNTIME_DIR=/tmp/other",
        "sh", "-c", "mkdir -p -m 0700 /tmp/other; ./doit role=prod prod:bootstrap:hello || :",
        rootless=False)
    assert "subordinate ids in /etc/subuid" in said and "usermod --add-subuids" in said
    assert "FAILED prod:bootstrap:hello" in said


def test_a_rootful_host_comes_to_the_same_results(crossed: Crossed) -> None:
    """From an empty folder, by root, whose images are others."""
    disk = crossed.root / "build/local/sandbox/host/disk/rootful"
    disk.mkdir()
    try:
        tool = crossed.podman["tool"]
        said = crossed.typed(
            "sh", "-ec", f"cp -rL /srv/airlock/store/tool/{tool}/. . && mkdir airlock && tar xf "
            f"airlock.tar -C airlock && cd airlock && ./doit role=prod tool={tool} site=local "
            "pipeline=hello", folder=ROOTFUL, rootless=False)
        assert "2 images, 2 of them pulled now" in said
        run, = (disk / "airlock/runs/hello").glob("*Z-*")
        record = read_json(run / "run.json", "run")
        assert {result["path"]: result["sha256"] for result in record["results"]
                if not result["path"].startswith("pipeline_info/")} == hashes(crossed.docker)
        assert all(image["reference"] in image["digests"] for image in record["images"])
        assert record["versions"]["podman"] and record["user"]["name"] == "root"
        assert "rootful: images at /var/lib/containers/storage" in crossed.typed(
            "sh", "-c", "./doit role=prod doctor || :", folder=ROOTFUL / "airlock",
            rootless=False)
    finally:
        crossed.typed("podman", "system", "reset", "--force", folder=Path("/"), rootless=False)
        shutil.rmtree(disk)
        remove_cgroups("libpod_parent")


def test_apptainer_comes_to_them_from_files_alone(crossed: Crossed) -> None:
    """Last, since it makes another site of this one: without registry, CA and login there."""
    if not apptainer.real().is_relative_to("/usr"):
        pytest.skip("no Apptainer below /usr, which the offline host shares")
    crossed.doit("sandbox:down")  # a host of its own: root has left a home folder on the other
    raw = crossed.site()
    raw["offline"]["engine"] = "apptainer"
    crossed.write_site(raw)
    trust = crossed.root / "build/local/sandbox/host/trust"
    crossed.doit("sandbox:up")
    for name in ("ca.crt", "config.json"):
        (trust / name).unlink()
    said = crossed.doit().stdout
    assert {"images:sif:hello", "sandbox:cross:hello"} <= steps(said)
    receipt = json.loads((crossed.root / "build/local/hello/crossing.json").read_text())
    assert hashes(receipt) == hashes(crossed.docker)
    assert receipt["isolated"] is True
    record = read_json(crossed.there / receipt["run"] / "run.json", "run")
    assert record["versions"]["apptainer"]
    carried = {f"sha256:{image['sha256']}" for image in json.loads(
        (crossed.root / "build/local/hello/sif.json").read_text())["images"]}
    assert {image["id"] for image in record["images"]} == carried
