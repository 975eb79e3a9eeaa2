"""The steps of a site's bucket: which there are, what they make, and what a folder is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from doit.exceptions import TaskFailed

from tasks.core.config.load import load
from tasks.core.graph import rooms


def aws_tasks() -> dict[str, dict[str, Any]]:
    return {task["basename"]: task for task in rooms.tasks(load({}))
            if task["basename"].startswith("aws:")}


def write(project: Path, **sections: Any) -> None:
    path = project / "config/sites/local.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}))


AWS = {"region": "us-west-2", "account": "111122223333",
       "roles": {"online": "writes", "offline": "reads"}}


def test_a_key_has_a_policy_only_where_the_site_has_a_key(project: Path) -> None:
    write(project, aws=AWS, store={"url": "s3://carried", "encryption": "AES256"})
    assert [Path(target).name for target in aws_tasks()["aws:policies"]["targets"]] == [
        "bucket-policy.json", "online-role.json", "offline-role.json", "endpoint-policy.json"]
    write(project, store={"url": "s3://carried", "encryption": "aws:kms"})  # AWS's own key
    assert len(aws_tasks()["aws:policies"]["targets"]) == 4
    write(project, store={"url": "s3://carried", "encryption": "aws:kms",
                          "kms_key": "alias/carried"})
    assert aws_tasks()["aws:policies"]["targets"][-1] == "build/local/aws/key-policy.json"


def test_a_step_writes_what_it_says_it_makes(project: Path) -> None:
    write(project, aws=AWS, store={"url": "s3://carried/here", "encryption": "aws:kms",
                                   "kms_key": "alias/carried"})
    task = aws_tasks()["aws:policies"]
    perform, arguments = task["actions"][0]
    assert "5 policies" in perform(*arguments)
    assert all(Path(target).is_file() for target in task["targets"])


@pytest.mark.parametrize("name", ["aws:plan", "aws:apply", "aws:check", "aws:policies"])
def test_a_site_whose_store_is_a_folder_is_told_so(project: Path, name: str) -> None:
    write(project, aws=AWS)
    perform, arguments = aws_tasks()[name]["actions"][0]
    outcome = perform(*arguments)
    assert isinstance(outcome, TaskFailed)
    assert "the site's store is a folder" in str(outcome)
    assert "s3://bucket/prefix" in str(outcome)


def test_what_looks_and_what_is_asked_for_is_never_stale_by_itself(project: Path) -> None:
    for name, task in aws_tasks().items():
        assert task["meta"]["look"] or task["meta"]["asked"], name
