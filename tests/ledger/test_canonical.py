"""Canonical JSON against an independent implementation of RFC 8785, and what the subset refuses."""

from __future__ import annotations

import enum
import json
import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import MAX_INT, check, decode, encode, encode_checked, repair_text
from ledger.errors import InvalidEventError

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
VALUES = st.recursive(
    TEXTS | st.integers(-MAX_INT, MAX_INT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_encoding_is_that_of_rfc_8785(value: Any) -> None:
    """On the subset, our bytes are those of the `rfc8785` package, and they decode to the value."""
    encoded = encode(value)
    assert rfc8785.dumps(value) == encoded
    assert value == decode(encoded) == json.loads(encoded)


@given(st.dictionaries(KEYS, TEXTS, min_size=2, max_size=9))
def test_order_of_keys_does_not_matter(value: dict[str, str]) -> None:
    """Two objects that are equal have the same bytes."""
    assert encode(value) == encode(dict(reversed(value.items())))


CONTROL = "".join(map(chr, range(1, 32))) + '"\\/\x7f\u2028\u2029é€\U0001f4e7'


def test_every_character_is_escaped_as_the_rfc_says() -> None:
    """Control characters, quotes and backslash are escaped the shortest way, everything else stands as it is."""
    expected = (
        '"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f'
        "\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f"
        '\\"\\\\/\x7f\u2028\u2029é€\U0001f4e7"'
    )
    assert expected.encode() == encode(CONTROL) == rfc8785.dumps(CONTROL)


class Word(enum.StrEnum):
    """A text that is more than a text."""

    ONE = "one"


class Number(int):
    """An integer that is more than an integer."""


REFUSED: list[Any] = [
    None,
    True,
    False,
    1.0,
    0.5,
    math.nan,
    math.inf,
    MAX_INT + 1,
    -MAX_INT - 1,
    2**64,
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    b"bytes",
    {"a": None},
    {"a": [1, {"b": True}]},
    {"é": 1},
    {1: "a"},
    {b"a": 1},
    {Word.ONE: 1},
    {"a\ud800": 1},
    Word.ONE,
    Number(1),
    {1, 2},
    Ellipsis,
    UUID(int=1),
    datetime(2026, 1, 1, tzinfo=UTC),
]


@pytest.mark.parametrize("value", REFUSED, ids=repr)
def test_what_is_outside_the_subset_is_refused(value: Any) -> None:
    """Floats, null, booleans, large integers, U+0000, lone surrogates, other keys and other types have no form here."""
    with pytest.raises(InvalidEventError):
        encode(value)
    with pytest.raises(InvalidEventError):
        encode({"deep": [value]})


def test_refusal_names_the_place_and_not_the_value() -> None:
    """An error may be logged, so it never holds what was said."""
    with pytest.raises(InvalidEventError, match=r"^a\[1\]\.b: U\+0000 or a lone surrogate$"):
        check({"a": ["x", {"b": "Anna\0"}]})


@pytest.mark.parametrize("value", ["\ud800", {1, 2}, 2**64])
def test_encoding_of_what_was_never_checked_is_refused_and_no_other_error(value: Any) -> None:
    """Whatever the encoder itself cannot carry comes out as the same error."""
    with pytest.raises(InvalidEventError):
        encode_checked({"a": value})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[1,]", b"NaN", b'"\xed\xa0\x80"', b"[" * 5000])
def test_decoding_of_what_is_not_json_is_refused(data: bytes) -> None:
    """Hostile bytes give one error."""
    with pytest.raises(InvalidEventError):
        decode(data)


@given(st.text())
def test_repaired_text_can_be_stored_and_says_whether_it_was_changed(text: str) -> None:
    """Any text can be repaired; what could be stored already stays as it was; repairing twice changes nothing more."""
    fixed, is_repaired = repair_text(text)
    assert is_repaired == (fixed != text)
    assert (fixed, False) == repair_text(fixed)
    assert encode(fixed)
    if not is_repaired:
        assert text == fixed


@pytest.mark.parametrize(
    ("text", "fixed"),
    [("a\0b", "a\ufffdb"), ("a\ud800b", "a\ufffdb"), ("\ud83d\udce7", "\U0001f4e7"), ("\udce7\ud83d", "\ufffd\ufffd")],
)
def test_repair_replaces_what_json_cannot_carry(text: str, fixed: str) -> None:
    """U+0000 and lone surrogates become U+FFFD; a pair in two halves becomes the character it stands for."""
    assert (fixed, True) == repair_text(text)
