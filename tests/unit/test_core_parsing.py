"""JSON, YAML and other texts from outside: read within bounds, or refused in no time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import files, nofollow, parsing, schema
from tasks.core.errors import AirlockError, ConfigError, ImageError, IntegrityError, SourceError
from tasks.core.inputs import sheets, staged_data
from tasks.core.registry.client import Manifest
from tasks.core.source.files import Sources
from tasks.images import lock, schema1
from tasks.images.blobs import FlatBlobs
from tasks.images.reference import parse
from tasks.offline_host.run import own_params
from tasks.reach import scan
from tests.kit.bounded import limited

LOCK = {"source": "https://example.org/x.git", "revision": "v1", "commit": "0" * 40}
READ = """
from tasks.core import schema
print(schema.read_json(Path(sys.argv[1]), sys.argv[2]))
"""
PARSE = """
from tasks.core import parsing
try:
    getattr(parsing, sys.argv[2])(Path(sys.argv[1]).read_text())
except ValueError as error:
    print('ValueError', error)
"""

BOMBS: dict[str, tuple[str, Callable[[], str], str]] = {
    "JSON, a number": ("from_json", lambda: "9" * 10**7, "more than 1000"),
    "JSON, a fraction": ("from_json", lambda: "0." + "9" * 10**7, "too large"),
    "JSON, an exponent": ("from_json", lambda: "[1e999]", "too large"),
    "JSON, depth": ("from_json", lambda: "[" * 10**6, "too deep"),
    "JSON, depth of mappings": ("from_json", lambda: '{"a":' * 10**6, "too deep"),
    "JSON, NaN": ("from_json", lambda: '{"a": NaN}', "NaN"),
    "JSON, infinity": ("from_json", lambda: "[-Infinity]", "-Infinity"),
    "JSON, keys": ("from_json", lambda: '{"a": 1, "b": {"c": 1, "c": 2}}', "'c' comes twice"),
    "YAML, a number": ("from_yaml", lambda: "9" * 10**6, "more than 1000"),
    "YAML, to base 60": ("from_yaml", lambda: "a: " + "1:" * 10**5 + "1", "more than 1000"),
    "YAML, depth": ("from_yaml", lambda: "[" * 10**6, "nested more than"),
    "YAML, depth of blocks": ("from_yaml", lambda: "- " * 10**5, "nested more than"),
    "YAML, aliases": ("from_yaml", lambda: "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{key}: &{key} [{', '.join(9 * [f'*{before}'])}]\n"
        for before, key in zip("abcdefghij", "bcdefghijk", strict=True)), "aliases"),
    "YAML, tags": ("from_yaml", lambda: "!!int ''", "index"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_stands_for_more_than_it_is_long_is_refused_at_once(tmp_path: Path,
                                                                 bomb: str) -> None:
    parser, make, said = BOMBS[bomb]
    (tmp_path / "x").write_text(make())
    output = limited(PARSE, tmp_path / "x", parser, memory=700_000_000, seconds=10)
    assert output.startswith("ValueError")
    assert said in output


TEXTS = st.text() | st.lists(st.sampled_from([
    "{", "}", "[", "]", ":", ",", " ", "\n", "- ", "&a", "*a", "!!int", "!!float", "!!timestamp",
    "!!bool", "!!binary", "!!set", "!!omap", "<<", "? ", "|", ">", "'", '"', "0x", "1_0", "1:2",
    ".inf", "2001-13-01", "=", "~", "%YAML 1.1", "---", "\\u0000", "é"])).map("".join)


@settings(max_examples=300)
@given(TEXTS)
def test_any_text_is_read_or_a_value_error(text: str) -> None:
    for reader in (parsing.from_json, parsing.from_yaml):
        try:
            reader(text)
        except ValueError:
            continue
    for name in ("x.csv", "x.json", "x.yml", "x.txt"):
        try:
            sheets.parse(text.encode(), name=name, has_header=lambda row: True)
        except SourceError:
            continue


@given(st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.text()
                    | st.floats(allow_nan=False, allow_infinity=False),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                    max_leaves=20))
def test_what_is_json_comes_back(value: Any) -> None:
    assert parsing.from_json(json.dumps(value)) == value


def refused(path: Path, name: str = "code-lock") -> str:
    with pytest.raises(AirlockError) as caught:
        schema.read_json(path, name)
    return str(caught.value)


def test_a_file_of_json_is_regular_and_of_its_kind_s_size(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    path.write_text(json.dumps(LOCK))
    assert schema.read_json(path, "code-lock") == LOCK
    path.write_text(json.dumps(LOCK)[:-1] + ', "commit": "1"}')
    assert "comes twice" in refused(path)
    path.write_text(json.dumps({**LOCK, "revision": float("nan")}))
    assert "NaN" in refused(path)
    path.write_text(json.dumps(LOCK) + " " * 2**20)
    assert "more than the 1.0 MB" in refused(path)
    assert "missing" in refused(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        output = limited(READ, odd, "code-lock")
        assert output.startswith("IntegrityError this is no regular file")


def test_a_file_that_never_ends_fills_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as stream:
        stream.truncate(10**12)
    for name in ("current", "release"):
        assert "IntegrityError this is refused" in limited(READ, tmp_path / "x", name)
    with pytest.raises(IntegrityError, match="more than the 10 B"):
        nofollow.read(tmp_path / "x", most=10)


def test_the_faults_of_a_file_are_named_in_no_more_words_than_one_reads(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json.dumps({
        **{f"k{number}": "x" * 1000 for number in range(10_000)}, "revision": ["y" * 10**6] * 5}))
    begun = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        schema.check(json.loads((tmp_path / "x").read_text()), "code-lock", where="x")
    assert len(str(caught.value)) < 150_000
    assert "source" in str(caught.value)
    assert time.monotonic() - begun < 10


def test_a_user_s_params_are_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "params.yml"
    path.write_text("input: x.csv\nmax_memory: 6.GB\n")
    assert own_params(None, str(path), release=tmp_path, folder=tmp_path) == {
        "input": "x.csv", "max_memory": "6.GB"}
    for text in (BOMBS["YAML, aliases"][1](), "[" * 10**5, "a: !!int ''", "a: \xff", "a: [\n"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ConfigError, match="neither YAML nor JSON"):
            own_params(None, str(path), release=tmp_path, folder=tmp_path)


def test_a_sheet_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_data, "MAX_SHEET", 100)
    manifest = {"files": [], "params": {}, "sheets": [
        {"path": "sheets/x.csv", "sha256": "0" * 64, "size": 1, "is_lines": False}]}
    monkeypatch.setattr(staged_data, "read_json", lambda path, name: manifest)
    (tmp_path / "x.csv").write_text("a,b\n" * 100)
    with pytest.raises(IntegrityError, match="more than the 100 B"):
        staged_data.render(tmp_path / "m", lambda path: tmp_path / "x.csv", tmp_path / "out")


def test_a_registry_s_json_may_be_as_deep_as_it_likes() -> None:
    deep = b'{"layers":' + b"[" * 100_000
    nobody: Any = None  # it is not asked before the JSON is read
    reference = parse("quay.io/a/b:1")
    manifest = Manifest(data=deep, media_type="application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(ImageError, match="no manifest"):
        lock.read_manifest(manifest, reference, "linux/amd64")
    with pytest.raises(ImageError, match="can't be read"):
        schema1.read(nobody, manifest, reference, "b")


def test_a_manifest_on_disk_has_a_manifest_s_size(tmp_path: Path) -> None:
    blobs = FlatBlobs(root=tmp_path, todo="fetch it again")
    digest = "0" * 64
    (tmp_path / digest).write_bytes(b"[" * 5_000_000)
    with pytest.raises(IntegrityError, match=r"4\.2 MB are allowed"):
        blobs.manifest(f"sha256:{digest}")
    data = b"[" * 100_000
    (tmp_path / files.sha256_bytes(data)).write_bytes(data)
    with pytest.raises(IntegrityError, match="not JSON"):
        blobs.manifest(f"sha256:{files.sha256_bytes(data)}")


def test_a_pipeline_s_schema_may_be_as_deep_as_it_likes(tmp_path: Path) -> None:
    (tmp_path / "nextflow_schema.json").write_text('{"a":' + "[" * 100_000)
    assert scan._described(Sources(tmp_path)) == {}
