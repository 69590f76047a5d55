"""Values and originals opened in bulk and held against what events committed to, by whoever has the keys.

It is only told which of them do not fit: what is wrong with each, `ledger.fsck` finds out by opening it once more as everybody does.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger import artifacts, bulk
from ledger.canonical import MAX_INT, decode, encode, encode_checked
from ledger.commitments import Revealed, from_text, open_together
from ledger.database import Reads, Row
from ledger.errors import CorruptError, LedgerError
from ledger.events import read
from ledger.remains import MAX_FOUND, ONLY_NAME, Erasures, Missing
from ledger.sealing import NONCE_BYTES, Keyring, unpacked

MAX_KEYS = 30_000
"""Opened keys that are remembered, about a kibibyte each."""
MAX_DOUBTS = 100
TOGETHER = 250
"""Rows of values that are opened together: no more than fit into a processor's cache."""
INLINE_BYTES = 8 * 1024
"""Sealed originals up to this size are read together, larger ones one by one."""
THREADS = 2
"""One reads while one computes; more would hold more originals in memory."""

_BROKEN = (LedgerError, InvalidTag, zlib.error, KeyError, ValueError, TypeError, AttributeError, OSError)
"""What opening altered bytes may end in."""

Decrypt = Callable[[bytes, bytes | memoryview, bytes], bytes]


_Text = Annotated[str, msgspec.Meta(min_length=1)]


class Said(msgspec.Struct, gc=False):
    """What of an event is held against something else."""

    id: _Text
    stream: _Text
    version: int
    recorded_at: str
    type: str
    commit: dict[str, str] = {}
    artifacts: list[str] = []


_Number = Annotated[int, msgspec.Meta(ge=-MAX_INT, le=MAX_INT)]


class _Plain(msgspec.Struct, gc=False):
    """What is sealed, if values have one of the forms that nearly all have."""

    secret: str
    values: dict[str, str | _Number | dict[str, str | _Number]]


_plain = msgspec.json.Decoder(_Plain)


class Page(NamedTuple):
    """Some events that follow each other.

    Attributes:
        after, until: the range of positions.
        states: by position, of all that are there.
        events: the same decoded, those that could be.
    """

    after: int
    until: int
    states: Mapping[int, bytes]
    events: Mapping[int, Said]


class _Original(NamedTuple):
    """A row: `sealed` is None where it is a file, or too large to be read with others."""

    artifact_id: str
    position: int
    key_id: bytes
    is_file: bool
    sealed: bytes | None


@dataclass(slots=True)
class Opened:
    """What came of opening, as far as it went.

    Attributes:
        values, originals: that fit.
        rows: of originals that were met with the event they came with.
        doubtful: positions of events beside which something does not fit; nothing else is said of those.
        missing: what is not there though no event says so.
        until: the position up to which was looked.
    """

    values: int = 0
    originals: int = 0
    rows: int = 0
    doubtful: list[int] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    until: int = 0

    @property
    def is_full(self) -> bool:
        """Enough is in doubt; the rest would only be more of it."""
        return len(self.doubtful) >= MAX_DOUBTS


class Opener:
    """Opens what lies beside events.

    Args:
        folder: of the originals that are kept as files.
        erasures: what may be gone.
    """

    def __init__(self, reads: Reads, keyring: Keyring, folder: Path, erasures: Erasures) -> None:
        self._reads = reads
        self._keyring = keyring
        self._folder = folder
        self._erasures = erasures
        self._keys: dict[bytes, Decrypt] = {}

    def look(self, page: Page, found: Opened) -> None:
        """Open what lies beside a page of events, and add to what was found."""
        sql = "SELECT position, key_id, sealed FROM sealed_values WHERE position > ? AND position <= ?"
        sealed = bulk.rows(self._reads, sql, (page.after, page.until))
        originals = self._originals(page)
        keys = self._opened_keys({row[1] for row in sealed} | {original.key_id for original in originals.values()})
        values, doubtful = open_all(page, sealed, keys)
        wrong = self._wrong_originals(page, values, originals, keys)
        for position, said in page.events.items():
            if position not in doubtful:
                there = values.get(position, {})
                if said.artifacts and not self._look_at_originals(page, position, there, originals, keys, wrong, found):
                    doubtful.add(position)
                    continue
                found.values += len(there)
                if len(said.commit) > len(there):
                    self._miss(page, position, there, found)
        found.doubtful += sorted(doubtful)
        found.until = page.until

    # --- keys

    def _opened_keys(self, key_ids: set[bytes]) -> Mapping[bytes, Decrypt]:
        """By key id, those that are there; one that does not open opens nothing."""
        absent = key_ids - self._keys.keys()
        if len(self._keys) + len(absent) > MAX_KEYS:
            self._keys.clear()
            absent = key_ids
        for key_id, wrapped in bulk.probe(self._reads, "person_keys", "key_id, wrapped", "key_id", list(absent)):
            try:
                self._keys[key_id] = AESGCM(self._keyring.unwrap(key_id, wrapped)).decrypt
            except _BROKEN:
                self._keys[key_id] = _refuse
        return self._keys

    # --- originals

    def _originals(self, page: Page) -> dict[str, _Original]:
        named = list({artifact for said in page.events.values() for artifact in said.artifacts})
        small = f"CASE WHEN length(sealed) <= {INLINE_BYTES} THEN sealed END"
        columns = f"artifact_id, position, key_id, sealed IS NULL, {small}"
        rows = bulk.probe(self._reads, "artifacts", columns, "artifact_id", named)
        return {row[0]: _Original(*row) for row in rows}

    def _look_at_originals(  # noqa: PLR0917
        self,
        page: Page,
        position: int,
        values: Mapping[str, Any],
        originals: Mapping[str, _Original],
        keys: Mapping[bytes, Decrypt],
        wrong: set[str],
        found: Opened,
    ) -> bool:
        """Whether those that came with an event fit, as far as they are there."""
        said, came, fit = page.events[position].artifacts, 0, 0
        gone = []
        for index, artifact in enumerate(said):
            original = originals.get(artifact)
            decrypt = keys.get(original.key_id) if original else None
            if original is None or decrypt is None:
                gone.append(artifact)
            is_its = original is not None and original.position == position and artifact not in said[:index]
            came += is_its
            if is_its and decrypt:
                if artifact in wrong:
                    return False
                fit += f"artifact.{index}" in values
        for artifact in gone:
            self._miss_original(page, position, artifact, found)
        found.rows, found.originals = found.rows + came, found.originals + fit
        return True

    def _wrong_originals(
        self,
        page: Page,
        values: Mapping[int, Mapping[str, Any]],
        originals: Mapping[str, _Original],
        keys: Mapping[bytes, Decrypt],
    ) -> set[str]:
        """Those that do not fit; of large ones some are read while others are unpacked."""
        asked: dict[str, tuple[_Original, Decrypt, Any]] = {}
        for position, said in page.events.items():
            for index, artifact in enumerate(said.artifacts):
                original = originals.get(artifact)
                if original is not None and original.position == position and original.key_id in keys:
                    committed = values.get(position, {}).get(f"artifact.{index}")
                    asked.setdefault(artifact, (original, keys[original.key_id], committed))
        large = {artifact for artifact, (original, _, _) in asked.items() if original.sealed is None}
        wrong = {artifact for artifact in asked.keys() - large if not self._fits(*asked[artifact])}
        if large:
            with ThreadPoolExecutor(THREADS) as threads:
                fits = threads.map(lambda artifact: (artifact, self._fits(*asked[artifact])), sorted(large))
                wrong |= {artifact for artifact, is_fit in fits if not is_fit}
        return wrong

    def _fits(self, original: _Original, decrypt: Decrypt, committed: Any) -> bool:
        try:
            sealed = original.sealed or self._sealed(original)
            rest = memoryview(sealed)[NONCE_BYTES:]
            body = unpacked(decrypt(sealed[:NONCE_BYTES], rest, original.artifact_id.encode()))
            return committed is None or bool(hashlib.sha256(body).hexdigest() == committed["sha256"])
        except _BROKEN:
            return False

    def _sealed(self, original: _Original) -> bytes:
        if original.is_file:
            return artifacts.read(self._folder, original.artifact_id)
        sql = "SELECT sealed FROM artifacts WHERE artifact_id = ?"
        return bytes(bulk.rows(self._reads, sql, (original.artifact_id,))[0][0])

    # --- what is gone

    def _miss(self, page: Page, position: int, values: Mapping[str, Any], found: Opened) -> None:
        event = read(position, page.states[position])
        paths = (path for path in page.events[position].commit if path not in values)
        missing = [(event, path, False) for path in paths if not self._erasures.explains(event, path)]
        found.missing += missing[: MAX_FOUND - len(found.missing)]

    def _miss_original(self, page: Page, position: int, artifact: str, found: Opened) -> None:
        event = read(position, page.states[position])
        is_told = event.type in ONLY_NAME or self._erasures.explains_original(event, artifact)
        if not is_told and len(found.missing) < MAX_FOUND:
            found.missing.append((event, artifact, True))


def _refuse(_nonce: bytes, _data: bytes | memoryview, _context: bytes) -> bytes:
    raise CorruptError


def open_all(
    page: Page, sealed: Sequence[Row], keys: Mapping[bytes, Decrypt]
) -> tuple[dict[int, dict[str, Any]], set[int]]:
    """By position the values that are there, and the positions of events beside which one does not fit, or which are no events."""
    doubtful = set(page.states.keys() - page.events.keys())
    revealed: list[tuple[int, Revealed]] = []
    for begin in range(0, len(sealed), TOGETHER):
        unsure, sure = _unsealed(page, sealed[begin : begin + TOGETHER], keys, doubtful)
        doubtful |= _wrong(unsure, encode) | _wrong(sure, encode_checked)
        revealed += unsure + sure
    opened: dict[int, dict[str, Any]] = {}
    for position, (_, _, _, values) in revealed:
        if position not in doubtful:
            opened[position] = {**opened[position], **values} if position in opened else dict(values)
    return opened, doubtful


def _unsealed(
    page: Page, sealed: Sequence[Row], keys: Mapping[bytes, Decrypt], doubtful: set[int]
) -> tuple[list[tuple[int, Revealed]], list[tuple[int, Revealed]]]:
    """What is sealed beside events, by position: that of which it is not sure that it has a canonical form, and the rest."""
    unsure: list[tuple[int, Revealed]] = []
    sure: list[tuple[int, Revealed]] = []
    for position, key_id, blob in sealed:
        said, decrypt = page.events.get(position), keys.get(key_id)
        if said is not None and said.commit and decrypt is not None:
            try:
                plain = decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], said.id.encode() + key_id)
                secret, values, is_sure = _read(plain)
                (sure if is_sure else unsure).append((position, (said.commit, from_text(secret), said.id, values)))
            except _BROKEN:
                doubtful.add(position)
    return unsure, sure


def _read(plain: bytes) -> tuple[str, Mapping[str, Any], bool]:
    """The secret, the values, and whether it is sure that all of them have a canonical form."""
    try:
        opened = _plain.decode(plain)
    except msgspec.DecodeError:
        other = decode(plain)
        return other["secret"], other["values"], False
    return opened.secret, opened.values, plain.isascii() and b"\\" not in plain


def _wrong(revealed: Sequence[tuple[int, Revealed]], encoded: Callable[[Any], bytes]) -> set[int]:
    """Positions of values that are not the ones committed to; that of all nothing is wrong is said at once."""
    try:
        if open_together([each for _, each in revealed], encoded):
            return set()
    except _BROKEN:
        pass
    if len(revealed) == 1:
        return {revealed[0][0]}
    return {position for each in revealed for position in _wrong([each], encoded)}
