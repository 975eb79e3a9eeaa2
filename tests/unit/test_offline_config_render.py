"""offline.config's text: selectors, choices, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.core import files
from tasks.core.errors import ImageError
from tasks.core.nextflow import tested_lines
from tasks.core.nextflow.image_selectors import Selector
from tasks.core.nextflow.launch import main_script
from tasks.core.nextflow.tested_lines import is_tested
from tasks.offline_config.render import RenderSpec, build, registry, render

DIGEST = "sha256:" + "0" * 64
MIRRORED = {"quay.io/a/b:1": f"nexus:8443/quay.io/a/b@{DIGEST}",
            "quay.io/a/c:1": f"nexus:8443/quay.io/a/c@{DIGEST}"}


def selector(pattern: str, *images: str, choice: str | None = None) -> Selector:
    return Selector(pattern=pattern, choice=choice,
                    images={image.removeprefix("quay.io/"): image for image in images})


def test_one_selector_holds_a_process_and_its_aliases() -> None:
    text = render([selector("(.*:)?(FASTQC|FASTQC_TRIM)", "quay.io/a/b:1")], MIRRORED,
                  "docker.enabled = true")
    assert ("    withName: '(?:(.*:)?(FASTQC|FASTQC_TRIM))' "
            f"{{ container = 'nexus:8443/quay.io/a/b@{DIGEST}' }}") in text.splitlines()
    assert "    offline {}" in text.splitlines()
    assert "docker.enabled = true" in text.splitlines()


def test_the_order_of_the_scan_is_kept() -> None:
    both = [selector("(.*:)?(A)", "quay.io/a/b:1"), selector("(?=P)(.*:)?(A)", "quay.io/a/c:1")]
    text = render(both, MIRRORED, "")
    assert text.index("a/b@") < text.index("a/c@")


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(ImageError) as caught:
        render([selector("A", "quay.io/no:1"), selector("B", *MIRRORED)], MIRRORED, "")
    assert "A: quay.io/no:1 is not among the images that are carried" in str(caught.value)
    assert "B: it may use several images" in str(caught.value)


def test_a_choice_stands_as_a_closure_over_the_mirrored_names() -> None:
    text = render([selector("A", *MIRRORED, choice="(params.c ? 'a/c:1' : 'a/b:1')")],
                  MIRRORED, "")
    assert "(params.c ? 'a/c:1' : 'a/b:1')" in text
    assert f"'a/b:1': 'nexus:8443/quay.io/a/b@{DIGEST}'" in text


def test_a_pattern_is_quoted() -> None:
    text = render([selector(r"A'\d", "quay.io/a/b:1")], MIRRORED, "")
    assert r"withName: '(?:A\'\\d)' {" in text


def test_an_image_that_would_end_the_string_is_refused() -> None:
    with pytest.raises(ImageError, match="not an image reference"):
        render([selector("A", "quay.io/a/b:1")], {"quay.io/a/b:1": "x' }; evil('"}, "")


@pytest.mark.parametrize(("nextflow", "override"), [
    ("24.10.5", False), ("25.04.8", False), ("25.10.2", True), ("26.04.0", True)])
def test_an_image_that_no_selector_names_is_asked_of_our_registry(
        nextflow: str, override: bool) -> None:
    expected = ["docker.registry = 'nexus:8443'"]
    assert registry({"nexus:8443"}, nextflow) == expected + (
        ["docker.registryOverride = true"] if override else [])


def test_images_on_two_hosts_leave_no_net() -> None:
    assert registry({"nexus:8443", "other:1"}, "25.10.2") == []


@pytest.mark.parametrize(("nextflow", "untested"), [
    ("24.10.5", False), ("25.04.8", True), ("25.10.2", True), ("26.04.0", True),
    ("26.04.7", False)])
def test_what_no_test_has_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      nextflow: str, untested: bool) -> None:
    record = {"shown": [{"version": "26.04.7", "jar": "0" * 64, "pipeline": "hello", "java": 17,
                         "on": "2026-01-01", "steps": ["prod:run"]}]}
    files.write_json(tmp_path / "shown.json", record)
    monkeypatch.setattr(tested_lines, "RECORD", tmp_path / "shown.json")
    files.write_json(tmp_path / "scan.json", {"images": [], "processes": [], "selectors": []})
    files.write_json(tmp_path / "receipt.json", {"registry": "nexus:8443", "images": []})
    files.write_text(tmp_path / "toggles", "wave.enabled = false\n")
    files.write_text(tmp_path / "engine", "docker.enabled = true\n")
    build(RenderSpec(pipeline="x", nextflow=nextflow, scan=tmp_path / "scan.json",
                     receipt=tmp_path / "receipt.json", toggles=tmp_path / "toggles",
                     engine_toggles=tmp_path / "engine",
                     output=tmp_path / "offline.config"))
    text = (tmp_path / "offline.config").read_text()
    assert (f"NOT TESTED: no test has run Nextflow {nextflow}" in text) is untested
    assert is_tested(nextflow) is not untested


def entry(name: str, because: str = "nextflow.config", **more: str) -> dict[str, str]:
    return {"id": name, "version": "1.2.3", "url": "x", "because": because, "sha512": "0" * 128,
            "sha256": "0" * 64, **more}


@pytest.mark.parametrize(("entries", "pins"), [
    ([], []),
    ([entry("nf-a"), entry("nf-b", "s3:// in params.x")], []),
    ([entry("nf-a", asked="~1.2"), entry("nf-b"), entry("nf-c", "plugins in the pipeline's config",
                                                       asked="*"),
      entry("nf-d", "wave.enabled")], ["nf-a@1.2.3", "nf-b@1.2.3"]),
    ([entry("nf-a"), entry("nf-b", "nf-c depends on it"), entry("nf-c", "nf-a depends on it")],
     ["nf-b@1.2.3", "nf-c@1.2.3", "nf-a@1.2.3"]),
    ([entry("nf-c", "plugins in the pipeline's config", asked="~1.2")], [])])
def test_plugins_are_held_to_their_locked_versions(tmp_path: Path, entries: list[dict[str, str]],
                                                   pins: list[str]) -> None:
    """What the pipeline declares and what that depends on, where a run offline needs it."""
    files.write_json(tmp_path / "scan.json", {"images": [], "processes": [], "selectors": []})
    files.write_json(tmp_path / "receipt.json", {"registry": "nexus:8443", "images": []})
    files.write_text(tmp_path / "toggles", "wave.enabled = false\n")
    files.write_text(tmp_path / "engine", "docker.enabled = true\n")
    files.write_json(tmp_path / "plugins.json", {"plugins": entries})
    build(RenderSpec(pipeline="x", nextflow="24.10.5", scan=tmp_path / "scan.json",
                     receipt=tmp_path / "receipt.json", toggles=tmp_path / "toggles",
                     engine_toggles=tmp_path / "engine",
                     output=tmp_path / "offline.config", plugins=tmp_path / "plugins.json"))
    text = (tmp_path / "offline.config").read_text()
    assert re.findall(r"^    id '(.*)'$", text, re.MULTILINE) == pins
    assert ("plugins {" in text) is bool(pins)
def test_the_main_script_that_the_scan_names_stands_there(tmp_path: Path) -> None:
    files.write_json(tmp_path / "scan.json", {"script": "WES.nf", "images": [], "processes": [],
                                              "selectors": []})
    files.write_json(tmp_path / "receipt.json", {"registry": "nexus:8443", "images": []})
    files.write_text(tmp_path / "toggles", "wave.enabled = false\n")
    files.write_text(tmp_path / "engine", "docker.enabled = true\n")
    build(RenderSpec(pipeline="x", nextflow="24.10.5", scan=tmp_path / "scan.json",
                     receipt=tmp_path / "receipt.json", toggles=tmp_path / "toggles",
                     engine_toggles=tmp_path / "engine",
                     output=tmp_path / "offline.config"))
    assert "manifest.mainScript = 'WES.nf'" in (tmp_path / "offline.config").read_text()
    assert main_script([tmp_path / "toggles", tmp_path / "offline.config"]) == "WES.nf"
    assert main_script([tmp_path / "toggles"]) is None
