"""Nothing that a provider or a person says of somebody can be read in the log or in the database without the keys.

A person who is easy to find stands in every text of every sample of every provider, in a registration, in a quarantined
webhook, in notes, and in what people ask about her: queries, reports, schedules, holds, samples. Then everything that is stored is searched
for her.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from adapters import downtime, keeping
from adapters.compliance import asking, people
from adapters.providers import registry
from adapters.receiving import read
from adapters.reports import saved
from adapters.reports.schedules import parsed
from adapters.sampling import Sampling
from adapters.terms import Terms
from ledger.decision import Outcome
from ledger.observations import Address, Arrival, ArrivalKind, Fingerprint, Reference
from ledger.streams import Registration
from ops import tasks
from ops.system import System
from projections.searching import Filters
from tests.adapters.conftest import opened_system
from tests.flow.planting import (
    DOCUMENT,
    IDENT,
    MAIL,
    NAME,
    NUMBER,
    PERSON,
    PHONE,
    STREET,
    betrayed,
    joined,
    needles,
    planted,
)
from tests.postgres import Database
from tests.providers import samples

TENANT = "acme"
AT = datetime(2026, 7, 20, 10, tzinfo=UTC)
NOBODY = "smtp://127.0.0.1:9"
"""Where no mail server listens: what cannot be delivered says why, and to nobody whose report it was."""
KEEPING = {
    "stored_events",
    "sealed_values",
    "artifacts",
    "lookups",
    "quarantine",
    "tasks",
    "meta",
    "read_deliveries",
} | {f"read_{name}" for name in ("holds", "policies", "terms", "downtimes", "accesses", "lanes", "messages", "facets")}
"""Tables that must be among the searched."""
ASKED = {
    *("hold.placed", "hold.released", "ruleset.changed", "provider.down", "lane.claimed", "lane.unclaimed"),
    *("access.recorded", "query.saved", "report.scheduled", "sample.asked"),
}
"""Types of what people decide and ask, which name her."""
ALL = samples.cases() + samples.cases(".words")


@pytest.fixture
def system(database: Database, tmp_path: Path) -> Iterator[System]:
    """An opened ledger on each kind of database."""
    with opened_system(database, tmp_path, smtp_url=NOBODY, smtp_from="reports@ledger.example") as found:
        yield found


def _filled(case: Path) -> Arrival:
    """The arrival of a case; of a word list with its first word. Unsigned mails are handed in by a person, or they would only wait."""
    arrival = samples.arrival(case)
    if arrival.kind is ArrivalKind.MAILBOX:
        arrival = dataclasses.replace(arrival, kind=ArrivalKind.IMPORT)
    if case.suffix == ".words":
        word = (case / "words.tsv").read_text().partition("\t")[0]
        arrival = dataclasses.replace(arrival, body=arrival.body.replace(b"{{word}}", word.encode()))
    return dataclasses.replace(arrival, account=arrival.provider)


def _large() -> Arrival:
    """An original that is kept as a file."""
    body = random.Random(7).randbytes(400_000) + f"{NAME} {STREET} {MAIL}@post.example".encode()  # noqa: S311
    return Arrival(
        provider="unknown",
        account="import",
        operation="file",
        kind=ArrivalKind.IMPORT,
        observed_at=AT,
        body=body,
        name=f"{DOCUMENT}.bin",
    )


def arrivals() -> list[Arrival]:
    """Every sample with the person planted: where texts are expected, and where they are not."""
    expected = [planted(_filled(case), everywhere=False) for case in ALL]
    anywhere = [planted(_filled(case), everywhere=True) for case in ALL]
    return [*expected, *(dataclasses.replace(a, account=f"{a.account}_2") for a in anywhere), _large()]


def _registration() -> Registration:
    return Registration(
        account="kpn_sms",
        provider="kpn_sms",
        recipients=(
            Address("phone", f"+49{PHONE}77"),
            Address("email", f"{MAIL}@post.example"),
            Address("postal", f"{NAME}, {STREET}"),
            Address("person_number", f"{NUMBER}1"),
            Address("other", NAME),
        ),
        references=(Reference("document_id", f"{IDENT}-1"), Reference("own_reference", NAME, exclusive=False)),
        batch=Reference("batch", f"{DOCUMENT} batch", exclusive=False),
        labels=(f"{NAME} {NUMBER}", f"{STREET}"),
        texts={"subject": f"{DOCUMENT} for {NAME}", "sender": f"{MAIL}@post.example", "content": f"+49{PHONE}78"},
        documents=(Fingerprint(f"{DOCUMENT}.pdf", hashlib.sha256(NAME.encode()).hexdigest()),),
    )


def _tells(arrival: Arrival) -> bool:
    """Whether there is anything to keep: a poll that finds nothing is not stored."""
    found = read(TENANT, arrival)
    return bool(found.observations or found.unreadable)


def fill(system: System, given: list[Arrival]) -> None:
    """Put everything in, on every way that keeps what people and providers say."""
    for provider in registry():
        system.accounts.add(TENANT, provider, provider)
        system.accounts.add(TENANT, f"{provider}_2", provider)
    outcomes = system.intake.admit([read(TENANT, arrival) for arrival in given])
    assert [] == [outcome for outcome in outcomes if not isinstance(outcome, Outcome)]
    system.intake.register(TENANT, _registration(), {"arrival": "api"}, (f"{NAME} {MAIL}", NAME))
    refused = next(a for a in given if a.provider == "kpn_sms" and a.kind is ArrivalKind.WEBHOOK)
    system.quarantine.keep(TENANT, refused, "the signature does not belong to these bytes")
    system.runner.run()
    item = system.queries.lanes(TENANT)[0].item
    system.lanes.dismiss(TENANT, item, f"{NAME} of {STREET} called from +49{PHONE}79")
    system.accounts.disable(TENANT, "ekopost", f"asked for by {NAME}, {MAIL}@post.example, {NUMBER}")
    system.runner.run()
    _decide(system)
    _inquire(system)
    system.runner.run()


def _decide(system: System) -> None:
    """Write whatever a person decides, with the one who is easy to find in every text of it."""
    why, now = f"{NAME}, {MAIL}@post.example, {STREET}", system.ledger.clock()
    keeping.place(system.accounts, system.queries, TENANT, "recipient", f"{MAIL}@post.example", why)
    keeping.place(system.accounts, system.queries, TENANT, "batch", f"{DOCUMENT} batch", why)
    held = keeping.place(system.accounts, system.queries, TENANT, "label", f"{NAME} {NUMBER}", why)
    keeping.release(system.accounts, system.queries, TENANT, held.hold, why)
    keeping.keep(system.accounts, TENANT, "kpn_sms", "10y", f"{NAME} {NUMBER}")
    Terms(system.accounts, system.queries, TENANT).put("delivery_report", timedelta(hours=1), timedelta(days=1), why)
    downtime.enter(system.accounts, TENANT, "kpn_sms", now - timedelta(days=2), now - timedelta(days=1), note=why)
    unmatched = next(item.item for item in system.queries.lanes(TENANT) if item.lane == "unmatched" and item.artifacts)
    message = system.queries.search(TENANT, Filters(recipient=f"{MAIL}@post.example")).deliveries[0].message
    system.lanes.claim(TENANT, unmatched, message, why)
    system.lanes.unclaim(TENANT, unmatched, why)


def _inquire(system: System) -> None:
    """Ask about her in every way that is kept: a query, a saved one, a sample, a package, a schedule and the reports it makes."""
    address = f"{MAIL}@post.example"
    about = {"recipient": address}
    with asking.asked(system.queries, system.heads, TENANT, "by_recipient", about) as answer:
        asking.record(system.accounts, "console", answer.header, f"{NAME} asked")
    saving = saved.Saving(query="by_recipient", parameters=about)
    saved.save(system.ledger, TENANT, "hers", saving, "key_1", ("compliance",))
    sampling = Sampling(system.accounts, system.queries, system.heads, system.signed_head)
    sample = sampling.ask(TENANT, 3, Filters(recipient=address), note=f"{NAME}, {NUMBER}")
    system.runner.run()
    sampling.draw(TENANT, sample)
    with TemporaryDirectory() as folder:
        request = people.Request(tenant=TENANT, address=address, reason=f"{NAME} of {STREET}")
        assert people.export(system.queries, system.accounts, request, Path(folder) / "hers").deliveries
    _report(system, address)


def _report(system: System, address: str) -> None:
    """Have a report about her made, and fail to deliver it to her."""
    queue, found = tasks.tasks(system), tasks.schedules(system)
    given = {
        "start_date": "2020-01-01",
        "period": 1,
        "period_unit": "months",
        "type": "by_recipient",
        "parameters": {"recipient": address},
        "span": "none",
        "title": f"{NAME}, {NUMBER}",
        "recipients": [{"email": address}],
    }
    entry, _ = found.create(TENANT, parsed(given), "key_1")
    found.run_now(TENANT, entry.name, "key_1")
    tasks.runner(system).run()
    assert {"report": "done", "delivery": "queued"} == {row.kind: row.state for row in queue.rows.newest(TENANT)}


def _tables(system: System) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Every table of the database with all its rows."""
    database = system.ledger.database
    sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if database.kind == "postgresql":
        sql = (
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
    for (name,) in database.read(sql):
        yield name, database.read(f"SELECT * FROM {name}")


def _secrets(given: list[Arrival]) -> dict[str, str | bytes]:
    """The person's marks, and digests of what was said of her: of a short text a bare digest is no secret."""
    bodies = {f"digest of {a.provider} {a.operation}": hashlib.sha256(a.body).digest() for a in given}
    marks = {f"digest of {name}": hashlib.sha256(text.encode()).digest() for name, text in PERSON.items()}
    return {**PERSON, **bodies, **marks}


def test_a_person_in_every_text_is_in_no_leaf_no_table_and_no_file(
    system: System, database: Database, tmp_path: Path
) -> None:
    """Without the keys nobody finds a trace of her, in any spelling (DESIGN, law 5)."""
    given = arrivals()
    fill(system, given)
    wanted = needles(_secrets(given))
    leaves = system.ledger.feed(0, 100_000)
    assert set() == betrayed(joined(event.leaf for event in leaves), wanted)
    tables = dict(_tables(system))
    assert set() == KEEPING - {name.rpartition(".")[2] for name, rows in tables.items() if rows}
    found = {name: betrayed(joined(cell for row in rows for cell in row), wanted) for name, rows in tables.items()}
    assert {} == {name: names for name, names in found.items() if names}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for folder in ("artifacts", "reports"):
        assert any(path.is_relative_to(tmp_path / folder) for path in files), folder
    if database.kind == "sqlite":
        assert {"ledger.sqlite", "ledger.sqlite-wal"} <= {path.name for path in files}
    assert {} == {path.name: names for path in files if (names := betrayed(path.read_bytes(), wanted))}


def test_the_planting_reaches_the_sealed_values_and_the_originals(system: System) -> None:
    """With the keys everything is there, of every provider; so the search had something to find."""
    given = arrivals()
    fill(system, given)
    wanted = needles(PERSON)
    events = system.ledger.feed(0, 100_000)
    values = system.ledger.values(events)
    said: dict[str, bytes] = {}
    for event in events:
        text = json.dumps(values.get(event.position, {}), ensure_ascii=False).encode()
        provider = event.fields.get("provider", "")
        said[provider] = said.get(provider, b"") + text
    assert set(PERSON) == betrayed(b"".join(said.values()), wanted)
    assert {} == {name: "nothing planted" for name in registry() if "name" not in betrayed(said[name], wanted)}
    held = {i for event in events for i in event.fields.get("artifacts", ())}
    originals = {system.ledger.artifact(i).body for i in held}
    assert {a.body for a in given if _tells(a)} <= originals
    anywhere = [a for a in given if a.account.endswith("_2")]
    assert [] == [(a.provider, a.operation) for a in anywhere if not betrayed(a.body, wanted)]
    assert set(PERSON) == betrayed(b"".join(originals), wanted)


def test_the_planting_reaches_what_is_kept_of_questions(system: System) -> None:
    """With the keys she is in each thing that people decided and asked, so the search had something to find there, too."""
    fill(system, arrivals())
    wanted, queue = needles(PERSON), tasks.tasks(system)
    events = [event for event in system.ledger.feed(0, 100_000) if event.type in ASKED]
    values = system.ledger.values(events)
    told: dict[str, bytes] = {}
    for event in events:
        told[event.type] = told.get(event.type, b"") + json.dumps(values.get(event.position, {})).encode()
    assert ASKED == {kind for kind, text in told.items() if betrayed(text, wanted)}
    (report,) = (row for row in queue.rows.newest(TENANT) if row.kind == "report")
    result = queue.result(report)
    assert result is not None
    files = b"".join(part for file in result.files for part in queue.file(report, file.name)[1])
    assert {"mail"} <= betrayed(json.dumps(queue.rows.request(report)).encode(), wanted)
    assert {"name", "mail"} <= betrayed(files, wanted)


def test_every_type_of_fact_of_every_sample_was_among_the_searched(system: System) -> None:
    """Planting leaves the samples readable: what they tell unchanged they tell with the person in them."""
    told = {o.type for case in ALL if case.suffix != ".words" for o in read(TENANT, _filled(case)).observations}
    fill(system, arrivals())
    assert told <= {event.type for event in system.ledger.feed(0, 100_000)}


@pytest.mark.parametrize("secret", [NAME, MAIL, PHONE, STREET], ids=["name", "mail", "phone", "street"])
def test_the_search_finds_what_is_hidden_by_an_encoding(secret: str) -> None:
    """The search itself is tried: base64 at any offset, hex, UTF-16, escapes and percent signs hide nothing."""
    wanted = needles({"her": secret})
    hidden = [
        *(f"{'x' * n}{secret}--".encode().hex().encode() for n in range(3)),
        json.dumps({"a": secret}).encode(),
        f"<{secret.casefold()}>".encode(),
        secret.encode("utf-16"),
    ]
    assert [{"her"}] * len(hidden) == [betrayed(each, wanted) for each in hidden]
