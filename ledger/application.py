"""The ledger: an `eventsourcing` application whose events are opaque leaves under a Merkle tree.

It appends items, reads events back, and opens the sealed values that lie beside them. What events to append is decided
in `ledger.intake` and `ledger.acts`; what they mean is folded in `projections`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from eventsourcing.application import Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    JSONTranscoder,
    Mapper,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType
from uuid_utils import uuid7

from ledger import artifacts, tree
from ledger.appender import Appended, Appender, Item, Outcomes
from ledger.canonical import decode, encode_checked
from ledger.commitments import commit_each, from_text, open_each, opens, salt, to_text
from ledger.database import PostgresDatabase, Reads, SQLiteDatabase
from ledger.errors import (
    ConfigurationError,
    CorruptError,
    ErasedError,
    ForkError,
    InvalidEventError,
    NotFoundError,
    TooLargeError,
)
from ledger.events import NONCE_BYTES, Draft, Event, nonce_text, parse_time, prepare, read, time_text
from ledger.randomness import random_bytes
from ledger.recorders import ArtifactRow, Head, KeyRow, PostgresRecorder, SQLiteRecorder, read_head
from ledger.sealing import KEY_BYTES, Keyring, seal, seal_artifact, unseal, unseal_artifact
from ledger.types import TYPES

MAX_ARTIFACT_BYTES = 64 * 1024 * 1024
IN_DATABASE_BYTES = 256 * 1024
MAX_CACHED_KEYS = 50_000
KEY_KEPT_S = 60.0
"""How long a key of a person is remembered: what another process had destroyed is forgotten by then."""
PAGE = 1_000
WHOLE_MESSAGE = -1
ERASED = "evidence.erased/1"
OWN_TENANT = OWN_STREAM = "ledger"
"""Where events about the ledger itself stand."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What one head covers was recorded at one time. Halving inside the database is one question, not one per step.
_POSITION_BEFORE = """
    WITH RECURSIVE halved (low, step) AS (
        SELECT CAST(0 AS bigint), CAST(4503599627370496 AS bigint)
        UNION ALL
        SELECT
            low + CASE WHEN (SELECT recorded_at FROM heads WHERE size >= low + step ORDER BY size LIMIT 1) < ? THEN step ELSE 0 END,
            step / 2
        FROM halved WHERE step > 0
    )
    SELECT low FROM halved WHERE step = 0
"""


class PersonKey(NamedTuple):
    """The key of one person in one message, opened."""

    key_id: bytes
    key: bytes


class Opened(NamedTuple):
    """One committed value with its salt, as it may be disclosed.

    Attributes:
        owner: the stream (of a message, a batch or an account) whose key sealed it.
        person: index of the person in that message; below 0 when it concerns no single one.
    """

    owner: str
    person: int
    salt: bytes
    value: Any


class Artifact(NamedTuple):
    """Original bytes, read back."""

    artifact_id: str
    position: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """What of one provider's vocabulary may stand in the clear.

    Attributes:
        mapping: name and version of its tables, for example `kpn_sms/1`.
        words: codes and reasons of those tables.
        channel: `registered_email`, `certified_email`, `post`, `sms` or `fax`; "" when unknown.
        region: country to which its national telephone numbers belong (ISO 3166-1 alpha-2), or "".
    """

    mapping: str
    words: frozenset[str]
    channel: str = ""
    region: str = ""


class LeafMapper(Mapper[Any]):
    """Bytes in, bytes out: an event's stored state is its leaf; no cipher or topic is taken from the environment."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        event: Event = domain_event
        topic = str(event.fields["type"])
        if event.type not in TYPES:
            msg = f"event type {event.type!r} is not in the table of types"
            raise InvalidEventError(msg)
        return StoredEvent(event.originator_id, event.originator_version, topic, event.leaf)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return read(0, stored_event.state)


class _Factory(InfrastructureFactory[Any]):
    """Hands out the recorder that was made from the database; makes no tables."""

    def __init__(self, recorder: SQLiteRecorder | PostgresRecorder) -> None:
        super().__init__({})
        self._recorder = recorder

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return self._recorder

    def application_recorder(self) -> ApplicationRecorder:
        return self._recorder

    def tracking_recorder(self, tracking_recorder_class: type[Any] | None = None) -> TrackingRecorder:
        return self._recorder

    def process_recorder(self) -> ProcessRecorder:
        return self._recorder

    def close(self) -> None:
        self._recorder.datastore.close()


def system_clock() -> datetime:
    return datetime.now(UTC)


class Ledger(Application[Any]):
    """One log, its sealed values and its keys.

    Args:
        database: an opened, migrated database.
        keyring: the ledger's secrets; must be the ones this database was begun with.
        vocabulary: per provider, what may stand in the clear.
        artifact_folder: where originals above 256 KiB are kept, sealed.
        clock: our clock, aware.
        random: as os.urandom.

    Attributes:
        frozen: why nothing may be appended any more: the newest head does not match the stored leaves, or the tree does not fit the
            signed heads; "" while it may.
        erasings: how many items with erasures this process appended.
        on_erased: what else is done with `evidence.erased` events before who wrote them goes on: see `ledger.erasures`.

    Raises:
        ConfigurationError: the keyring belongs to another database.
    """

    name = "ledger"

    def __init__(
        self,
        database: SQLiteDatabase | PostgresDatabase,
        keyring: Keyring,
        vocabulary: Mapping[str, Words],
        artifact_folder: Path,
        clock: Callable[[], datetime] = system_clock,
        random: Callable[[int], bytes] = random_bytes,
    ) -> None:
        self.database = database
        self.keyring = keyring
        self.vocabulary = vocabulary
        self.artifact_folder = artifact_folder
        self.clock = clock
        self.random = random
        self.frozen = ""
        self.position_column = "rowid" if database.kind == "sqlite" else "notification_id"
        self.on_erased: Callable[[Sequence[Event]], None] = lambda _events: None
        self.erasings = 0
        self._keys: dict[tuple[str, int], tuple[float, PersonKey]] = {}
        super().__init__({})
        self._check_keyring()
        try:
            self.appender = Appender(
                self.recorder,
                self.versions,
                clock,
                after_commit=self.recorder.notify,
                # Another clock than the system's has no monotonic one beside it that it could be held against.
                monotonic=time.monotonic if clock is system_clock else None,
                jumped=self._clock_jumped,
            )
        except CorruptError as error:  # it must be possible to look at what is left
            self.freeze(str(error))

    # --- the frame's construction, without its environment

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        return Environment(name, {})

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        kind = SQLiteRecorder if isinstance(self.database, SQLiteDatabase) else PostgresRecorder
        return _Factory(kind(self.database))  # type: ignore[arg-type]  # chosen by the database's own class

    def construct_mapper(self) -> Mapper[Any]:
        return LeafMapper()

    recorder: Any

    def _check_keyring(self) -> None:
        value = self.keyring.check_value()
        sql = "SELECT value FROM meta WHERE name = 'keyring'"
        rows = self.database.read(sql)
        if not rows:
            with (
                self.database.writing() as cursor
            ):  # another process may be beginning the same ledger: the first one counts
                first = "INSERT INTO meta (name, value) SELECT 'keyring', ? WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name = 'keyring')"
                cursor.execute(f"{first} ON CONFLICT DO NOTHING", (value,))
            rows = self.database.read(sql)
        if bytes(rows[0][0]) != value:
            msg = "the key files are not the ones this database was begun with; restore them (LEDGER_KEY_FOLDER) before going on"
            raise ConfigurationError(msg)

    def _clock_jumped(self, forward_ms: int) -> Item:
        numbers = {"forward_ms": forward_ms} if forward_ms > 0 else {"back_ms": -forward_ms}
        return Item([self.draft("clock.jumped", OWN_TENANT, OWN_STREAM, {"numbers": numbers})])

    def seen_through(self, reads: Reads) -> Ledger:
        """The same ledger through other reads, those of a snapshot; for reading only, and only while they last."""
        view = _View.__new__(_View)
        vars(view).update(vars(self), database=reads)
        return view

    def close(self) -> None:
        """Commit what was accepted, then close."""
        if hasattr(self, "appender"):
            self.appender.close()
        super().close()

    # --- writing

    def append(self, item: Item) -> Appended:
        """Store an item and wait until it is durable and in the tree; what is erased by it, also in the journal of erasures."""
        appended = self.submit(item).result()
        if erases(item):
            told = zip(item.drafts, appended.positions, strict=True)
            self.on_erased(self.events_at(position for draft, position in told if draft.topic == ERASED))
        return appended

    def freeze(self, reason: str) -> None:
        """Refuse to append from now on, for good; reading goes on.

        Args:
            reason: both sides of the contradiction, and the repair.
        """
        self.frozen = self.frozen or reason

    def thaw(self) -> None:
        """Append again: the next epoch is being opened, which says what was lost.

        Raises:
            CorruptError: the newest head does not match the stored leaves; nothing can follow it.
        """
        if not hasattr(self, "appender"):
            raise CorruptError(self.frozen)
        self.frozen = ""

    def submit(self, item: Item) -> Future[Appended]:
        """Check and queue an item; see `Appender.submit`.

        Raises:
            ForkError: the ledger is frozen; sending again never helps.
        """
        self._check(item)
        future = self.appender.submit(item)
        if erases(item):
            future.add_done_callback(lambda _: self._forget())
        return future

    def queue(self, item: Item, who: object, tell: Callable[[Outcomes], None]) -> None:
        """Check and queue an item that erases nothing; see `Appender.queue`."""
        self._check(item)
        self.appender.queue(item, who, tell)

    def _check(self, item: Item) -> None:
        if self.frozen:
            raise ForkError(self.frozen)
        for draft in item.drafts:
            prepare(draft)

    def _forget(self) -> None:
        """Nothing that was known of messages before an erasure is to be relied on after it."""
        self._keys.clear()
        self.erasings += 1

    def draft(
        self,
        kind: str,
        tenant: str,
        stream: str,
        clear: Mapping[str, Any],
        values: Sequence[tuple[PersonKey, Mapping[str, Any]]] = (),
        event_id: str = "",
    ) -> Draft:
        """An event to be: clear fields as given, every value committed and sealed under its person's key.

        Args:
            kind: a type of the table, without version.
            clear: fields of the table of clear fields; `observed_at` defaults to now.
            values: per key, field path -> value; a path stands once in an event.

        Raises:
            InvalidEventError: a value that canonical JSON cannot carry.
        """
        event_id = event_id or str(uuid7())
        fields: dict[str, Any] = dict(clear)
        if "observed_at" not in fields:
            fields["observed_at"] = time_text(self.clock())
        drawn = self.random(NONCE_BYTES + len(values) * KEY_BYTES)  # at once: each draw lets go of the interpreter
        fields |= {"v": 1, "id": event_id, "nonce": nonce_text(drawn[:NONCE_BYTES]), "type": f"{kind}/1"}
        fields |= {"tenant": tenant, "stream": stream}
        if TYPES[kind].erds:
            fields["erds"] = TYPES[kind].erds
        commitments: dict[str, str] = {}
        sealed: list[tuple[bytes, bytes]] = []
        for begin, (person, said) in zip(range(NONCE_BYTES, len(drawn), KEY_BYTES), values, strict=True):
            if said:
                secret = drawn[begin : begin + KEY_BYTES]
                commitments |= commit_each(secret, event_id, said)
                plain = encode_checked({"secret": to_text(secret), "values": dict(said)})
                sealed.append((person.key_id, seal(person.key, plain, event_id.encode() + person.key_id)))
        if commitments:
            fields["commit"] = commitments
        return Draft(fields, sealed)

    def new_key(self, stream: str, person: int) -> tuple[KeyRow, PersonKey]:
        """A fresh key for one person in one message, wrapped for storage."""
        key_id, key = uuid7().bytes, self.random(KEY_BYTES)  # begins with time: new keys lie together in their index
        return KeyRow(key_id, stream, person, self.keyring.wrap(key_id, key)), PersonKey(key_id, key)

    def seal_original(self, person: PersonKey, body: bytes, media_type: str) -> ArtifactRow:
        """Seal original bytes; large ones are on disk, fsynced and read back, before this returns.

        Raises:
            TooLargeError: more than 64 MiB.
        """
        if len(body) > MAX_ARTIFACT_BYTES:
            msg = f"an original of {len(body)} bytes; at most {MAX_ARTIFACT_BYTES}"
            raise TooLargeError(msg)
        artifact_id = str(uuid7())
        sealed = seal_artifact(person.key, body, artifact_id.encode())
        if len(sealed) <= IN_DATABASE_BYTES:
            return ArtifactRow(artifact_id, person.key_id, media_type, len(body), sealed)
        artifacts.write(self.artifact_folder, artifact_id, sealed)
        return ArtifactRow(artifact_id, person.key_id, media_type, len(body), None)

    def sweep_artifacts(self) -> list[str]:
        """Remove files of originals that were never named by an event; see `ledger.artifacts.sweep`."""
        return artifacts.sweep(self.artifact_folder, self._named_artifacts)

    def _named_artifacts(self, artifact_ids: Sequence[str]) -> set[str]:
        return {name for (name,) in self.database.probe("artifacts", "artifact_id", "artifact_id", artifact_ids)}

    # --- tracking of read models

    @property
    def tracking_table(self) -> str:
        return str(getattr(self.recorder, "tracking_table_name", "tracking"))

    def track(self, cursor: Any, name: str, position: int) -> None:
        """Say in the same transaction how far a read model has read.

        Raises:
            IntegrityError: another process was further already.
        """
        self.recorder._insert_tracking(cursor.cursor, Tracking(name, position))  # noqa: SLF001  the frame's own hook

    # --- reading

    def head(self) -> Head:
        head: Head = self.recorder.head()
        return head

    def versions(self, streams: Sequence[str]) -> dict[str, int]:
        """The last version of each stream that exists."""
        columns = "originator_id, originator_version"
        return dict(self.database.probe_last("stored_events", columns, "originator_id", streams, "originator_version"))

    def stream(self, stream: str, after: int = 0) -> list[Event]:
        """The events of one stream in order, after a version."""
        sql = (
            f"SELECT {self.position_column}, state FROM stored_events "
            "WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version"
        )
        return [read(p, bytes(state)) for p, state in self.database.read(sql, (stream, after))]

    def feed(self, after: int = 0, limit: int = PAGE) -> list[Event]:
        """Events by position, after a position."""
        c = self.position_column
        sql = f"SELECT {c}, state FROM stored_events WHERE {c} > ? ORDER BY {c} LIMIT ?"
        return [read(p, bytes(state)) for p, state in self.database.read(sql, (after, limit))]

    def between(self, after: int, until: int) -> list[Event]:
        """The events after a position up to another; whoever works for one tenant sees that tenant's and the ledger's own."""
        c = self.position_column
        sql = f"SELECT {c}, state FROM stored_events WHERE {c} > ? AND {c} <= ? ORDER BY {c}"
        return [read(p, bytes(state)) for p, state in self.database.read(sql, (after, until))]

    def event(self, event_position: int) -> Event:
        """One event by position.

        Raises:
            NotFoundError: there is no such position.
        """
        found = self.events_at([event_position])
        if not found:
            msg = f"there is no event at position {event_position}"
            raise NotFoundError(msg)
        return found[0]

    def events_at(self, positions: Iterable[int]) -> list[Event]:
        """The events that stand at these positions, by position; asked for together, whatever their number."""
        c = self.position_column
        rows = self.database.probe("stored_events", f"{c}, state", c, sorted(set(positions)))
        return [read(p, bytes(state)) for p, state in sorted(rows)]

    def position_before(self, at: str) -> int:
        """The last position that was recorded before a time, 0 when there is none: the log's clock never runs back.

        Args:
            at: a day or time, UTC if nothing else is said.

        Raises:
            ValueError: it is none.
        """
        moment = parse_time(at)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
        return int(self.database.read(_POSITION_BEFORE, (since // timedelta(microseconds=1),))[0][0])

    def recorded_at(self, event_position: int) -> str:
        """When an event was recorded, whoever's it is: all that one head covers were at one time.

        Raises:
            NotFoundError: there is no such position.
        """
        sql = "SELECT recorded_at FROM heads WHERE size >= ? ORDER BY size LIMIT 1"
        rows = self.database.read(sql, (event_position,))
        if not rows:
            msg = f"there is no event at position {event_position}"
            raise NotFoundError(msg)
        return time_text(_EPOCH + timedelta(microseconds=rows[0][0]))

    def leaves(self, after: int = 0, limit: int = PAGE) -> list[tuple[int, bytes, bytes]]:
        """(position, leaf bytes, stored leaf hash) after a position, for checking."""
        c = self.position_column
        sql = f"SELECT {c}, state, leaf FROM stored_events WHERE {c} > ? ORDER BY {c} LIMIT ?"
        return [(p, bytes(s), bytes(h)) for p, s, h in self.database.read(sql, (after, limit))]

    def probe_lookups(self, digests: Iterable[bytes]) -> list[tuple[bytes, str, int, int]]:
        """(digest, stream, recipient, position) for keyed digests."""
        rows = self.database.probe("lookups", "digest, stream, recipient, position", "digest", list(digests))
        return [(bytes(d), s, r, p) for d, s, r, p in rows]

    def known(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Duplicate keys that exist, with the position of their fact."""
        rows = self.database.probe("duplicates", "duplicate_key, position", "duplicate_key", list(keys))
        return {bytes(k): p for k, p in rows}

    def joined(self, streams: Sequence[str]) -> dict[str, str]:
        """Where each stream was last joined into; "" after a parting."""
        return dict(self.database.probe_last("joins", "stream, joined_into", "stream", streams, "position"))

    # --- values beside the log

    def person_key(self, stream: str, person: int) -> PersonKey:
        """The key of one person in one message.

        Raises:
            ErasedError: it was destroyed, or never was.
        """
        found = self._kept_key(stream, person)
        if found is None:
            self.read_keys([(stream, person)])
            found = self._kept_key(stream, person)
        if found is None:
            raise ErasedError
        return found

    def _kept_key(self, stream: str, person: int) -> PersonKey | None:
        read_at, found = self._keys.get((stream, person), (0.0, None))
        return found if time.monotonic() - read_at <= KEY_KEPT_S else None

    def read_keys(self, whose: Iterable[tuple[str, int]]) -> None:
        """Read the keys of people in messages, (stream, person) each, together; they are remembered for a while."""
        wanted = sorted({each for each in whose if self._kept_key(*each) is None})
        columns = "stream, person, key_id, wrapped"
        for stream, person, key_id, wrapped in self.database.probe_pairs(
            "person_keys", columns, ("stream", "person"), wanted
        ):
            key = PersonKey(bytes(key_id), self.keyring.unwrap(bytes(key_id), bytes(wrapped)))
            while len(self._keys) >= MAX_CACHED_KEYS:
                self._keys.pop(next(iter(self._keys)), None)
            self._keys[stream, person] = time.monotonic(), key

    def _open_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        rows = self.database.probe("person_keys", "key_id, wrapped", "key_id", list(dict.fromkeys(key_ids)))
        return {bytes(k): self.keyring.unwrap(bytes(k), bytes(w)) for k, w in rows}

    def values(self, events: Sequence[Event]) -> dict[int, dict[str, Any]]:
        """Position -> field path -> value, for what is still held; erased fields are absent.

        Raises:
            CorruptError: a value does not open its commitment.
        """
        by_position = {event.position: event for event in events if "commit" in event.fields}
        rows = self.database.probe("sealed_values", "position, key_id, sealed", "position", list(by_position))
        keys = self._open_keys([bytes(k) for _, k, _ in rows])
        found: dict[int, dict[str, Any]] = {}
        for position, key_id, sealed in rows:
            key = keys.get(bytes(key_id))
            if key is not None:
                opened = open_values(by_position[position], bytes(key_id), key, bytes(sealed))
                found.setdefault(position, {}).update(opened)
        return found

    def values_of(self, told: Mapping[tuple[str, int], Event]) -> dict[tuple[str, int], dict[str, Any]]:
        """(Stream, person) -> what one event holds of that person alone, for what is still held.

        An event may hold the values of 400 people; nobody else's are opened.

        Raises:
            CorruptError: a value does not open its commitment.
        """
        columns = "key_id, wrapped, stream, person"
        rows = self.database.probe_pairs("person_keys", columns, ("stream", "person"), sorted(told))
        keys = {bytes(k): (self.keyring.unwrap(bytes(k), bytes(w)), (str(s), int(p))) for k, w, s, p in rows}
        places = sorted((told[whose].position, key_id) for key_id, (_, whose) in keys.items())
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for _, key_id, sealed in self.database.probe_pairs(
            "sealed_values", "position, key_id, sealed", ("position", "key_id"), places
        ):
            key, whose = keys[bytes(key_id)]
            found.setdefault(whose, {}).update(open_values(told[whose], bytes(key_id), key, bytes(sealed)))
        return found

    def disclosures(self, events: Sequence[Event]) -> dict[int, dict[str, Opened]]:
        """Position -> field path -> value, salt and whose it is, for what is still held; erased fields are absent.

        Raises:
            CorruptError: a value does not open its commitment.
        """
        by_position = {event.position: event for event in events if "commit" in event.fields}
        rows = self.database.probe("sealed_values", "position, key_id, sealed", "position", list(by_position))
        wanted = list(dict.fromkeys(bytes(k) for _, k, _ in rows))
        keys = self.database.probe("person_keys", "key_id, wrapped, stream, person", "key_id", wanted)
        held = {bytes(k): (self.keyring.unwrap(bytes(k), bytes(w)), stream, person) for k, w, stream, person in keys}
        found: dict[int, dict[str, Opened]] = {}
        for position, key_id, sealed in rows:
            if bytes(key_id) in held:
                event = by_position[position]
                key, owner, person = held[bytes(key_id)]
                secret, values = _open_sealed(event, bytes(key_id), key, bytes(sealed))
                said = {p: Opened(owner, person, salt(secret, event.id, p), value) for p, value in values.items()}
                found.setdefault(position, {}).update(said)
        return found

    def artifact_place(self, artifact_id: str) -> tuple[int, str]:
        """Where an original came from: the position of the first event stored with it, and the stream whose key seals it.

        Raises:
            NotFoundError: no such artifact.
            ErasedError: its key was destroyed.
        """
        sql = "SELECT position, key_id FROM artifacts WHERE artifact_id = ?"
        rows = self.database.read(sql, (artifact_id,))
        if not rows:
            msg = f"there is no artifact {artifact_id}"
            raise NotFoundError(msg)
        owners = self.database.read("SELECT stream FROM person_keys WHERE key_id = ?", (bytes(rows[0][1]),))
        if not owners:
            raise ErasedError
        return int(rows[0][0]), str(owners[0][0])

    def artifact(self, artifact_id: str) -> Artifact:
        """Original bytes by artifact id.

        Raises:
            NotFoundError: no such artifact.
            ErasedError: its key was destroyed.
        """
        sql = "SELECT position, key_id, media_type, sealed FROM artifacts WHERE artifact_id = ?"
        rows = self.database.read(sql, (artifact_id,))
        if not rows:
            msg = f"there is no artifact {artifact_id}"
            raise NotFoundError(msg)
        position, key_id, media_type, sealed = rows[0]
        key = self._open_keys([bytes(key_id)]).get(bytes(key_id))
        if key is None:
            raise ErasedError
        data = artifacts.read(self.artifact_folder, artifact_id) if sealed is None else bytes(sealed)
        return Artifact(artifact_id, position, media_type, unseal_artifact(key, data, artifact_id.encode()))

    # --- the tree

    def node(self, height: int, index: int) -> bytes:
        """The hash of a perfect subtree of 2**height leaves, from tile hashes and leaf hashes."""
        return tree.node_in_tiles(self._tile)(height, index)

    def _tile(self, level: int, tile_index: int) -> list[bytes]:
        """The hashes of a tile, as many as are complete."""
        begin = tile_index << tree.TILE_HEIGHT
        if level:
            sql = "SELECT hash FROM tile_hashes WHERE level = ? AND tile_index >= ? AND tile_index < ? ORDER BY tile_index"
            rows = self.database.read(sql, (level, begin, begin + tree.TILE_WIDTH))
        else:
            sql = "SELECT leaf FROM leaf_hashes WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id"
            rows = self.database.read(sql, (begin, begin + tree.TILE_WIDTH))
        return [bytes(r[0]) for r in rows]

    def root_at(self, tree_size: int) -> bytes:
        """The root over the first `tree_size` events."""
        return tree.range_root(0, tree_size, tree.node_in_tiles(self._tile)) if tree_size else tree.EMPTY_ROOT

    def consistency_proof(self, old_size: int, tree_size: int) -> list[bytes]:
        return tree.consistency_proof(old_size, tree_size, tree.node_in_tiles(self._tile))

    def inclusion_proof(self, position: int, tree_size: int) -> list[bytes]:
        return tree.inclusion_proof(position - 1, tree_size, tree.node_in_tiles(self._tile))


class _View(Ledger):
    """A ledger seen through a snapshot; what it was made of is not its own to close."""

    def head(self) -> Head:
        """The newest head that the snapshot shows."""
        return read_head(self.database)

    def close(self) -> None:
        """Nothing is open."""


def erases(item: Item) -> bool:
    """Whether what an item tells has to be carried out, too: whoever appends it waits for that."""
    return any(draft.topic == ERASED for draft in item.drafts)


def open_values(event: Event, key_id: bytes, key: bytes, sealed: bytes) -> dict[str, Any]:
    """The sealed values of one event and person, each checked against its commitment."""
    return _open_sealed(event, key_id, key, sealed)[1]


def _open_sealed(event: Event, key_id: bytes, key: bytes, sealed: bytes) -> tuple[bytes, dict[str, Any]]:
    """The secret of the salts, and the values."""
    event_id, commitments = event.id, event.fields["commit"]
    opened = decode(unseal(key, sealed, event_id.encode() + key_id))
    secret = from_text(opened["secret"])
    if not open_each(commitments, secret, event_id, opened["values"]):
        wrong = (
            p
            for p, v in opened["values"].items()
            if not opens(commitments[p], salt(secret, event_id, p), event_id, p, v)
        )
        msg = f"position {event.position}: the value of {next(wrong)} does not open its commitment"
        raise CorruptError(msg)
    return secret, opened["values"]


def digest_value(body: bytes, media_type: str, name: str, role: str) -> dict[str, Any]:
    """What an event commits to of an original: its digest and how it came."""
    return {
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
        "media_type": media_type,
        "name": name,
        "role": role,
    }


def pages(fetch: Callable[[int], list[Any]], key: Callable[[Any], int], after: int = 0) -> Iterator[Any]:
    """All items of a keyset-paged reader."""
    while page := fetch(after):
        yield from page
        after = key(page[-1])
