"""Salted commitments: what an event says of values that lie beside the log.

A commitment is HMAC-SHA-256(salt, "delivery-ledger/1" 0x00 event id, field path, 0x00, canonical value), the event id as its 36
ASCII characters. Each field has its own 32-byte salt, derived from one secret per event and person, so that one
field can be shown without helping to guess another.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from ledger.canonical import encode

PREFIX = b"delivery-ledger/1\0"
SALT_BYTES = 32


def salt(secret: bytes, event_id: str, path: str) -> bytes:
    """The salt of one field; reveals nothing of the secret or of other salts."""
    return hmac.digest(secret, b"salt\0" + event_id.encode() + path.encode(), "sha256")


def commit(field_salt: bytes, event_id: str, path: str, value: object) -> str:
    """The commitment to one value.

    Args:
        field_salt: exactly 32 bytes.
        event_id: UUID text, 36 ASCII characters.
        path: field path, ASCII.
        value: anything canonical JSON can carry.

    Returns:
        43 characters of unpadded base64url.
    """
    if len(field_salt) != SALT_BYTES:
        msg = f"a salt has {SALT_BYTES} bytes, not {len(field_salt)}"
        raise ValueError(msg)
    message = PREFIX + event_id.encode("ascii") + path.encode("ascii") + b"\0" + encode(value)
    return to_text(hmac.digest(field_salt, message, "sha256"))


def opens(commitment: str, field_salt: bytes, event_id: str, path: str, value: object) -> bool:
    """Whether the value and salt are the ones committed to."""
    expected = commit(field_salt, event_id, path, value).encode()
    return hmac.compare_digest(commitment.encode("utf-8", "surrogatepass"), expected)


def to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
