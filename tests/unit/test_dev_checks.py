"""`doit test` runs every check, shows all, and names those that failed and what was skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import AirlockError
from tasks.dev.checks import CheckSpec, run
from tasks.dev.skips import Skip, unlisted

TESTS = """
import pytest

def test_that_runs():
    pass

@pytest.mark.skip(reason="no Go: nothing builds the server")
def test_without_go():
    pass

@pytest.mark.parametrize("word", ["a b"])
def test_in_its_body(word):
    pytest.skip("not here")

@pytest.mark.xfail
def test_of_a_known_fault():
    assert False
"""
ALLOWED = Path(__file__).resolve().parents[1] / "allowed-skips.txt"


def spec(folder: Path, allowed: str, *shown: str, beside: tuple[str, str]) -> CheckSpec:
    (folder / "allowed.txt").write_text(f"# why\n{allowed}\n")
    return CheckSpec(logs=folder, allowed_skips=folder / "allowed.txt",
                     prepare=("ruff", "--version"), beside=(beside,), shown=shown)


def test_all_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = run(spec(tmp_path, "", "pytest", "--version", beside=("mypy", "--version")))
    assert said == "all checks passed, 0 tests skipped"
    out = capfd.readouterr().out
    assert out.index("== ruff --version") < out.index("== pytest --version")
    assert out.index("== mypy --version") < out.rindex("mypy ")
    assert out.rstrip().endswith("== skipped: 0 tests")


def test_each_that_failed_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AirlockError, match=r"failed: pytest --nonsense, ruff nonsense"):
        run(spec(tmp_path, "", "pytest", "--nonsense", beside=("ruff", "nonsense")))
    assert "== ruff nonsense\nerror: " in capfd.readouterr().out


def test_what_was_skipped_is_listed_and_fails_where_no_line_allows_it(
        tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tests = tmp_path / "test_tiny.py"
    tests.write_text(TESTS)
    command = ("pytest", str(tests), f"--rootdir={tmp_path}", "-p", "no:hypothesispytest")
    allowed = "test_tiny::test_without*  no Go"
    with pytest.raises(AirlockError) as caught:
        run(spec(tmp_path, allowed, *command, beside=("ruff", "--version")))
    said = "failed: test_tiny::test_in_its_body[a b] was skipped, which "
    assert said in str(caught.value)
    assert "test_without_go" not in str(caught.value)
    assert capfd.readouterr().out.rstrip().endswith(
        "== skipped: 2 tests\n"
        "no Go: nothing builds the server\n    test_tiny::test_without_go\n"
        "not here\n    test_tiny::test_in_its_body[a b]")
    both = f"{allowed}\ntest_tiny::*  not"
    assert run(spec(tmp_path, both, *command, beside=("ruff", "--version"))).endswith(
        "passed, 2 tests skipped")


@pytest.mark.parametrize(("test", "reason", "allowed"), [
    ("tests.servers.test_store_s3::test_x", "no Go to build versitygw with", True),
    ("tests.servers.host.test_crossing::test_x", "not root: only root could", True),
    ("tests.servers.host.test_images_save_engines::test_x",
     "`./doit test` would have installed busybox", False),
    ("tests.unit.test_docs::test_x", "not root: only root could", False)])
def test_only_what_the_machine_lacks_is_on_the_list(test: str, reason: str, allowed: bool) -> None:
    assert (unlisted([Skip(test=test, reason=reason)], ALLOWED) == []) is allowed
