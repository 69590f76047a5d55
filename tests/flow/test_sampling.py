"""Audit samples: nobody knows while asking what will be drawn, and everybody can repeat the draw."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.sampling import BehindError, Sample, Sampling, SecretError
from ledger.application import Ledger
from ledger.checkpoints import Checkpoint, HeadFile, SignedHead
from ledger.errors import CorruptError, NotFoundError
from ledger.notes import sign
from ledger.observations import Address
from ledger.streams import Registration
from projections.searching import Filters
from tests.postgres import Database
from tests.world import TENANT, World, world

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "ledger.example.org/samples"
SECRET = "seven dice: 3 1 6 6 2 4 5"


class Signer:
    """Signs what is committed by now, into a file of heads."""

    def __init__(self, ledger: Ledger, heads: HeadFile) -> None:
        self.ledger = ledger
        self.heads = heads

    def __call__(self) -> SignedHead:
        size = self.ledger.head().size
        checkpoint = Checkpoint(ORIGIN, size, self.ledger.root_at(size))
        head = SignedHead(checkpoint, sign(checkpoint.text(), [(ORIGIN, KEY)]))
        self.heads.append(head)
        return head


def sampling(found: World, folder: Path) -> Sampling:
    heads = HeadFile(folder / "heads")
    return Sampling(found.accounts, found.queries, heads, Signer(found.ledger, heads))


def send(found: World, count: int, provider: str = "kpn_sms", tenant: str = TENANT) -> None:
    """Register messages to two recipients each."""
    for number in range(count):
        people = tuple(Address("phone", f"+3161234{number:03}{person}") for person in range(2))
        registration = Registration(account=provider, provider=provider, recipients=people)
        clear = {"arrival": "api", "occurred_at": "2026-03-02T07:00:00.000000Z", "zone": "stated"}
        once = f"{provider}/{found.ledger.head().size}/{number}"
        found.intake.register(tenant, registration, clear, (once, once))
    found.runner.run()


def ranked(sample: Sample, names: list[str]) -> list[tuple[str, int]]:
    """The draw as anybody can repeat it from the seed and the deliveries."""
    ranks = sorted((hmac.digest(bytes.fromhex(sample.seed), name.encode(), "sha256"), name) for name in names)
    return [(name.partition("/")[0], int(name.partition("/")[2])) for _, name in ranks[: sample.size]]


def names(found: World, provider: str = "") -> list[str]:
    return [f"{d.message}/{d.recipient}" for d in found.deliveries() if provider in {"", d.provider}]


def test_draw_follows_from_the_first_checkpoint_after_the_question(database: Database, tmp_path: Path) -> None:
    """The seed is what the documentation says, and the lowest ranks under it are drawn."""
    with world(database.url, tmp_path) as found:
        send(found, 20)
        samples = sampling(found, tmp_path)
        early = samples.signed_head().checkpoint
        number = samples.ask(TENANT, 5, Filters())
        first = samples.signed_head().checkpoint
        send(found, 3)
        samples.signed_head()
        sample = samples.draw(TENANT, number)
        question = found.ledger.event(number).id
        expected = hashlib.sha256(f"delivery-ledger sample v1\n{first.text()}{question}\n".encode()).hexdigest()
        assert early.size < number <= first.size
        assert (expected, first.text(), 40) == (sample.seed, sample.checkpoint, sample.population)
        known_then = names(found)[6:]  # newest first: what was sent later is not in it
        assert ranked(sample, known_then) == [(each.message, each.recipient) for each in sample.drawn]
        digest = hashlib.sha256("".join(f"{name}\n" for name in known_then).encode()).hexdigest()
        assert digest == sample.population_digest


def test_draw_is_repeatable_and_recorded_once(database: Database, tmp_path: Path) -> None:
    """Whatever came since, the same sample is drawn again; the log holds one draw, which names the question and the checkpoint."""
    with world(database.url, tmp_path) as found:
        send(found, 5)
        samples = sampling(found, tmp_path)
        number = samples.ask(TENANT, 3, Filters(provider="kpn_sms"), note="first quarter")
        sample = samples.draw(TENANT, number)
        send(found, 5)
        samples.signed_head()
        assert sample == samples.draw(TENANT, number)
        (drawn,) = [e for e in found.ledger.feed() if e.type == "sample.drawn"]
        question = found.ledger.event(number)
        assert ([question.id], {"size": 3, "population": 10}) == (drawn.fields["events"], drawn.fields["numbers"])
        assert "first quarter" == found.ledger.values([question])[number]["note"]
        assert sample.seed == found.ledger.values([drawn])[drawn.position]["seed"]


def test_only_what_fits_is_drawn(database: Database, tmp_path: Path) -> None:
    """Filters as in a search, as things were known at the question; more than there is cannot be drawn."""
    with world(database.url, tmp_path) as found:
        send(found, 3)
        send(found, 2, "kpn_cloud_fax")
        send(found, 2, tenant="other")
        samples = sampling(found, tmp_path)
        number = samples.ask(TENANT, 100, Filters(provider="kpn_cloud_fax", status="pending"))
        sample = samples.draw(TENANT, number)
        assert 4 == sample.population
        assert sorted(names(found, "kpn_cloud_fax")) == sorted(f"{d.message}/{d.recipient}" for d in sample.drawn)


def test_draw_needs_the_secret_that_was_committed_to(sqlite_database: Database, tmp_path: Path) -> None:
    """With a commitment the seed depends on both sides; another secret draws nothing and records nothing."""
    with world(sqlite_database.url, tmp_path) as found:
        send(found, 4)
        samples = sampling(found, tmp_path)
        commitment = hashlib.sha256(SECRET.encode()).hexdigest()
        number = samples.ask(TENANT, 2, Filters(), commitment=commitment)
        plain = samples.ask(TENANT, 2, Filters())
        with pytest.raises(BehindError):
            samples.draw(TENANT, plain)
        found.runner.run()
        for sample, secret in ((number, ""), (number, "another"), (plain, SECRET)):
            with pytest.raises(SecretError):
                samples.draw(TENANT, sample, secret)
        assert [] == [e for e in found.ledger.feed() if e.type == "sample.drawn"]
        drawn, question = samples.draw(TENANT, number, SECRET), found.ledger.event(number).id
        told = f"delivery-ledger sample v1\n{drawn.checkpoint}{question}\n{SECRET}"
        assert hashlib.sha256(told.encode()).hexdigest() == drawn.seed


@pytest.mark.parametrize("size", [0, -1, 10_001])
def test_size_that_cannot_be_is_refused(sqlite_database: Database, tmp_path: Path, size: int) -> None:
    """Nothing is recorded."""
    with world(sqlite_database.url, tmp_path) as found:
        with pytest.raises(ValueError, match=str(size)):
            sampling(found, tmp_path).ask(TENANT, size, Filters())
        assert 0 == found.ledger.head().size


def test_sample_of_another_tenant_does_not_exist(sqlite_database: Database, tmp_path: Path) -> None:
    """Nor does one that nobody asked for, or an event that asks for none."""
    with world(sqlite_database.url, tmp_path) as found:
        send(found, 1)
        samples = sampling(found, tmp_path)
        number = samples.ask(TENANT, 1, Filters())
        for tenant, sample in (("other", number), (TENANT, 1), (TENANT, 0), (TENANT, 10**6)):
            with pytest.raises(NotFoundError):
                samples.draw(tenant, sample)


def test_draw_that_the_log_contradicts_is_told(sqlite_database: Database, tmp_path: Path) -> None:
    """When the deliveries of then are not those of the recorded draw, that is an error, not another sample."""
    with world(sqlite_database.url, tmp_path) as found:
        send(found, 3)
        samples = sampling(found, tmp_path)
        number = samples.ask(TENANT, 2, Filters())
        samples.draw(TENANT, number)
        with found.ledger.database.writing() as cursor:
            cursor.execute("DELETE FROM read_messages WHERE opened_position = 1")
        with pytest.raises(CorruptError, match="population_digest"):
            samples.draw(TENANT, number)
