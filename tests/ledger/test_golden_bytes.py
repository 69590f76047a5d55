"""Golden bytes: the format of an event, its commitments and its sealed values, written out. A change here breaks every log.

The values were computed once; that they follow from the definition is recomputed here with the standard library alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ledger.application import PersonKey, open_values
from ledger.batches import Item, encode
from ledger.canonical import encode_checked
from ledger.commitments import commit, commit_each, from_text, open_each, open_together, opens, salt, to_text
from ledger.errors import CorruptError, InvalidEventError, TooLargeError
from ledger.events import MAX_KNOWN_WORDS, MAX_LEAF_BYTES, Draft, check_fields, leaf, parse_time, read, time_text
from ledger.recorders import NO_HEAD
from ledger.tree import Frontier, leaf_hash
from tests.ledger.kit import Clock, opened
from tests.postgres import Database as Given

EVENT_ID = "01958f3a-5c00-7000-8000-0123456789ab"
STREAM = "01958f3a-5b00-7000-8000-0123456789ab/0"
KEY = PersonKey(bytes(range(16)), bytes(range(32, 64)))
SECRET = bytes(range(64, 96))
NONCE = bytes(range(96, 112))
VALUES = {"text": "Zugestellt: “Büro” 📧", "recipient.0": {"address": "anna@example.test", "kind": "email"}}
CLEAR = {
    "provider": "kpn_sms",
    "account": "main",
    "arrival": "webhook",
    "code": "DELIVRD",
    "occurred_at": "2026-03-01T11:59:58.000000Z",
    "zone": "stated",
    "numbers": {"parts": 2},
    "notes": ["text_repaired"],
}

LEAF = (
    b'{"account":"main","arrival":"webhook","code":"DELIVRD","commit":{'
    b'"recipient.0":"Z18D80UwKlj_CXTO0pytgmSalg85IWv_GKuP6u9DQEE","text":"h2DscXDFT3xer1Nf6jiPveLIlIkD2MDopDroorUtmLo"},'
    b'"erds":"D.1","id":"01958f3a-5c00-7000-8000-0123456789ab","nonce":"YGFiY2RlZmdoaWprbG1ubw","notes":["text_repaired"],'
    b'"numbers":{"parts":2},"observed_at":"2026-03-01T12:00:00.000000Z","occurred_at":"2026-03-01T11:59:58.000000Z",'
    b'"provider":"kpn_sms","recorded_at":"2026-03-01T12:00:00.000000Z","stream":"01958f3a-5b00-7000-8000-0123456789ab/0",'
    b'"tenant":"acme","type":"content.consigned/1","v":1,"version":1,"zone":"stated"}'
)
LEAF_HASH = "7b83ccda21fa15d8d507abed743e646cc861df0f7062298ad4fedacd3f0bc9ac"
SALT = "bf30f0df39b0b7dd0691d9e3e3dbc7499e211b3085631b61273dde43fa3c0d95"
COMMITMENTS = {
    "text": "h2DscXDFT3xer1Nf6jiPveLIlIkD2MDopDroorUtmLo",
    "recipient.0": "Z18D80UwKlj_CXTO0pytgmSalg85IWv_GKuP6u9DQEE",
}
SEALED = bytes.fromhex(
    "000102030405060708090a0b27702ec229478e989ec3eb9763351d6d2322af360175ef42717d9feefeb084cc1d9c4068775111b3bc21a2af8aa74be60371"
    "89a6366bd5a9844b6dc550d8108d7fbca96893bed5a93a04f8077749d9affc1ffed6a46f376818fd2729e2379520074321ed481220e8d02fa392903d0549"
    "bb946812bd374b56e4e19e712657b47c6fe2ff443ab821cea1d0318211807dd94afcdaa00cae90bc4aea3f3e373a6797587cd77e144f0168f1c8e2ce1b4c"
    "88d65ebc0f29397b"
)
"""Nonce 00 01 … 0b, then AES-256-GCM under KEY; authenticated with it: the event id's 36 characters and the 16 bytes of the key id."""


class Fixed:
    """Randomness that is what a test says, in order."""

    def __init__(self, *given: bytes) -> None:
        self.given = list(given)

    def __call__(self, count: int) -> bytes:
        found = self.given.pop(0)
        assert count == len(found)
        return found


@pytest.fixture
def draft(sqlite_database: Given, tmp_path: Path) -> Draft:
    """The event, as a ledger drafts it from fixed randomness and a fixed clock."""
    with opened(sqlite_database, tmp_path, Clock()) as ledger:
        ledger.random = Fixed(NONCE + SECRET)
        return ledger.draft("content.consigned", "acme", STREAM, CLEAR, [(KEY, VALUES)], EVENT_ID)


def canonical(value: object) -> bytes:
    """Canonical JSON of what stands in these tests, by the standard library."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_leaf_is_these_bytes(draft: Draft) -> None:
    """Every field, its order and its escapes; and the hash that the tree holds."""
    data = leaf(draft, 1, "2026-03-01T12:00:00.000000Z")
    assert LEAF == data
    assert LEAF_HASH == leaf_hash(data).hex() == hashlib.sha256(b"\0" + LEAF).hexdigest()


def test_appended_leaf_is_these_bytes(draft: Draft) -> None:
    """The appender adds its version and recorded_at and nothing else."""
    batch, (done,) = encode([Item([draft])], NO_HEAD, Frontier(), {STREAM: 0}, 1_772_366_400_000_000)
    assert [LEAF] == batch.states
    assert LEAF_HASH == done.root.hex()


def test_stored_leaf_is_read_back(draft: Draft) -> None:
    """Readers see the type without its version, and the fields as they stand."""
    event = read(7, LEAF)
    assert (7, EVENT_ID, "content.consigned", STREAM, "acme", 1) == (
        event.position, event.id, event.type, event.stream, event.tenant, event.originator_version
    )  # fmt: skip
    assert COMMITMENTS == event.fields["commit"] == draft.fields["commit"]


@pytest.mark.parametrize("path", VALUES)
def test_commitment_follows_from_its_definition(path: str) -> None:
    """Salt and commitment are two HMACs that anyone can recompute."""
    field_salt = hmac.digest(SECRET, b"salt\0" + EVENT_ID.encode() + path.encode(), "sha256")
    message = b"delivery-ledger/1\0" + EVENT_ID.encode() + path.encode() + b"\0" + canonical(VALUES[path])
    expected = urlsafe_b64encode(hmac.digest(field_salt, message, "sha256")).rstrip(b"=").decode()
    assert (SALT if path == "text" else field_salt.hex()) == salt(SECRET, EVENT_ID, path).hex()
    assert expected == COMMITMENTS[path] == commit(field_salt, EVENT_ID, path, VALUES[path])
    assert opens(COMMITMENTS[path], field_salt, EVENT_ID, path, VALUES[path])


def test_commitment_binds_event_path_value_and_salt() -> None:
    """Change any of the four and it does not open."""
    good = (salt(SECRET, EVENT_ID, "text"), EVENT_ID, "text", VALUES["text"])
    others = (salt(SECRET, EVENT_ID, "other"), EVENT_ID[:-1] + "c", "texts", "Zugestellt")
    for at, other in enumerate(others):
        assert not opens(COMMITMENTS["text"], *(*good[:at], other, *good[at + 1 :]))  # type: ignore[arg-type]
    assert not opens("ü" * 43, *good)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_salt_has_32_bytes(length: int) -> None:
    """A shorter or longer salt is a mistake, not a weaker commitment."""
    with pytest.raises(ValueError, match="32 bytes"):
        commit(bytes(length), EVENT_ID, "text", "x")


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), NONCE, SECRET])
def test_base64url_without_padding_goes_both_ways(data: bytes) -> None:
    """The text form of bytes in events."""
    assert data == from_text(to_text(data))
    assert "=" not in to_text(data)


def test_sealed_values_open_in_their_context() -> None:
    """A blob that was sealed once for all opens to the values, each under its commitment."""
    assert VALUES == open_values(read(7, LEAF), KEY.key_id, KEY.key, SEALED)


def test_sealed_values_open_nowhere_else() -> None:
    """Not beside another event, under another key id or key, nor with one bit changed."""
    event = read(7, LEAF)
    other = read(7, LEAF.replace(b'0123456789ab","nonce', b'0123456789ac","nonce'))
    assert other.id != event.id
    flipped = SEALED[:40] + bytes([SEALED[40] ^ 1]) + SEALED[41:]
    for wrong in (
        (other, KEY.key_id, KEY.key, SEALED),
        (event, bytes(16), KEY.key, SEALED),
        (event, KEY.key_id, bytes(32), SEALED),
        (event, KEY.key_id, KEY.key, flipped),
        (event, KEY.key_id, KEY.key, SEALED[:-1]),
        (event, KEY.key_id, KEY.key, b""),
    ):
        with pytest.raises(CorruptError):
            open_values(*wrong)


def test_value_that_does_not_open_its_commitment_is_corrupt() -> None:
    """A blob of the right key whose event commits to something else is told from the right one."""
    event = read(7, LEAF.replace(b"h2DscXDF", b"h2DscXDA"))
    with pytest.raises(CorruptError, match="position 7: the value of text does not open its commitment"):
        open_values(event, KEY.key_id, KEY.key, SEALED)


def test_drafted_values_are_sealed_for_their_event(draft: Draft) -> None:
    """What a ledger seals is what the golden blob holds, under a fresh nonce."""
    ((key_id, blob),) = draft.sealed
    assert (KEY.key_id, len(SEALED)) == (key_id, len(blob))
    assert blob != SEALED
    assert VALUES == open_values(read(1, LEAF), key_id, KEY.key, blob)


# --- what may stand in a leaf


def fields(**changes: object) -> dict[str, object]:
    """A valid event's clear fields, changed."""
    return {k: v for k, v in {**read(1, LEAF).fields, **changes}.items() if v is not ...}


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2}, {"v": True}, {"v": 1.0}, {"v": ...}, {"id": "x"}, {"id": EVENT_ID.upper()}, {"id": ...}, {"nonce": "short"},
        {"nonce": ...}, {"type": "content.consigned"}, {"type": "content.consigned/2"}, {"type": "no.such/1"}, {"type": 1},
        {"tenant": "Acme"}, {"tenant": "a" * 64}, {"tenant": "a\n"}, {"tenant": ...}, {"stream": "../x"}, {"stream": STREAM + "/1"},
        {"stream": ...}, {"version": 0}, {"version": -1}, {"version": True}, {"observed_at": "2026-03-01T12:00:00Z"},
        {"observed_at": "2026-03-01 12:00:00.000000Z"}, {"observed_at": ...}, {"zone": "utc+1"}, {"arrival": "pigeon"},
        {"code": "a\0"}, {"code": "x" * 81}, {"code": "\ud800"}, {"numbers": {"parts": 2.0}}, {"numbers": {"parts": True}},
        {"numbers": {}}, {"numbers": {"Parts": 1}}, {"numbers": {"parts": 2**53}}, {"notes": []}, {"notes": ["ok", 1]},
        {"recipient": -1}, {"part": [1]}, {"part": [1, 2, 3]}, {"recipients": [[1, None]]}, {"commit": {"text": "short"}},
        {"commit": {"text": "=" * 43}}, {"commit": {"Text": "A" * 43}}, {"text": "plain words"}, {"address": "anna@example.test"},
        {"subject": None},
    ],
    ids=repr,
)  # fmt: skip
def test_field_that_is_not_in_the_table_or_its_shape_is_refused(changes: dict[str, object]) -> None:
    """Only the table of clear fields enters an event; the refusal never repeats a value."""
    with pytest.raises(InvalidEventError) as refusal:
        check_fields(fields(**changes))
    assert "anna" not in str(refusal.value)
    assert "plain words" not in str(refusal.value)


def test_every_word_is_judged_whatever_words_were_seen_before() -> None:
    """Words that passed are remembered, up to a number; others are refused each time, and new ones are still let in."""
    for number in range(MAX_KNOWN_WORDS + 10):
        check_fields(fields(account=f"sms-{number}"))
    for account in ("Sms", "sms\n", "Sms", ["sms-1"]):
        with pytest.raises(InvalidEventError, match="account"):
            check_fields(fields(account=account))
    check_fields(fields(account="sms-late"))


def test_golden_event_passes_its_own_check() -> None:
    """The table allows what the format has."""
    check_fields(fields())


def test_leaf_is_at_most_65535_bytes() -> None:
    """The limit of the tile format, to the byte."""
    room = MAX_LEAF_BYTES - len(leaf(Draft({"code": ""}, []), 1, "t"))
    assert MAX_LEAF_BYTES == len(leaf(Draft({"code": "x" * room}, []), 1, "t"))
    with pytest.raises(TooLargeError, match="65536 bytes; at most 65535"):
        leaf(Draft({"code": "x" * (room + 1)}, []), 1, "t")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00.000000Z"),
        (datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=1))), "2026-03-01T11:00:00.000001Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_time_stands_in_utc_with_microseconds(at: datetime, text: str) -> None:
    """One form for every time, so that texts sort as times do."""
    assert text == time_text(at)
    assert at == parse_time(text)


def test_time_without_a_zone_is_refused() -> None:
    """A naive time would be a guess."""
    with pytest.raises(ValueError, match="without a zone"):
        time_text(datetime(2026, 3, 1))  # noqa: DTZ001  what is refused


ODD = [
    "tab\t",
    {"b": "é", "a": "1"},
    {"k": 'say "x"'},
    5,
    ["x", {"n": 1}],
    "",
    "\ud800",
    "a\0b",
    {"k": "\0"},
    {"é": "x"},
    True,
    None,
]


@pytest.mark.parametrize("value", ODD, ids=ascii)
def test_commitments_made_together_are_those_made_singly(value: object) -> None:
    """What is made once for all values of an event changes neither a commitment nor what is refused."""
    values = {"text": "plain", "odd": value}
    try:
        singly = {path: commit(salt(SECRET, EVENT_ID, path), EVENT_ID, path, each) for path, each in values.items()}
    except InvalidEventError as refused:
        with pytest.raises(InvalidEventError, match=f"^{re.escape(str(refused))}$"):
            commit_each(SECRET, EVENT_ID, values)
    else:
        assert singly == commit_each(SECRET, EVENT_ID, values)
        assert open_each(singly, SECRET, EVENT_ID, values)
        assert not open_each(singly, SECRET, EVENT_ID, values | {"text": "other"})
        fine, other = ((singly, SECRET, EVENT_ID, each) for each in (values, values | {"text": "other"}))
        assert open_together([fine, fine])
        assert open_together([fine], encode_checked)
        assert not open_together([fine, other])
