"""Reading again: what the tables learn later is told of what came before, and what was believed stays."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.providers import registry
from adapters.providers.contract import Word
from adapters.providers.kpn_cloud_fax import states
from adapters.providers.kpn_sms import wire as sms
from adapters.receiving import read, vocabulary
from adapters.reinterpreting import Reinterpreter, Report
from ledger.application import pages
from ledger.errors import CorruptError
from ledger.names import Attestation
from ledger.observations import Arrival, ArrivalKind, Observation
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


def otherwise(
    monkeypatch: pytest.MonkeyPatch, w: World, provider: str, change: Callable[[Observation], Observation | None]
) -> None:
    """From now on the provider's wire module reads what it read, changed; None is no longer told."""
    was = registry()[provider]

    def parse(arrived: Arrival) -> tuple[Observation, ...]:
        return tuple(seen for each in was.parse(arrived) if (seen := change(each)) is not None)

    name, version = was.mapping.split("/")
    monkeypatch.setitem(
        registry(), provider, dataclasses.replace(was, parse=parse, mapping=f"{name}/{int(version) + 1}")
    )
    w.ledger.vocabulary = vocabulary()


def with_number(seen: Observation) -> Observation:
    return dataclasses.replace(seen, numbers={**seen.numbers, "again": 1})


def outcomes(w: World) -> list[tuple[object, ...]]:
    """What must not change while the meaning stays."""
    said = ((d.message, d.recipient, d.status, d.sub_status, d.since, d.evidence, d.flags) for d in w.deliveries())
    return sorted(said, key=lambda each: each[:2])


@pytest.mark.parametrize("story", stories.stories(), ids=lambda story: story.name)
def test_a_detail_more_in_every_fact_moves_no_status_and_no_evidence(
    story: stories.Story, sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fact of every story is read again with one number more: replaced, contradictions, verdicts and witnesses with it."""
    with world(sqlite_database.url, tmp_path) as w:
        w.intake.attest = lambda each: Attestation(holds=True) if each.body.startswith(b"Return-Path") else None
        stories.begin(w, story)
        stories.register(w, story)
        for each in story.arrivals:
            stories.admit(w, [each])
        before = outcomes(w)
        otherwise(monkeypatch, w, story.provider, with_number)
        assert [] == again(w).problems
        assert before == outcomes(w)
        second = again(w)
        assert ([], []) == (second.problems, second.changes)


def test_a_word_that_gets_a_reason_replaces_what_was_believed(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reason belongs to the identity, the new fact is another one: the old one is set aside all the same, once."""
    admit(w, [fax(1, "zz77")])
    reason = Word("zz77", "content.consignment_failed", "no line", "A", reason="unreachable", retry="later")
    monkeypatch.setitem(states._WORDS["fax", "recipient"], "zz77", reason)  # noqa: SLF001  the tables it runs on
    report = again(w)
    assert ["failed"] == [d.status for d in w.deliveries()]
    assert ("unreachable", 1) == (w.deliveries()[0].sub_status, report.changed)
    assert [] == again(w).changes


def test_tables_that_change_back_are_followed(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned, then forgotten, then learned again: each reading replaces the one before."""
    admit(w, [fax(1)])
    for number, kind in enumerate(("content.consigned", "channel.unmapped", "content.consigned")):
        otherwise(monkeypatch, w, "kpn_cloud_fax", lambda seen, kind=kind: dataclasses.replace(seen, type=kind))  # type: ignore[misc]
        assert 1 == again(w).changed, number
        assert [{"content.consigned": "delivered"}.get(kind, "unknown")] == [d.status for d in w.deliveries()]


def test_what_is_no_longer_told_is_set_aside(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wire module that read too much reads less: what it made up decides nothing any more, and can come back."""
    admit(w, [fax(1, "Sent")])
    with monkeypatch.context() as patch:
        otherwise(patch, w, "kpn_cloud_fax", lambda _seen: None)
        assert [("content.consigned", "")] == [(c.type, c.new_type) for c in again(w).changes]
        assert ["pending"] == [d.status for d in w.deliveries()]
        assert [] == again(w).changes
    assert [("content.consigned", "delivered")] == [(c.new_type, c.new_status) for c in again(w).changes]


def test_an_interrupted_run_goes_on(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle and run again, everything is right, and nothing was told twice."""
    admit(w, [fax(number) for number in range(FAXES)])
    learn(monkeypatch, w)

    def stop(done: int, _total: int) -> None:
        raise KeyboardInterrupt(done)

    with pytest.raises(KeyboardInterrupt):
        again(w, progress=stop)
    assert {"unknown", "delivered"} == set(statuses(w))
    again(w)
    assert {"delivered": FAXES} == statuses(w)
    rereadings = [e for e in pages(w.ledger.feed, lambda e: e.position) if e.type == "observation.reread"]
    assert FAXES == len(rereadings)


def test_an_original_that_is_gone_or_broken_hurts_only_itself(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose key was destroyed is counted, one that does not open is named; the others are read again."""
    admit(w, [fax(number) for number in range(3)])
    first, second, _ = (d.message for d in sorted(w.deliveries(), key=lambda d: d.opened_at))
    with w.ledger.database.writing() as cursor:
        cursor.execute("DELETE FROM person_keys WHERE stream = ?", (first,))
    broken = next(e for e in w.ledger.feed() if e.stream.startswith(second) and "artifacts" in e.fields)
    artifact = w.ledger.artifact

    def damaged(artifact_id: str) -> object:
        if artifact_id in broken.fields["artifacts"]:
            raise CorruptError
        return artifact(artifact_id)

    monkeypatch.setattr(w.ledger, "artifact", damaged)
    learn(monkeypatch, w)
    report = again(w)
    assert (1, 1, 1) == (report.erased, len(report.problems), report.changed)
    assert {"unknown": 2, "delivered": 1} == statuses(w)


def test_only_what_was_asked_for_is_read_again(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provider, account and time bound what is read; another tenant's originals are never read."""
    admit(w, [fax(1)])
    learn(monkeypatch, w)
    now = w.ledger.clock()
    for asked in ({"provider": "kpn_sms"}, {"account": "other"}, {"since": now}):
        assert 0 == again(w, **asked).originals
    assert 0 == Reinterpreter(w.ledger, w.intake, w.lanes, w.queries, w.runner, "other").run().originals
    assert 1 == again(w, provider="kpn_cloud_fax", account="main", since=now - timedelta(hours=1)).changed
