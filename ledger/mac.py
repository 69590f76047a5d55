"""HMAC-SHA-256 (RFC 2104) for short messages, without letting go of the interpreter.

`hmac.digest` releases the interpreter's lock around every call, however short. An event takes about seven, and under many threads each
release hands the interpreter to another thread and waits to get it back: measured, 18 context switches per event.
"""

from __future__ import annotations

from hashlib import sha256

BLOCK_BYTES = 64

INNER = bytes(byte ^ 0x36 for byte in range(256))
OUTER = bytes(byte ^ 0x5C for byte in range(256))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """32 bytes, the same as of `hmac.digest(key, message, "sha256")`."""
    inner, outer = pads(key)
    return sha256(outer + sha256(inner + message).digest()).digest()


def pads(key: bytes) -> tuple[bytes, bytes]:
    """What is hashed before the message and before the digest of that, for who makes several codes under one key."""
    padded = (key if len(key) <= BLOCK_BYTES else sha256(key).digest()).ljust(BLOCK_BYTES, b"\0")
    return padded.translate(INNER), padded.translate(OUTER)
