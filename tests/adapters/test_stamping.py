"""What is stamped and when: checkpoints and signed originals, with an authority that comes and goes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from pytest_aiohttp import AiohttpServer

from adapters import stamping
from adapters.stamping import Timestamps, checkpoint_subject
from adapters.timestamps import Authority, check
from ledger.appender import Item
from ledger.events import Event
from ops.system import System
from tests.adapters.authorities import NO_OPENSSL, Answering, agrees, has_openssl
from tests.evidence.packs import ACCEPTED, TO_ANNA, a_ledger, hand_in, message_of
from tests.postgres import Database

pytestmark = pytest.mark.skipif(not has_openssl(), reason=NO_OPENSSL)


class Clock:
    """The ledger's clock, ahead of the system's by as much as it was moved."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Stamped(NamedTuple):
    """A ledger with two certified receipts, and its authority."""

    system: System
    stamps: Timestamps
    answering: Answering
    folder: Path

    def events(self) -> list[Event]:
        return [e for e in self.system.ledger.feed(0) if e.type == "evidence.timestamped"]

    def originals(self) -> dict[str, bytes]:
        artifacts = [e.fields["artifacts"][0] for e in self.system.ledger.feed(0) if e.fields.get("artifacts")]
        return {a: self.system.ledger.artifact(a).body for a in artifacts}


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    with a_ledger(tmp_path, database.url) as found:
        hand_in(found, tmp_path, ACCEPTED, TO_ANNA)
        yield found


@pytest.fixture
async def stamped(aiohttp_server: AiohttpServer, system: System, tmp_path: Path) -> AsyncIterator[Stamped]:
    answering = Answering(tmp_path / "authority")
    server = await aiohttp_server(answering.app())
    async with aiohttp.ClientSession() as session:
        authority = Authority(str(server.make_url("/")), session, [answering.root])
        yield Stamped(system, Timestamps(system.ledger, authority), answering, tmp_path)


async def test_signed_original_is_stamped_once(stamped: Stamped) -> None:
    """Each receipt gets one token and one event in its message's stream, however often the queue runs."""
    for _ in range(3):
        stamped.stamps.collect()
        await stamped.stamps.run_due()
    originals = stamped.originals()
    assert len(originals) == len(stamped.events()) == stamped.answering.requests == 2
    assert {message_of(stamped.system)} == {e.stream for e in stamped.events()}
    for artifact, body in originals.items():
        token = stamped.stamps.token(artifact)
        assert check(token, hashlib.sha256(body).digest(), [stamped.answering.root])
        assert agrees(stamped.folder, token, body, stamped.answering.root)


async def test_event_states_the_authoritys_time_and_names_the_receipt(stamped: Stamped) -> None:
    """The event says when, how long it took, and which event brought the original; it stands in the tree like any other."""
    stamped.stamps.collect()
    await stamped.stamps.run_due()
    first = stamped.events()[0].fields
    receipts = {e.id: e for e in stamped.system.ledger.feed(0) if e.fields.get("artifacts")}
    original = receipts[first["events"][0]].fields["artifacts"][0]
    digest = hashlib.sha256(stamped.originals()[original]).digest()
    at = check(stamped.stamps.token(original), digest, [stamped.answering.root])
    assert at == datetime.fromisoformat(first["occurred_at"])
    assert ({"waited_s", "tries"}, 1) == (set(first["numbers"]), first["numbers"]["tries"])
    assert b"token" not in stamped.events()[0].leaf


async def test_token_is_unreadable_once_its_original_was_erased(stamped: Stamped) -> None:
    """A token holds the digest of an original, so it goes when the original's key goes."""
    stamped.stamps.collect()
    await stamped.stamps.run_due()
    artifact = next(iter(stamped.originals()))
    assert stamped.stamps.token(artifact)
    with stamped.system.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys")
    assert b"" == stamped.stamps.token(artifact)


async def test_original_erased_before_its_token_leaves_the_queue(stamped: Stamped) -> None:
    """Nothing is asked for what is no longer held."""
    stamped.stamps.collect()
    with stamped.system.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys")
    assert (0, 0) == (await stamped.stamps.run_due(), stamped.answering.requests)
    assert [] == stamped.system.ledger.database.read("SELECT * FROM timestamps")


async def test_checkpoint_is_stamped_on_demand(stamped: Stamped) -> None:
    """The token is over the bytes of the signed note, and the event stands in the log's own stream."""
    head = stamped.system.signed_head()
    assert stamped.stamps.want_checkpoint(head, on_demand=True)
    assert 1 == await stamped.stamps.run_due()
    token = stamped.stamps.token(checkpoint_subject(head))
    assert agrees(stamped.folder, token, head.note, stamped.answering.root)
    event = stamped.events()[0]
    assert ("ledger", head.checkpoint.size) == (event.stream, event.fields["tree_size"])
    assert not stamped.stamps.want_checkpoint(head, on_demand=True)


async def test_schedule_does_not_stamp_its_own_stamps(stamped: Stamped) -> None:
    """The event of a token makes a new head; a log at rest does not grow for ever by that."""
    assert stamped.stamps.want_checkpoint(stamped.system.signed_head())
    await stamped.stamps.run_due()
    assert not stamped.stamps.want_checkpoint(stamped.system.signed_head())
    draft = stamped.system.ledger.draft("ledger.checked", "ledger", "ledger", {})
    stamped.system.ledger.append(Item([draft]))
    assert stamped.stamps.want_checkpoint(stamped.system.signed_head())


async def test_authority_that_was_down_delays_and_blocks_nothing(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is down one request a turn is made and the log goes on; then all come, and say how long it took."""
    clock = Clock()
    monkeypatch.setattr(stamped.system.ledger, "clock", clock)
    stamped.answering.is_up = False
    stamped.stamps.collect()
    assert (0, 1) == (await stamped.stamps.run_due(), stamped.answering.requests)
    hand_in(stamped.system, stamped.folder, ACCEPTED.replace(b"opec.lettera-1", b"opec.lettera-2"))
    stamped.answering.is_up = True
    clock.ahead = timedelta(seconds=stamping.FIRST_RETRY_S + 1)
    stamped.stamps.collect()
    assert len(stamped.originals()) == await stamped.stamps.run_due()
    assert {1, 2} == {e.fields["numbers"]["tries"] for e in stamped.events()}


async def test_waiting_is_counted_from_the_request(stamped: Stamped) -> None:
    """The recorded delay runs from the moment the original was queued to the time that the token states."""
    stamped.stamps.collect()
    with stamped.system.ledger.database.writing() as cursor:
        cursor.execute("UPDATE timestamps SET requested_at = ?", ("2026-01-01T00:00:00.000000Z",))
    await stamped.stamps.run_due()
    at = datetime.fromisoformat(stamped.events()[0].fields["occurred_at"])
    expected = int((at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds())
    assert expected == stamped.events()[0].fields["numbers"]["waited_s"]


class Dies:
    """Stands for a process that ends at one step."""

    def __init__(self, at: str, monkeypatch: pytest.MonkeyPatch, stamps: Timestamps) -> None:
        monkeypatch.setattr(stamps, at, self)

    def __call__(self, *_: Any) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("step", "requests"), [("_keep", 2), ("_finish", 1), ("_change", 1)])
async def test_crash_between_two_steps_is_made_good(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch, step: str, requests: int
) -> None:
    """Wherever the process ends, the next turn finishes: one event a token, and no token that was kept is asked for again."""
    assert stamped.stamps.want_checkpoint(stamped.system.signed_head())
    with monkeypatch.context() as patch:
        Dies(step, patch, stamped.stamps)
        with pytest.raises(KeyboardInterrupt):
            await stamped.stamps.run_due()
    await stamped.stamps.run_due()
    assert (requests, 1) == (stamped.answering.requests, len(stamped.events()))
    assert 0 == await stamped.stamps.run_due()


async def test_event_written_before_the_crash_is_not_written_again(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the event and the note of its position, the duplicate key tells that it is there."""
    assert stamped.stamps.want_checkpoint(stamped.system.signed_head())
    await stamped.stamps.run_due()
    with stamped.system.ledger.database.writing() as cursor:
        cursor.execute("UPDATE timestamps SET position = 0")
    assert (1, 1) == (await stamped.stamps.run_due(), len(stamped.events()))
    assert [(stamped.events()[0].position,)] == stamped.system.ledger.database.read("SELECT position FROM timestamps")


async def test_two_turns_at_once_keep_one_token(stamped: Stamped) -> None:
    """What two turns ask for at the same time is kept once, and its event states the time of the token that is kept."""
    head = stamped.system.signed_head()
    assert stamped.stamps.want_checkpoint(head)
    await asyncio.gather(stamped.stamps.run_due(), stamped.stamps.run_due())
    (event,) = stamped.events()
    at = check(
        stamped.stamps.token(checkpoint_subject(head)), hashlib.sha256(head.note).digest(), [stamped.answering.root]
    )
    assert at == datetime.fromisoformat(event.fields["occurred_at"])


async def test_without_an_authority_things_wait(stamped: Stamped) -> None:
    """A ledger whose authority was taken out of the settings goes on; what is due stays due."""
    without = Timestamps(stamped.system.ledger, None)
    without.collect()
    assert 0 == await without.run_due()
    assert 2 == len(stamped.system.ledger.database.read("SELECT 1 FROM timestamps WHERE position = 0"))
