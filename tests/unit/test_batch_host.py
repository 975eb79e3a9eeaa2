"""The instances' user data: where it reads from, and its form."""

from __future__ import annotations

import email
import subprocess
from pathlib import Path

import pytest

from tasks.batch import host, s3_standin
from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import ConfigError
from tests.kit import instance

KEY = "blobs/sha256/ab/aws-cli.tar.gz"
SETTINGS = {"ecs_settings": host.ECS_SETTINGS, "region": "us-west-2", "sha256": "ab", "size": "1",
            "url": "https://example.org/it's $(touch made)"}


@pytest.mark.parametrize(("url", "endpoint", "region", "expected"), [
    ("s3://bucket", None, None, f"https://bucket.s3.us-west-2.amazonaws.com/{KEY}"),
    ("s3://bucket/a/b/", None, "eu-west-1", f"https://bucket.s3.eu-west-1.amazonaws.com/a/b/{KEY}"),
    ("s3://a.bucket/p", None, None, f"https://s3.us-west-2.amazonaws.com/a.bucket/p/{KEY}"),
    ("s3://bucket", None, "cn-north-1", f"https://bucket.s3.cn-north-1.amazonaws.com.cn/{KEY}"),
    ("s3://bucket/a b", "https://s3.example.org/", None,
     f"https://s3.example.org/bucket/a%20b/{KEY}"),
])
def test_an_object_is_asked_for_where_its_bucket_is(url: str, endpoint: str | None,
                                                    region: str | None, expected: str) -> None:
    at = StoreAt(url=url, endpoint=endpoint, region=region)
    assert host.object_url(at, KEY, "us-west-2") == expected


@pytest.mark.parametrize("url", ["build/store", "file:///srv/store"])
def test_instances_read_no_folder(url: str) -> None:
    with pytest.raises(ConfigError, match=r"from a folder"):
        host.object_url(StoreAt(url=url), KEY, "us-west-2")


@pytest.mark.parametrize("script", [host.SCRIPT_CLI, host.SCRIPT_FUSION])
def test_it_is_mime_of_one_script_that_bash_reads(script: Path) -> None:
    data = host.userdata(SETTINGS, host.SCRIPT_ECS, script)
    assert len(data) < host.MAX_USERDATA / 2  # AWS Batch adds its own part
    message = email.message_from_bytes(data)
    assert message.get_content_type() == "multipart/mixed"
    assert not message.defects
    text = instance.script(data)
    assert text.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_a_setting_is_never_run(tmp_path: Path) -> None:
    lines = host.userdata(SETTINGS).decode().partition("#!/bin/bash\n")[2].partition("\n--")[0]
    said = subprocess.run(["bash", "-c", f'{lines}\nprintf %s "$url"'], cwd=tmp_path, text=True,
                          capture_output=True, check=True)
    assert (said.stdout, list(tmp_path.iterdir())) == (SETTINGS["url"], [])


def test_user_data_that_ec2_would_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="EC2 takes 16384"):
        host.userdata({**SETTINGS, "url": "x" * host.MAX_USERDATA}, host.SCRIPT_ECS)


@pytest.mark.parametrize(("body", "content"), [
    (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", b"abc"),
    (b"3;chunk-signature=ab\r\nabc\r\n2;chunk-signature=cd\r\n\r\n\r\n0\r\n\r\n", b"abc\r\n"),
    (b"0\r\n\r\n", b""),
])
def test_a_body_in_chunks_is_put_together(body: bytes, content: bytes) -> None:
    assert s3_standin.unchunked(body) == content
