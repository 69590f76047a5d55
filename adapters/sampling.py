"""Audit samples: which deliveries an auditor looks at is decided by a number that neither side can choose.

The question (how many, of which deliveries) is an event. The seed is a digest of that event's id and of the first checkpoint signed after
it, so nobody knows it while asking. Who keeps the ledger could ask again and again and wait for a draw that suits him; each asking stands
in the log. An auditor who wants to be sure commits to a secret of his own when asking and tells it only after the checkpoint: then the draw
depends on both. Deliveries are ranked by HMAC-SHA256 under the seed, and the lowest are drawn, of the deliveries as they were known at the
question's position: so anybody can repeat the draw, at any time.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import msgspec

from adapters.accounts import CONSOLE, Accounts
from ledger.checkpoints import Checkpoint, HeadFile, SignedHead
from ledger.errors import CorruptError, LedgerError, NotFoundError
from ledger.events import Event
from projections.asof import AsOf, Past
from projections.queries import MAX_PAGE, Queries
from projections.searching import Filters

MAX_SIZE = 10_000
SEED = "delivery-ledger sample v1"
Progress = Callable[[int, int | None], None]


class SecretError(LedgerError):
    """The secret is not the one that was committed to when the sample was asked for."""


class BehindError(LedgerError):
    """The read models have not reached the question yet; draw again in a moment."""


class Drawn(msgspec.Struct, frozen=True):
    """A delivery of a sample; `rank` is its HMAC under the seed, hex."""

    message: str
    recipient: int
    rank: str


class Sample(msgspec.Struct, frozen=True):
    """A sample that was drawn.

    Attributes:
        sample: position of the event that asked for it; its id.
        size: how many were asked for.
        where: which deliveries it is drawn from, as in a search.
        commitment: SHA-256 of the auditor's secret, hex; "" without one.
        checkpoint: origin, size and root of the first head signed after the question.
        seed: hex.
        population: how many deliveries fitted.
        population_digest: SHA-256 over `message/recipient` and a line feed of each of them, in the order of a search, hex.
        drawn: the lowest ranks first.
        position: of the event that records the draw.
    """

    sample: int
    size: int
    where: Mapping[str, str]
    commitment: str
    checkpoint: str
    seed: str
    population: int
    population_digest: str
    drawn: tuple[Drawn, ...]
    position: int


class Question(msgspec.Struct, frozen=True):
    """What a sample is asked for with; see `Sample`. The asker is an API key's id, or `console`."""

    sample: int
    event_id: str
    asker: str
    size: int
    where: Mapping[str, str]
    commitment: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Samples of one ledger.

    Attributes:
        heads: the signed heads.
        signed_head: signs what is committed by now, where this process may.
    """

    accounts: Accounts
    queries: Queries
    heads: HeadFile
    signed_head: Callable[[], SignedHead]

    def ask(
        self, tenant: str, size: int, where: Filters, *, note: str = "", commitment: str = "", actor: str = CONSOLE
    ) -> int:
        """Record the question; the sample's id is its position.

        Args:
            commitment: SHA-256 of a secret of the auditor's, hex; he tells it when the sample is drawn.

        Raises:
            ValueError: a size or commitment that cannot be.
        """
        if not 1 <= size <= MAX_SIZE:
            msg = f"a sample of {size}: between 1 and {MAX_SIZE} deliveries can be drawn"
            raise ValueError(msg)
        if commitment and (len(commitment) != 64 or set(commitment) - set("0123456789abcdef")):
            msg = "a commitment is the SHA-256 of your secret: 64 lower-case hex digits"
            raise ValueError(msg)
        self.queries.found(tenant, where, limit=1)  # refuses what no search would take
        asked = {name: value for name, value in asdict(where).items() if value}
        said = {"where": asked, "commitment": commitment}
        clear = {"rule": "sample.question", "numbers": {"size": size}}
        return self.accounts.record("sample.asked", tenant, actor, actor, clear, note, said)

    def question(self, tenant: str, sample: int) -> Question:
        """What was asked.

        Raises:
            NotFoundError: the tenant asked for no such sample, or what it asked for was erased.
        """
        msg = f"there is no sample {sample}; `sample ask` prints a sample's number"
        event = next((e for e in self.queries.ledger.events_at([sample]) if _is_asked(e, tenant)), None)
        if event is None:
            raise NotFoundError(msg)
        values = self.queries.ledger.values([event]).get(event.position, {})
        if "where" not in values:
            raise NotFoundError(msg)
        f = event.fields
        return Question(sample, event.id, f["account"], f["numbers"]["size"], values["where"], values["commitment"])

    def draw(
        self, tenant: str, sample: int, secret: str = "", actor: str = CONSOLE, progress: Progress = lambda *_: None
    ) -> Sample:
        """Draw a sample, or draw it again: the answer is always the same.

        Args:
            secret: the auditor's, when he committed to one.

        Raises:
            NotFoundError: no such sample.
            BehindError: the read models have not reached the question yet.
            SecretError: the secret is not the one that was committed to.
            CorruptError: it was drawn before, and the log says something else.
        """
        asked = self.question(tenant, sample)
        if self.queries.position() < sample - 1:
            raise BehindError
        if hashlib.sha256(secret.encode()).hexdigest() != (asked.commitment or hashlib.sha256(b"").hexdigest()):
            msg = "the secret is not the one that this sample was asked for with"
            raise SecretError(msg)
        checkpoint = self._first_head(sample)
        seed = hashlib.sha256(f"{SEED}\n{checkpoint.text()}{asked.event_id}\n{secret}".encode()).digest()
        drawn, population, digest = self._lowest(tenant, asked, seed, progress)
        found = Sample(
            sample=sample,
            size=asked.size,
            where=asked.where,
            commitment=asked.commitment,
            checkpoint=checkpoint.text(),
            seed=seed.hex(),
            population=population,
            population_digest=digest,
            drawn=drawn,
            position=0,  # it is recorded only now
        )
        return msgspec.structs.replace(found, position=self._record(tenant, asked, found, checkpoint, actor))

    def _record(self, tenant: str, asked: Question, found: Sample, checkpoint: Checkpoint, actor: str) -> int:
        """Write what was drawn, or find that it was drawn before, and the same; the position of its event."""
        clear = {
            "rule": "sample.first_checkpoint",
            "events": [asked.event_id],
            "tree_size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "numbers": {"size": found.size, "population": found.population},
        }
        drawn = hashlib.sha256(msgspec.json.encode(found.drawn)).hexdigest()
        said = {"seed": found.seed, "population_digest": found.population_digest, "drawn": drawn}
        once = ("sample.drawn", str(found.sample))
        position = self.accounts.record("sample.drawn", tenant, asked.asker, actor, clear, said=said, once=once)
        self._require_same(position, said)
        return position

    def _require_same(self, position: int, found: Mapping[str, str]) -> None:
        ledger = self.queries.ledger
        recorded = ledger.values([ledger.event(position)]).get(position, {})
        other = [name for name, value in found.items() if recorded.get(name, value) != value]
        if other:
            msg = (
                f"the draw recorded at position {position} has another {' and '.join(other)}: something that the question names "
                "was erased or protected since, or the log was changed; `delivery-ledger fsck` tells which"
            )
            raise CorruptError(msg)

    def _first_head(self, sample: int) -> Checkpoint:
        """The first head signed after the question; made now if there is none."""
        ledger = self.queries.ledger
        signed = (head.checkpoint for head in self.heads if head.checkpoint.size >= sample)
        for checkpoint in signed:
            if checkpoint.root == ledger.root_at(checkpoint.size):  # not one of a log that was lost
                return checkpoint
        return self.signed_head().checkpoint

    def _lowest(
        self, tenant: str, asked: Question, seed: bytes, progress: Progress
    ) -> tuple[tuple[Drawn, ...], int, str]:
        """The deliveries of the lowest ranks, how many deliveries there were, and the digest of them all."""
        digest, count = hashlib.sha256(), 0

        def ranked() -> Iterator[Drawn]:
            nonlocal count
            for message, recipient in self._population(tenant, asked):
                name = f"{message}/{recipient}".encode()
                digest.update(name + b"\n")
                count += 1
                if not count % MAX_PAGE:
                    progress(count, None)
                yield Drawn(message, recipient, hmac.digest(seed, name, "sha256").hex())

        lowest = heapq.nsmallest(asked.size, ranked(), key=lambda drawn: (drawn.rank, drawn.message, drawn.recipient))
        return tuple(lowest), count, digest.hexdigest()

    def _population(self, tenant: str, asked: Question) -> Iterator[tuple[str, int]]:
        """Every delivery that fitted when the question was asked: message and recipient."""
        filters, cursor = Filters(**asked.where), ""
        while True:
            page = Past(self.queries, AsOf(position=asked.sample)).search(tenant, filters, cursor, MAX_PAGE)
            yield from ((each.message, each.recipient) for each in page.deliveries)
            cursor = page.next
            if not cursor:
                return


def _is_asked(event: Event, tenant: str) -> bool:
    return event.type == "sample.asked" and event.tenant == tenant
