"""What a delivery receipt says was delivered: digests of the parts of the original message in it (RFC 6109 section 3.3.2).

A complete receipt holds the original: each of its parts is digested here. In a brief one every file is replaced by a text
`<name>.hash` with the file's SHA-1, which the receiving provider took over the base64 text or over the decoded bytes: it is
told as quoted. A concise one holds no original. Order, names and base64 line lengths do not matter to a digest.
Leaves out: comparing them with what was sent, and opening a message or signature object that was itself attached.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from adapters.providers.pec_mailbox import mime
from adapters.providers.pec_mailbox.statuses import RECEIPTS
from ledger.observations import Fingerprint, UnreadableError

MAX_DOCUMENTS = 200
"""An event names each of them; it must stay below the 65,535 bytes that an event may have."""

MAX_NAME_CHARS = 255
ORIGINAL = "postacert.eml"
HASH_SUFFIX = ".hash"

NOTES = {
    "content_completa": "the receipt holds the original message; its parts were digested",
    "content_breve": "the receipt quotes a SHA-1 for each file of the original message",
    "content_sintetica": "the receipt says nothing of the content: copies always get this kind",
    "original_missing": "a complete or brief receipt without the original message, or with one that its signature does not cover",
    "original_damaged": "the original message in the receipt is torn; what has no certain end was not digested",
    "content_partial": "the original message has more parts than are digested",
}

_KINDS = frozenset(row.word for row in RECEIPTS)
_WITH_ORIGINAL = frozenset({"content_completa", "content_breve"})
_BODY_TYPES = ("text/plain", "text/html")
_MAX_QUOTE_BYTES = 1024
_QUOTED = re.compile(rb"\s*([0-9A-Fa-f]{40})\s*")
_PIECE_BYTES = 256 * 1024


class Contents(NamedTuple):
    """What was delivered, as far as the receipt tells, and tokens of NOTES."""

    documents: tuple[Fingerprint, ...]
    notes: tuple[str, ...]


class _Original(NamedTuple):
    """The original message: bytes, and its tree over them."""

    mail: bytes
    top: mime.Part


def contents(mail: bytes, top: mime.Part, kind: str, *, covered: bool) -> Contents:
    """Digest what a delivery receipt holds of the original message.

    Args:
        mail, top: the receipt and its tree.
        kind: `ricevuta@tipo`, or "": then it is what it looks like.
        covered: whether the certification data lies under a signature; then only an original under it counts.
    """
    known = f"content_{kind.casefold()}" if kind.casefold() in _KINDS else ""
    try:
        original = _original(mail, top, covered=covered)
    except UnreadableError:
        return _told((), {known: True, "original_damaged": True})
    if original is None:
        return _told((), {known or "content_sintetica": True, "original_missing": known in _WITH_ORIGINAL})
    parts = [part for part, _ in mime.leaves(original.top)]
    # What is called x.hash in a complete receipt is the sender's own file.
    quotes = known != "content_completa"
    documents = tuple(islice(_documents(original.mail, parts, quotes=quotes), MAX_DOCUMENTS + 1))
    looks = "content_completa" if all(document.sha256 for document in documents) else "content_breve"
    notes = {
        known or looks: True,
        "original_damaged": not mime.is_whole(original.top),
        "content_partial": len(documents) > MAX_DOCUMENTS,
    }
    return _told(documents[:MAX_DOCUMENTS], notes)


def _told(documents: tuple[Fingerprint, ...], notes: Mapping[str, bool]) -> Contents:
    return Contents(documents, tuple(note for note, holds in notes.items() if note and holds))


def _original(mail: bytes, top: mime.Part, *, covered: bool) -> _Original | None:
    """The part with the original, by name before by type. Raises UnreadableError."""
    found = [
        part
        for part, under in mime.leaves(top)
        if under == covered and (part.kind == "message/rfc822" or part.name == ORIGINAL)
    ]
    part = min(found, key=lambda candidate: candidate.name != ORIGINAL, default=None)
    if part is None:
        return None
    decode = mime.decoder(part)
    if decode is bytes:
        return _Original(mail, mime.read(mail, part.body, part.end, whole=part.whole))
    whole = decode(mail[part.body : part.end])
    return _Original(whole, mime.read(whole, whole=part.whole))


def _documents(mail: bytes, parts: Iterable[mime.Part], *, quotes: bool) -> Iterator[Fingerprint]:
    for part in parts:
        if not part.whole:
            continue
        name = unicodedata.normalize("NFC", mime.file_name(part))[:MAX_NAME_CHARS]
        quoted = _quoted(mail, part) if quotes and name.casefold().endswith(HASH_SUFFIX) else ""
        if quoted:
            yield Fingerprint(name[: -len(HASH_SUFFIX)], "", quoted)
        elif mime.decoder(part) is mime.from_base64:
            yield _as_base64(mail, part, name)
        else:
            yield from _as_text(mail, part, name)


def _quoted(mail: bytes, part: mime.Part) -> str:
    """The SHA-1 that stands in place of a file, or ""; the part may still claim the file's own transfer encoding."""
    if part.end - part.body > _MAX_QUOTE_BYTES:
        return ""
    raw = mail[part.body : part.end]
    found = _QUOTED.fullmatch(mime.decoder(part)(raw)) or _QUOTED.fullmatch(raw)
    return found[1].decode("ascii").lower() if found else ""


def _as_base64(mail: bytes, part: mime.Part, name: str) -> Fingerprint:
    """A part that came as base64; that text is digested as one line, for its breaks are the mail system's."""
    sha256, sha1, size = _digests(map(binascii.a2b_base64, mime.base64_pieces(mail, part)))
    sha256_base64, sha1_base64, _ = _digests(mime.base64_pieces(mail, part))
    return Fingerprint(name, sha256, sha1, sha256_base64, sha1_base64, size)


def _as_text(mail: bytes, part: mime.Part, name: str) -> Iterator[Fingerprint]:
    """A part that came as text: with the line ends of mail and, for a file, with those that it may have had before."""
    plain = mime.decoder(part)(mail[part.body : part.end])
    is_file = bool(name) or not part.kind.startswith(_BODY_TYPES) or _is_attached(part)
    ends = (b"\r\n", b"\n", b"") if is_file else (b"\r\n",)
    for sha256, sha1, size in dict.fromkeys(_digests(_with_line_ends(plain, end)) for end in ends):
        yield Fingerprint(name, sha256, sha1, size=size)


def _with_line_ends(plain: bytes, end: bytes) -> Iterator[bytes]:
    """The bytes in pieces, with every line end as given; "" leaves them as they are."""
    held = b""
    for at in range(0, len(plain), _PIECE_BYTES):
        piece = held + plain[at : at + _PIECE_BYTES]
        held = piece[-1:] if piece.endswith(b"\r") else b""  # its line feed may begin the next piece
        piece = piece[: len(piece) - len(held)]
        yield piece.replace(b"\r\n", b"\n").replace(b"\n", end) if end else piece
    yield held


def _is_attached(part: mime.Part) -> bool:
    return part.fields.get("content-disposition", "").casefold().startswith("attachment")


def _digests(pieces: Iterable[bytes]) -> tuple[str, str, int]:
    sha256, sha1, size = hashlib.sha256(), hashlib.sha1(usedforsecurity=False), 0
    for piece in pieces:
        sha256.update(piece)
        sha1.update(piece)
        size += len(piece)
    return sha256.hexdigest(), sha1.hexdigest(), size
