"""What the ledger notes by the clock: deadlines that are near or over, and how many answers told nothing new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.jobs.rows import Row, Rows, Turn, said
from ledger.appender import Item
from ledger.application import Ledger
from ledger.errors import DuplicateError, ForkError, LedgerError
from ledger.events import delivery_stream, time_text
from projections.queries import Queries
from projections.views import DueDeadline

DEADLINES_AT_ONCE = 500


def note_deadlines(queries: Queries, turn: Turn) -> None:
    """Write what is due about deadlines, each once, with the deadline's own time: also what became due while nobody looked.

    The read model sees what was written only later, so the same may be asked for again; it has a duplicate key.
    """
    ledger = queries.ledger
    due = queries.due_deadlines(time_text(turn.now), DEADLINES_AT_ONCE)
    waiting = [ledger.submit(_noticed(ledger, each)) for each in due]
    for each in waiting:
        try:
            each.result()
        except DuplicateError:
            continue
        except ForkError:
            raise
        except LedgerError as error:  # of this one only
            turn.trouble = said(error)
        else:
            turn.found += 1
    turn.has_more = len(due) >= DEADLINES_AT_ONCE and turn.found > 0
    turn.go_on()


def _noticed(ledger: Ledger, due: DueDeadline) -> Item:
    who = (due.message, str(due.recipient))
    key = ledger.keyring.duplicate(None, due.tenant, "", "deadline", *who, due.type, due.rule, due.occurred_at)
    clear = {"provider": due.provider, "account": due.account, "rule": due.rule, "occurred_at": due.occurred_at}
    clear |= {"about": "recipient"}
    stream = delivery_stream(due.message, due.recipient)
    draft = ledger.draft(due.type, due.tenant, stream, {**clear, "recipient": due.recipient})
    return Item([draft], needs={due.message}, duplicates=[(0, key)])


def count_answers(ledger: Ledger, rows: Rows, turn: Turn) -> None:
    """Write, one event per account, how many answers of each job told nothing new since the last such event."""
    by_account: dict[tuple[str, str], list[Row]] = {}
    for row in rows.all().values():
        if row.account:
            by_account.setdefault((row.tenant, row.account), []).append(row)
    for (tenant, account), counted in sorted(by_account.items()):
        if not any(row.nothing_new > row.told for row in counted):
            continue
        numbers = _told(ledger, tenant, account, counted)
        for row in counted:
            rows.tell(row.key, numbers.get(row.job, 0))
        turn.found += 1
        turn.go_on()


def _told(ledger: Ledger, tenant: str, account: str, counted: list[Row]) -> Mapping[str, Any]:
    """The counts as they stand in the log: what a process wrote before it died is not counted twice."""
    since = sorted(f"{row.job} {row.told}" for row in counted)
    key = ledger.keyring.duplicate(None, tenant, account, "poll.answered", *since)
    numbers = {row.job: row.nothing_new - row.told for row in counted if row.nothing_new > row.told}
    stream = f"account/{tenant}/{account}/{ledger.clock().date().isoformat()}"
    draft = ledger.draft("poll.answered", tenant, stream, {"account": account, "numbers": numbers})
    try:
        ledger.append(Item([draft], duplicates=[(0, key)]))
    except DuplicateError:
        written: Mapping[str, Any] = ledger.event(ledger.known([key])[key]).fields["numbers"]
        return written
    return numbers
