"""The local site's way from PyPI's packages to user data and explore.json, by doit itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import buckets, machine
from tests.kit.project import Project, copy, steps

SIGNED_IN = {"AWS_ACCESS_KEY_ID": buckets.ACCESS, "AWS_SECRET_ACCESS_KEY": buckets.SECRET,
             "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A local site whose instances read the CLI from a real S3 server."""
    if reason := machine.no_host():
        pytest.skip(reason)
    with buckets.gateway(tmp_path_factory.mktemp("s3")) as running:
        (running.root / "store").mkdir()
        project = copy(tmp_path_factory.mktemp("batch"), number=27)
        site = project.site()
        site["batch"]["cli"]["store"] = {"url": "s3://store/carried", "endpoint": running.endpoint,
                                         "region": "us-east-1"}
        project.write_site(site)
        try:
            yield project
        finally:
            project.doit("sandbox:down", check=False)


def test_the_cli_is_made_signed_sent_and_shown(project: Project) -> None:
    output = project.doit("batch:host", "batch:explore", env=SIGNED_IN).stdout
    assert {"batch:cli", "batch:cli:sign", "batch:host", "batch:explore"} <= steps(output)
    assert "exit 127  bash: line 2: aws: command not found" in output
    assert "[Errno 2] No such file or directory" in output
    assert "exit 0    ends well" in output
    folder = project.root / "build/local/batch"
    manifest = json.loads((folder / "cli.json").read_text())
    assert manifest["key"] in (folder / "userdata.mime").read_text()
    assert {job["shown"] for job in json.loads((folder / "explore.json").read_text())["jobs"]} == {
        True}
    assert not any(secret in path.read_text(errors="replace") for secret in SIGNED_IN.values()
                   if secret != "true" for path in folder.iterdir() if path.suffix != ".gz")
    states = project.states()
    assert {states[name] for name in ("batch:cli", "batch:cli:sign", "batch:host",
                                      "batch:explore")} == {"fresh"}


def test_another_mode_makes_user_data_anew_and_carries_nothing(project: Project) -> None:
    site = project.site()
    project.write_site({**site, "batch": {**site["batch"], "mode": "fusion"}})
    output = project.doit("batch:host").stdout
    assert "no CLI is carried" in output
    userdata = (project.root / "build/local/batch/userdata.mime").read_text()
    assert ("/scratch/fusion" in userdata, "/opt/airlock-cli" in userdata) == (True, False)
    assert "batch:cli" not in project.states()
    project.write_site(site)
    assert project.states()["batch:host"] == "stale"
    assert project.states()["batch:cli"] == "fresh"


def test_a_site_that_carries_a_cli_says_which(project: Project) -> None:
    site = project.site()
    project.write_site({**site, "batch": {key: value for key, value in site["batch"].items()
                                          if key != "cli"}})
    try:
        assert "nothing says which AWS CLI is carried" in project.doit("list", check=False).stdout
    finally:
        project.write_site(site)
    assert Path(project.root / "build/local/batch/aws-cli.tar.gz").is_file()
