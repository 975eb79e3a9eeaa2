"""SHA256SUMS: written and read back; anything else is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import IntegrityError
from tasks.core.trust.checksums import blob_key, format_sums, parse_sums, release_id
from tasks.release.release import safe_revision

NAMES = st.text(st.characters(exclude_characters="\\/", exclude_categories=("Cc", "Cs")),
                min_size=1).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
LISTS = st.dictionaries(PATHS, DIGESTS, min_size=1, max_size=6)


@given(LISTS)
def test_what_is_written_is_read_back(digests: dict[str, str]) -> None:
    assert parse_sums(format_sums(digests), where="here") == digests


@given(LISTS, st.data())
def test_a_changed_byte_is_refused_or_read_as_something_else(digests: dict[str, str],
                                                             data: st.DataObject) -> None:
    text = bytearray(format_sums(digests))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(IntegrityError):
        assert parse_sums(bytes(text), where="here") != digests


@given(LISTS, st.data())
def test_a_list_that_was_cut_is_never_the_whole(digests: dict[str, str],
                                                data: st.DataObject) -> None:
    text = format_sums(digests)
    cut = data.draw(st.integers(0, len(text) - 1))
    with contextlib.suppress(IntegrityError):
        assert parse_sums(text[:cut], where="here") != digests


@pytest.mark.parametrize("text", [
    "", "x\n", f"{'a' * 64} one-space\n", f"{'A' * 64}  upper\n", f"{'a' * 64}  f",
    f"{'a' * 64}  /etc/passwd\n", f"{'a' * 64}  ../up\n", f"\\{'a' * 64}  a\\nb\n",
    f"{'a' * 64}  a\n{'b' * 64}  a\n", f"{'a' * 64}  a\\b\n"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        parse_sums(text.encode(), where="here")


@pytest.mark.parametrize("path", ["a\nb", "/a", "a/../b", "a\\b", ""])
def test_a_name_that_would_forge_a_line_is_not_written(path: str) -> None:
    with pytest.raises(IntegrityError):
        format_sums({path: "a" * 64})


@pytest.mark.parametrize(("given_", "safe"), [
    ("1.0.1", "1.0.1"), ("feature/x", "feature-x"), ("../..", "dev"), ("-x", "x"), ("a b", "a-b")])
def test_a_revision_is_one_part_of_a_path(given_: str, safe: str) -> None:
    assert safe_revision(given_) == safe
    assert release_id(safe, b"") == f"{safe}-e3b0c44298fc"


def test_a_blob_keeps_its_name() -> None:
    assert blob_key("data/x/reads_1.fq.gz", "d" * 64) == f"blobs/sha256/{'d' * 64}/reads_1.fq.gz"
