"""The same bytes, names and numbers from two organisations: separate rows, separate keys, and the work is what it would be alone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.importing import Importer
from ledger import erasing, postgresql, sqlite
from ledger.erasing import Erased
from ledger.observations import Address, Reference
from ledger.streams import Registration
from ledger.tenants import working_for
from tests.flow.test_tenants import reading
from tests.postgres import Database
from tests.providers import samples
from tests.world import World, world

ONE, TWO = "one", "two"
RECEIPT = samples.PROVIDERS / "pec_mailbox" / "samples" / "consegna_breve" / "body.raw"
SEND = Registration(
    account="sms",
    provider="kpn_sms",
    recipients=(Address("phone", "0612345678"),),
    references=(Reference("document_id", "doc-1"),),
    batch=Reference("own_batch", "march"),
    labels=("case 17",),
    texts={"subject": "Your parcel"},
)
TABLES = (
    "stored_events",
    "duplicates",
    "joins",
    "person_keys",
    "sealed_values",
    "artifacts",
    "lookups",
    "outbox",
    "quarantine",
    "accounts",
)


class Done(NamedTuple):
    """What one organisation handed in, and what that took.

    Attributes:
        answers: without ids and positions.
        statements: each, with the number of its parameters -> how often.
        rows: table -> how many came.
    """

    message: str
    answers: list[Any]
    statements: Counter[tuple[str, int]]
    rows: dict[str, int]


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as opened:
        yield opened


def hand_in(found: World, tenant: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Done:
    """Everything by which bytes and names come in: a send, arrivals, a repetition, refused bytes, an import."""
    before = count(found)
    with watched(monkeypatch) as statements, working_for(tenant):
        found.accounts.add(tenant, "sms", "kpn_sms")
        made = [
            found.intake.register(tenant, SEND, {"arrival": "api"}, ("claim-7", "digest"), b"payload") for _ in range(2)
        ]
        told = found.intake.admit([reading(tenant, body, reference="doc-1") for body in (b"a", b"b", b"a")])
        arrival = reading(tenant, b"refused").arrival
        kept = [found.quarantine.keep(tenant, arrival, "no key verifies it") for _ in range(2)]
        importer = Importer(found.ledger, found.intake, found.accounts, found.quarantine, tenant)
        imported = importer.run([folder])
    answers = [
        [each.is_new for each in made],
        [(type(each).__name__, getattr(each, "is_new", str(each))) for each in told],
        kept,
        (imported.new, imported.seen, imported.facts, len(imported.messages), imported.problems),
    ]
    after = count(found)
    return Done(made[0].message, answers, statements, {table: after[table] - before[table] for table in TABLES})


def count(found: World) -> dict[str, int]:
    return {table: int(found.ledger.database.read(f"SELECT count(*) FROM {table}")[0][0]) for table in TABLES}


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[tuple[str, int]]]:
    """Every statement that this thread sends; the appender stores what comes, in more or fewer transactions as it happens."""
    sent: Counter[tuple[str, int]] = Counter()

    def noting(kind: type[Any], name: str) -> None:
        send = getattr(kind, name)

        def noted(self: Any, sql: str, params: Any = ()) -> Any:
            if threading.current_thread() is threading.main_thread():
                sent[sql, len(params)] += 1
            return send(self, sql, params)

        patched.setattr(kind, name, noted)

    with monkeypatch.context() as patched:
        for kind in (postgresql.Transaction, sqlite.Transaction):
            for name in ("read", "execute", "executemany"):
                noting(kind, name)
        for database in (postgresql.PostgresDatabase, sqlite.SQLiteDatabase):
            noting(database, "read")
        yield sent


@pytest.fixture
def both(found: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Done, Done]:
    folder = tmp_path / "handed in"
    folder.mkdir()
    (folder / "receipt.eml").write_bytes(RECEIPT.read_bytes())
    return hand_in(found, ONE, folder, monkeypatch), hand_in(found, TWO, folder, monkeypatch)


def test_the_second_is_answered_and_worked_for_as_if_there_were_no_first(both: tuple[Done, Done]) -> None:
    """The same answers, the same statements as often, with as much in them; in every table as many rows come."""
    one, two = both
    assert one.answers == two.answers
    assert one.statements == two.statements
    assert sum(one.statements.values()) > 20
    assert one.rows == two.rows
    assert [] == [table for table in TABLES if table != "joins" and not one.rows[table]]


def test_nothing_that_seals_or_finds_is_shared(found: World, both: tuple[Done, Done]) -> None:
    """Originals of the same bytes have their own id, key and cipher text; digests and duplicate keys of the same names differ."""
    read = found.ledger.database.read
    for sql in (
        "SELECT sealed FROM artifacts",
        "SELECT key_id FROM artifacts",
        "SELECT wrapped FROM person_keys",
        "SELECT sealed FROM sealed_values",
        "SELECT sealed FROM outbox",
        "SELECT sealed FROM quarantine",
        "SELECT digest FROM lookups WHERE exclusive = 1",
        "SELECT duplicate_key FROM duplicates",
    ):
        values = [bytes(value) for (value,) in read(sql)]
        assert len(values) >= 2, sql
        assert len(values) == len(set(values)) or "key_id" in sql, sql
    owners: dict[bytes, set[str]] = {}
    tenant_of = {event.stream: event.tenant for event in found.ledger.feed(0, 10_000)}
    for key, stream in read("SELECT key_id, stream FROM person_keys"):
        owners.setdefault(bytes(key), set()).add(tenant_of.get(stream) or stream.split("/")[1])
    assert {1} == {len(whose) for whose in owners.values()}
    assert {ONE, TWO} == {name for whose in owners.values() for name in whose}


def test_erasing_in_one_leaves_the_others_untouched(found: World, both: tuple[Done, Done], tmp_path: Path) -> None:
    """Not a row of the other goes, and what it holds opens as before."""
    one, two = both
    ledger = found.ledger
    held = opened(found, two.message)
    before = count(found)
    gone = erasing.destroy(ledger.database, ledger.artifact_folder, Erased(one.message))
    assert gone.keys >= 2
    assert gone.originals >= 1
    after = count(found)
    assert {table: before[table] - after[table] for table in ("person_keys", "sealed_values", "artifacts")} == {
        "person_keys": gone.keys,
        "sealed_values": gone.values,
        "artifacts": gone.originals,
    }
    assert held == opened(found, two.message)
    assert ({}, []) == opened(found, one.message)


def opened(found: World, message: str) -> tuple[dict[int, Any], list[bytes]]:
    """Values and originals of a message and its one delivery."""
    events = [*found.ledger.stream(message), *found.ledger.stream(f"{message}/0")]
    names = [name for event in events for name in event.fields.get("artifacts", ())]
    rows = found.ledger.database.probe("artifacts", "artifact_id", "artifact_id", names)
    return found.ledger.values(events), sorted(found.ledger.artifact(str(name)).body for (name,) in rows)
