"""offline.config's text: selectors, and what is refused."""

from __future__ import annotations

import pytest

from tasks.core.errors import ImageError
from tasks.offline.render import Process, render

DIGEST = "sha256:" + "0" * 64
MIRRORED = {"quay.io/a/b:1": f"nexus:8443/quay.io/a/b@{DIGEST}"}


def process(name: str, *aliases: str, container: str = "quay.io/a/b:1") -> Process:
    return Process(name=name, aliases=aliases, container=container)


def test_one_selector_holds_a_process_and_its_aliases() -> None:
    text = render("x", [process("FASTQC", "FASTQC_TRIM")], MIRRORED, "docker.enabled = true")
    assert ("    withName: '(.*:)?(FASTQC|FASTQC_TRIM)' "
            f"{{ container = 'nexus:8443/quay.io/a/b@{DIGEST}' }}") in text.splitlines()
    assert "    offline {}" in text.splitlines()
    assert "docker.enabled = true" in text.splitlines()


def test_the_order_of_the_scan_does_not_matter() -> None:
    both = [process("A"), process("B")]
    assert render("x", both, MIRRORED, "") == render("x", both[::-1], MIRRORED, "")


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ImageError) as caught:
        render("x", [process("A", container="quay.io/no:1"), process("B", "it's")], MIRRORED, "")
    assert "quay.io/no:1 is not in the mirror's receipt" in str(caught.value)
    assert '"it\'s" is not a process name' in str(caught.value)


def test_a_process_with_two_images_is_refused() -> None:
    mirrored = {**MIRRORED, "quay.io/a/c:1": f"nexus:8443/quay.io/a/c@{DIGEST}"}
    with pytest.raises(ImageError, match="several images"):
        render("x", [process("A"), process("A", container="quay.io/a/c:1")], mirrored, "")


def test_an_image_that_would_end_the_string_is_refused() -> None:
    with pytest.raises(ImageError, match="not an image reference"):
        render("x", [process("A")], {"quay.io/a/b:1": "x' }; evil('"}, "")
