"""HMAC-SHA-256 against RFC 4231 and the standard library."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.mac import BLOCK_BYTES, hmac_sha256

# RFC 4231, test cases 1, 2, 3 and 6: key, data, HMAC-SHA-256.
VECTORS = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]


@pytest.mark.parametrize(("key", "data", "expected"), VECTORS)
def test_vectors_of_the_rfc(key: bytes, data: bytes, expected: str) -> None:
    """The published vectors come out."""
    assert expected == hmac_sha256(key, data).hex()


@given(st.binary(max_size=2 * BLOCK_BYTES), st.binary(max_size=300))
def test_same_as_the_standard_library(key: bytes, message: bytes) -> None:
    """Any key and message give what the standard library gives."""
    assert hmac.digest(key, message, "sha256") == hmac_sha256(key, message)
