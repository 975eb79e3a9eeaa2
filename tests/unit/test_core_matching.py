"""The quick answer to whether a value fits a schema is jsonschema's own answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core import matching, schema
from tests.fuzzing.inputs import changed, valid, values

NAMES = sorted(path.name.removesuffix(".schema.json") for path in schema.SCHEMAS.glob("*.json"))


def both(value: Any, of_schema: dict[str, Any]) -> tuple[bool, bool]:
    """What is said quickly and what jsonschema says; the latter twice where the first is open."""
    full = schema._validator()(of_schema).is_valid(value)
    try:
        return matching.matcher(of_schema)(value), full
    except matching.Undecided:
        return full, full


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_known(name: str) -> None:
    matching.matcher(schema.schema(name))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None, database=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_it_says_what_jsonschema_says(name: str, data: st.DataObject) -> None:
    value = data.draw(valid(name) | changed(valid(name)))
    quick, full = both(value, schema.schema(name))
    assert quick == full


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
SCHEMAS: list[dict[str, Any]] = [
    *({"type": kind} for kind in matching.TYPES), {"type": ["string", "null"]},
    {"enum": ["x", None, True]}, {"const": False}, {"const": 1}, {"enum": [0, "x"]},
    {"pattern": "^x$"}, {"pattern": r"^\\d+$"},
    {"format": "date-time"}, {"minLength": 2}, {"minimum": 0}, {"maximum": 1}, {"items": TEXT},
    {"minItems": 1}, {"uniqueItems": True}, {"required": ["x"]}, {"properties": {"x": TEXT}},
    {"additionalProperties": False}, {"additionalProperties": NUMBER},
    {"properties": {"x": TEXT}, "additionalProperties": False},
    {"properties": {"x": TEXT}, "additionalProperties": NUMBER},
    {"propertyNames": {"pattern": "^[xy]$"}}, {"oneOf": [TEXT, {"minLength": 2}]},
    {"anyOf": [TEXT, NUMBER]}, {"allOf": [TEXT, {"minLength": 2}]},
    {"if": TEXT, "then": {"minLength": 2}}, {"dependentRequired": {"x": ["y"]}}]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 0.5, float("nan"), float("inf"), 10**400, "", "x", "xx",
    "x\n", "1", "\u0661", "2026-02-31T00:00:00Z", "2026-01-01T00:00:00Z", [], ["x"], ["x", "x"],
    [1, True], [1, 1.0], [[]], {}, {"x": "x"}, {"x": 1}, {"x": "x", "y": 1}, {"y": "y"}, {"z": 2}]


@pytest.mark.parametrize("of_schema", SCHEMAS, ids=str)
def test_each_keyword_with_awkward_values(of_schema: dict[str, Any]) -> None:
    for value in VALUES:
        quick, full = both(value, of_schema)
        assert quick == full, value


@pytest.mark.parametrize("of_schema", SCHEMAS, ids=str)
@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(value=values())
def test_each_keyword_with_any_value(of_schema: dict[str, Any], value: Any) -> None:
    quick, full = both(value, of_schema)
    assert quick == full


def test_a_keyword_that_is_not_known_is_left_to_jsonschema() -> None:
    with pytest.raises(matching.Undecided):
        matching.matcher({"properties": {"x": {"multipleOf": 2}}})
