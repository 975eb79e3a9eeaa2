"""`doit test` runs every check, shows all, and names those that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import AirlockError
from tasks.dev.checks import CheckSpec, run


def test_all_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = run(CheckSpec(logs=tmp_path, beside=(("ruff", "--version"),),
                         shown=("pytest", "--version")))
    assert told == "all checks passed"
    out = capfd.readouterr().out
    assert "== pytest --version" in out
    assert out.index("== ruff --version") < out.rindex("ruff ")


def test_each_that_failed_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AirlockError, match=r"failed: pytest --nonsense, ruff nonsense"):
        run(CheckSpec(logs=tmp_path, beside=(("ruff", "nonsense"), ("mypy", "--version")),
                      shown=("pytest", "--nonsense")))
    assert "== mypy --version\nmypy " in capfd.readouterr().out
