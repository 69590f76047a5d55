"""C2SP signed notes with Ed25519: how checkpoints are signed and read.

Source: c2sp.org/signed-note@v1.0.0. Signatures by unknown keys are kept and ignored; one by a known key that does not
verify spoils the note.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.errors import LedgerError

ED25519 = b"\x01"
MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
_NAME = re.compile(r"[^\s+]+")
_BODY = re.compile(r"[^\x00-\x09\x0b-\x1f]*")


class NoteError(LedgerError):
    """Not a signed note, or a signature that must be good is not."""


class NoteKey(NamedTuple):
    """A verifier key: its name (for a log the origin) and the 32 bytes of an Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def vkey(self) -> str:
        """`name+keyid+base64`, as C2SP writes verifier keys."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self.public).decode()}"

    def fingerprint(self) -> str:
        """SHA-256 of the vkey in groups of four, for comparison by another way."""
        digest = hashlib.sha256(self.vkey().encode()).hexdigest()
        return " ".join(digest[i : i + 4] for i in range(0, 64, 4))


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"\u2014 {self.name} {b64encode(self.key_id + self.signature).decode()}\n"


class Note(NamedTuple):
    """A note: its text with the final newline, its signature lines, and the bytes it was read from."""

    text: str
    signatures: tuple[Signature, ...]
    raw: bytes


def decode64(text: str) -> bytes:
    """Base64 in its one canonical form: two spellings of one signature would be two files for one truth.

    Raises:
        ValueError: it is not.
    """
    data = b64decode(text, validate=True)
    if b64encode(data).decode() != text:
        msg = "base64 with spare bits set"
        raise ValueError(msg)
    return data


def parse_vkey(text: str) -> NoteKey:
    """Read a verifier key.

    Raises:
        NoteError: not one, not Ed25519, or its key id does not fit.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, data = rest.partition("+")
    try:
        decoded = decode64(data)
    except ValueError as error:
        msg = f"not a verifier key: {text[:80]!r}"
        raise NoteError(msg) from error
    if not _NAME.fullmatch(name) or len(decoded) != 33 or decoded[:1] != ED25519:
        msg = f"not an Ed25519 verifier key: {text[:80]!r}"
        raise NoteError(msg)
    key = NoteKey(name, decoded[1:])
    if key.key_id.hex() != key_id:
        msg = f"verifier key {name}: says id {key_id[:8]}, its key gives {key.key_id.hex()}"
        raise NoteError(msg)
    return key


def public_of(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def sign(text: str, keys: Sequence[tuple[str, Ed25519PrivateKey]]) -> bytes:
    """A note over `text` (which ends in a newline) with one signature per key."""
    if not text.endswith("\n") or not _BODY.fullmatch(text):
        msg = "a note's text ends in a newline and has no control characters"
        raise NoteError(msg)
    lines = []
    for name, private in keys:
        key = NoteKey(name, public_of(private))
        lines.append(Signature(name, key.key_id, private.sign(text.encode())).line())
    return (text + "\n" + "".join(lines)).encode()


def parse(data: bytes) -> Note:
    """Split a note; nothing is verified.

    Raises:
        NoteError: not a signed note.
    """
    if len(data) > MAX_NOTE_BYTES:
        msg = f"a note of {len(data)} bytes; at most {MAX_NOTE_BYTES}"
        raise NoteError(msg)
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        msg = "a note is UTF-8 text"
        raise NoteError(msg) from error
    text, blank, signatures = whole.rpartition("\n\n")
    if not blank or not whole.endswith("\n") or not _BODY.fullmatch(whole):
        msg = "a note is text, an empty line and signature lines"
        raise NoteError(msg)
    lines = signatures.splitlines()
    if not 0 < len(lines) <= MAX_SIGNATURES:
        msg = f"{len(lines)} signature lines; 1 to {MAX_SIGNATURES} are read"
        raise NoteError(msg)
    return Note(text + "\n", tuple(_signature(line) for line in lines), data)


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        decoded = decode64(encoded)
    except ValueError as error:
        msg = "a signature is base64"
        raise NoteError(msg) from error
    if dash != "\u2014" or not _NAME.fullmatch(name) or len(decoded) < 5:
        msg = "a signature line is: em dash, key name, base64"
        raise NoteError(msg)
    return Signature(name, decoded[:4], decoded[4:])


def verified_by(note: Note, keys: Iterable[NoteKey]) -> list[NoteKey]:
    """The known keys whose signatures the note carries; all of those are good.

    Raises:
        NoteError: a signature under a known key does not verify.
    """
    known = {(key.name, key.key_id): key for key in keys}
    good = []
    for each in note.signatures:
        key = known.get((each.name, each.key_id))
        if key is not None:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(each.signature, note.text.encode())
            except InvalidSignature as error:
                msg = f"the signature of {key.name} ({key.key_id.hex()}) does not verify"
                raise NoteError(msg) from error
            good.append(key)
    return good
