"""Which versions a plugin's range allows: as Nextflow's own library reads it."""

from __future__ import annotations

import pytest

from tasks.core.nextflow import plugin_ranges


@pytest.mark.parametrize(("text", "allowed", "refused"), [
    ("~1.2.3", ["1.2.3", "1.2.99"], ["1.2.2", "1.3.0", "2.2.3"]),
    ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]), ("~1", ["1.0.0", "1.9.0"], ["2.0.0"]),
    ("^1.2.3", ["1.2.3", "1.9.0"], ["1.2.2", "2.0.0"]),
    ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]), ("^0.0.3", ["0.0.3"], ["0.0.4"]),
    ("^0.2", ["0.2.0", "0.2.7"], ["0.3.0"]), ("^0", ["0.9.0"], ["1.0.0"]),
    ("1.2", ["1.2.0", "1.2.4"], ["1.3.0"]), ("1", ["1.0.0", "1.7.2"], ["2.0.0"]),
    ("1.*", ["1.0.0"], ["2.0.0"]), ("1.2.x", ["1.2.0"], ["1.3.0"]), ("X", ["0.0.1"], []),
    (">=1.0", ["1.0.0", "3.0.0"], ["0.9.9"]), (">1", ["1.0.1"], ["1.0.0"]),
    ("<=1.2", ["1.2.0"], ["1.2.1"]), ("!=1.2.0", ["1.2.1"], ["1.2.0"]), ("=1.2", ["1.2.0"], []),
    (">= 1.0 & < 2.0", ["1.5.0"], ["2.0.0"]), (">=1.0&&<2.0", ["1.5.0"], ["2.0.0"]),
    ("~1.2 || ~1.4", ["1.2.1", "1.4.1"], ["1.3.1"]), ("1.0-2.0", ["1.0.0", "2.0.0"], ["2.0.1"]),
    ("!(~1.2)", ["1.3.0"], ["1.2.5"]), ("(~1.2 | ~1.3) & !=1.2.5", ["1.2.4"], ["1.2.5"]),
    # The right one of two is read first: `~1.2 | (~1.3 & !=1.2.5)`.
    ("~1.2 | ~1.3 & !=1.2.5", ["1.2.5", "1.3.0"], ["1.4.0"]),
    ("1.2+", ["1.2.0", "1.9.0"], ["2.0.0"]), (">=1.0, <2", ["1.9.0"], ["2.0.0"]),
    ("", ["1.0.0"], []), ("1.2.3", ["1.2.3"], ["1.2.4"]), ("1.2.3-beta", ["1.2.3-beta"], ["1.2.3"]),
])
def test_a_range(text: str, allowed: list[str], refused: list[str]) -> None:
    assert not text or plugin_ranges.is_range(text) or plugin_ranges.is_exact(text)
    assert [version for version in allowed if not plugin_ranges.meets(version, text)] == []
    assert [version for version in refused if plugin_ranges.meets(version, text)] == []


@pytest.mark.parametrize("text", ["~", "1.", "1.2.3.4.5 x", "latest", "(1.2", "1.2)", "~1.*",
                                  "!1.2", ">=1.*", "1.x.2", "1.x - 2", "&", "~1.2 |", "(" * 150,
                                  "1" * 300, ">=١.0"])
def test_what_is_no_range_allows_nothing(text: str) -> None:
    assert not plugin_ranges.is_range(text)
    assert not plugin_ranges.meets("1.2.0", text)
