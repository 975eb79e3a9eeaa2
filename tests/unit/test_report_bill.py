"""What a report takes from a bill of materials, and that it does without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core.paths import SBOM_CYCLONEDX
from tasks.report import bill


def write(folder: Path, components: Any) -> Path:
    path = folder / SBOM_CYCLONEDX
    path.write_text(json.dumps({"components": components}))
    return path


def component(kind: str, name: str, **more: Any) -> dict[str, Any]:
    said = more.pop("said", {})
    return {"name": name, "version": "1.2", "properties": [
        {"name": f"airlock:{key}", "value": value}
        for key, value in {"kind": kind, **said}.items()], **more}


def test_licences_bases_and_digests_are_found_by_what_a_part_is(tmp_path: Path) -> None:
    known = bill.read(write(tmp_path, [
        component("image", "tool", said={"source": "quay.io/x/tool:1", "base": "debian:12"},
                  licenses=[{"license": {"id": "MIT"}}, {"license": {"name": "Own one"}}]),
        component("image", "bare", said={"source": "quay.io/x/bare:1"}),
        component("plugin", "nf-hello", hashes=[{"alg": "SHA-256", "content": "ab"}],
                  licenses=[{"expression": "Apache-2.0 OR MIT"}]),
        component("jar", "groovy"), component("runtime", "nextflow"), component("data", "reads")]))
    assert known.image("quay.io/x/tool:1") == {"licences": ["MIT", "Own one"], "base": "debian:12"}
    assert known.image("quay.io/x/bare:1") == {"licences": [], "base": None}
    assert known.image("quay.io/x/none:1") == {"licences": None, "base": None}
    assert known.plugin("nf-hello", "1.2") == {"licences": ["Apache-2.0 OR MIT"], "sha256": "ab"}
    assert known.plugin("nf-hello", "1.3") == {"licences": None, "sha256": None}
    assert [part["name"] for part in known.parts] == ["nextflow", "groovy"]


@pytest.mark.parametrize("text", ["", "[]", '{"components": 3}', '{"components": [3]}',
                                  '{"components": [{"version": "1"}]}'])
def test_a_bill_of_another_form_knows_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / SBOM_CYCLONEDX
    path.write_text(text)
    assert bill.read(path) == bill.read(None) == bill.Bill()
