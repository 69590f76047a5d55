"""Keys and what they seal: wrapping and rotation, altered bytes, tenants that cannot find each other's look-ups."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ConfigurationError, CorruptError
from ledger.sealing import (
    DIGEST_BYTES,
    EPOCH_DAY,
    STORED_BYTES,
    Keyring,
    seal,
    seal_artifact,
    unseal,
    unseal_artifact,
)
from tests.ledger.kit import KEYRING

KEY, KEY_ID = bytes(range(32)), bytes(range(16))
OLD = Keyring({"2025": b"o" * 32}, "2025", b"l" * 32, b"d" * 32)
BOTH = replace(OLD, keks={"2025": b"o" * 32, "2026": b"n" * 32}, kek_id="2026")
NEW = replace(BOTH, keks={"2026": b"n" * 32})


def test_wrapped_key_opens_under_its_id() -> None:
    """What was wrapped comes back, and two wrappings of a key differ."""
    wrapped = OLD.wrap(KEY_ID, KEY)
    assert KEY == OLD.unwrap(KEY_ID, wrapped)
    assert wrapped != OLD.wrap(KEY_ID, KEY)
    assert KEY not in wrapped


def test_rotation_reads_old_keys_and_writes_new_ones() -> None:
    """With both key-encryption keys everything opens; what is wrapped from then on needs the new one only."""
    before, after = OLD.wrap(KEY_ID, KEY), BOTH.wrap(KEY_ID, KEY)
    assert KEY == BOTH.unwrap(KEY_ID, before) == BOTH.unwrap(KEY_ID, after) == NEW.unwrap(KEY_ID, after)


@pytest.mark.parametrize(("keyring", "wrapping", "name"), [(NEW, OLD, "2025"), (OLD, BOTH, "2026")])
def test_missing_key_encryption_key_is_named(keyring: Keyring, wrapping: Keyring, name: str) -> None:
    """The error says which key file has to be restored."""
    with pytest.raises(ConfigurationError, match=f"'{name}' is not in the keyring; restore its file"):
        keyring.unwrap(KEY_ID, wrapping.wrap(KEY_ID, KEY))


def test_wrong_key_under_the_right_name_does_not_open() -> None:
    """A key file with other bytes is told by the seal."""
    wrong = replace(OLD, keks={"2025": b"x" * 32})
    with pytest.raises(CorruptError):
        wrong.unwrap(KEY_ID, OLD.wrap(KEY_ID, KEY))


def test_wrapped_key_of_one_row_does_not_open_in_another() -> None:
    """The key id is part of the seal: rows cannot be swapped."""
    with pytest.raises(CorruptError):
        OLD.unwrap(bytes(16), OLD.wrap(KEY_ID, KEY))


@given(st.data())
def test_altered_wrapped_key_is_an_error_of_ours(data: st.DataObject) -> None:
    """Any byte changed, any length cut: never another key, never a foreign exception."""
    wrapped = bytearray(BOTH.wrap(KEY_ID, KEY))
    at = data.draw(st.integers(0, len(wrapped) - 1))
    wrapped[at] ^= data.draw(st.integers(1, 255))
    cut = wrapped[: data.draw(st.integers(0, len(wrapped)))]
    for altered in (bytes(wrapped), bytes(cut)):
        with pytest.raises((CorruptError, ConfigurationError)):
            BOTH.unwrap(KEY_ID, altered)


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_seal_opens_in_its_context_only(plain: bytes, context: bytes) -> None:
    """The same bytes come out; under another context, key or with bytes cut nothing does."""
    sealed = seal(KEY, plain, context)
    assert plain == unseal(KEY, sealed, context)
    for key, blob, where in (
        (KEY, sealed, context + b"x"),
        (bytes(32), sealed, context),
        (KEY, sealed[:-1], context),
        (KEY, sealed[:5], context),
        (KEY, sealed[:12] + bytes([sealed[12] ^ 128]) + sealed[13:], context),
    ):
        with pytest.raises(CorruptError):
            unseal(key, blob, where)


@pytest.mark.parametrize("body", [b"", b"a", b"abc" * 100_000, bytes(range(256)) * 40, b"a" * 1_024, b"a" * 1_025])
def test_artifact_is_sealed_and_comes_back(body: bytes) -> None:
    """Byte for byte; a short one is framed, a longer one never larger than compression makes it, both plus nonce and tag."""
    sealed = seal_artifact(KEY, body, b"id")
    assert body == unseal_artifact(KEY, sealed, b"id")
    framed = len(body) + 11 if len(body) <= STORED_BYTES else len(zlib.compress(body, 6))
    assert framed + 12 + 16 == len(sealed)
    with pytest.raises(CorruptError):
        unseal_artifact(KEY, sealed, b"other id")


def test_artifact_that_earlier_versions_compressed_comes_back() -> None:
    """However short it is, what is held stays readable."""
    assert b"short" == unseal_artifact(KEY, seal(KEY, zlib.compress(b"short", 6), b"id"), b"id")


# --- look-ups and duplicate keys

PARTS = st.lists(st.text(max_size=6), max_size=4)


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=6), PARTS, PARTS)
def test_lookups_are_alike_only_when_everything_is(
    tenant: str, other: str, kind: str, mine: list[str], his: list[str]
) -> None:
    """A digest belongs to one tenant, kind and list of parts: shifting a border between parts gives another one."""
    digest = KEYRING.lookup(tenant, kind, *mine)
    assert DIGEST_BYTES == len(digest)
    assert (tenant == other) == (digest == KEYRING.lookup(other, kind, *mine))
    assert (mine == his) == (digest == KEYRING.lookup(tenant, kind, *his))
    assert digest != KEYRING.lookup(tenant, kind + "x", *mine)


def test_lookups_of_another_keyring_differ() -> None:
    """Without the key file a database cannot be searched by guessing."""
    assert KEYRING.lookup("t", "address", "anna@example.test") != OLD.lookup("t", "address", "anna@example.test")


@given(st.dates(), PARTS, PARTS)
def test_duplicate_keys_lead_with_the_day_and_differ_with_identity(day: date, mine: list[str], his: list[str]) -> None:
    """Keys of one day lie together in the index; equal identities of one day have equal keys, others do not."""
    key = KEYRING.duplicate(day, "t", "a", "fact", *mine)
    number = min(max(day.toordinal() - EPOCH_DAY, 1), 65_535)
    assert (DIGEST_BYTES, number) == (len(key), int.from_bytes(key[:2], "big"))
    assert (mine == his) == (key == KEYRING.duplicate(day, "t", "a", "fact", *his))
    assert key != KEYRING.duplicate(day, "u", "a", "fact", *mine)
    assert key != KEYRING.duplicate(day, "t", "b", "fact", *mine)
    assert b"\0\0" + key[2:] == KEYRING.duplicate(None, "t", "a", "fact", *mine)


def test_days_of_duplicate_keys_grow() -> None:
    """Later days sort later, as long as two bytes last."""
    days = [date(2000, 1, 3) + timedelta(days=n) for n in (0, 1, 9_000, 60_000)]
    keys = [KEYRING.duplicate(day, "t", "a", "fact", "x") for day in days]
    assert sorted(keys) == keys


def test_check_value_tells_keyrings_apart_and_not_their_rotation() -> None:
    """Other look-up or duplicate secrets are another ledger's; another key-encryption key is the same one's."""
    assert OLD.check_value() == BOTH.check_value() == NEW.check_value()
    for name in ("lookups", "duplicates"):
        assert OLD.check_value() != replace(OLD, **{name: b"x" * 32}).check_value()
