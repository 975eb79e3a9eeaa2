"""Clients of AWS, and what its errors mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore import exceptions

from tasks.core.aws.faults import CAUSES, DENIED, explained
from tasks.core.aws.session import Session
from tasks.core.config.aws_settings import Aws
from tasks.core.errors import AwsError


@pytest.mark.parametrize("code", [*CAUSES, *DENIED, "Nonsense"])
def test_an_error_of_aws_says_what_to_do(code: str) -> None:
    answer = {"Error": {"Code": code, "Message": "words of AWS"}}
    with pytest.raises(AwsError, match="words of AWS") as caught, explained("iam:CreateRole"):
        raise exceptions.ClientError(answer, "CreateRole")  # type: ignore[arg-type]
    assert caught.value.where == "iam:CreateRole"
    assert caught.value.todo


def test_no_credentials_and_no_network_are_told_apart(monkeypatch: pytest.MonkeyPatch,
                                                      tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    aws = Aws(region="us-west-2", endpoint="http://127.0.0.1:9")
    with pytest.raises(AwsError, match="no credentials"):
        Session(aws, attempts=1).account()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with pytest.raises(AwsError, match="no answer"):
        Session(aws, attempts=1).account()
