"""The CI recipes, run for real: as a user without rights, without an engine, in fresh clones."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tasks.core.tool_version import TOOL_VERSION
from tests.kit import ci, project
from tests.kit.ci import Job, Runner
from tests.kit.git import git
from tests.kit.machine import need
from tests.kit.project import ROOT
from tests.kit.users import open_folder

GITHUB, GITLAB = ROOT / "examples/ci/github.yml", ROOT / "examples/ci/gitlab.yml"
WEIGH = """process WEIGH {
  publishDir params.outdir
  output: path 'weight.txt'
  script: 'echo 7 > weight.txt'
}
workflow { WEIGH() }
"""


def site(store: Path) -> dict[str, object]:
    """A site as docs/ci.md has it, whose releases carry image files: no registry is asked."""
    return {"pipelines": ["weigh"], "platform": "linux/amd64", "python": ["3.11"],
            "plugins": {"index": "https://plugins.invalid/plugins.json"},
            "store": {"url": str(store)}, "smoke": "none", "isolation": "none",
            "signing": {"key": "keys/airlock", "identity": "airlock"},
            "offline": {"engine": "apptainer", "trust": "/etc/airlock"}}


def configuration(folder: Path, store: Path) -> None:
    """A repository with a site, a pipeline that runs by the host's programs, and the public key."""
    for name in ("sites", "pipelines", "keys", "code"):
        (folder / name).mkdir(parents=True)
    (folder / "sites/acme.yml").write_text(yaml.safe_dump(site(store)))
    (folder / "pipelines/weigh.yml").write_text(yaml.safe_dump({
        "source": "code", "profile": "test", "data": {"rows": 0}, "images": {"WEIGH": "none"},
        "nextflow": yaml.safe_load((ROOT / "config/pipelines/hello.yml").read_text())["nextflow"]}))
    (folder / "code/main.nf").write_text(WEIGH)
    (folder / "code/nextflow.config").write_text(
        "params.outdir = 'results'\nprofiles { test { process.cpus = 1 } }\n")
    git("init", "-q", "-b", "main", at=folder)


def commit(folder: Path) -> str:
    git("add", "-A", at=folder)
    git("commit", "-qm", "as it is now", at=folder)
    return git("rev-parse", "HEAD", at=folder)


def tagged(folder: Path) -> None:
    """This project in a repository, tagged as the recipes ask for it."""
    project.copy(folder, number=9)
    (folder / "build/local/maven").unlink()
    for name in ("configuration", "release"):
        (folder / ".ci").mkdir(exist_ok=True)
        (folder / ".ci" / name).write_bytes((ROOT / ".ci" / name).read_bytes())
        (folder / ".ci" / name).chmod(0o755)
    for name in (".gitignore", "CHANGELOG.md"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    git("init", "-q", "-b", "main", at=folder)
    commit(folder)
    git("tag", f"v{TOOL_VERSION}", at=folder)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    need("mvn", "setpriv")
    with open_folder() as top:
        sources = {"nf-airlock": top / "nf-airlock", "config": top / "config"}
        tagged(sources["nf-airlock"])
        configuration(sources["config"], top / "store")
        (top / "home").mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", top / "key"],
                       check=True)
        (top / "key.pub").rename(sources["config"] / "keys/airlock.pub")
        commit(sources["config"])
        made = Runner(root=top, sources=sources)
        made.prepare()
        yield made


def by_its_owner(runner: Runner, lines: str) -> None:
    """What the author of a change types in the configuration's repository."""
    done = runner.sh(lines, runner.sources["config"], {
        f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")})
    assert done.returncode == 0, done.stdout


def ended_well(job: Job) -> Job:
    assert job.status == 0, job.output[-5000:]
    assert "Traceback" not in job.output
    return job


def promotions(runner: Runner) -> list[str]:
    folder = runner.root / "store/releases/weigh/promotions"
    return sorted(path.name for path in folder.glob("*.json"))


def test_the_recipes_check_and_carry_a_configuration(runner: Runner) -> None:
    key = {"SIGNING_KEY_FILE": str(runner.root / "key")}
    first = ci.gitlab(runner, GITLAB, "check", runner.root / "gitlab-1")
    assert first.status == 3  # a new pipeline's locks are in no commit yet
    assert "ERROR: ?? locks/" in first.output
    by_its_owner(runner, f"cp -r '{first.folder}/locks' . && git add -A && git commit -qm locks")

    checked = ended_well(ci.gitlab(runner, GITLAB, "check", runner.root / "gitlab-2"))
    page = checked.folder / "airlock/build/acme/weigh/release.diff.html"
    assert "weigh" in page.read_text()
    assert not (runner.root / "store/releases").exists()  # nothing was pushed

    carried = ended_well(ci.gitlab(runner, GITLAB, "carry", runner.root / "gitlab-3", key))
    assert "is the current tool in" in carried.output
    assert promotions(runner) == ["00000001.json"]
    assert not list(runner.root.glob("gitlab-3/config.key*"))
    release, = (runner.root / "store/releases/weigh").glob("dev-*")
    about = json.loads((release / "release.json").read_text())
    assert (about["smoke"], about["isolation"]) == ("none", "none")
    proof = json.loads(next(release.glob("proofs/*.json")).read_text())
    assert proof["smoke"] == {"run": "none", "why": "the site has no smoke run"}
    assert proof["checkout"] == {"dirty": False, "commit": git(
        "-c", "safe.directory=*", "rev-parse", "HEAD", at=runner.sources["config"])}
    assert proof["version"].startswith(f"{TOOL_VERSION}, commit ")

    by_its_owner(runner, "sed -i s/7/8/ code/main.nf && git commit -qam heavier")
    checked = ended_well(ci.github(runner, GITHUB, "check", runner.root / "github-1"))
    page = checked.folder / "airlock/build/acme/weigh/release.diff.html"
    assert release.name in page.read_text()  # what it is compared with
    assert "main.nf" in page.read_text()
    assert promotions(runner) == ["00000001.json"]

    # A fresh clone follows what another one promoted, since it stands on a later commit.
    secret = {"AIRLOCK_SIGNING_KEY": (runner.root / "key").read_text()}
    ended_well(ci.github(runner, GITHUB, "carry", runner.root / "github-2", secret))
    assert promotions(runner) == ["00000001.json", "00000002.json"]
    assert not (runner.root / "github-2/temp/airlock_key").exists()


def test_what_the_script_lacks_is_said(runner: Runner) -> None:
    script = "./.ci/configuration"
    at = runner.sources["nf-airlock"]
    for words, said in ((script, "say what is to be done"),
                        (f"{script} push", "say what is to be done"),
                        (f"{script} check", "AIRLOCK_CONFIG names no configuration")):
        done = runner.sh(words, at, {})
        assert (done.returncode, said in done.stdout) == (3, True), done.stdout


def test_the_archive_of_a_version_is_that_of_its_tag(runner: Runner, tmp_path: Path) -> None:
    at, tag = runner.sources["nf-airlock"], f"v{TOOL_VERSION}"
    sums = []
    for _ in range(2):
        done = runner.sh(f".ci/release {tag}", at, {})
        assert done.returncode == 0, done.stdout
        sums.append(done.stdout)
    assert sums[0] == sums[1]
    name = f"nf-airlock-{TOOL_VERSION}"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=at / "build/release",
                   check=True)
    subprocess.run(["tar", "xf", at / f"build/release/{name}.tar.gz", "-C", tmp_path], check=True)
    assert os.access(tmp_path / name / "doit", os.X_OK)
    assert (tmp_path / name / "CHANGELOG.md").is_file()
    for other, said in (("v9.9.9", "there is no tasks/core/tool_version.py in the tag"),
                        ("main", "is no tag of a version")):
        done = runner.sh(f".ci/release {other}", at, {})
        assert (done.returncode, said in done.stdout) == (3, True), done.stdout
    done = runner.sh(f"git tag v9.9.9 {tag} && .ci/release v9.9.9", at, {})
    assert (done.returncode, "and TOOL_VERSION" in done.stdout) == (3, True), done.stdout
