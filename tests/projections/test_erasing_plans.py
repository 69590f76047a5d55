"""No statement by which something is erased, or by which it is seen that it is, reads a whole table, whatever the database knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger import erasing, postgresql, sqlite
from ledger.erasing import Erased
from ledger.events import delivery_stream
from ledger.streams import WHOLE_MESSAGE
from projections.erasures import unfinished
from tests.ledger.erasable import originals_of, phone, report, say, send, tell
from tests.postgres import Database
from tests.projections.test_plans import BAD, analyse, insert, plan
from tests.world import World, world

TABLES = (
    "person_keys",
    "sealed_values",
    "artifacts",
    "lookups",
    "timestamps",
    "outbox",
    "read_erasures",
    "stored_events",
)
ROWS = 4_000
BOUNDED = ("FROM lookups WHERE stream = wanted.value0", "FROM read_erasures WHERE position")
"""Of a message that is not destroyed yet all look-ups may be gone through at once; without statistics, erasures are sorted."""


@pytest.fixture
def found(database: Database, tmp_path: Path) -> Iterator[World]:
    with world(database.url, tmp_path) as opened:
        yield opened


def fill(found: World) -> list[Erased]:
    """Rows of others straight into the tables beside the log, and erasures of all kinds."""
    others = [f"0197d0f2-7b5e-7d3a-8a9e-{number:012}" for number in range(ROWS)]
    keys = [number.to_bytes(16, "big") for number in range(ROWS)]
    with found.ledger.database.writing() as cursor:
        insert(
            cursor,
            "person_keys",
            "key_id, stream, person, wrapped",
            [(k, s, 0, b"w") for k, s in zip(keys, others, strict=True)],
        )
        beside = [(10**6 + n, k, b"s") for n, k in enumerate(keys)]
        insert(cursor, "sealed_values", "position, key_id, sealed", beside)
        insert(
            cursor,
            "lookups",
            "digest, stream, recipient, position, exclusive",
            [(k, s, 0, 1, 0) for k, s in zip(keys, others, strict=True)],
        )
        columns = "artifact_id, position, key_id, media_type, body_bytes, sealed"
        insert(cursor, "artifacts", columns, [(s, 1, k, "t", 1, b"x") for k, s in zip(keys, others, strict=True)])
        insert(
            cursor,
            "outbox",
            "message, tenant, account, provider, state, due_at, key_id",
            [(s, "t", "a", "p", "sent", "", keys[0]) for s in others],
        )
        rows = [(10**6 + n, "t", s, -1, "erasure.message", "") for n, s in enumerate(others)]
        insert(cursor, "read_erasures", "position, tenant, stream, recipient, rule, at", rows)
    sent = [send(found.ledger, f"doc-{number}", phone(1), phone(2)) for number in range(3)]
    for number in range(3):
        tell(found.ledger, report(f"doc-{number}", phone(1)))
    partly = Erased(sent[1], 0, originals_of(found.ledger, delivery_stream(sent[1], 0)))
    said = say(found.ledger, Erased(sent[0]), partly, Erased(sent[2], 1))
    tell(found.ledger, report("doc-2", phone(1), "LATE"))
    found.runner.run()
    return said


def statements(found: World, said: Sequence[Erased], monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[Any]]:
    """Every statement of seeing and destroying, with parameters of one of them."""
    asked = dict[str, Sequence[Any]]()
    module: Any = sqlite if found.ledger.database.kind == "sqlite" else postgresql

    def noting(kind: type, name: str) -> None:
        plain = getattr(kind, name)

        def noted(self: Any, sql: str, params: Sequence[Any] = ()) -> Any:
            if params or name != "executemany":
                asked.setdefault(sql, params[0] if name == "executemany" else params)
            return plain(self, sql, params)

        patched.setattr(kind, name, noted)

    with monkeypatch.context() as patched:
        noting(type(found.ledger.database), "read")
        for name in ("read", "execute", "executemany"):
            noting(module.Transaction, name)
        list(unfinished(found.ledger))
        for each in said:
            erasing.left(found.ledger.database, each)
            erasing.destroy(found.ledger.database, found.ledger.artifact_folder, each)
        list(unfinished(found.ledger))
    return {sql: params for sql, params in asked.items() if any(table in sql for table in TABLES)}


@pytest.mark.parametrize("is_analysed", [False, True])
def test_every_statement_of_an_erasure_follows_an_index(
    found: World, monkeypatch: pytest.MonkeyPatch, *, is_analysed: bool
) -> None:
    """On a database that was never analysed, and on one that was."""
    said = fill(found)
    assert {WHOLE_MESSAGE, 0, 1} == {each.recipient for each in said}
    if is_analysed:
        for table in set(TABLES) - {"timestamps", "stored_events"}:  # the one is empty here, the other small
            analyse(found, table)
    asked = statements(found, said, monkeypatch)
    assert set(TABLES) == {table for table in TABLES if any(table in sql for sql in asked)}
    plans = {sql: plan(found, sql, params) for sql, params in asked.items()}
    bad = {sql: text for sql, text in plans.items() if BAD[found.ledger.database.kind].search(text)}
    assert {} == {sql: text for sql, text in bad.items() if not any(each in sql for each in BOUNDED)}
