"""What authorities say of revoked signers, from the stored receipt to the grade: a real server that answers, real certificates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters import reaching, revocations, trust
from adapters.evidence import verify
from adapters.evidence.pack import Ask
from adapters.jobs.rows import Turn
from adapters.receiving import attester, read
from adapters.revocations import Revocations
from ledger import fsck
from ledger.decision import Outcome
from ledger.errors import CorruptError
from ledger.events import Event
from ledger.observations import Arrival, ArrivalKind
from ops.system import System
from projections.queries import Filters
from projections.views import DeliveryView
from tests.adapters.publishing import Publishing, publishing
from tests.evidence.packs import TENANT, a_ledger, desk, members_of, written
from tests.postgres import Database
from tests.providers import pec_ca
from tests.providers.pec_ca import ARRIVED_AT, SIGNED_AT

ROOT = pec_ca.authority()
BEFORE, BETWEEN, AFTER = (
    SIGNED_AT - timedelta(hours=1),
    SIGNED_AT + timedelta(seconds=30),
    ARRIVED_AT + timedelta(days=1),
)
ACCOUNT = "pec"
ASK = trust.capture


def roots() -> tuple[bytes, ...]:
    return (ROOT.der,)


class Clock:
    """The ledger's clock, ahead of the system's by as much as it was moved."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Place(NamedTuple):
    """A ledger that receives certified mail, and the authority of those who sign it."""

    system: System
    authority: Publishing
    clock: Clock

    def receive(self, signer: pec_ca.Signer, number: int = 1) -> Outcome:
        """A receipt that the signer signed comes in.

        Args:
            number: tells receipts for different messages apart.
        """
        xml = pec_ca.daticert(f"m{number}@client.example").replace(b"id1@", b"id%d@" % number)
        inner = pec_ca.content(xml)
        arrival = Arrival(
            provider="pec_mailbox",
            account=ACCOUNT,
            operation="receipt",
            kind=ArrivalKind.MAILBOX,
            observed_at=ARRIVED_AT,
            body=pec_ca.mail(pec_ca.signed_part(inner, signer.signature(inner))),
        )
        (outcome,) = self.system.intake.admit([read(TENANT, arrival)])
        assert isinstance(outcome, Outcome)
        return outcome

    def queue(self, ask: revocations.Ask = ASK) -> Revocations:
        return Revocations(self.system.ledger, roots, ask)

    async def run(self, ask: revocations.Ask = ASK) -> Turn:
        """One turn of the job, as a scheduler's thread runs it."""
        turn = Turn(self.clock())
        await asyncio.to_thread(revocations.run, self.queue(ask), turn)
        return turn

    async def wait(self, time: timedelta) -> Turn:
        self.clock.ahead += time
        return await self.run()

    def verdicts(self) -> list[Event]:
        return [e for e in self.system.ledger.feed(0) if e.type == "evidence.verified"]

    def waiting(self) -> int:
        return len(self.system.ledger.database.read("SELECT 1 FROM revocations_waiting"))

    def error(self) -> str:
        ((error,),) = self.system.ledger.database.read("SELECT error FROM revocations")
        return str(error)

    def delivery(self) -> DeliveryView:
        self.system.runner.run()
        (found,) = self.system.queries.search(TENANT, Filters(), "", 10).deliveries
        return found


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    with a_ledger(tmp_path, database.url) as found:
        found.accounts.add(TENANT, ACCOUNT, "pec_mailbox")
        yield found


@pytest.fixture
async def place(system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    clock = Clock()
    monkeypatch.setattr(system.ledger, "clock", clock)
    system.intake.attest = attester(roots, revocations.of_revoked(system.ledger))
    async with publishing(ROOT) as authority:
        authority.says("/ca.crl", b"", 404)
        authority.says("/ocsp", b"", 404)
        yield Place(system, authority, clock)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("path", ["/ocsp", "/ca.crl"])
@pytest.mark.parametrize(
    ("revoked", "rule", "token", "grade"),
    [
        (None, "attest.good", "revocation_good", "E4"),
        (BEFORE, "attest.wrong", "revocation_revoked", "E0"),
        (BETWEEN, "attest.absent", "revocation_later", "E0"),
        (AFTER, "attest.good", "revocation_good", "E4"),
    ],
    ids=["never", "before", "between", "after"],
)
async def test_what_the_authority_says_later_is_the_verdict(  # noqa: PLR0917  one row of the table
    place: Place, path: str, revoked: datetime | None, rule: str, token: str, grade: str
) -> None:
    """A receipt that came is graded by what its signer's authority says afterwards of the time when it was signed."""
    signer = place.authority.signer()
    crl = ROOT.revoking(*([(signer.cert, revoked)] if revoked else []), at=now())
    said = {"/ocsp": ROOT.answering(signer.cert, revoked, at=now()), "/ca.crl": crl}[path]
    place.receive(signer)
    assert ("delivered", "E4") == (place.delivery().status, place.delivery().evidence.grade)
    place.authority.says(path, said)
    turn = await place.run()
    first, second = place.verdicts()
    assert "revocation_unknown" in first.fields["notes"]
    assert (1, rule) == (turn.found, second.fields["rule"])
    assert token in second.fields["notes"]
    assert [*first.fields["events"], first.id] == second.fields["events"]
    kept = place.system.ledger.artifact(second.fields["artifacts"][0])
    media_type = {"/ocsp": "application/ocsp-response", "/ca.crl": "application/pkix-crl"}[path]
    assert (media_type, said) == (kept.media_type, kept.body)
    assert ("delivered", grade) == (place.delivery().status, place.delivery().evidence.grade)
    assert 0 == place.waiting()


async def test_the_pack_carries_what_the_verdict_rests_on(place: Place, tmp_path: Path) -> None:
    """Whoever has the pack can check the answer without us: byte for byte, tied to the log like any original."""
    signer = place.authority.signer()
    answer = ROOT.answering(signer.cert, at=now())
    place.authority.says("/ocsp", answer)
    place.receive(signer)
    await place.run()
    pack = desk(place.system).issue(Ask(tenant=TENANT, message=place.delivery().message))
    assert answer in members_of(pack.data).values()
    keys = [verify.parse_key(key.vkey()) for key in place.system.identity.keys]
    found = verify.verify(written(tmp_path, members_of(pack.data)), verify.Trust(keys=keys))
    assert verify.EXIT_VOUCHED == found.exit_code, found.verdict
    assert not fsck.check(place.system.ledger, place.system.heads).problems


async def test_a_further_turn_writes_nothing_and_asks_nobody(place: Place) -> None:
    """Each verdict is settled once, whoever runs the job and however often."""
    signer = place.authority.signer()
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    place.receive(signer)
    await place.run()
    size, asked = place.system.ledger.head().size, len(place.authority.asked)
    assert 0 == (await place.wait(timedelta(days=2))).found
    assert (size, asked) == (place.system.ledger.head().size, len(place.authority.asked))


class KilledError(BaseException):
    """Stands for the end of a process; nobody catches it."""


class Dies(Revocations):
    """A queue whose process ends at one step.

    Attributes:
        step: the beginning of the statement at which it ends; "" after the further verdict was written.
    """

    step = ""

    def _write(self, sql: str, *values: object) -> None:
        if self.step and sql.startswith(self.step):
            raise KilledError
        super()._write(sql, *values)

    def _append(self, event: Event, decided: revocations.Decided) -> bool:
        super()._append(event, decided)
        if not self.step:
            raise KilledError
        return True


@pytest.mark.parametrize("step", ["UPDATE revocations SET asked_at", "DELETE FROM revocations_waiting", ""])
async def test_a_turn_that_was_killed_is_made_good(place: Place, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever the process ends, the next one writes the one further verdict."""
    signer = place.authority.signer()
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    place.receive(signer)
    monkeypatch.setattr(Dies, "step", step)
    with pytest.raises(KilledError):
        await asyncio.to_thread(revocations.run, Dies(place.system.ledger, roots, ASK), Turn(place.clock()))
    await place.run()
    await place.run()
    assert [False, True] == ["revocation_good" in verdict.fields["notes"] for verdict in place.verdicts()]
    assert 0 == place.waiting()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ((b"", 503), "answered 503"),
        ((b"<html>please log in</html>", 200), "/ocsp: "),
        ((bytes(70_000), 200), "bytes or more"),
    ],
    ids=["down", "garbage", "huge"],
)
async def test_an_authority_that_fails_is_asked_again_later(place: Place, reply: tuple[bytes, int], why: str) -> None:
    """Nothing is written of it, it is not asked again at once, and what it says at last counts."""
    signer = place.authority.signer()
    place.authority.says("/ocsp", *reply)
    place.receive(signer)
    assert 0 == (await place.run()).found
    assert why in place.error()
    asked = len(place.authority.asked)
    assert 0 == (await place.run()).found
    assert asked == len(place.authority.asked)
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    assert 1 == (await place.wait(revocations.FIRST_RETRY)).found


async def test_waiting_between_failures_grows_to_a_day(place: Place) -> None:
    """An authority that is gone for good costs one question a day."""
    place.receive(place.authority.signer())
    waits = []
    for _ in range(12):
        await place.run()
        ((retry_at,),) = place.system.ledger.database.read("SELECT retry_at FROM revocations")
        waits.append((datetime.fromisoformat(retry_at) - place.clock()) / timedelta(minutes=1))
        place.clock.ahead += timedelta(days=1)
    assert [5, 10, 20, 40] == [round(wait) for wait in waits[:4]]
    assert 24 * 60 == round(waits[-1])


async def test_an_answer_that_nobody_vouches_for_settles_nothing(place: Place) -> None:
    """What another authority signed is no answer; the verdict stays open and the right one settles it the next day."""
    signer, other = place.authority.signer(), pec_ca.authority("Altra radice")
    place.authority.says("/ocsp", other.answering(signer.cert, BEFORE, at=now()))
    place.receive(signer)
    assert 0 == (await place.run()).found
    assert (1, "E4") == (place.waiting(), place.delivery().evidence.grade)
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    assert 0 == (await place.run()).found
    assert 1 == (await place.wait(revocations.ASK_EVERY)).found


async def test_our_own_network_is_asked_only_where_that_is_allowed(place: Place) -> None:
    """As the job runs by itself, a certificate cannot make us call inside."""
    place.receive(place.authority.signer())
    with reaching.allowing(()):
        await place.run()
    assert [] == place.authority.asked
    assert "no public address" in place.error()


async def test_an_old_list_settles_nothing(place: Place) -> None:
    """Authorities publish ahead, and anybody on the way can hand out yesterday's list: the next one is waited for."""
    signer = place.authority.signer()
    place.authority.says("/ca.crl", ROOT.revoking(at=BEFORE))
    place.receive(signer)
    assert (0, 1) == ((await place.run()).found, place.waiting())
    place.authority.says("/ca.crl", ROOT.revoking((signer.cert, BEFORE), at=now()))
    assert 1 == (await place.wait(revocations.ASK_EVERY)).found
    assert "attest.wrong" == place.verdicts()[-1].fields["rule"]


async def test_only_what_was_said_after_a_receipt_came_settles_it(place: Place) -> None:
    """A signer is asked about once a day, and what was said before a receipt came tells nothing of it."""
    signer = place.authority.signer()
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    place.receive(signer)
    assert 1 == (await place.run()).found
    place.receive(signer, 2)
    asked = len(place.authority.asked)
    assert (0, asked) == ((await place.run()).found, len(place.authority.asked))
    assert 1 == (await place.wait(revocations.ASK_EVERY)).found
    assert 0 == place.waiting()


async def test_a_signer_that_was_found_revoked_tells_nothing_more(place: Place) -> None:
    """What it signs from then on waits for a person, without another question."""
    signer = place.authority.signer()
    place.authority.says("/ca.crl", ROOT.revoking((signer.cert, BEFORE), at=ARRIVED_AT))
    place.receive(signer)
    await place.run()
    place.clock.ahead += revocations.LOOK_EVERY
    outcome = place.receive(signer, 2)
    assert (1, []) == (outcome.unverified, outcome.facts)


async def test_nobody_is_asked_about_a_signer_whom_no_check_found_good(place: Place) -> None:
    """Anybody can write a certificate, and addresses into it."""
    stranger = pec_ca.signer(pec_ca.authority("Altra radice"), ocsp_urls=(place.authority.url("/ocsp"),))
    assert 1 == place.receive(stranger).unverified
    await place.run()
    assert [] == place.authority.asked


async def test_a_turn_asks_about_a_few_signers_and_is_run_again_for_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a turn ends; whoever could not be had gives way to the next."""
    monkeypatch.setattr(revocations, "ASKED_AT_ONCE", 1)
    paths = ["/1", "/2"]
    for number, path in enumerate(paths, 1):
        place.authority.says(path, b"", 503)
        end, url = pec_ca.END + timedelta(days=number), place.authority.url(path)
        place.receive(pec_ca.signer(ROOT, end=end, crl_urls=(), ocsp_urls=(url,)), number)
    assert (await place.run()).has_more
    assert 1 == len(place.authority.asked)
    await place.run()
    assert paths == sorted(place.authority.asked)
    assert not (await place.run()).has_more


async def test_nobody_is_asked_about_a_certificate_that_has_ended(place: Place) -> None:
    """Authorities need not remember those, so their silence proves nothing, and waiting for it is in vain."""
    place.receive(place.authority.signer())
    await place.run()
    asked = len(place.authority.asked)
    await place.wait(pec_ca.END - now())
    assert (0, asked) == (place.waiting(), len(place.authority.asked))


async def test_what_was_erased_meanwhile_leaves_the_queue(place: Place) -> None:
    """Nothing is written of an erased original."""
    signer = place.authority.signer()
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    place.receive(signer)
    await asyncio.to_thread(place.queue().collect)
    with place.system.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys")
    assert 0 == (await place.run()).found
    assert (1, 0) == (len(place.verdicts()), place.waiting())


async def test_an_original_that_cannot_be_read_hurts_only_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are settled, and it waits."""
    signer = place.authority.signer()
    place.authority.says("/ocsp", ROOT.answering(signer.cert, at=now()))
    place.receive(signer)
    place.receive(signer, 2)
    await asyncio.to_thread(place.queue().collect)
    broken = place.verdicts()[0].fields["artifacts"][0]
    artifact = place.system.ledger.artifact

    def opened(artifact_id: str) -> object:
        if artifact_id == broken:
            msg = "it does not open"
            raise CorruptError(msg)
        return artifact(artifact_id)

    monkeypatch.setattr(place.system.ledger, "artifact", opened)
    assert 1 == (await place.run()).found
    assert 1 == place.waiting()
