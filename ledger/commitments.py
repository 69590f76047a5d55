"""Salted commitments: what an event says of values that lie beside the log.

A commitment is HMAC-SHA-256(salt, "delivery-ledger/1" 0x00 event id, field path, 0x00, canonical value), the event id as its 36
ASCII characters. Each field has its own 32-byte salt, derived from one secret per event and person, so that one
field can be shown without helping to guess another.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from orjson import OPT_SORT_KEYS, dumps

from ledger.canonical import encode
from ledger.mac import BLOCK_BYTES, INNER, OUTER, hmac_sha256, pads

PREFIX = b"delivery-ledger/1\0"
SALT_BYTES = 32

_REST = bytes(BLOCK_BYTES - SALT_BYTES)
_INNER_REST, _OUTER_REST = _REST.translate(INNER), _REST.translate(OUTER)
"""What pads a salt."""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


def salt(secret: bytes, event_id: str, path: str) -> bytes:
    """The salt of one field; reveals nothing of the secret or of other salts."""
    return hmac_sha256(secret, b"salt\0" + event_id.encode() + path.encode())


def commit_each(secret: bytes, event_id: str, values: Mapping[str, object]) -> dict[str, str]:
    """The commitment to every value, under the salt of its path."""
    made = _joined(_digests(secret, event_id, values, _encoded)).split("=")
    return dict(zip(values, made, strict=False))  # of no values, nothing


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


Revealed = tuple[Mapping[str, str], bytes, str, Mapping[str, Any]]
"""What an event committed to at which path, the secret that the salts derive from, the event's id, and the values said to be meant."""


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


def open_each(commitments: Mapping[str, str], secret: bytes, event_id: str, values: Mapping[str, object]) -> bool:
    """Whether values are the ones committed to at their paths: `opens` for all of them, quickly and not in constant time.

    Raises:
        KeyError: nothing was committed to at a path.
    """
    return open_together([(commitments, secret, event_id, values)])


def open_together(revealed: Iterable[Revealed], encoded: Callable[[Any], bytes] = _encoded) -> bool:
    """As `open_each`, for the values of any number of events.

    Args:
        encoded: makes the canonical form, where values are known to have one.
    """
    expected, found = [], []
    for commitments, secret, event_id, values in revealed:
        expected += [commitments[path] for path in values]
        found += _digests(secret, event_id, values, encoded)
    return _joined(found) == "=".join(expected)


def _digests(secret: bytes, event_id: str, values: Mapping[str, Any], encoded: Callable[[Any], bytes]) -> list[bytes]:
    """Of `commit` under the `salt` of each path: what is the same for all of them is made once."""
    identity, found = event_id.encode("ascii"), []
    inner, outer = pads(secret)
    inner, named = inner + b"salt\0" + identity, _INNER_REST + PREFIX + identity
    for path, value in values.items():
        name = path.encode("ascii")
        salted = sha256(outer + sha256(inner + name).digest()).digest()
        said = sha256(salted.translate(INNER) + named + name + b"\0" + encoded(value)).digest()
        found.append(sha256(salted.translate(OUTER) + _OUTER_REST + said).digest())
    return found


def _joined(digests: Iterable[bytes]) -> str:
    """As `to_text`, with "=" between."""
    return b"".join([b2a_base64(digest, newline=False) for digest in digests]).translate(_URL_SAFE)[:-1].decode()


def to_text(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    return a2b_base64(text.encode("ascii").translate(_STANDARD) + b"=" * (-len(text) % 4))
