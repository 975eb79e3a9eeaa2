"""What fuzzing has found: each input once ended in a fault of ours, or in no time that one has."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tasks.core import files, parsing, schema
from tasks.core.archives import unpacking
from tasks.core.errors import (
    AirlockError,
    ConfigError,
    ImageError,
    IntegrityError,
    RegistryError,
    SourceError,
)
from tasks.core.inputs import sheets
from tasks.core.net import download, pace, redirects
from tasks.core.net.network import Network
from tasks.core.nextflow import versions
from tasks.core.registry import auth, credentials, jws
from tasks.core.registry.client import MANIFESTS, NEXT, Manifest
from tasks.core.source.groovy.tokens import tokenize
from tasks.images import lock, platforms, reference, scan
from tasks.offline_host import wheels
from tasks.offline_host.run import own_params
from tasks.plugins import index
from tasks.reach import scan as reach_scan
from tasks.reach import text as reach_text
from tasks.reach.staged import Staged
from tests.fuzzing import code as fuzzed
from tests.fuzzing import trust

LONG = "9" * 5000
"""More digits than Python makes a number of (sys.set_int_max_str_digits)."""


@pytest.mark.parametrize("text", [
    '"\\ud800"', '{"\\udc00": 1}', '["a\\ud83d"]', b'"\xed\xa0\x80"', b'"\xff"', LONG, "1e999",
    "NaN", "[" * 100_000])
def test_json_that_no_file_can_hold(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parsing.from_json(text)


def test_whole_pairs_are_characters() -> None:
    assert parsing.from_json('"\\ud83d\\ude00"') == "😀"
    assert parsing.from_json(b'\xef\xbb\xbf{"a": "\xc3\xa9"}') == {"a": "é"}
    with pytest.raises(ValueError, match=r"surrogates|invalid Unicode"):
        parsing.from_yaml('a: "\\uD800"')


@pytest.mark.parametrize(("text", "number"), [
    ("0", 0), ("17", 17), ("9" * 18, 10**18 - 1), ("9" * 19, None), (LONG, None), ("٣", None),
    ("²", None), ("-1", None), ("1.0", None), ("", None), (" 1", None), ("1_0", None)])
def test_a_number_of_a_header(text: str, number: int | None) -> None:
    assert parsing.whole_number(text) == number
    assert pace.remaining({"ratelimit-remaining": text}) == (1 if text == " 1" else number)
    pace.Host("h").learn(200, {"ratelimit-remaining": "0", "ratelimit-reset": text})


POINTER = {"pipeline": "hello", "id": "dev-0123456789ab", "number": 1}


@pytest.mark.parametrize("change", [
    {"id": "dev-0123456789ab\n"}, {"pipeline": "hello\n"}, {"number": 1.0}, {"number": True},
    {"id": "dev\u0661"}])
def test_a_schema_means_what_it_says(change: dict[str, Any]) -> None:
    schema.check(POINTER, "pointer", where="x")
    with pytest.raises(ConfigError):
        schema.check({**POINTER, **change}, "pointer", where="x")


@pytest.mark.parametrize("expires", ["2026-02-31T00:00:00Z", "0000-01-01T00:00:00Z",
                                     "2026-02-01T00:00:00Z\n", "٢٠٢٦-02-01T00:00:00Z"])
def test_a_promotion_ends_at_a_time(tmp_path: Path, expires: str) -> None:
    promotion = json.dumps({**trust.LATER, "expires": expires}).encode()
    with pytest.raises(IntegrityError, match="expires"):
        trust.promoted((json.dumps(POINTER).encode(), promotion), tmp_path)
    trust.promoted((json.dumps(POINTER).encode(), json.dumps(trust.LATER).encode()), tmp_path)


@pytest.mark.parametrize(("about", "listed"), [
    (b"{", b""), (b"[]", b""), (b'{"wheels": 1}', b""), (b'{"wheels": [{}]}', b""),
    (b"[" * 100_000, b""), (b"\xff", b""), (trust.TOOL, b"\xff"), (trust.TOOL, b""),
    *((json.dumps({"wheels": [{**trust.WHEEL, **change}]}).encode(), b"") for change in (
        {"name": "../x.whl"}, {"name": "/x.whl"}, {"name": ""}, {"name": "a\0.whl"}, {"name": 1},
        {"size": -2}, {"size": 1.5}, {"size": "1"}, {"name": "a.whl\n"}))])
def test_a_tool_s_description_that_is_none(tmp_path: Path, about: bytes, listed: bytes,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("root", "from"):
        (tmp_path / name).mkdir()
    (tmp_path / "root/tool.json").write_bytes(about)
    (tmp_path / "root/SHA256SUMS").write_bytes(listed)
    assert wheels.main(tmp_path / "from", tmp_path / "to", tmp_path / "root") == 1
    assert capsys.readouterr().err


@pytest.mark.parametrize("header", [
    "Bearer " + "a" * 60_000, "Bearer " * 9000 + "\n x", "Bearer " + " " * 60_000 + "\nx\ny",
    "Bearer a=" + "\\" * 60_000])
def test_no_challenge_takes_long(header: str) -> None:
    begun = time.monotonic()
    auth.challenges([header])
    assert time.monotonic() - begun < 2


def test_no_link_takes_long() -> None:
    begun = time.monotonic()
    assert NEXT.search("<" * 60_000) is None
    assert time.monotonic() - begun < 1
    found = NEXT.search('<https://h/v2/_catalog?n=1>; rel="next"')
    assert found and found[1] == "https://h/v2/_catalog?n=1"


@pytest.mark.parametrize("location", ["https://[", "https://h:x/", "//h:99999/"])
def test_an_address_that_is_none(tmp_path: Path, location: str) -> None:
    with pytest.raises(RegistryError, match="no URL"):
        redirects.joined("https://h/v2/", location)
    plugins = [{"id": "a", "releases": [{"version": "1", "url": location}]}]
    with pytest.raises(SourceError, match="no URL"):
        index.choose(plugins, "https://p.example.org/plugins.json", "a", "1", "24.10.5")
    if "://" in location:
        with pytest.raises(SourceError, match="no URL"):
            download.fetch(location, tmp_path / "x", network=Network(), most=1)


@pytest.mark.parametrize("entry", [{"auth": "é="}, {"auth": 7}, {"auth": "/8=="}])
def test_a_login_that_is_none(tmp_path: Path, entry: dict[str, Any]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {"h": entry}}))
    with pytest.raises(RegistryError, match="base64"):
        credentials.find("h", path)
    path.write_text("[" * 100_000)
    with pytest.raises(RegistryError, match="not JSON"):
        credentials.find("h", path)
    with pytest.raises(RegistryError, match="can't be read"):
        credentials.find("h", tmp_path)


def _answer(body: bytes) -> Any:
    """A token server's answer."""
    class Sends:
        def send(self, *_: object, **__: object) -> urllib3.HTTPResponse:
            return urllib3.HTTPResponse(body=io.BytesIO(body), status=200, preload_content=False)
    return Sends()


@pytest.mark.parametrize("body", [
    b"[" * 100_000, b'{"token": "x", "expires_in": ' + b"9" * 400 + b"0}",
    b'{"token": "x", "expires_in": NaN}', b'{"token": "x", "expires_in": [1]}'])
def test_a_token_that_is_none(tmp_path: Path, body: bytes) -> None:
    client = auth.Authenticator("https://h", tmp_path / "none", _answer(body))
    client._login_read = True
    client.learn(['Bearer realm="https://h/token"'], (), None)
    with pytest.raises(RegistryError):
        client.header(())


BLOB = {"digest": "sha256:" + "1" * 64, "size": 1}


@pytest.mark.parametrize("blob", [
    {**BLOB, "size": True}, {**BLOB, "size": 1.0}, {**BLOB, "mediaType": ["x"]},
    {**BLOB, "digest": f"{BLOB['digest']}\n"}])
def test_a_manifest_names_blobs(blob: dict[str, Any]) -> None:
    manifest = json.dumps({"config": BLOB, "layers": [blob]}).encode()
    with pytest.raises(ImageError, match="names a blob without"):
        lock.read_manifest(Manifest(data=manifest, media_type=MANIFESTS[0]),
                           reference.parse("q.io/a:1"), "linux/amd64")


@pytest.mark.parametrize("entries", [None, 5, "x", {"a": 1}])
def test_an_index_lists_manifests(entries: Any) -> None:
    with pytest.raises(ImageError, match="no list of manifests"):
        platforms.choose({"manifests": entries}, reference.parse("q.io/a:1"), "linux/amd64", ())


@pytest.mark.parametrize("head", ['{"formatLength": 1e999, "formatTail": ""}', "[" * 3000, "7"])
def test_a_signature_in_a_manifest_that_is_none(head: str) -> None:
    manifest = json.dumps({"signatures": [{"protected": base64.urlsafe_b64encode(
        head.encode()).decode().rstrip("=")}]}).encode()
    assert jws.payload(manifest) == manifest


def test_a_version_of_no_end() -> None:
    assert not versions.meets("24.10.5", f">={LONG}")
    with pytest.raises(ConfigError, match="no version"):
        versions.order(LONG)


def test_half_a_pair_in_groovy() -> None:
    texts = [token.text for token in tokenize("'\\uD83D\\uDE00' '\\uD800x'", "x.nf")]
    assert texts == ["😀", "\ufffdx"]


def test_a_number_of_no_end_in_groovy(tmp_path: Path) -> None:
    fuzzed.scanned((f"process A {{ container {LONG} }}".encode(), b"", f"x = {LONG}".encode()),
                   tmp_path)


def test_an_answer_of_no_end(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did not answer in JSON"):
        fuzzed.inspected(b'\n{"a":' + b"[" * 100_000, tmp_path)


def test_a_long_line_of_addresses_takes_no_time() -> None:
    line = "https://x.org/a " * 6000
    begun = time.monotonic()
    for mention in reach_text.mentions(line):
        reach_text.is_shown(line, mention.start)
    assert time.monotonic() - begun < 3


def test_bytes_that_are_none_of_bzip2_s(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"BZh9" + b"x" * 100)
    with pytest.raises(IntegrityError, match="neither a whole zip nor a whole tar"):
        unpacking.unpack(tmp_path / "x", tmp_path / "tree")


@pytest.mark.parametrize("link", ["", "a\0b"])
def test_a_link_that_holds_no_path(tmp_path: Path, link: str) -> None:
    assert not files.points_inside("x", link)
    with pytest.raises(IntegrityError, match="holds no path"):
        fuzzed.committed(([(b"120000", b"x", link)], b""), tmp_path)
    if not link:
        (tmp_path / "a").write_bytes(fuzzed._tar([("x", b"2", link, b"")], 1))
        with pytest.raises(IntegrityError, match="points out"):
            unpacking.unpack(tmp_path / "a", tmp_path / "unpacked")


@pytest.mark.parametrize("given_", [b"A=\xff\n", b"AIRLOCK_REGISTRY_PORT=" + LONG.encode(),
                                    b"AIRLOCK_OFFLINE_STORE=x\n", b"A=" + b"${X" * 30_000])
def test_settings_that_cannot_be_read(tmp_path: Path, given_: bytes) -> None:
    site = fuzzed.SITE.replace(b"offline:", b"offline: x\nonce:")
    fuzzed.configured((fuzzed.SITE, fuzzed.PIPELINE, b""), tmp_path)
    with pytest.raises(AirlockError):
        fuzzed.configured((site, fuzzed.PIPELINE, given_), tmp_path)


def test_settings_of_aliases_that_stand_for_more_than_any_memory_holds(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 12)]
    with pytest.raises(ConfigError, match="aliases"):
        fuzzed.configured((("\n".join(lines) + "\n").encode() + fuzzed.SITE, fuzzed.PIPELINE, b""),
                          tmp_path)


def test_settings_that_are_no_json(tmp_path: Path) -> None:
    """They are remembered as JSON, which has no dates."""
    text = fuzzed.PIPELINE + b"params:\n  day: 2001-01-01\n"
    with pytest.raises(ConfigError, match="no text, number"):
        fuzzed.configured((fuzzed.SITE, text, b""), tmp_path)


def test_the_bench_finds_a_fault_and_reports_it() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench.fuzz", "--inputs", "20", "sums"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["sums", "20"]


@pytest.mark.parametrize("text", [
    "process A {\ncontainer " + "(" * 3000 + "'a'" + ")" * 3000 + "\nscript:''\n}\n",
    "workflow {\n" + "if (a) " * 3000 + "{}\n}\n", "x = " + "a ? " * 3000,
    "x = " + "!" * 5000 + "a", "x = " + "[" * 5000])
def test_code_that_is_nested_by_the_hundred(tmp_path: Path, text: str) -> None:
    (tmp_path / "main.nf").write_text(text)
    (tmp_path / "nextflow.config").write_text(text)
    for read in (lambda: scan.scan(tmp_path, {}), lambda: reach_scan.scan(
            tmp_path, {}, Staged(params={}, plugins={}, toggles={}), "test")):
        with contextlib.suppress(ImageError):
            read()


AGAIN = {
    "brackets in a text": "x = '" + "(" * 50_000 + "'",
    "assignments before a command": "x = '''" + "a=b;" * 20_000 + "'''",
    "joined texts": "x = " + "'a' + " * 20_000,
    "empty lines": "\n" * 60_000,
    "blocks in each other": "a {" * 90 + "x = 1\n" * 10_000,
    "slashes": "x = " + "a / " * 20_000,
    "classes": "class a\n" * 10_000,
    "a text that doubles": "x = 'ab'\n" + "x = x + x\n" * 60,
    "values that multiply": "x = " + "(b ? 'a' : 'b') + " * 300,
    "addresses": "x = '''" + "https://x.org/a " * 5_000 + "'''",
    "includes": "include { A } from './a'\n" * 2_000,
    "variables": "x1 = 1\n" + "".join(f"x{at} = x1\n" for at in range(9_000)),
}


@pytest.mark.parametrize("text", AGAIN.values(), ids=AGAIN)
def test_code_that_would_be_gone_through_again_and_again(tmp_path: Path, text: str) -> None:
    code = f"{text}\nprocess A {{\n container x\n script:\n '{LONG}'\n}}\n".encode()
    ran = f"workflow {{\n x.execute()\n {text}\n}}\n".encode()
    for value in ((code, ran, b""), (ran, code, text.encode())):
        for read in (fuzzed.scanned, fuzzed.reached):
            begun = time.process_time()  # the machine may be busy with something else
            with contextlib.suppress(AirlockError):
                read(value, tmp_path)
            assert time.process_time() - begun < 4


def test_an_include_of_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "nextflow.config").write_text("")
    (tmp_path / "main.nf").write_text("include { A } from './" + "x" * 5000 + "'\nworkflow {}\n")
    fault, = scan.scan(tmp_path, {}).faults
    assert "is not in the pipeline's code" in fault


@pytest.mark.parametrize("text", ["a: !!omap [b: 1]", "- !!pairs [b: 1]", "a: !!set {b}"])
def test_a_sheet_with_what_would_be_written_as_something_else(text: str) -> None:
    with pytest.raises(SourceError, match="not known here"):
        sheets.parse(text.encode(), name="x.yml", has_header=lambda row: False)


@pytest.mark.parametrize("text", ["- - \ufeff" + "- " * 3000, "[" * 5000, "? " * 3000,
                                  "a: " + "{" * 3000])
def test_yaml_that_is_nested_by_the_hundred(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="deep"):
        parsing.from_yaml(text)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("text", ['{"input": "x.csv", "n":, 1}', "a: {1: x, b: y}", "- a", "1: x"])
def test_a_params_file_whose_keys_are_no_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yml").write_text(text)
    with pytest.raises(ConfigError, match="a mapping of names"):
        own_params(None, str(tmp_path / "params.yml"), release=tmp_path, folder=tmp_path)
