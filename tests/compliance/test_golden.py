"""The fixed ledger itself: it is whole, on both databases, and has something of everything that is asked about."""

from __future__ import annotations

from collections import Counter

from adapters.compliance.registry import QUERIES
from ledger import fsck
from ledger.events import time_text
from projections.queries import Filters
from projections.rules import Status
from tests.compliance.golden import NOW, OTHER, TENANT, Golden, ask


def test_fixed_ledger_is_whole(found: Golden) -> None:
    """What was copied is a ledger like any other: it checks out, its read models took everything in, and it can be written to."""
    world = found.world
    assert fsck.check(world.ledger).is_clean
    assert [] == world.runner.unapplied()
    world.accounts.record("access.recorded", TENANT, "key_clerk", "key_clerk", {"rule": "access.message"})
    newest = world.ledger.event(world.ledger.head().size)
    assert ("access.recorded", time_text(NOW)) == (newest.type, newest.fields["recorded_at"])


def test_fixed_ledger_has_every_status(on_sqlite: Golden) -> None:
    """Deliveries of two organisations, with every status that there is."""
    held = {t: on_sqlite.world.queries.search(t, Filters(), limit=500).deliveries for t in (TENANT, OTHER)}
    assert {TENANT: 68, OTHER: 7} == {tenant: len(views) for tenant, views in held.items()}
    assert set(Status) == set(Counter(view.status for view in held[TENANT]))


def test_every_query_says_what_it_counts_and_as_of_when(on_sqlite: Golden) -> None:
    """The header of each answer names the query, the position, the root of the log there, and the rules that judged."""
    ledger = on_sqlite.world.ledger
    for name, query in QUERIES.items():
        required = {"by_document": {"digest": "0" * 64}, "by_recipient": {"recipient": "nobody@nowhere.example"}}
        header = ask(on_sqlite, name, **required.get(name, {})).header
        told = (header["query"], header["counts"], header["position"], header["root"], header["asked_at"])
        head = ledger.head()
        assert (query.id, query.counts, head.size, head.root.hex(), time_text(NOW)) == told
        assert len(query.counts) > 60
        assert header["rules"]
        assert len({column.name for column in query.columns}) == len(query.columns)
