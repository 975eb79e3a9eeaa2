"""Every reader of foreign bytes, with few inputs; tests/bench/fuzz.py has many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing.reader import judge
from tests.fuzzing.table import READERS


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_is_right_or_refused_with_words(name: str) -> None:
    reader, accepted = READERS[name], []

    @settings(max_examples=reader.quick, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data: st.DataObject) -> None:
        value: Any = data.draw(reader.inputs)
        judged = judge(reader, value)
        assert judged.fault is None
        accepted.append(not judged.refused)

    run()
    assert any(accepted), "a reader to which nothing gets through shows nothing"
