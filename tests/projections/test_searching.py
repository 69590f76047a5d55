"""Search: whatever the filters, whichever way a page is read, it gives what a scan of everything would give."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta, timezone
from typing import Any

import pytest

from ledger.errors import NotFoundError
from ledger.events import parse_time
from ledger.observations import Address
from ledger.streams import Registration
from projections import searching
from projections.asof import AsOf, Past
from projections.queries import Filters
from tests.projections import listing
from tests.projections.listing import OTHER, Delivery, fill
from tests.world import TENANT, World

WAYS = {
    "as it is": {},
    "few look-ups, many facets": {"FEW": 3, "MAX_FACETS": 1},
    "no look-ups, few facets": {"FEW": 0, "MAX_LOOKED": 9},
    "the whole range, a few rows a page": {"FEW": 0, "MAX_FACETS": 0, "MAX_LOOKED": 5},
}
"""Limits under which each way to read a page is taken, though the ledger is small."""


def choose(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.undo()
    for name, value in WAYS[way].items():
        monkeypatch.setattr(searching, name, value)


def whole(world: World, tenant: str, filters: Filters, limit: int = 50) -> list[tuple[str, int]]:
    """A list page by page to its end."""
    found: list[tuple[str, int]] = []
    cursor = ""
    while True:
        rows, cursor = searching.found(world.ledger, tenant, filters, cursor, limit)
        assert len(rows) <= limit
        found += [(str(row[0]), int(row[1])) for row, _ in rows]
        if not cursor:
            return found


def scan(deliveries: Sequence[Delivery], tenant: str, filters: Filters) -> list[tuple[str, int]]:
    return [each.key for each in deliveries if each.known.tenant == tenant and each.fits(filters)]


def values(deliveries: Sequence[Delivery]) -> dict[str, list[str]]:
    """Per filter some values: of many, of few and of none."""
    times = sorted(each.opened_at for each in deliveries)
    return {
        "provider": ["kpn_sms", "ekopost"],
        "account": ["sms", "fax"],
        "status": ["delivered", "pending", "cancelled"],
        "grade": sorted({each.grade for each in deliveries})[:2],
        "mark": ["open", "disputed"],
        "since": [times[len(times) // 3]],
        "until": [times[len(times) // 2], times[0]],
        "recipient": [listing.PHONES[0].value, "+31612349999"],
        "label": ["policy", "seldom"],
        "batch": ["march"],
        "reference": ["case 7", "own/10"],
        "document": [listing.DOCUMENTS[0], listing.DOCUMENTS[1]],
    }


def combinations(offered: dict[str, list[str]]) -> Iterator[Filters]:
    """None, each, all pairs, and some of more."""
    chance = random.Random(11)  # noqa: S311  the same combinations each time
    yield Filters()
    for size in (1, 2):
        for names in itertools.combinations(offered, size):
            for chosen in itertools.product(*(offered[name] for name in names)):
                yield Filters(**dict(zip(names, chosen, strict=True)))
    for _ in range(150):
        names = tuple(chance.sample(sorted(offered), chance.randint(3, 5)))
        yield Filters(**{name: chance.choice(offered[name]) for name in names})


def test_any_combination_of_filters_finds_what_a_scan_finds(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the list, each delivery once, of one organisation, whichever way its pages are read."""
    deliveries = fill(found)
    asked = list(combinations(values(deliveries)))
    hits = 0
    for way in WAYS:
        choose(monkeypatch, way)
        for filters in asked if way == "as it is" else asked[:: len(WAYS)]:
            expected = scan(deliveries, TENANT, filters)
            assert expected == whole(found, TENANT, filters), (way, filters)
            hits += bool(expected)
        for name, value in (("label", "policy"), ("provider", "kpn_sms"), ("", "")):
            filters = Filters(**({name: value} if name else {}))
            assert scan(deliveries, OTHER, filters) == whole(found, OTHER, filters), (way, filters)
    assert hits > len(asked) // 3


@pytest.mark.parametrize("way", WAYS)
def test_every_cursor_continues_behind_its_row(found: World, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """One by one, in pages of any size, or from the middle of a message: nothing is lost or doubled."""
    deliveries = fill(found, 50)
    choose(monkeypatch, way)
    for filters in (
        Filters(),
        Filters(mark="open"),
        Filters(label="policy"),
        Filters(recipient=listing.PHONES[0].value),
    ):
        expected = scan(deliveries, TENANT, filters)
        assert all(expected == whole(found, TENANT, filters, limit) for limit in (1, 2, 7))
        rows, _ = searching.found(found.ledger, TENANT, filters, "", 20)
        for number, (_, cursor) in enumerate(rows, 1):
            after, _ = searching.found(found.ledger, TENANT, filters, cursor, 1)
            assert expected[number : number + len(after)] == [(row[0], row[1]) for row, _ in after]


def test_a_message_joined_into_another_is_found_by_its_names(found: World) -> None:
    """Under its label stands the message that tells its story now, once, also when both have the label."""
    deliveries = fill(found, 60)
    joined = [
        d for d in deliveries if d.known.tenant == TENANT and len({r for r in d.known.references if "/" in r}) > 1
    ]
    assert joined
    for delivery in joined:
        for reference in delivery.known.references:
            filters = Filters(reference=reference)
            assert delivery.key in whole(found, TENANT, filters)
            assert scan(deliveries, TENANT, filters) == whole(found, TENANT, filters)


class Counting:
    """A database that counts the rows of deliveries that are read from it."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.kind = database.kind
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def each(self, sql: str, given: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._database.each(sql, given)
        self.rows += len(rows) if "FROM read_deliveries" in sql else 0
        return rows


def test_a_page_looks_at_a_bounded_number_of_rows(found: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters that many deliveries fit one by one and none together cost little; the list says where it goes on."""
    deliveries = fill(found)
    choose(monkeypatch, "the whole range, a few rows a page")
    filters = Filters(label="seldom", mark="final", batch="march", document=listing.DOCUMENTS[0])
    counting = Counting(found.ledger.database)
    monkeypatch.setattr(found.ledger, "database", counting)
    cursor, pages = "", 0
    while True:
        before = counting.rows
        _, cursor = searching.found(found.ledger, TENANT, filters, cursor, 3)
        pages += 1
        assert counting.rows - before < 5 * searching.MAX_LOOKED
        if not cursor:
            break
    assert pages > len(deliveries) // 10


def test_what_moves_while_a_page_is_read_is_not_shown_as_what_it_was(
    found: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that becomes final between the index and its row is left out of a list of open ones."""
    deliveries = fill(found, 20)
    moved = next(each for each in deliveries if each.known.tenant == TENANT and "open" in each.marks)
    ranges = searching._Ranges  # noqa: SLF001  what is read between the two is this module's own business

    class Late(ranges):  # type: ignore[misc, valid-type]
        def take(self, count: int) -> list[searching.Found]:
            rows: list[searching.Found] = super().take(count)
            with found.ledger.database.writing() as cursor:
                cursor.execute("UPDATE read_deliveries SET facet = 1 WHERE message = ? AND recipient = ?", moved.key)
            return rows

    before = whole(found, TENANT, Filters(mark="open"))
    monkeypatch.setattr(searching, "_Ranges", Late)
    assert [key for key in before if key != moved.key] == whole(found, TENANT, Filters(mark="open"))


def test_a_mark_is_none_of_another_that_ends_like_it(found: World) -> None:
    """Late is one mark, and a deadline that was met late another."""
    deliveries = fill(found, 10)
    with found.ledger.database.writing() as cursor:
        cursor.execute("UPDATE read_facets SET marks = ' deadline.met_late final '")
    assert [] == whole(found, TENANT, Filters(mark="late"))
    assert scan(deliveries, TENANT, Filters()) == whole(found, TENANT, Filters(mark="deadline.met_late"))


def test_times_may_be_written_in_any_zone_or_as_a_day(found: World) -> None:
    """The same moment is the same bound however it is written; a day begins at midnight UTC."""
    deliveries = fill(found, 20)
    at = deliveries[10].opened_at
    elsewhere = parse_time(at).astimezone(timezone(timedelta(hours=2))).isoformat()
    expected = scan(deliveries, TENANT, Filters(since=at))
    assert expected
    assert expected == whole(found, TENANT, Filters(since=elsewhere)) == whole(found, TENANT, Filters(since=at[:-1]))
    everything = scan(deliveries, TENANT, Filters())
    assert everything == whole(found, TENANT, Filters(since=at[:10], until="9999-12-31"))
    assert [] == whole(found, TENANT, Filters(until=at[:10]))
    assert everything == whole(found, TENANT, Filters(since="0001-01-01T00:00Z"))


WRONG = {
    "since: 'yesterday' is no time": Filters(since="yesterday"),
    "until: '2026-02-30' is no time": Filters(until="2026-02-30"),
    "since: '0001-01-01T00:00+02:00' is no time": Filters(since="0001-01-01T00:00+02:00"),
    "unknown mark 'red'; there are open, final": Filters(mark="red"),
    "unknown status 'lost'; there are pending": Filters(status="lost"),
    "unknown grade 'E6'; there are E0": Filters(grade="E6"),
}


def test_a_filter_that_cannot_be_is_named(found: World) -> None:
    """Also where nothing could be found."""
    for said, filters in WRONG.items():
        with pytest.raises(ValueError, match=re.escape(said)):
            searching.found(found.ledger, TENANT, filters)


@pytest.mark.parametrize("name", ["recipient", "reference", "label", "batch", "document"])
@pytest.mark.parametrize("blank", [" ", "\t\n", "\u3000", "+ - - - -"])
def test_a_filter_that_says_nothing_readable_finds_nothing(found: World, name: str, blank: str) -> None:
    """A variable that was empty in a script is not the wish to see everybody; then as now."""
    fill(found, 10)
    filters = Filters(**{name: blank})
    assert [] == whole(found, TENANT, filters)
    assert () == Past(found.queries, AsOf(position=found.ledger.head().size)).search(TENANT, filters).deliveries


@pytest.mark.parametrize(
    "cursor", ["mine", "é", "LTEuMA", "MS4tMQ", "MS4yLjM", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMA", "1.2"]
)
def test_a_cursor_of_another_kind_is_refused(cursor: str) -> None:
    """Not one of ours: -1.0, 1.-1, 1.2.3, a number that no database holds."""
    with pytest.raises(NotFoundError, match="not one of ours"):
        searching.place_of(cursor)


def test_a_snapshot_is_searched_as_it_was(found: World) -> None:
    """What comes while a long answer is read is not in it, also where times bound it."""
    fill(found, 10)
    filters = Filters(since="2020-01-01", mark="open")
    with found.queries.snapshot() as then:
        before = then.search(TENANT, filters)
        fill(found, 5)
        assert before == then.search(TENANT, filters)
        assert [] == [*then.found(TENANT, Filters(until="2020-01-01"))[0]]
    assert len(before.deliveries) < len(found.queries.search(TENANT, filters).deliveries)


def test_each_delivery_shows_the_address_it_was_declared_with(found: World) -> None:
    """As it was spelled, also the last of those that several events declare."""
    numbers = tuple(Address("phone", f"061234{n:04}") for n in range(600))
    registration = Registration(account="sms", provider="kpn_sms", recipients=numbers)
    found.intake.register(TENANT, registration, {"arrival": "api"}, ("one", "body"))
    found.runner.run()
    first = found.queries.search(TENANT, Filters(), "", 500)
    rest = found.queries.search(TENANT, Filters(), first.next, 500)
    assert [each.value for each in numbers] == [d.address.address for d in first.deliveries + rest.deliveries]
