"""Strategies: genuine files torn in a few places, and documents made from a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tasks.core.schema import schema
from tests.fuzzing.reader import STRAY

LARGEST = 100_000
"""Bytes up to which a torn file may grow: repeated pieces find what takes quadratic time."""

NAMES = ["x", "", ".", "..", "../x", "a/../../x", "/", str(STRAY), "a//b", "./x", "a\\b", "-x",
         "a\nb", "a\rb", "\0", "a\0b", "é", "e\u0301", "\u202ex", "\ud800", "CON", "~", "$HOME",
         "a" * 300, "/".join("a" * 1000), "a b", "%2e%2e/x", "\x1b[2J", "＃", "٣"]
"""Names of files that mean harm, or are merely odd."""

JUNK = [b"", b"\0", b"\n", b"\r\n", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"../", b"/", b"-",
        b"..", b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\ud800", b"\\u0000", b"NaN", b"1e999",
        b"-1", b"1.0", b"true", b"null", b"9" * 5000, b"0x", "é٣９".encode(), b"\xed\xa0\x80",
        b": ", b"&a ", b"*a ", b"!!int x ", b"<<: ", b"- ", b"? ", b"${", b"$(", b",", b";",
        b"=", b"\x1b[", str(STRAY).encode(), b"sha256:", b"a" * 300, b"://", b"@", b"#", b"%00",
        b"\t", b"|"]
"""Pieces that mean something to one reader or another."""


@st.composite
def torn(draw: st.DrawFn, files: Sequence[bytes], pieces: Sequence[bytes] = ()) -> bytes:
    """A genuine file, in which a few places were changed, repeated, taken out or cut off."""
    data = bytearray(draw(st.sampled_from(list(files))))
    known = [*JUNK, *pieces]
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 1, 4, 20, 512]))
        kind = draw(st.sampled_from(["put", "put", "byte", "cut", "take", "repeat", "flood"]))
        if kind == "put":
            data[at:at + length] = draw(st.sampled_from(known))
        elif kind == "byte":
            data[at:at + 1] = draw(st.binary(min_size=1, max_size=3))
        elif kind == "cut":
            del data[at:]
        elif kind == "take":
            del data[at:at + length]
        else:
            piece = (bytes(data[at:at + length]) if kind == "repeat"
                     else draw(st.sampled_from(known)))
            times = draw(st.sampled_from([2, 10, 500, 5000, 50_000]))
            times = min(times, max(LARGEST - len(data), 0) // max(len(piece), 1))
            data[at:at] = piece * times
    return bytes(data)


@st.composite
def mixed(draw: st.DrawFn, pieces: Sequence[str]) -> str:
    """Pieces of a language in any order, one of them maybe very often."""
    words = draw(st.lists(st.sampled_from(list(pieces)), max_size=20))
    if words and draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(words) - 1))
        times = draw(st.sampled_from([30, 300, 3000, 30_000]))
        word = words[at] + draw(st.sampled_from(["", " "]))
        words[at] = word * min(times, LARGEST // max(len(word), 1))
    return draw(st.sampled_from(["", " ", "\n"])).join(words)


def texts(*genuine: str) -> SearchStrategy[str]:
    """Genuine texts, odd ones, and genuine ones torn."""
    files = [text.encode() for text in genuine]
    return (st.sampled_from([*genuine, *NAMES]) | st.text(max_size=30)
            | torn(files).map(lambda data: data.decode(errors="surrogatepass"
                                                       if b"\xed\xa0" in data else "replace")
                              if _decodes(data) else data.decode("latin-1")))


def _decodes(data: bytes) -> bool:
    try:
        data.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


ODD: list[Any] = [None, True, False, 0, -1, 1.0, 1.5, 2**70, 10**400, float("inf"), float("nan"),
                  "", [], {}, [[]], {"": {}}, *NAMES]


def values() -> SearchStrategy[Any]:
    """Any JSON value."""
    return st.recursive(st.sampled_from(ODD) | st.integers() | st.text(max_size=8),
                        lambda inner: st.lists(inner, max_size=3)
                        | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)


@lru_cache
def valid(name: str) -> SearchStrategy[Any]:
    """Documents that fit a schema, as far as its types, names and patterns say."""
    return _of(schema(name))


def _of(node: Mapping[str, Any]) -> SearchStrategy[Any]:
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if "oneOf" in node and "type" not in node:
        return st.one_of([_of(choice) for choice in node["oneOf"]])
    kinds = node.get("type", ["object"] if "properties" in node else ["null", "string", "integer"])
    return st.one_of([_kind(node, kind) for kind in
                      (kinds if isinstance(kinds, list) else [kinds])])


def _kind(node: Mapping[str, Any], kind: str) -> SearchStrategy[Any]:
    if kind == "object":
        return _mapping(node)
    if kind == "array":
        return st.lists(_of(node.get("items", {})), min_size=node.get("minItems", 0), max_size=3)
    if kind == "string":
        return (st.from_regex(node["pattern"]) if "pattern" in node
                else st.sampled_from(["x", "a b", "https://example.org/x", *NAMES]))
    if kind in ("integer", "number"):
        return st.integers(node.get("minimum", -5), node.get("maximum", 2**40))
    return st.booleans() if kind == "boolean" else st.none()


def _mapping(node: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
    known = {key: _of(inner) for key, inner in node.get("properties", {}).items()}
    required = set(node.get("required", []))
    fixed = st.fixed_dictionaries(
        {key: strategy for key, strategy in known.items() if key in required},
        optional={key: strategy for key, strategy in known.items() if key not in required})
    more = node.get("additionalProperties")
    if not isinstance(more, Mapping):
        return fixed
    names = (_of({"type": "string", **node["propertyNames"]}) if "propertyNames" in node
             else st.sampled_from(["x", "y", *NAMES]))
    extra = st.dictionaries(names, _of(more), max_size=2)
    return st.tuples(fixed, extra).map(lambda both: {**both[1], **both[0]})


@st.composite
def changed(draw: st.DrawFn, documents: SearchStrategy[Any]) -> Any:
    """A document in which some values, keys or items are others."""
    value = draw(documents)
    for _ in range(draw(st.integers(0, 2))):
        value = _change(draw, value)
    return value


def _change(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        kind = draw(st.sampled_from(["value", "value", "value", "name", "none"]))
        rest = {other: value[other] for other in value if other != key}
        if kind == "value":
            return {**rest, key: _change(draw, value[key])}
        return {**rest, draw(st.sampled_from(NAMES)): value[key]} if kind == "name" else rest
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _change(draw, value[at]), *value[at + draw(st.integers(0, 1)):]]
    return draw(st.sampled_from(ODD) | values())


def as_json(value: Any) -> bytes:
    """JSON as a careless or hostile writer writes it: NaN and half pairs stay."""
    return json.dumps(value, indent=1).encode()


def json_files(documents: SearchStrategy[Any]) -> SearchStrategy[bytes]:
    """Documents as files: genuine ones, ones with other values, and ones torn as text."""
    genuine = documents.map(as_json)
    deep = st.sampled_from([b"[" * 100_000, b'{"a":' * 20_000, b"[" * 20_000 + b"]" * 20_000])
    return (changed(documents).map(as_json) | genuine.flatmap(lambda data: torn([data]))
            | genuine | deep)


@lru_cache
def json_of(name: str) -> SearchStrategy[bytes]:
    """Files that fit a schema, nearly fit it, or once did."""
    return json_files(valid(name))
