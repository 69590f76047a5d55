"""Salted commitments: what an event says of values that lie beside the log.

A commitment is HMAC-SHA-256(salt, "delivery-ledger/1" 0x00 event id, field path, 0x00, canonical value), the event id as its 36
ASCII characters. Each field has its own 32-byte salt, derived from one secret per event and person, so that one
field can be shown without helping to guess another.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from hashlib import sha256

from orjson import OPT_SORT_KEYS, dumps

from ledger.canonical import encode
from ledger.mac import hmac_sha256, pads

PREFIX = b"delivery-ledger/1\0"
SALT_BYTES = 32

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


def salt(secret: bytes, event_id: str, path: str) -> bytes:
    """The salt of one field; reveals nothing of the secret or of other salts."""
    return hmac_sha256(secret, b"salt\0" + event_id.encode() + path.encode())


def commit_each(secret: bytes, event_id: str, values: Mapping[str, object]) -> dict[str, str]:
    """The commitment to every value, under the salt of its path."""
    return dict(zip(values, _joined(secret, event_id, values).split("="), strict=False))  # of no values, nothing


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
    return to_text(hmac_sha256(field_salt, message))


def opens(commitment: str, field_salt: bytes, event_id: str, path: str, value: object) -> bool:
    """Whether the value and salt are the ones committed to."""
    expected = commit(field_salt, event_id, path, value).encode()
    return hmac.compare_digest(commitment.encode("utf-8", "surrogatepass"), expected)


def open_each(commitments: Mapping[str, str], secret: bytes, event_id: str, values: Mapping[str, object]) -> bool:
    """Whether values are the ones committed to at their paths: `opens` for all of them, quickly and not in constant time.

    Raises:
        KeyError: nothing was committed to at a path.
    """
    return _joined(secret, event_id, values) == "=".join([commitments[path] for path in values])


def _joined(secret: bytes, event_id: str, values: Mapping[str, object]) -> str:
    """As `commit` under the `salt` of each path, with "=" between: what is the same for all of them is made once."""
    identity, found = event_id.encode("ascii"), []
    inner, outer = pads(secret)
    inner, named = inner + b"salt\0" + identity, PREFIX + identity
    for path, value in values.items():
        name = path.encode("ascii")
        salt_inner, salt_outer = pads(sha256(outer + sha256(inner + name).digest()).digest())
        said = sha256(salt_inner + named + name + b"\0" + _encoded(value)).digest()
        found.append(b2a_base64(sha256(salt_outer + said).digest(), newline=False))
    return b"".join(found).translate(_URL_SAFE)[:-1].decode()


def _encoded(value: object) -> bytes:
    """As `encode`; of plain text, and of objects of it, which most values are, it is seen at once that they are canonical."""
    if type(value) is str or (type(value) is dict and set(map(type, value.values())) == {str}):
        try:
            data = dumps(value, option=OPT_SORT_KEYS)
        except TypeError:  # a lone surrogate, or a key that is no text
            return encode(value)
        if data.isascii() and b"\\u" not in data:
            return data
    return encode(value)


def to_text(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    return a2b_base64(text.encode("ascii").translate(_STANDARD) + b"=" * (-len(text) % 4))
