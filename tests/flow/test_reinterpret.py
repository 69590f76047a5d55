"""Reading again: what the tables learn later is told of what came before, and what was believed stays."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.providers import registry
from adapters.providers.contract import Word
from adapters.providers.kpn_cloud_fax import states
from adapters.providers.kpn_sms import wire as sms
from adapters.receiving import read, vocabulary
from adapters.reinterpreting import Reinterpreter, Report
from ledger.observations import Arrival, ArrivalKind
from tests.postgres import Database
from tests.stories import stories
from tests.world import TENANT, World, world

FAXES = 100
TEXTS = 30
AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NEW_WORD = Word("handed_to_machine", "content.consigned", "all pages confirmed", "A")


def again(w: World, **asked: object) -> Report:
    """Read everything again."""
    return Reinterpreter(w.ledger, w.intake, w.lanes, w.queries, w.runner, TENANT).run(**asked)  # type: ignore[arg-type]


def arrival(provider: str, operation: str, kind: ArrivalKind, number: int, body: object, **more: object) -> Arrival:
    return Arrival(
        provider=provider,
        account="main",
        operation=operation,
        kind=kind,
        observed_at=AT + timedelta(seconds=number),
        body=json.dumps(body).encode(),
        **more,  # type: ignore[arg-type]
    )


def fax(number: int, status: str = "Handed to machine") -> Arrival:
    job = f"20260302-{number:06}"
    event = {"status": status, "timestamp": "2026-03-02T11:20:00Z", "target": f"+3120{number:07}"}
    body = {"jobid": job, "events": [event]}
    name = f"/jobhistory?jobid={job}"
    return arrival("kpn_cloud_fax", "jobhistory", ArrivalKind.POLL, number, body, status=200, name=name)


def text_report(number: int) -> Arrival:
    """A delivery report of KPN SMS in a form that nobody has seen: wrapped in an envelope."""
    report = {"DLRID": f"doc-{number}", "RecipientPhonenumber": f"+316{number:08}", "Status": "1"}
    return arrival("kpn_sms", "webhook.dlr", ArrivalKind.WEBHOOK, number, {"report": report})


def learn(monkeypatch: pytest.MonkeyPatch, w: World) -> None:
    """The tables learn the fax word, the reader of text messages the envelope; both get a new version."""
    for kind in ("recipient", "message"):
        monkeypatch.setitem(states._WORDS["fax", kind], NEW_WORD.word, NEW_WORD)  # noqa: SLF001  the tables it runs on
    parse = sms.parse

    def parse_envelope(arrived: Arrival) -> tuple[object, ...]:
        body = json.loads(arrived.body)
        return parse(dataclasses.replace(arrived, body=json.dumps(body.get("report", body)).encode()))

    was_fax, was_sms = registry()["kpn_cloud_fax"], registry()["kpn_sms"]
    tables = {**was_fax.tables, "status": (*was_fax.tables["status"], NEW_WORD)}
    monkeypatch.setitem(
        registry(), "kpn_cloud_fax", dataclasses.replace(was_fax, tables=tables, mapping="kpn_cloud_fax/99")
    )
    monkeypatch.setitem(
        registry(),
        "kpn_sms",
        dataclasses.replace(was_sms, parse=parse_envelope, mapping="kpn_sms/99"),  # type: ignore[arg-type]
    )
    w.ledger.vocabulary = vocabulary()


def admit(w: World, arrivals: Sequence[Arrival]) -> None:
    outcomes = w.intake.admit([read(TENANT, each) for each in arrivals])
    assert [] == [each for each in outcomes if isinstance(each, Exception)]


@pytest.fixture
def w(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as opened:
        opened.accounts.add(TENANT, "main", "kpn_cloud_fax")
        yield opened


def statuses(w: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for delivery in w.deliveries():
        found[delivery.status] = found.get(delivery.status, 0) + 1
    return found


def test_what_the_tables_learn_later_makes_all_that_came_before_right(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 faxes with an unknown word and 30 reports that nobody could read: all right after reading again, nothing twice."""
    admit(w, [fax(n) for n in range(FAXES)] + [text_report(n) for n in range(TEXTS)])
    assert {"unknown": FAXES} == statuses(w)
    assert TEXTS == len(w.queries.lanes(TENANT))
    believed = {d.message: w.queries.trail(TENANT, d.message).entries for d in w.deliveries()}

    learn(monkeypatch, w)
    size = w.ledger.head().size
    foreseen = again(w, is_dry=True)
    assert (FAXES + TEXTS, size) == (foreseen.count, w.ledger.head().size)
    done = again(w)
    assert [] == done.problems
    assert (FAXES + TEXTS, TEXTS) == (done.changed, done.settled)
    assert {("unknown", "delivered"), ("", "delivered")} == {(c.status, c.new_status) for c in done.changes}
    assert {"delivered": FAXES + TEXTS} == statuses(w)
    assert [] == w.queries.lanes(TENANT)
    for message, entries in believed.items():
        held = w.queries.trail(TENANT, message).entries
        assert [e.event_id for e in entries] == [e.event_id for e in held][: len(entries)]
        assert "settled.set_aside" in {e.rule for e in held if e.type == "channel.unmapped"}

    size = w.ledger.head().size
    second = again(w)
    assert (0, 0, size) == (second.count, second.settled, w.ledger.head().size)


@pytest.mark.parametrize("story", stories.stories(), ids=lambda story: story.name)
def test_reading_again_by_the_same_tables_changes_nothing(
    story: stories.Story, sqlite_database: Database, tmp_path: Path
) -> None:
    """The stored originals hold all that a wire module was given: read again, every story says what it said."""
    with world(sqlite_database.url, tmp_path) as w:
        stories.begin(w, story)
        stories.register(w, story)
        for each in story.arrivals:
            stories.admit(w, [each])
        size = w.ledger.head().size
        report = again(w)
        assert report.originals > 0
        assert ([], [], size) == (report.problems, report.changes, w.ledger.head().size)
