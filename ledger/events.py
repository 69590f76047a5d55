"""The format of an event, frozen by golden bytes in the tests.

An event is one canonical JSON object, the leaf of the tree. Only the fields of `CLEAR` may stand in it, each in its
shape; everything else a provider or a person said is a commitment below `commit`. A field that is absent was not said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import call
from typing import Any

from ledger.canonical import MAX_INT, decode, encode_checked
from ledger.commitments import to_text
from ledger.errors import InvalidEventError, TooLargeError
from ledger.observations import ArrivalKind, Verdict, ZoneBasis
from ledger.types import TYPES

FORMAT_VERSION = 1
MAX_LEAF_BYTES = 65_535
MAX_DECLARED = 400
NONCE_BYTES = 16
MAX_KNOWN_WORDS = 1_000

Check = Callable[[Any], Any]
"""Whether a value has a shape, as truth; a TypeError says that it does not, too."""


def _text(pattern: str) -> Check:
    return re.compile(pattern).fullmatch


class _Words(dict[str, bool]):
    """Values that were found to have a shape; the first so many, as there may be more than are worth remembering."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def __missing__(self, value: str) -> bool:
        is_shaped = bool(self._check(value))
        if is_shaped and len(self) < MAX_KNOWN_WORDS:
            self[value] = True
        return is_shaped


def _word(pattern: str) -> Check:
    """As `_text`, of what comes again in most events."""
    return _Words(_text(pattern)).__getitem__


def _one_of(values: frozenset[str]) -> Check:
    return values.__contains__


def _count(v: Any) -> bool:
    return type(v) is int and 0 <= v <= MAX_INT


def _list(check: Check) -> Check:
    return lambda v: type(v) is list and len(v) > 0 and all(map(check, v))


def _mapping(key: Check, value: Check) -> Check:
    return lambda v: type(v) is dict and len(v) > 0 and all(map(key, v)) and all(map(value, v.values()))


def _pair(v: Any) -> bool:
    return type(v) is list and len(v) == 2 and all(map(_count, v))


_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"
_uuid = _text(_UUID)
_name = _word(_NAME)
_token = _word(r"[a-z][a-z0-9_.:-]{0,62}")
_time = _text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_stream = _text(rf"{_UUID}(/\d{{1,6}})?|batch/{_UUID}|account/{_NAME}/{_NAME}/\d{{4}}-\d\d-\d\d|ledger")
_vkey = _text(r"[^\s+]{1,200}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}")
_code = _word(r"[\x20-\x7e\u00a0-\u024f]{1,80}")

CLEAR: dict[str, Check] = {
    "v": lambda v: type(v) is int and v == FORMAT_VERSION,
    "id": _uuid,
    "nonce": _text(r"[A-Za-z0-9_-]{22}"),
    "type": _one_of(frozenset(f"{name}/1" for name in TYPES)),
    "tenant": _name,
    "stream": _stream,
    "version": lambda v: _count(v) and v > 0,
    "occurred_at": _time,
    "zone": _one_of(frozenset(ZoneBasis)),
    "observed_at": _time,
    "recorded_at": _time,
    "provider": _name,
    "account": _name,
    "arrival": _one_of(frozenset(ArrivalKind)),
    "operation": _token,
    "verdict": _one_of(frozenset(Verdict)),
    "key_id": _word(r"[A-Za-z0-9_.:-]{1,63}"),
    "code": _code,
    "reason": _code,
    "erds": _word(r"[A-F]\.\d"),
    "mapping": _word(rf"{_NAME}/\d+"),
    "about": _one_of(frozenset({"message", "recipient", "other_recipient", "batch", "account"})),
    "recipient": _count,
    "first": _count,
    "count": _count,
    "part": _pair,
    "numbers": _mapping(_token, _count),
    "notes": _list(_token),
    "artifacts": _list(_uuid),
    "events": _list(_uuid),
    "streams": _list(_stream),
    "recipients": _list(_pair),
    "rule": _token,
    "origin": _text(r"[^\s+]{1,200}"),
    "log_key": _vkey,
    "recovery_key": _vkey,
    "tree_size": _count,
    "root": _text(r"[0-9a-f]{64}"),
    "signature": _text(r"[A-Za-z0-9_-]{86}"),
    "actor": _word(r"[A-Za-z0-9_.:-]{1,63}"),
    "commit": _mapping(_word(r"(?!tenant$)[a-z][a-z0-9_.]{0,79}"), _text(r"[A-Za-z0-9_-]{43}")),
}
"""Field -> the shape it must have. What is not here does not enter an event."""

REQUIRED = frozenset({"v", "id", "nonce", "type", "tenant", "stream", "observed_at"})
"""Besides `version` and `recorded_at`, which the appender adds."""


@dataclass(slots=True)
class Draft:
    """An event before the appender gives it its version and recorded_at.

    Attributes:
        fields: clear fields and `commit`.
        sealed: (key id, sealed values) pairs to be stored beside the event.
        parts: its bytes around those two, once it is prepared.
    """

    fields: dict[str, Any]
    sealed: list[tuple[bytes, bytes]]
    parts: tuple[bytes, bytes, bytes] | None = None

    @property
    def id(self) -> str:
        return str(self.fields["id"])

    @property
    def stream(self) -> str:
        return str(self.fields["stream"])

    @property
    def topic(self) -> str:
        return str(self.fields["type"])


def check_fields(fields: Mapping[str, Any]) -> None:
    """Refuse a field that the table of clear fields does not allow; names the field, never its value.

    Raises:
        InvalidEventError: an unknown, misshapen or missing field.
    """
    checks, missing = _checks(tuple(fields))
    try:
        is_shaped = all(map(call, checks, fields.values()))
    except TypeError:
        is_shaped = False
    if is_shaped and not missing:
        return
    for name, check in zip(fields, checks, strict=True):
        if not _is_shaped(check, fields[name]):
            msg = f"the value of {name!r} does not have the shape that may stand in the clear"
            raise InvalidEventError(msg)
    msg = f"an event lacks {missing}"
    raise InvalidEventError(msg)


@lru_cache(maxsize=1024)
def _checks(names: tuple[str, ...]) -> tuple[tuple[Check, ...], str]:
    """The check of each field of events that have these, and which they lack; few sets of names make up all events."""
    for name in names:
        if name not in CLEAR:
            msg = f"{name!r} may not stand in the clear in an event"
            raise InvalidEventError(msg)
    return tuple(CLEAR[name] for name in names), ", ".join(sorted(REQUIRED.difference(names)))


def _is_shaped(check: Check, value: Any) -> bool:
    try:
        return bool(check(value))
    except TypeError:
        return False


def prepare(draft: Draft) -> None:
    """Check a draft and encode it; what is done to its fields from here on changes nothing.

    Raises:
        InvalidEventError: as `check_fields`.
    """
    check_fields(draft.fields)
    draft.parts = _parts(draft.fields)


def _parts(fields: Mapping[str, Any]) -> tuple[bytes, bytes, bytes]:
    """The bytes before, between and after what the appender adds.

    No field after these two, as keys are sorted, holds keys itself, and no text holds a quote that is not escaped: so the last
    place that looks like one of them is it.
    """
    data = encode_checked({**fields, "recorded_at": "", "version": 0})
    before, _, rest = data.rpartition(b'"recorded_at":""')
    between, _, after = rest.rpartition(b'"version":0')
    return before, between, after


def leaf(draft: Draft, version: int, recorded_at: str) -> bytes:
    """The exact bytes of the event: hashed, stored and exported as they are.

    Raises:
        TooLargeError: more than 65,535 bytes (the limit of C2SP tlog-tiles entries).
    """
    before, between, after = draft.parts or _parts(draft.fields)
    data = b'%b"recorded_at":"%b"%b"version":%d%b' % (before, recorded_at.encode(), between, version, after)
    if len(data) > MAX_LEAF_BYTES:
        msg = f"an event of {len(data)} bytes; at most {MAX_LEAF_BYTES}"
        raise TooLargeError(msg)
    return data


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event as readers see it.

    Attributes:
        position: from 1, without a gap; leaf_index is position - 1. 0 where the frame hands out an event without it.
        leaf: the stored bytes.
        fields: the decoded leaf.
    """

    position: int
    leaf: bytes
    fields: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.fields["id"])

    @property
    def type(self) -> str:
        """The type's name without its version; may be one that this code does not know."""
        return str(self.fields["type"]).partition("/")[0]

    @property
    def stream(self) -> str:
        return str(self.fields["stream"])

    @property
    def tenant(self) -> str:
        return str(self.fields["tenant"])

    @property
    def originator_id(self) -> str:
        """The stream, under the frame's name for it."""
        return self.stream

    @property
    def originator_version(self) -> int:
        """The version in its stream, under the frame's name for it."""
        return int(self.fields["version"])


def read(position: int, data: bytes) -> Event:
    """An event from its stored bytes; unknown types and fields are kept as they are."""
    return Event(position, data, decode(data))


def time_text(at: datetime) -> str:
    """An aware time as it stands in events: UTC, microseconds, `Z`.

    Raises:
        ValueError: the time is naive.
    """
    if at.tzinfo is None:
        msg = "a time without a zone"
        raise ValueError(msg)
    in_utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def nonce_text(random16: bytes) -> str:
    return to_text(random16)


def message_of(stream: str) -> str:
    """The message (or batch, or account) stream to which a delivery stream belongs."""
    return stream.partition("/")[0] if stream[8:9] == "-" else stream


def delivery_stream(message: str, recipient: int) -> str:
    return f"{message}/{recipient}"
