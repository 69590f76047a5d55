"""Opening in bulk: what it passes is what opening one by one passes."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.application import open_values
from ledger.commitments import PREFIX, salt, to_text
from ledger.errors import LedgerError
from ledger.events import Event
from ledger.mac import hmac_sha256
from ledger.reopening import Page, Said, open_all
from ledger.sealing import seal

KEY, KEY_ID, SECRET = bytes([7]) * 32, b"key", bytes([8]) * 32
ID = "0190a000-0000-7000-8000-000000000001"
ODD = [
    "é",
    'a"b',
    "a\0b",
    "\u2028",
    7,
    2**53,
    1.5,
    True,
    None,
    [],
    ["a", 1],
    {"a": {"b": "c"}},
    {"é": "x"},
    {"a": 2**53},
]
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("a\0b")
values = st.recursive(
    leaves, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3)
)


def sealed(said: dict[str, Any], altered: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Commitments to values as somebody makes them who looks at nothing, and other values sealed beside them."""
    commitments = {}
    for path, value in said.items():
        written = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        message = PREFIX + ID.encode() + path.encode() + b"\0" + written
        commitments[path] = to_text(hmac_sha256(salt(SECRET, ID, path), message))
    plain = json.dumps({"secret": to_text(SECRET), "values": altered}).encode()
    return commitments, seal(KEY, plain, ID.encode() + KEY_ID)


def opens_singly(commitments: dict[str, str], blob: bytes) -> bool:
    try:
        open_values(Event(1, b"", {"id": ID, "commit": commitments}), KEY_ID, KEY, blob)
    except (LedgerError, KeyError, ValueError, TypeError):
        return False
    return True


@settings(max_examples=30)
@example([(each, None) for each in ODD])
@example([(each, "other") for each in ODD])
@given(st.lists(st.tuples(values, st.none() | values), min_size=1, max_size=4))
def test_values_pass_together_that_pass_one_by_one(given: list[tuple[Any, Any]]) -> None:
    """Whatever is sealed beside events, those are in doubt of which one does not open as everybody opens it."""
    events, states, rows, expected = {}, {}, [], set()
    for position, (said, other) in enumerate(given, 1):
        commitments, blob = sealed({"text": said, "same": "x"}, {"text": said if other is None else other, "same": "x"})
        events[position] = Said(ID, "stream", 1, "", "", commitments)
        states[position] = b""
        rows.append((position, KEY_ID, blob))
        if not opens_singly(commitments, blob):
            expected.add(position)
    opened, doubtful = open_all(Page(0, len(given), states, events), rows, {KEY_ID: AESGCM(KEY).decrypt})
    assert expected == doubtful
    assert events.keys() - expected == opened.keys()
