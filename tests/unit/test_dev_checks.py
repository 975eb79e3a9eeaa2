"""`doit test` runs every check, shows all, and names those that failed and what was skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import AirlockError
from tasks.dev.checks import SERVERS, Check, CheckSpec, run, server_checks
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


def spec(folder: Path, allowed: str, *shown: str, beside: tuple[str, ...]) -> CheckSpec:
    (folder / "allowed.txt").write_text(f"# why\n{allowed}\n")
    return CheckSpec(logs=folder, allowed_skips=folder / "allowed.txt",
                     prepare=Check(name="machine", words=("ruff", "--version")),
                     beside=tuple(Check(name=f"beside-{number}", words=tuple(words.split()))
                                  for number, words in enumerate(beside)),
                     shown=Check(name="shown", words=shown))


def test_all_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = run(spec(tmp_path, "", "pytest", "--version", beside=("mypy --version",)))
    assert said == "all checks passed, 0 tests skipped"
    out = capfd.readouterr().out
    assert out.index("== machine: ruff --version") < out.index("== shown: pytest --version")
    assert out.index("== beside-0: mypy --version") < out.rindex("mypy ")
    assert out.rstrip().endswith("== skipped: 0 tests")


def test_each_that_failed_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AirlockError, match=r"failed: shown, beside-0\n"):
        run(spec(tmp_path, "", "pytest", "--nonsense", beside=("ruff nonsense", "mypy --version")))
    out = capfd.readouterr().out
    assert "== beside-0: ruff nonsense\nerror: " in out
    assert "== beside-1: mypy --version\nmypy " in out


def test_what_waits_is_begun_by_whoever_has_ended(tmp_path: Path) -> None:
    """Two at a time once the shown one has ended: each of the waiting ones is done, and once."""
    tests = {}
    for name in ("first", "second", "third"):
        tests[name] = tmp_path / f"test_{name}.py"
        tests[name].write_text(f"""
import time
from pathlib import Path

def test_{name}():
    place = Path({str(tmp_path)!r})
    (place / "{name}.begun").write_text("")
    end = time.monotonic() + 20
    others = ["{'second' if name == 'first' else 'first'}"] if "{name}" != "third" else []
    while not all((place / f"{{other}}.begun").exists() for other in others):
        assert time.monotonic() < end
        time.sleep(0.05)
    with (place / "order").open("a") as order:
        order.write("{name} ")
""")
    words = [f"pytest {path} --rootdir={tmp_path}" for path in tests.values()]
    run(spec(tmp_path, "", "ruff", "--version", beside=(*words,)))
    order = (tmp_path / "order").read_text().split()
    assert sorted(order) == ["first", "second", "third"]
    assert order[-1] == "third"


def test_every_module_with_servers_is_in_one_part() -> None:
    listed = [path for check in server_checks() for path in check.words[1:]]
    assert sorted(listed) == sorted(map(str, SERVERS.glob("test_*.py")))


def test_what_was_skipped_is_listed_and_fails_where_no_line_allows_it(
        tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tests = tmp_path / "test_tiny.py"
    tests.write_text(TESTS)
    command = ("pytest", str(tests), f"--rootdir={tmp_path}", "-p", "no:hypothesispytest")
    allowed = "test_tiny::test_without*  no Go"
    with pytest.raises(AirlockError) as caught:
        run(spec(tmp_path, allowed, *command, beside=("ruff --version",)))
    said = "failed: test_tiny::test_in_its_body[a b] was skipped, which "
    assert said in str(caught.value)
    assert "test_without_go" not in str(caught.value)
    assert capfd.readouterr().out.rstrip().endswith(
        "== skipped: 2 tests\n"
        "no Go: nothing builds the server\n    test_tiny::test_without_go\n"
        "not here\n    test_tiny::test_in_its_body[a b]")
    both = f"{allowed}\ntest_tiny::*  not"
    assert run(spec(tmp_path, both, *command, beside=("ruff --version",))).endswith(
        "passed, 2 tests skipped")


@pytest.mark.parametrize(("test", "reason", "allowed"), [
    ("tests.servers.test_store_s3::test_x", "no Go to build versitygw with", True),
    ("tests.servers.host.test_crossing::test_x", "not root: only root could", True),
    ("tests.servers.host.test_images_save_engines::test_x",
     "`./doit test` would have installed busybox", False),
    ("tests.unit.test_docs::test_x", "not root: only root could", False)])
def test_only_what_the_machine_lacks_is_on_the_list(test: str, reason: str, allowed: bool) -> None:
    assert (unlisted([Skip(test=test, reason=reason)], ALLOWED) == []) is allowed
