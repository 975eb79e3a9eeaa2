"""Requirements: exact, hashed, from no index in particular, and what we name needs all of them."""

from __future__ import annotations

import itertools
import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PINNED = ["requirements.txt", "requirements-build.txt", "requirements-dev.txt",
          "tasks/batch/requirements-awscli.txt",
          "tests/kit/multiqc-requirements.txt", "tests/bench/peers-requirements.txt"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
MACHINES = ["x86_64", "aarch64"]
PIN = re.compile(r"([a-z0-9-]+)==([0-9][\w.]*)((?: ;[^\\\n]*)?)"
                 r"((?: \\\n    --hash=sha256:[0-9a-f]{64})+)")


def pins(path: str) -> dict[str, re.Match[str]]:
    """Each requirement by its name, once; nothing else stands in the file but comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / path).read_text(), flags=re.MULTILINE)
    found = list(PIN.finditer(text))
    assert "".join(f"{pin[0]}\n" for pin in found) == text
    names = [pin[1] for pin in found]
    assert len(names) == len(set(names)), "one version for all Pythons, since markers are taken off"
    return {pin[1]: pin for pin in found}


def environments() -> list[dict[str, str]]:
    """The Pythons and machines that a site may have."""
    return [{"python_version": python, "python_full_version": f"{python}.0",
             "platform_machine": machine, "sys_platform": "linux", "platform_system": "Linux",
             "os_name": "posix", "implementation_name": "cpython",
             "platform_python_implementation": "CPython"}
            for python, machine in itertools.product(PYTHONS, MACHINES)]


def named(path: str) -> set[Requirement]:
    """What the file of names names, and what the files that it reads name."""
    found: set[Requirement] = set()
    for line in (ROOT / path).read_text().splitlines():
        if line.startswith("-r "):
            found |= named(str(Path(path).parent / line[3:]))
        elif line and not line.startswith("#"):
            found.add(Requirement(line))
    return found


def needs(requirement: Requirement, environment: dict[str, str]) -> list[Requirement]:
    """What an installed package asks for; one that this Python lacks needs nothing."""
    try:
        listed = [Requirement(text) for text in requires(requirement.name) or []]
    except PackageNotFoundError:
        return []
    return [need for need in listed if need.marker is None or any(
        need.marker.evaluate({**environment, "extra": extra})
        for extra in ("", *requirement.extras))]


@pytest.mark.parametrize("path", PINNED)
def test_every_requirement_is_exact_and_has_its_hashes(path: str) -> None:
    assert pins(path)


@pytest.mark.parametrize("path", PINNED)
def test_no_index_is_named(path: str) -> None:
    assert not re.search(r"://|-index|--find-links|--trusted-host", (ROOT / path).read_text())


@pytest.mark.parametrize("kind", ["requirements", "requirements-dev"])
def test_what_is_pinned_is_what_is_named_and_all_that_this_needs(kind: str) -> None:
    pinned = pins(f"{kind}.txt")
    reached: set[str] = set()
    for environment in environments():
        waiting = list(named(f"{kind}.in"))
        seen: set[str] = set()
        while waiting:
            wanted = waiting.pop()
            name = canonicalize_name(wanted.name)
            assert name in pinned, f"{wanted} is needed, and not pinned"
            marker = pinned[name][3].removeprefix(" ;").strip()
            assert not marker or Marker(marker).evaluate(environment), f"{wanted}: {marker}"
            assert Version(pinned[name][2]) in wanted.specifier
            if str(wanted) not in seen:
                seen.add(str(wanted))
                waiting += needs(wanted, environment)
            reached.add(name)
    absent = {name for name in pinned if not _is_here(name)}
    assert absent | reached == set(pinned), "pinned, and needed by nothing"


def _is_here(name: str) -> bool:
    try:
        requires(name)
    except PackageNotFoundError:
        return False
    return True


def test_the_tests_have_the_products_own_versions() -> None:
    product, tests = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: (pin[2], pin[4]) for name, pin in product.items() if name in tests} == {
        name: (pin[2], pin[4]) for name, pin in tests.items() if name in product}
    assert set(product) <= set(tests)


def test_tests_and_benches_fetch_no_latest() -> None:
    assert not [path for path in ROOT.glob("tests/**/*.py")
                if re.search(r"@lates" r"t\b", path.read_text())]
