"""The structure of an e-mail over its raw bytes: a tree of parts with offsets, so that nothing is ever re-serialised.

Bounded in depth, parts and header size; total cost is linear in the bytes. A message inside the message
(message/rfc822) is a leaf and never opened: it is somebody else's words and may hold receipts of its own.
Leaves out: verifying signatures, and character sets of text parts.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, islice, pairwise
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from adapters.providers.reading import repaired
from ledger.observations import UnreadableError

MAX_DEPTH = 8
MAX_PARTS = 256
MAX_HEADER_BYTES = 128 * 1024
MAX_VALUE_CHARS = 8192

SIGNATURE_TYPES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
SIGNATURE_NAME = "smime.p7s"

_BEFORE_FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:From [^\n]*\n)?")
_BLANK_LINE = re.compile(rb"(?:\A|\r?\n)\r?\n")
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_FOLD = re.compile(r"\r?\n[ \t]+")
_PARAMETER = re.compile(r""";\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))""")
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_WORDS = re.compile(rf"{_WORD.pattern}(?:\s*{_WORD.pattern})*")
_CHARSET = re.compile("([^']*)'[^']*'")
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"})
_NAMING_FIELDS = ("content-disposition", "content-type")
_PIECE_BYTES = 256 * 1024
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


class Part(NamedTuple):
    """One MIME entity.

    Attributes:
        fields: lower-case header name -> unfolded text; the first of several; overlong values are absent.
        kind: media type in lower case, "" when none is given.
        name: file name, lower case, or "".
        start, body, end: offsets of the entity, of its body and behind it.
        parts: what a multipart holds.
        whole: False when a multipart lacks its boundary or its end, or nothing shows where another part ends.
    """

    fields: Mapping[str, str]
    kind: str
    name: str
    start: int
    body: int
    end: int
    parts: tuple[Part, ...] = ()
    whole: bool = True


def read(mail: bytes, start: int = 0, end: int | None = None, *, whole: bool = True) -> Part:
    """The tree of an e-mail's parts; a byte order mark, blank lines or an mbox line before it are skipped.

    Args:
        start, end: where the e-mail lies in the bytes.
        whole: whether it is known to end there.

    Raises:
        UnreadableError: no header field stands at its beginning, or it has more than MAX_PARTS parts.
    """
    end = len(mail) if end is None else end
    before = _BEFORE_FIRST_FIELD.match(mail, start, end)
    top = _part(mail, before.end() if before else start, end, 0, iter(range(MAX_PARTS)), whole=whole)
    if not top.fields:
        msg = "not an e-mail: no header field stands at its beginning"
        raise UnreadableError(msg)
    return top


def leaves(part: Part, *, covered: bool = False) -> Iterator[tuple[Part, bool]]:
    """The parts that hold no parts, in order; beside each, whether it lies under a signature that is there."""
    signed = part.kind == "multipart/signed" and any(_is_signature(p) for p in part.parts[1:])
    if not part.parts:
        yield part, covered
    for index, inner in enumerate(part.parts):
        yield from leaves(inner, covered=covered or (signed and index == 0))


def is_whole(part: Part) -> bool:
    """Whether every multipart in the tree has its boundary and its end."""
    return part.whole and all(map(is_whole, part.parts))


def decoder(part: Part) -> Callable[[bytes], bytes]:
    """What undoes the transfer encoding that a leaf declares, as far as that goes; never fails."""
    encoding = part.fields.get("content-transfer-encoding", "").strip().casefold()
    return next((decode for name, decode in _DECODERS.items() if encoding.startswith(name)), bytes)


def from_base64(raw: bytes) -> bytes:
    """Decode base64 that may be torn or dirty: other characters are skipped, a torn last group is completed or cut."""
    clean = raw.translate(None, _NOT_BASE64)
    clean = clean[:-1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def base64_pieces(mail: bytes, part: Part) -> Iterator[bytes]:
    """The base64 text of a leaf with nothing else in it, in pieces that each decode by themselves; what from_base64 reads."""
    rest = b""
    for at in range(part.body, part.end, _PIECE_BYTES):
        clean = rest + mail[at : min(at + _PIECE_BYTES, part.end)].translate(None, _NOT_BASE64)
        full = len(clean) // 4 * 4
        rest = clean[full:]
        yield clean[:full]
    if len(rest) > 1:
        yield rest.ljust(4, b"=")


def file_name(part: Part) -> str:
    """The file name of a part as its sender wrote it, RFC 2231 and RFC 2047 undone; "" without one."""
    disposition, kind = (_media_type(part.fields.get(field, ""))[1] for field in _NAMING_FIELDS)
    return _parameter(disposition, "filename") or _parameter(kind, "name")


def decoded(value: str) -> str:
    """Header text with its RFC 2047 words decoded; a word in a charset or encoding not known here stays as it is."""
    plain: str = repaired(_WORDS.sub(_words, value))
    return plain


def head(mail: bytes, start: int, end: int) -> tuple[dict[str, str], int]:
    """The header fields that stand at the beginning of a range, as in Part.fields, and where they end."""
    begin = mail[start : min(end, start + MAX_HEADER_BYTES)]
    blank = _BLANK_LINE.search(begin)
    length = blank.end() if blank else len(begin)
    fields: dict[str, str] = {}
    for name, raw in _FIELD.findall(begin, 0, length):
        if len(raw) <= MAX_VALUE_CHARS:
            value = raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
            fields.setdefault(name.decode("ascii").casefold(), _FOLD.sub(" ", value).strip())
    return fields, start + length


def _words(found: re.Match[str]) -> str:
    """A run of encoded words; of one charset they are joined before they are decoded, for some split a character."""
    plain = ""
    for charset, run in groupby(_WORD.finditer(found[0]), key=lambda word: word[1].casefold()):
        words = list(run)
        known = charset in _CHARSETS
        plain += b"".join(map(_raw, words)).decode(charset, "replace") if known else " ".join(w[0] for w in words)
    return plain


def _raw(word: re.Match[str]) -> bytes:
    text = word[3].encode("ascii", "replace")
    return from_base64(text) if word[2] in "bB" else binascii.a2b_qp(text, header=True)


def _parameter(parameters: Mapping[str, str], name: str) -> str:
    """A parameter's text: split and percent-encoded (RFC 2231), or plain with encoded words in it."""
    keys = [f"{name}*"] if f"{name}*" in parameters else []
    keys = keys or [key for i in range(MAX_PARTS) for key in (f"{name}*{i}*", f"{name}*{i}") if key in parameters]
    if not keys:
        return decoded(parameters.get(name, ""))
    first = parameters[keys[0]]
    charset = _CHARSET.match(first) if keys[0].endswith("*") else None
    values = [first[charset.end() :] if charset else first, *(parameters[key] for key in keys[1:])]
    raw = b"".join(
        unquote_to_bytes(value) if key.endswith("*") else value.encode("utf-8", "replace")
        for key, value in zip(keys, values, strict=True)
    )
    codec = charset[1].casefold() if charset else ""
    plain: str = repaired(raw.decode(codec if codec in _CHARSETS else "utf-8", "replace"))
    return plain


def _part(mail: bytes, start: int, end: int, depth: int, budget: Iterator[int], *, whole: bool) -> Part:
    if next(budget, None) is None:
        msg = f"more than {MAX_PARTS} MIME parts"
        raise UnreadableError(msg)
    fields, body = head(mail, start, end)
    kind, parameters = _media_type(fields.get("content-type", ""))
    name = _media_type(fields.get("content-disposition", ""))[1].get("filename") or parameters.get("name", "")
    leaf = Part(fields, kind, name.strip().casefold(), start, body, end, whole=whole)
    if not kind.startswith("multipart/") or depth == MAX_DEPTH:
        return leaf
    spans, closed = _spans(mail, body, end, parameters.get("boundary", ""))
    parts = tuple(_part(mail, first, last, depth + 1, budget, whole=closed or last < end) for first, last in spans)
    return leaf._replace(parts=parts, whole=closed)


def _media_type(value: str) -> tuple[str, dict[str, str]]:
    kind = value.partition(";")[0].strip().casefold()
    found = reversed(_PARAMETER.findall(value))  # of doubled parameters the first counts
    return kind, {name.casefold(): quoted.replace("\\", "") or bare.strip('"') for name, quoted, bare in found}


def _spans(mail: bytes, start: int, end: int, boundary: str) -> tuple[list[tuple[int, int]], bool]:
    """Where the parts of a multipart lie, and whether its last boundary is there."""
    mark = re.compile(rb"\n--" + re.escape(boundary.rstrip().encode("utf-8", "replace")) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    cuts: list[tuple[int, int]] = []  # where the part before a boundary ends, where the one behind it begins
    for found in islice(mark.finditer(mail, start - 1, end) if boundary else (), MAX_PARTS + 1):
        # The line end before a boundary belongs to it (RFC 2046 section 5.1.1).
        at = found.start() - (mail[found.start() - 1 : found.start()] == b"\r")
        cuts.append((at, mail.find(b"\n", found.end(), end) + 1 or end))
        if found[1]:
            return _between(cuts), True
    return _between([*cuts, (end, end)]), False


def _between(cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(begin, max(begin, stop)) for (_, begin), (stop, _) in pairwise(cuts)]


def _is_signature(part: Part) -> bool:
    return (part.kind in SIGNATURE_TYPES or part.name == SIGNATURE_NAME) and part.end > part.body


_DECODERS: dict[str, Callable[[bytes], bytes]] = {"base64": from_base64, "quoted-printable": quopri.decodestring}
