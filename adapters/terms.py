"""An organisation's own terms: by when it wants to be warned, and when something awaited is late.

Each change is an event and holds for messages that the ledger hears of after it; what was opened before keeps the terms it began with.
The table of expectations, and which of the terms hold, are in `projections.deadlines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec

from adapters.accounts import CONSOLE, Accounts
from adapters.strictjson import refuse
from ledger.canonical import MAX_INT
from projections.deadlines import EXPECTATIONS, RESET, Expectation, Term, in_force
from projections.queries import Queries
from projections.status import TERM_RULE

RULES_ACCOUNT = "rules"
"""In whose stream the changes stand."""
MAX_TERM_S = 10 * 365 * 24 * 3600
OFF = {"warn_s": 0, "breach_s": 0}
NO_TERM = Term(0, "", "", 0, 0)


class TermView(msgspec.Struct, frozen=True):
    """An expectation, and the term that holds for messages that are opened now.

    Attributes:
        only_account: the only one it holds for; "" for all that have no own.
        origin: `table`; `own` when the organisation set it, `off` when it switched it off.
        warn_s, breach_s: seconds after what starts the clock; 0 when it is off.
        why: where the terms come from: the table's reason, or the note of who set them.
        set_by: id of the API key, or `console`; "" for the table's.
        set_at: position of the event that set it: it holds for messages that are opened after it; 0 for the table's.
        recorded_at: of that event.
    """

    channel: str
    name: str
    only_account: str
    origin: Literal["table", "own", "off"]
    warn_s: int
    breach_s: int
    why: str
    set_by: str = ""
    set_at: int = 0
    recorded_at: str = ""


class TermViews(msgspec.Struct, frozen=True):
    """All expectations with what holds for each, by channel; an account's own term follows that for all."""

    terms: tuple[TermView, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one organisation.

    Attributes:
        actor: id of the API key that acts, or `console`.
    """

    accounts: Accounts
    queries: Queries
    tenant: str
    actor: str = CONSOLE

    def views(self) -> TermViews:
        """What holds for messages that are opened now."""
        position, own = self.queries.position(), self._own()
        names = sorted({term.account for term in own} | {""})
        holds = {account: in_force(own, account, MAX_INT) for account in names}
        found = (
            self._view(row, account, holds[account].get(row.name))
            for row in EXPECTATIONS
            for account in names
            if not account or holds[account].get(row.name, NO_TERM).account == account
        )
        return TermViews(tuple(found), position)

    def put(self, name: str, warn: timedelta, breach: timedelta, note: str, account: str = "") -> int:
        """Set a term; the same again changes nothing.

        Args:
            warn, breach: after what starts the clock; whole seconds, 0 < warn <= breach <= 10 years.
            account: the only one it holds for; "" for all.

        Returns:
            The position of the event that set it.

        Raises:
            InvalidError: names what cannot be so.
            NotFoundError: there is no such account.
        """
        warn_s, breach_s = (int(term.total_seconds()) for term in (warn, breach))
        if not 0 < warn_s <= breach_s <= MAX_TERM_S:
            refuse(
                "warn_s",
                "more than nothing, not after the breach, and both within 10 years; to expect nothing, switch it off",
            )
        return self._change(name, account, {"warn_s": warn_s, "breach_s": breach_s}, note)

    def switch_off(self, name: str, note: str, account: str = "") -> int:
        """Expect nothing of that name any more; otherwise as `put`."""
        return self._change(name, account, OFF, note)

    def reset(self, name: str, note: str = "", account: str = "") -> int:
        """Take back what was set: of an account, so that the term for all holds again; for all, so that the table's does.

        Otherwise as `put`; 0 when there is nothing to take back.
        """
        return self._change(name, account, {}, note)

    def _change(self, name: str, account: str, numbers: dict[str, int], note: str) -> int:
        row = expectation(name)
        if account:
            self.accounts.get(self.tenant, account)  # NotFoundError says how to add it
        self.queries.runner.run()  # what was set a moment ago counts
        latest = max((t for t in self._own() if (t.name, t.account) == (row.name, account)), default=None)
        said = (numbers["warn_s"], numbers["breach_s"]) if numbers else (RESET, RESET)
        if (latest.warn_s, latest.breach_s) == said if latest else not numbers:
            return latest.position if latest else 0
        optional = {"code": account, "numbers": numbers}
        clear = {"rule": f"{TERM_RULE}{row.name}"} | {field: value for field, value in optional.items() if value}
        position = self.accounts.record("ruleset.changed", self.tenant, RULES_ACCOUNT, self.actor, clear, note)
        self.queries.runner.run()
        return position

    def _own(self) -> list[Term]:
        """What the organisation set and took back, by position; there is little."""
        sql = f"SELECT {', '.join(Term._fields)} FROM read_terms WHERE tenant = ? ORDER BY position"
        return [Term(*row) for row in self.queries.ledger.database.read(sql, (self.tenant,))]

    def _view(self, row: Expectation, account: str, term: Term | None) -> TermView:
        if term is None:
            warn_s, breach_s = (int(after.total_seconds()) for after in (row.warn_after, row.breach_after))
            return TermView(row.channel, row.name, "", "table", warn_s, breach_s, row.why)
        event = self.queries.ledger.event(term.position)
        note = str(self.queries.ledger.values([event]).get(event.position, {}).get("note", ""))
        who, at = str(event.fields.get("actor", CONSOLE)), str(event.fields["recorded_at"])
        origin: Literal["own", "off"] = "own" if term.breach_s else "off"
        return TermView(
            row.channel, row.name, account, origin, term.warn_s, term.breach_s, note, who, term.position, at
        )


def expectation(name: str, channel: str = "") -> Expectation:
    """A row of the table.

    Raises:
        InvalidError: there is none of that name, or not in that channel; names those there are.
    """
    found = next((row for row in EXPECTATIONS if row.name == name and channel in {"", row.channel}), None)
    names = ", ".join(f"{row.channel} {row.name}" for row in EXPECTATIONS)
    return found or refuse("expectation", f"there is none of that name; there are {names}")
