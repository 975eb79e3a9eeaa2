"""The tool's own list of parts: its wheels, by what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tasks.core import files
from tasks.core.bill import cdx, spdx
from tasks.core.bill.parts import JAVA, WHEEL, Part, Whole, counted
from tasks.core.licence_names import LONGEST
from tasks.release import tool_wheels
from tests.kit.jars import jar

SMALL = "small_one-1.0.post1-py3-none-any.whl"
TEXT = "Permission is hereby granted, free of charge, to any person. " * 20


def wheel(folder: Path, metadata: str, name: str = SMALL,
          more: Mapping[str, bytes] | None = None) -> Path:
    """A wheel in the folder `wheels` whose METADATA end with these lines."""
    about = "-".join(name.split("-")[:2]) + ".dist-info/METADATA"
    files.write_bytes(folder / "wheels" / name, jar({
        "small/__init__.py": b"", about: f"Metadata-Version: 2.4\nName: small-one\n{metadata}\n"
        "\nLicense: of the README\n".encode(), **(more or {})}))
    return folder / "wheels" / name


def only(path: Path) -> Part:
    part, = tool_wheels.parts([path])
    return part


@pytest.mark.parametrize(("metadata", "licences", "by"), [
    ("License-Expression: MIT OR Apache-2.0\nLicense: BSD", ("MIT OR Apache-2.0",),
     "License-Expression"),
    ("License: Apache-2.0\nClassifier: License :: OSI Approved :: Apache Software License",
     ("Apache-2.0",), "License"),
    ("License: Dual License\nClassifier: License :: OSI Approved :: BSD License\n"
     "Classifier: License :: OSI Approved :: MIT License", ("BSD License", "MIT License"),
     "Classifier"),
    ("License: Three Clauses", ("Three Clauses",), "License"),
    (f"License: {TEXT}\nClassifier: License :: Public Domain", ("Public Domain",), "Classifier"),
    (f"License: {TEXT}", (), None), ("License: UNKNOWN", (), None),
    ("Classifier: License :: OSI Approved", (), None), ("License-File: LICENSE", (), None)])
def test_the_licence_is_what_the_metadata_name(tmp_path: Path, metadata: str,
                                               licences: tuple[str, ...], by: str | None) -> None:
    part = only(wheel(tmp_path, metadata))
    assert part.licences == licences
    assert part.notes.get("licence-by") == by
    assert (part.kind, part.name, part.version) == (WHEEL, "small-one", "1.0.post1")


@given(st.text(max_size=LONGEST + 20))
def test_no_metadata_do_harm(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    metadata = f"License: {text}".encode(errors="replace").decode()
    for name in only(wheel(tmp_path_factory.mktemp("odd"), metadata)).licences:
        assert name.isprintable()
        assert 0 < len(name) <= LONGEST


@pytest.mark.parametrize("data", [
    b"PK", b"", jar({"a.dist-info/METADATA": b"License: MIT",
                     "b.dist-info/METADATA": b"License: BSD"}),
    jar({"a/b.dist-info/METADATA": b"License: MIT"}),
    jar({"a.dist-info/METADATA": b"License: MIT\n" + b" " * tool_wheels.LARGEST})],
    ids=["torn", "empty", "two", "deeper", "large"])
def test_a_wheel_without_metadata_is_known_by_its_name(tmp_path: Path, data: bytes) -> None:
    files.write_bytes(tmp_path / SMALL, data)
    part = only(tmp_path / SMALL)
    assert part.licences == ()
    assert part.hashes == {"SHA-256": files.sha256_bytes(data)}
    assert part.purl == f"pkg:pypi/small-one@1.0.post1?file_name={SMALL}"


def test_a_java_in_a_wheel_is_a_part_of_its_own(tmp_path: Path) -> None:
    home = "jdk/java-runtime"
    path = wheel(tmp_path, "License: X", more={
        f"{home}/release": b'JAVA_RUNTIME="a"\nJAVA_VERSION="21.0.8"\n', f"{home}/bin/java": b""})
    own, java = tool_wheels.parts([path])
    assert (java.kind, java.version, java.within, java.licences) == (
        JAVA, "21.0.8", own.key, ())
    assert counted([own, java]) == "1 wheel, 1 java\nlicence unknown: 1 java"
    for members in ({f"{home}/release": b'JAVA_VERSION="21"'},
                    {f"{home}/release": b'JAVA_VERSION="$(x)"', f"{home}/bin/java": b""}):
        only(wheel(tmp_path, "License: X", more=members))


def written(parts: list[Part], folder: Path) -> dict[str, Any]:
    """The components by their names, once both documents have passed their own validators."""
    whole = Whole(kind="tool", name="nf-airlock", version="1.2.3")
    text = cdx.document(whole, parts).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    files.write_bytes(folder / "sbom.spdx.json", spdx.document(whole, parts))
    assert validate_full_spdx_document(
        parse_file(str(folder / "sbom.spdx.json")), "SPDX-2.3") == []
    document = json.loads(text)
    assert document["metadata"]["component"]["name"] == "nf-airlock"
    return {entry["name"]: entry for entry in document["components"]}


def test_both_lists_pass_their_own_validators(tmp_path: Path) -> None:
    """With the package in two wheels, for two versions of Python."""
    paths = [wheel(tmp_path, "License-Expression: MIT", f"small-1.0-cp3{minor}-abi3-any.whl", {
        "jdk/java-runtime/release": b'JAVA_VERSION="21.0.8"', "jdk/java-runtime/bin/java": b""})
        for minor in (10, 11)]
    paths.append(wheel(tmp_path, "License: Own one", "other-2-py3-none-any.whl"))
    components = written(list(tool_wheels.parts(paths)), tmp_path)
    assert components.keys() == {"small", "java", "other"}
    assert components["small"]["licenses"] == [
        {"license": {"id": "MIT", "acknowledgement": "declared"}}]
    assert components["other"]["licenses"][0]["license"]["name"] == "Own one"
    packages = json.loads((tmp_path / "sbom.spdx.json").read_text())["packages"]
    assert len({package["SPDXID"] for package in packages}) == len(packages) == 6
