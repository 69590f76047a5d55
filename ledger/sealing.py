"""Keys outside the database, and what is done with them: sealing, wrapping, keyed digests.

Values about a person are sealed under that person's key in that message; the key row is wrapped by a
key-encryption key (KEK) that never enters the database. Destroying the key row makes the values unreadable wherever a copy remains.
Look-ups and duplicate keys are HMACs under secrets of this keyring, so the database alone cannot be searched by guessing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import ConfigurationError, CorruptError
from ledger.mac import hmac_sha256, pads
from ledger.randomness import random_bytes

KEY_BYTES = 32
NONCE_BYTES = 12
STORED_BYTES = 1_024
"""Originals up to this size are not compressed."""
_STORED = b"\x78\x01\x01"
"""Header of a zlib stream, and of a last block that is stored as it is."""
OWN_KEY = -2
"""The person of a key that seals one thing only: an original that concerns several messages or none, or an act of a person."""
DIGEST_BYTES = 16
EPOCH_DAY = date(2000, 1, 1).toordinal()

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The secrets of one ledger, 32 bytes each.

    Attributes:
        keks: key-encryption keys by id; old ones stay readable until dropped.
        kek_id: the one that wraps new keys; "": the last by name, whatever there is at the time.
        lookups: master of the per-tenant look-up keys.
        duplicates: key of the duplicate keys.
    """

    keks: Mapping[str, bytes]
    kek_id: str
    lookups: bytes
    duplicates: bytes

    def check_value(self) -> bytes:
        """Tells this keyring from another without revealing it; stored in the database."""
        return hmac_sha256(self.lookups, b"check" + hmac_sha256(self.duplicates, b"check"))

    @property
    def wraps_with(self) -> str:
        """The KEK that wraps new keys."""
        return self.kek_id or max(self.keks)

    def wrap(self, key_id: bytes, key: bytes) -> bytes:
        """KEK id, nonce and the sealed key."""
        kek_id = self.wraps_with
        kek = kek_id.encode()
        return bytes([len(kek)]) + kek + seal(self.keks[kek_id], key, key_id)

    def unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        """Undo `wrap`.

        Raises:
            ConfigurationError: the KEK is not in this keyring.
            CorruptError: the bytes were altered.
        """
        end = 1 + int.from_bytes(wrapped[:1], "big")
        kek_id = wrapped[1:end].decode("utf-8", "replace")
        if kek_id not in self.keks:
            msg = f"key-encryption key {kek_id!r} is not in the keyring; restore its file to read these values"
            raise ConfigurationError(msg)
        return _unsealed(_kek_cipher(self.keks[kek_id]), wrapped[end:], key_id)

    def lookup(self, tenant: str, kind: str, *parts: str) -> bytes:
        """Keyed digest under which a value is found again: 16 bytes."""
        return _code(_tenant_key(self.lookups, tenant), _prefix(kind) + _join(*parts))[:DIGEST_BYTES]

    def duplicate(self, day: date | None, tenant: str, account: str, kind: str, *identity: str) -> bytes:
        """Duplicate key: 2 bytes of day (0 if none), then 14 bytes of keyed digest.

        A day is given where it follows from the identity: keys of a day lie together, so what a new one costs does not grow with the log.
        """
        number = min(max(day.toordinal() - EPOCH_DAY, 1), 65_535) if day else 0
        digest = _code(self.duplicates, _prefix(tenant, account, kind) + _join(*identity))
        return number.to_bytes(2, "big") + digest[: DIGEST_BYTES - 2]


def undated(key: bytes) -> bytes:
    """The duplicate key of the same identity without a day."""
    return bytes(2) + key[2:]


@lru_cache(maxsize=1024)
def _tenant_key(lookups: bytes, tenant: str) -> bytes:
    return hmac_sha256(lookups, tenant.encode())


_pads = lru_cache(maxsize=1024)(pads)


def _code(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 under one of a few keys, each of which is prepared once."""
    inner, outer = _pads(key)
    return sha256(outer + sha256(inner + message).digest()).digest()


@lru_cache(maxsize=16)
def _kek_cipher(kek: bytes) -> AESGCM:
    """Made once: it costs as much as unwrapping a key with it."""
    return AESGCM(kek)


def _join(*parts: str) -> bytes:
    """Unambiguous concatenation: each part carries its length."""
    joined = b""
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        joined += len(encoded).to_bytes(4, "big") + encoded
    return joined


_prefix = lru_cache(maxsize=4096)(_join)
"""Of what always comes first: the same for all arrivals of an account."""


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """AES-256-GCM with a random nonce in front; `context` is authenticated and not stored."""
    nonce = random_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Undo `seal`.

    Raises:
        CorruptError: the bytes were altered, or the key or context is another.
    """
    return _unsealed(AESGCM(key), sealed, context)


def _unsealed(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:  # ValueError: not even a nonce
        msg = "sealed bytes do not open: altered, or sealed under another key"
        raise CorruptError(msg) from error


def seal_artifact(key: bytes, body: bytes, context: bytes) -> bytes:
    """Compress, then seal."""
    return seal(key, _compressed(body), context)


def _compressed(body: bytes) -> bytes:
    """Bytes as a zlib stream (RFC 1950).

    What is short stands there as one stored block (RFC 1951 section 3.2.4): a report of 200 bytes becomes 160 at best, and deflating it
    takes longer than everything else that is done with it.
    """
    if len(body) > STORED_BYTES:
        return zlib.compress(body, 6)
    size = len(body)
    return (
        _STORED
        + size.to_bytes(2, "little")
        + (size ^ 0xFFFF).to_bytes(2, "little")
        + body
        + zlib.adler32(body).to_bytes(4, "big")
    )


def unseal_artifact(key: bytes, sealed: bytes, context: bytes) -> bytes:
    return unpacked(unseal(key, sealed, context))


def unpacked(data: bytes) -> bytes:
    """Undo the compression; most originals are hardly smaller for it, and so need one buffer only."""
    return zlib.decompress(data, bufsize=max(len(data), zlib.DEF_BUF_SIZE))
