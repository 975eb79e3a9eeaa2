"""`doit add` on real repositories: which revision is taken, from where, and what stops it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.kit.git import Repository
from tests.kit.project import Project, copy
from tests.kit.web import Web

CONFIG = """
manifest { description = 'Weighs reads'; nextflowVersion = '!>=24.04.0' }
profiles { test { params.input = 'few.csv' } }
"""
MAIN = "process WEIGH { container 'quay.io/lab/weigh:%s'; script: '' }\nworkflow { WEIGH() }\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "git").mkdir()
    made = Repository(tmp_path / "git")
    made.commit(**{"main.nf": MAIN % 1, "nextflow.config": CONFIG})
    made.git("tag", "--annotate", "--message", "x", "1.9.0")
    made.commit(**{"main.nf": MAIN % 2})
    made.git("tag", "1.10.0")
    made.commit(**{"main.nf": MAIN % 3})
    made.git("tag", "1.11.0-rc1")
    made.push()
    made.git("symbolic-ref", "HEAD", "refs/heads/main", at=made.bare)
    return made


@pytest.fixture
def project(tmp_path: Path, repository: Repository) -> Project:
    """A project for which github.com is the folder that the repository lies in; no server runs."""
    (tmp_path / "project").mkdir()
    made = copy(tmp_path / "project", number=6)
    site = made.site()
    for name in ("sandbox", "batch", "aws"):
        del site[name]
    site["hosts"]["urls"]["https://github.com/lab/"] = f"file://{repository.bare.parent}/"
    made.write_site(site)
    return made


def config(project: Project, name: str = "hello-git") -> dict[str, object]:
    path = project.root / f"config/pipelines/{name}.yml"
    raw: dict[str, object] = yaml.safe_load(path.read_text())
    return raw


def test_the_newest_release_is_written_and_can_be_staged(project: Project) -> None:
    said = project.doit("add", "lab/hello.git", "name=hello-git").stdout
    assert "the newest of its 2 releases" in said
    assert config(project)["source"] == "https://github.com/lab/hello"
    assert config(project)["revision"] == "1.10.0"


def test_the_file_is_what_the_next_commands_take(project: Project, repository: Repository) -> None:
    project.doit("add", str(repository.bare), "name=hello-git")
    assert config(project)["source"] == repository.bare.as_uri()
    project.doit("pipeline=hello-git", "images:list")
    images = (project.root / "build/local/hello-git/images.txt").read_text()
    assert images == "quay.io/lab/weigh:2\n"


def test_a_revision_is_taken_as_asked_for(project: Project, repository: Repository) -> None:
    project.doit("add", repository.bare.as_uri(), "name=hello-git", "revision=1.9.0")
    assert config(project)["revision"] == "1.9.0"
    done = project.doit("add", repository.bare.as_uri(), "name=other", "revision=1.90", check=False)
    assert done.returncode == 3
    assert "did you mean '1.9.0'" in done.stdout
    assert not (project.root / "config/pipelines/other.yml").exists()


def test_without_a_release_the_default_branch_is_taken_and_said(
        project: Project, repository: Repository) -> None:
    for tag in ("1.9.0", "1.10.0"):
        repository.git("tag", "--delete", tag, at=repository.bare)
    said = project.doit("add", repository.bare.as_uri(), "name=hello-git").stdout
    assert config(project)["revision"] == "main"
    assert "there is no release" in said


def test_plain_http_serves_as_well(project: Project, repository: Repository, web: Web) -> None:
    web.folder = repository.bare.parents[1]
    repository.git("update-server-info", at=repository.bare)
    project.doit("add", f"{web.url}/git/hello.git", "name=hello-git")
    assert config(project)["revision"] == "1.10.0"


@pytest.mark.parametrize(("words", "said"), [
    (["http://127.0.0.1:9/lab/x"], "no answer from 127.0.0.1:9"),
    (["file:///nowhere/x.git"], "can't be fetched"), ([], "nothing says which pipeline"),
    (["examples/hello"], "config/pipelines/hello.yml"),
    (["examples/hello", "revison=1", "name=x"], "did you mean 'revision'"),
    (["examples/hello", "revision=1", "name=x"], "a folder is taken as it is"),
    (["examples/hello", "name=sandbox"], "means something else here"),
])
def test_a_mistake_is_told_in_a_few_lines_and_writes_nothing(
        project: Project, words: list[str], said: str) -> None:
    before = sorted((project.root / "config/pipelines").iterdir())
    done = project.doit("add", *words, check=False)
    assert done.returncode == 3
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert sorted((project.root / "config/pipelines").iterdir()) == before


def test_an_empty_repository_is_named_as_that(project: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = Repository(tmp_path / "empty")
    done = project.doit("add", empty.bare.as_uri(), "name=x", check=False)
    assert "it has no branch and no tag" in done.stdout
