"""Whether a value fits a JSON schema, by functions that are made from the schema once.

This only says yes or no, some thirty times as fast as jsonschema: lists have thousands of entries.
What is wrong with a value is jsonschema's to say. It knows the keywords that our schemas have, with
the meaning that `schema.py` gives them; `tests/unit/test_core_matching.py` holds both together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Match = Callable[[Any], bool]

NOTES = {"$schema", "title", "description", "default", "x-readers"}
"""Keywords that demand nothing."""


class Undecided(Exception):
    """This must be left to jsonschema: a keyword, or a value, that isn't known here."""


def matcher(schema: Mapping[str, Any]) -> Match:
    """Return what says whether a value fits; it, and this, may raise Undecided."""
    matches = [MAKERS[keyword](schema) for keyword in schema
               if keyword not in NOTES and _is_known(keyword)]
    if len(matches) == 1:
        return matches[0]
    return lambda value: all(match(value) for match in matches)


def _is_known(keyword: str) -> bool:
    if keyword in PARTS:  # read with the keyword that they are a part of
        return False
    if keyword not in MAKERS:
        raise Undecided(keyword)
    return True


def is_time(value: Any) -> bool:
    """True; ValueError for a text that is no time. Which digits it has, a pattern says."""
    if isinstance(value, str):
        datetime.fromisoformat(value.rstrip("Z"))
    return True


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as JSON Schema means it: in Python, `$` would let a newline follow, and `\\d` would
    let in the digits of all scripts."""
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern), re.ASCII)


TYPES: dict[str, Match] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def _type(schema: Mapping[str, Any]) -> Match:
    names = schema["type"]
    if isinstance(names, str):
        return TYPES[names]
    types = [TYPES[name] for name in names]
    return lambda value: any(fits(value) for fits in types)


def _enum(schema: Mapping[str, Any]) -> Match:
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    if not all(isinstance(value, (str, int, type(None))) for value in values):
        raise Undecided("enum")  # lists and mappings are compared item by item there
    # In JSON Schema 1 and 1.0 are equal, and 1 and true are not.
    allowed = {(isinstance(value, bool), value) for value in values}
    return lambda value: (isinstance(value, (str, int, float, type(None)))
                          and (isinstance(value, bool), value) in allowed)


def _pattern(schema: Mapping[str, Any]) -> Match:
    search = compiled(schema["pattern"]).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _format(schema: Mapping[str, Any]) -> Match:
    if schema["format"] != "date-time":
        raise Undecided("format")

    def is_format(value: Any) -> bool:
        try:
            return is_time(value)
        except ValueError:
            return False

    return is_format


def _min_length(schema: Mapping[str, Any]) -> Match:
    least = schema["minLength"]
    return lambda value: not isinstance(value, str) or len(value) >= least


def _minimum(schema: Mapping[str, Any]) -> Match:
    least, is_number = schema["minimum"], TYPES["number"]
    return lambda value: not is_number(value) or not value < least


def _maximum(schema: Mapping[str, Any]) -> Match:
    most, is_number = schema["maximum"], TYPES["number"]
    return lambda value: not is_number(value) or not value > most


def _items(schema: Mapping[str, Any]) -> Match:
    match = matcher(schema["items"])
    return lambda value: not isinstance(value, list) or all(map(match, value))


def _min_items(schema: Mapping[str, Any]) -> Match:
    least = schema["minItems"]
    return lambda value: not isinstance(value, list) or len(value) >= least


def _unique_items(schema: Mapping[str, Any]) -> Match:
    def is_unique(value: Any) -> bool:
        if not isinstance(value, list):
            return True
        if not all(isinstance(item, str) for item in value):
            raise Undecided("uniqueItems")
        return len(set(value)) == len(value)

    if schema["uniqueItems"] is not True:
        raise Undecided("uniqueItems")
    return is_unique


def _required(schema: Mapping[str, Any]) -> Match:
    names = frozenset(schema["required"])
    return lambda value: not isinstance(value, dict) or names <= value.keys()


def _properties(schema: Mapping[str, Any]) -> Match:
    """`properties` with `additionalProperties`: each key is looked up once."""
    known = {name: matcher(of_name) for name, of_name in schema.get("properties", {}).items()}
    more = schema.get("additionalProperties", True)
    other = (lambda value: more) if isinstance(more, bool) else matcher(more)

    def match(value: Any) -> bool:
        return not isinstance(value, dict) or all(
            known.get(name, other)(content) for name, content in value.items())

    return match


def _additional(schema: Mapping[str, Any]) -> Match:
    return (lambda value: True) if "properties" in schema else _properties(schema)


def _property_names(schema: Mapping[str, Any]) -> Match:
    match = matcher(schema["propertyNames"])
    return lambda value: not isinstance(value, dict) or all(map(match, value))


def _one_of(schema: Mapping[str, Any]) -> Match:
    choices = [matcher(choice) for choice in schema["oneOf"]]
    return lambda value: sum(match(value) for match in choices) == 1


def _any_of(schema: Mapping[str, Any]) -> Match:
    choices = [matcher(choice) for choice in schema["anyOf"]]
    return lambda value: any(match(value) for match in choices)


def _all_of(schema: Mapping[str, Any]) -> Match:
    parts = [matcher(part) for part in schema["allOf"]]
    return lambda value: all(match(value) for match in parts)


def _dependent_required(schema: Mapping[str, Any]) -> Match:
    names = {name: frozenset(more) for name, more in schema["dependentRequired"].items()}
    return lambda value: not isinstance(value, dict) or all(
        more <= value.keys() for name, more in names.items() if name in value)


def _if(schema: Mapping[str, Any]) -> Match:
    condition, consequence = matcher(schema["if"]), matcher(schema["then"])
    return lambda value: not condition(value) or consequence(value)


MAKERS: dict[str, Callable[[Mapping[str, Any]], Match]] = {
    "type": _type, "enum": _enum, "const": _enum, "pattern": _pattern, "format": _format,
    "minLength": _min_length, "minimum": _minimum, "maximum": _maximum, "items": _items,
    "minItems": _min_items, "uniqueItems": _unique_items, "required": _required,
    "properties": _properties, "additionalProperties": _additional,
    "propertyNames": _property_names, "oneOf": _one_of, "anyOf": _any_of, "allOf": _all_of,
    "dependentRequired": _dependent_required, "if": _if,
}
PARTS = {"then"}
"""Keywords that another one reads."""
