"""The workflow files fit their schemas, and name what is there: scripts, versions, commits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.core.schema import check
from tasks.core.tool_version import TOOL_VERSION
from tests.kit.docs import blocks

ROOT = Path(__file__).resolve().parents[2]
GITHUB = [".github/workflows/ci.yml", "examples/ci/github.yml"]
GITLAB = [".gitlab-ci.yml", "examples/ci/gitlab.yml"]


@pytest.mark.parametrize(("kind", "paths"), [
    (["vendor.github-workflows"], GITHUB),
    (["vendor.gitlab-ci", "--data-transform", "gitlab-ci"], GITLAB)])
def test_they_fit_the_forges_own_schemas(kind: list[str], paths: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", *kind,
                           *paths], cwd=ROOT, check=False, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_find_a_mistake(tmp_path: Path) -> None:
    text = (ROOT / GITHUB[0]).read_text().replace("runs-on:", "run-on:")
    (tmp_path / "broken.yml").write_text(text)
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema",
                           "vendor.github-workflows", tmp_path / "broken.yml"], check=False,
                          text=True, capture_output=True)
    assert done.returncode == 1


@pytest.mark.parametrize("path", GITHUB)
def test_actions_are_pinned_by_commit_and_get_no_right_to_write(path: str) -> None:
    text = (ROOT / path).read_text()
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), comment
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


@pytest.mark.parametrize("path", [*GITHUB, *GITLAB])
def test_the_scripts_that_they_call_are_there(path: str) -> None:
    named = set(re.findall(r"(?:airlock/)?(\.ci/\w+)", (ROOT / path).read_text()))
    assert named
    for name in named:
        assert os.access(ROOT / name, os.X_OK), name


@pytest.mark.parametrize("path", [GITHUB[1], GITLAB[1]])
def test_the_recipes_ask_for_the_version_that_they_come_with(path: str) -> None:
    assert set(re.findall(r"\bv\d+\.\d+\.\d+$", re.sub(
        "#.*", "", (ROOT / path).read_text()), re.MULTILINE)) == {f"v{TOOL_VERSION}"}


def test_what_the_page_says_of_a_site_fits_its_schema() -> None:
    site = yaml.safe_load(blocks("docs/sites.md", "yaml")[0])
    shown, = blocks("docs/ci.md", "yaml")
    check({**site, **yaml.safe_load(shown)}, "site", where="docs/ci.md")


def test_the_change_log_names_the_version_in_the_usual_form() -> None:
    """https://keepachangelog.com: sections by version, newest first, with dates; kinds of changes.
    """
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert versions[0] == TOOL_VERSION
    order = [tuple(map(int, version.split("."))) for version in versions]
    assert order == sorted(set(order), reverse=True)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert len(re.findall("^## ", text, re.MULTILINE)) == len(versions)
