"""Traces of a person: every byte that is stored, whatever still opens, and candidates tried against all of it.

The search knows no table and no format: it goes through every column of every table and every file, unpacks what is packed, decodes what
looks encoded, and opens all that the keys which are left open.
"""

from __future__ import annotations

import hashlib
import io
import json
import quopri
import re
import struct
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ledger.application import WHOLE_MESSAGE
from ledger.errors import ErasedError, NotFoundError
from ledger.sealing import Keyring, unseal_artifact
from ops import tasks
from ops.system import System
from tests.flow.planting import joined

Places = dict[str, bytes]
"""Where something lies -> all of it."""
HASHES = ("sha256", "sha1", "md5")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_DEPTH = 4


def stored(system: System, folder: Path) -> Places:
    """Every column of every table, in both schemas, and every file below a folder but the keys."""
    database = system.ledger.database
    sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if database.kind == "postgresql":
        sql = (
            "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
    rows = {f"table {name}": database.read(f"SELECT * FROM {name}") for (name,) in database.read(sql)}
    files = [
        path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(system.settings.key_folder)
    ]
    return {name: joined(cell for row in found for cell in row) for name, found in rows.items()} | {
        f"file {path.relative_to(folder)}": str(path).encode() + b"\n" + path.read_bytes() for path in files
    }


def opened(system: System, tenant: str) -> Places:
    """Whatever the keys that are left open: values, originals, sends, the quarantine, tasks and what came of them."""
    ledger, found = system.ledger, dict[str, list[bytes]]()
    after = 0
    while events := ledger.feed(after, 500):
        after = events[-1].position
        for position, values in ledger.values(events).items():
            found.setdefault("values", []).append(f"{position} {json.dumps(values, ensure_ascii=False)}".encode())
    for (name,) in ledger.database.read("SELECT artifact_id FROM artifacts"):
        with suppress(ErasedError, NotFoundError, FileNotFoundError):
            found.setdefault("originals", []).append(ledger.artifact(str(name)).body)
    for message, sealed in ledger.database.read("SELECT message, sealed FROM outbox WHERE sealed IS NOT NULL"):
        with suppress(ErasedError):
            key = ledger.person_key(message, WHOLE_MESSAGE).key
            found.setdefault("sends", []).append(unseal_artifact(key, bytes(sealed), message.encode()))
    for _, arrival in system.quarantine.kept(tenant):
        found.setdefault("quarantine", []).append(repr(arrival).encode() + b"\n" + arrival.body)
    queue = tasks.tasks(system)
    for task in queue.rows.newest(tenant, limit=1_000):
        found.setdefault("tasks", []).append(repr((queue.rows.request(task), queue.rows.result(task))).encode())
        if result := queue.result(task):
            for file in result.files:
                with suppress(NotFoundError, FileNotFoundError):
                    found.setdefault("results", []).append(b"".join(queue.file(task, file.name)[1]))
    return {name: b"\n".join(parts) for name, parts in found.items()}


def unfolded(data: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """Some bytes, and what is in them: archives, what is compressed, base64, hex and quoted-printable text."""
    yield data
    if not depth:
        return
    inner: list[bytes] = []
    if data.startswith(b"PK"):
        with suppress(zipfile.BadZipFile, ValueError), zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner += [part for name in archive.namelist() for part in (name.encode(), archive.read(name))]
    inner += _inflated(data)
    inner += [
        b64decode(text + b"===", b"+/" if b"-" not in text and b"_" not in text else b"-_") for text in _base64(data)
    ]
    inner += [bytes.fromhex(text.decode()) for text in _HEX.findall(data)]
    if b"=" in data:
        inner.append(quopri.decodestring(data))
    for part in inner:
        if part and part != data:
            yield from unfolded(part, depth - 1)


def _base64(data: bytes) -> list[bytes]:
    found = (text.rstrip(b"=") for text in _BASE64.findall(re.sub(rb"\r?\n(?=[A-Za-z0-9+/]{40})", b"", data)))
    return [text[: len(text) - (len(text) % 4 == 1)] for text in found]


def _inflated(data: bytes) -> list[bytes]:
    """What is compressed anywhere in it, by the marks that compressed streams begin with."""
    found = []
    for mark in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", data):
        window = 47 if data[mark.start()] == 0x1F else 15
        with suppress(zlib.error):
            if len(part := zlib.decompressobj(window).decompress(data[mark.start() :])) >= 8:
                found.append(part)
    return found


# --- candidates


class Asked:
    """Notes which digests a keyring is asked for of what names a person.

    Args:
        marks: address -> what stands for it in the shapes.

    Attributes:
        shapes: method and its arguments, with the address taken out of them.
    """

    def __init__(self, marks: Mapping[str, str]) -> None:
        self.shapes: set[tuple[str, tuple[object, ...]]] = set()
        self._marks = marks

    def noting(self, method: str) -> Callable[..., bytes]:
        """What stands in the place of a method of `Keyring`."""
        asked = getattr(Keyring, method)

        def noted(keyring: Keyring, *args: object) -> bytes:
            shape = tuple(self._marks.get(arg, arg) if isinstance(arg, str) else arg for arg in args)
            if shape != args:
                self.shapes.add((method, shape))
            result: bytes = asked(keyring, *args)
            return result

        return noted


class Haystack:
    """Bytes in which digests are looked for, a million of them in seconds.

    Every four bytes that follow one another are known by one bit: a digest whose parts are not all known is not there.
    """

    BITS = 28

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.data = b"\n".join(each for part in parts for each in unfolded(part, 1))
        self._known = bytearray(1 << (self.BITS - 3))
        mask = (1 << self.BITS) - 1
        for offset in range(4):
            whole = self.data[offset : offset + (len(self.data) - offset) // 4 * 4]
            for number in memoryview(whole).cast("I"):
                self._known[(number & mask) >> 3] |= 1 << (number & 7)

    def has(self, digest: bytes) -> bool:
        """Whether these bytes stand there, at any place."""
        known, mask = self._known, (1 << self.BITS) - 1
        for number in struct.unpack_from(f"={len(digest) // 4}I", digest):
            if not known[(number & mask) >> 3] & (1 << (number & 7)):
                return False
        return digest in self.data


def plain_digests(text: str) -> Iterator[bytes]:
    """Digests that anybody can make."""
    raw = text.encode()
    for name in HASHES:
        yield hashlib.new(name, raw, usedforsecurity=False).digest()
