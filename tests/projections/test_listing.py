"""A list of everything: whatever the filters and however wide its windows, it holds what a scan of everything would hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest

from ledger.canonical import decode, encode
from ledger.database import Row
from ledger.errors import CorruptError, NotFoundError
from ledger.sealing import seal, unseal
from projections import declared
from projections import listing as lists
from projections.opening import Held
from projections.queries import Filters, Queries
from projections.searching import cursor_of
from tests.postgres import Database
from tests.projections.listing import Delivery, fill
from tests.world import TENANT, World, world

CHOICES: tuple[tuple[Filters, ...], ...] = (
    (Filters(),),
    (Filters(mark="open"),),
    (Filters(status="delivered"), Filters(status="pending")),
    (Filters(mark="open"), Filters(mark="final", grade="E1"), Filters(mark="final", grade="E2")),
    (Filters(status="delivered"), Filters(mark="final")),
    (Filters(provider="kpn_sms", account="sms"), Filters(account="fax")),
    (Filters(account="nobody's"),),
)
WIDTHS = {"as it is": {}, "rows by twos": {"PAGE": 2}, "one by one": {"PAGE": 1}, "without facets": {"MAX_FACETS": 0}}
"""Limits under which a window ends within a message, or holds a part of its ranges, though the ledger is small."""


def choose(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    for name, value in WIDTHS[width].items():
        monkeypatch.setattr(lists, name, value)


def keys(queries: Queries, choices: Sequence[Filters], after: str = "") -> list[tuple[str, int]]:
    return [(each.message, each.recipient) for page in queries.listed(TENANT, choices, after) for each in page]


def scan(deliveries: Sequence[Delivery], choices: Sequence[Filters]) -> list[tuple[str, int]]:
    mine = (each for each in deliveries if each.known.tenant == TENANT)
    return [each.key for each in mine if any(each.fits(filters) for filters in choices)]


@pytest.mark.parametrize("width", WIDTHS)
def test_it_holds_what_a_scan_finds(found: World, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """Each delivery that one of the choices fits, once, in the order of the list."""
    deliveries = fill(found, 60)
    choose(monkeypatch, width)
    for choices in CHOICES:
        assert scan(deliveries, choices) == keys(found.queries, choices), choices
    times = sorted({each.opened_at for each in deliveries})
    for since, until in ((times[9], ""), ("", times[-9]), (times[9], times[-9]), (times[-1], times[0])):
        span = (Filters(since=since, until=until, mark="open"), Filters(since=since, until=until, status="delivered"))
        assert scan(deliveries, span) == keys(found.queries, span)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_place_continues_behind_its_row(found: World, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """Also in the middle of a message: nothing is lost or doubled."""
    fill(found, 40)
    choose(monkeypatch, width)
    for choices in CHOICES[:4]:
        rows = [each for page in found.queries.listed(TENANT, choices) for each in page]
        for number, each in enumerate(rows, 1):
            rest = keys(found.queries, choices, cursor_of(each.place))
            assert [(row.message, row.recipient) for row in rows[number:]] == rest


def test_a_row_says_what_its_view_says(found: World) -> None:
    """Field by field as the delivery itself, with its address and what was folded."""
    fill(found, 30)
    rows = [each for page in found.queries.listed(TENANT, [Filters()]) for each in page]
    assert rows
    for row in rows:
        view = found.queries.delivery(TENANT, row.message, row.recipient)
        for name in (*lists.Listed._fields, "evidence", "milestones", "reasons", "deadlines"):
            if name not in {"opened_position", "facet", "folded"}:
                assert getattr(view, name) == getattr(row, name), name
        assert row.address.address


def test_who_is_protected_is_not_listed(found: World) -> None:
    """Unless the asker may see it."""
    deliveries = fill(found, 20)
    whose = next(each.key for each in deliveries if each.known.tenant == TENANT)
    with found.ledger.database.writing() as cursor:
        cursor.execute("UPDATE read_deliveries SET is_protected = 1 WHERE message = ? AND recipient = ?", whose)
    everybody = scan(deliveries, [Filters()])
    assert [each for each in everybody if each != whose] == keys(found.queries, [Filters()])
    assert everybody == keys(found.queries.seeing_protected(), [Filters()])


def test_an_altered_address_is_told_to_nobody(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not open the commitment in the log ends the list; nothing of that page is given."""
    fill(found, 20)
    held = declared.held

    def altered(*asked: object) -> Held:
        sealed = held(*asked)  # type: ignore[arg-type]  # as it was asked
        number, position, key_id, wrapped, values = sealed.values[0]
        key, context = found.ledger.keyring.unwrap(key_id, wrapped), found.ledger.event(position).id.encode() + key_id
        said = decode(unseal(key, values, context))
        said["values"][f"recipient.{sealed.recipients[number]}"]["address"] = "+31600000000"
        sealed.values[0] = (number, position, key_id, wrapped, seal(key, encode(said), context))
        return sealed

    monkeypatch.setattr(declared, "held", altered)
    with pytest.raises(CorruptError, match="does not open its commitment"):
        keys(found.queries, [Filters()])


def test_what_goes_wrong_while_reading_on_is_told(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page before is whole; the error comes where the next one would."""
    fill(found, 20)
    monkeypatch.setattr(lists, "PAGE", 1)
    pages = found.queries.listed(TENANT, [Filters()])
    next(pages)

    def broken(*_: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr(declared, "held", broken)
    with pytest.raises(OSError):  # noqa: PT011  it is the one that was raised
        list(pages)


@pytest.mark.parametrize("is_analysed", [False, True])
def test_a_sealed_value_is_read_by_its_whole_key(
    found: World, monkeypatch: pytest.MonkeyPatch, *, is_analysed: bool
) -> None:
    """Not looked for among all that is sealed at its position: of an event with 400 recipients that is 400 values for each of them."""
    fill(found, 20)
    reads, asked = found.ledger.database, list[tuple[str, Sequence[object]]]()

    def noting(*statement: Any) -> list[Row]:
        asked.append(statement)
        return []

    with monkeypatch.context() as patched:
        patched.setattr(reads, "read", noting)
        declared.held(found.ledger, [("message", 0)])
    if is_analysed:
        with reads.writing() as cursor:
            cursor.execute("ANALYZE")
    explain = "EXPLAIN QUERY PLAN" if reads.kind == "sqlite" else "EXPLAIN (COSTS OFF)"
    plan = "\n".join(str(row[-1]) for row in reads.read(f"{explain} {asked[0][0]}", asked[0][1]))
    by_its_key = {"sqlite": r"SEARCH v .*position=\? AND key_id=\?", "postgresql": r"position\"? = .*AND \(key_id = "}
    assert re.search(by_its_key[reads.kind], plan), plan


@pytest.mark.parametrize("cursor", ["x", "!", "MQ", "MS4tMQ"])
def test_a_foreign_cursor_is_refused(found: World, cursor: str) -> None:
    """It says nothing here."""
    with pytest.raises(NotFoundError):
        keys(found.queries, [Filters()], cursor)


def test_names_that_are_unknown_are_refused(found: World) -> None:
    """In any of the choices."""
    with pytest.raises(ValueError, match="unknown status 'gone'"):
        keys(found.queries, [Filters(), Filters(status="gone")])


def test_a_ledger_without_deliveries_has_an_empty_list(found: World) -> None:
    """There is nothing to read."""
    assert [] == keys(found.queries, [Filters()])


def test_nothing_is_read_on_once_a_snapshot_is_over(
    postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is somebody else's by then; also when the list was left in the middle."""
    monkeypatch.setattr(lists, "PAGE", 1)
    with world(postgresql_database.url, tmp_path) as opened:
        fill(opened, 10)
        with opened.queries.snapshot() as snapshot:
            pages = snapshot.listed(TENANT, [Filters()])
            next(pages)
        with pytest.raises(psycopg.InterfaceError, match="over"):
            list(pages)
        assert opened.queries.search(TENANT, Filters()).deliveries
