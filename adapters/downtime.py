"""Downtimes of providers: entered by a person, or detected from calls of ours that failed. Both are events in the account's stream.

What is detected is that calls through an account brought no answer, or the answer that the provider's own server failed; the network
between us, or a token that was refused, may have been the reason. An answer that says no is not a downtime. A downtime is never changed:
it is ended, or withdrawn with a note.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from adapters.accounts import CONSOLE, Accounts
from adapters.desk import Calls
from adapters.jobs.rows import Row, Rows, Turn
from adapters.jobs.rows import said as trouble_of
from adapters.outbox import ActRefusedError
from adapters.providers.calling import Access, Answer, Client, Request
from adapters.providers.contract import Provider
from adapters.strictjson import refuse
from ledger.appender import Item
from ledger.application import Ledger
from ledger.errors import DuplicateError, ForkError, LedgerError, NotFoundError
from ledger.events import Event, time_text
from ledger.observations import ZoneBasis
from ledger.sealing import OWN_KEY
from ledger.streams import clean_texts
from projections import downtimes
from projections.downtimes import DETECTED, DOWN, ENTERED, UP, WITHDRAWN, Downtime

FAILURES, FAILING_FOR = 3, timedelta(minutes=5)
"""So many calls in a row, over at least so long, make a downtime."""
FAILED = frozenset({"unreachable", "timeout", "cut"})
SERVER_ERROR = 500
UNREACHED = "cannot be reached"
"""What a job says whose mailbox could not be reached (`adapters.providers.mailbox_imap`): that is no call."""


class Listed(msgspec.Struct, frozen=True):
    """A downtime, and what was noted when it was entered, ended or withdrawn."""

    downtime: Downtime
    notes: tuple[str, ...]


# --- persons


def enter(
    accounts: Accounts,
    tenant: str,
    account: str,
    since: datetime,
    until: datetime | None,
    *,
    note: str,
    actor: str = CONSOLE,
) -> Downtime:
    """Say that a provider did not work for an account; the same again changes nothing, and answers how it stands by now.

    Args:
        until: None while it goes on.

    Raises:
        NotFoundError: there is no such account.
        InvalidError: a time that is still to come, or an end before the beginning.
    """
    ledger, provider = accounts.ledger, accounts.get(tenant, account).provider
    now = ledger.clock()
    for name, at in (("since", since), ("until", until)):
        if at is not None and at > now:
            refuse(name, "still to come; a downtime that goes on has no end yet")
    if until is not None and until <= since:
        refuse("until", "not after its beginning")
    begun, ended = time_text(since), time_text(until) if until else ""
    again = downtimes.withdrawn(ledger.database, tenant, account, begun)  # what never was may be entered anew
    said = _Said(tenant, account, provider, note, actor)
    told = [_Told(DOWN, ENTERED, begun), *([_Told(UP, ENTERED, ended)] if ended else [])]
    events = _append(ledger, said, told, ("entered", begun, ended, str(again)))
    return downtimes.one(ledger.database, tenant, events[0].id) or _as_written(events)


def end(ledger: Ledger, tenant: str, downtime: str, until: datetime, *, note: str, actor: str = CONSOLE) -> Downtime:
    """Say when a downtime that goes on was over.

    Raises:
        NotFoundError: the tenant has none of that id.
        ActRefusedError: it does not go on.
        InvalidError: a time before it began, or still to come.
    """
    found = one(ledger, tenant, downtime)
    if found.state != "open":
        msg = f"downtime {downtime} is {found.state}; withdraw it and enter it anew if that was wrong"
        raise ActRefusedError(msg)
    at = time_text(until)
    if at <= found.since or until > ledger.clock():
        refuse("until", "not after its beginning, or still to come")
    said = _Said(tenant, found.account, found.provider, note, actor)
    return _with(found, _append(ledger, said, [_Told(UP, ENTERED, at)], ("end", downtime), downtime))


def withdraw(ledger: Ledger, tenant: str, downtime: str, *, note: str, actor: str = CONSOLE) -> Downtime:
    """Say that a downtime never was, also a detected one; withdrawn once more it stays so.

    Raises:
        NotFoundError: the tenant has none of that id.
    """
    found = one(ledger, tenant, downtime)
    if found.state == "withdrawn":
        return found
    said = _Said(tenant, found.account, found.provider, note, actor)
    told = [_Told(UP, WITHDRAWN, time_text(ledger.clock()))]
    return _with(found, _append(ledger, said, told, ("withdraw", downtime), downtime))


def one(ledger: Ledger, tenant: str, downtime: str) -> Downtime:
    """A downtime by its id.

    Raises:
        NotFoundError: the tenant has none of that id.
    """
    found = downtimes.one(ledger.database, tenant, downtime)
    if found is None:
        msg = f"there is no downtime {downtime}"
        raise NotFoundError(msg)
    return found


def listed(ledger: Ledger, tenant: str, account: str = "", limit: int = 100) -> list[Listed]:
    """The downtimes of a tenant, or of one account, newest first, with their notes as far as they are held."""
    found = downtimes.of_tenant(ledger.database, tenant, account, limit)
    said = ledger.values(ledger.events_at(position for each in found for position in each.positions))
    notes = {position: str(values["note"]) for position, values in said.items() if "note" in values}
    return [Listed(each, tuple(notes[p] for p in each.positions if p in notes)) for each in found]


# --- writing


class _Said(NamedTuple):
    """Whose downtime, and who says what of it; `actor` is "" for the ledger itself."""

    tenant: str
    account: str
    provider: str
    note: str = ""
    actor: str = ""


class _Told(NamedTuple):
    """An event to be."""

    kind: str
    rule: str
    at: str


def _append(ledger: Ledger, said: _Said, told: Sequence[_Told], once: Sequence[str], downtime: str = "") -> list[Event]:
    """Write events of one downtime together, or find those that an earlier, equal call wrote.

    Args:
        once: what makes it equal, within the account.
        downtime: its id; "" for one that begins with the first of them.
    """
    key = ledger.keyring.duplicate(None, said.tenant, said.account, "downtime", *once)
    stream = f"account/{said.tenant}/{said.account}/{ledger.clock().date().isoformat()}"
    item = Item([], duplicates=[(0, key)])
    values = []
    if said.note:
        row, sealing = ledger.new_key(stream, OWN_KEY)
        item.keys.append(row)
        values.append((sealing, clean_texts({"note": said.note})[0]))
    for each in told:
        clear: dict[str, Any] = {
            "provider": said.provider,
            "account": said.account,
            "rule": each.rule,
            "occurred_at": each.at,
        }
        clear |= {"zone": str(ZoneBasis.STATED)} if each.rule == ENTERED else {}
        clear |= {"actor": said.actor} if said.actor else {}
        clear |= {"events": [downtime]} if downtime else {}
        item.drafts.append(ledger.draft(each.kind, said.tenant, stream, clear, values if not item.drafts else ()))
        downtime = downtime or item.drafts[0].id
    try:
        return [ledger.event(position) for position in ledger.append(item).positions]
    except DuplicateError:
        first = ledger.event(ledger.known([key])[key])
        return [
            first,
            *(
                e
                for e in ledger.between(first.position, first.position + len(told) - 1)
                if first.id in e.fields.get("events", ())
            ),
        ]


def _as_written(events: Sequence[Event]) -> Downtime:
    """A downtime as the events that begin it tell of it."""
    down, ups = events[0], events[1:]
    return Downtime(
        downtime=down.id,
        account=str(down.fields["account"]),
        provider=str(down.fields["provider"]),
        since=str(down.fields["occurred_at"]),
        until=str(ups[0].fields["occurred_at"]) if ups else "",
        rule=str(down.fields["rule"]),
        state="ended" if ups else "open",
        events=tuple(e.id for e in events),
        positions=tuple(e.position for e in events),
    )


def _with(found: Downtime, events: Sequence[Event]) -> Downtime:
    """A downtime as one more event leaves it."""
    up = events[0]
    is_withdrawn = up.fields["rule"] == WITHDRAWN
    return msgspec.structs.replace(
        found,
        state="withdrawn" if is_withdrawn else "ended",
        until=found.until if is_withdrawn else str(up.fields["occurred_at"]),
        events=tuple(dict.fromkeys((*found.events, up.id))),
        positions=tuple(dict.fromkeys((*found.positions, up.position))),
    )


# --- detecting


class Fare(NamedTuple):
    """How calls fare: those of an account, or the runs of a job.

    Attributes:
        failing_since: UTC, the first that failed since the last good one; "" when none did.
        failures: so many.
        good_since: UTC, the first good one since the last that failed; "" while they fail.
        ok_at: UTC, the last good one.
    """

    failing_since: str = ""
    failures: int = 0
    good_since: str = ""
    ok_at: str = ""

    def then(self, later: Fare) -> Fare:
        """How they fare after what came later."""
        if later.ok_at:
            return later
        return Fare(self.failing_since or later.failing_since, self.failures + later.failures, "", self.ok_at)


Whose = tuple[str, str]
"""Tenant and account."""


class Noticing:
    """Makes calls, and remembers until somebody asks how those of each account fared.

    Guarded by `_lock`: _fares.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._fares: dict[Whose, Fare] = {}

    def call(self, client: Client, provider: Provider, request: Request, access: Access, *, key: Whose) -> Answer:
        """Make one call."""
        answer = self._calls.call(client, provider, request, access, key=key)
        at = time_text(answer.at)
        # What is no HTTP has codes of its own; whatever they say, somebody answered.
        has_failed = answer.failure in FAILED or (client.transport is None and answer.status >= SERVER_ERROR)
        with self._lock:
            before = self._fares.get(key, Fare())
            now = Fare(at, 1) if has_failed else Fare(good_since=before.good_since or at, ok_at=at)
            self._fares[key] = before.then(now)
        return answer

    def since(self) -> dict[Whose, Fare]:
        """How they fared since this was last asked."""
        with self._lock:
            found, self._fares = self._fares, {}
        return found


class _State(msgspec.Struct):
    """What is kept between runs: account or job, as one text -> how it fares; of a job also how often it had run."""

    calls: dict[str, Fare] = {}
    jobs: dict[str, tuple[Fare, int]] = {}


def note_downtimes(accounts: Accounts, noticing: Noticing, turn: Turn) -> None:
    """Write that calls of an account fail for some minutes, with the time of the first, and that they work again; each once.

    What began and ended between two runs of this is not seen.
    """
    ledger = accounts.ledger
    fares = _fares(Rows(ledger.database), noticing, turn)
    sql = "SELECT tenant, account, provider FROM accounts WHERE is_disabled = 0 ORDER BY tenant, account"
    going_on = downtimes.detected_and_open(ledger.database)
    for tenant, account, provider in ledger.database.read(sql):
        said, mine = _Said(tenant, account, provider), fares.get(f"{tenant}/{account}", [])
        try:
            turn.found += _note(ledger, said, mine, going_on.get((tenant, account)), turn.now)
        except ForkError:
            raise
        except LedgerError as error:  # of this account only; it is tried again at the next look
            turn.trouble = trouble_of(error)
    turn.go_on()


def _note(ledger: Ledger, said: _Said, fares: Sequence[Fare], going_on: Downtime | None, now: datetime) -> bool:
    """Write what an account's calls show, if it is news."""
    size = ledger.head().size
    if going_on is None:
        since = _down_since(fares, now)
        found = _append(ledger, said, [_Told(DOWN, DETECTED, since)], ("detected", since)) if since else []
    else:
        until, down = _up_since(fares, going_on.since), going_on.downtime
        found = _append(ledger, said, [_Told(UP, DETECTED, until)], ("end", down), down) if until else []
    return any(event.position > size for event in found)


def _down_since(fares: Sequence[Fare], now: datetime) -> str:
    """When the calls began to fail; "" when they do not, or not long enough, or others were good meanwhile."""
    ok_at, long_ago = max((fare.ok_at for fare in fares), default=""), time_text(now - FAILING_FOR)
    failing = (fare.failing_since for fare in fares if fare.failures >= FAILURES)
    return min((since for since in failing if ok_at < since <= long_ago), default="")


def _up_since(fares: Sequence[Fare], since: str) -> str:
    """The first good call that is known after a downtime began; "" when there was none."""
    return min((at for fare in fares for at in (fare.good_since, fare.ok_at) if at > since), default="")


def _fares(rows: Rows, noticing: Noticing, turn: Turn) -> Mapping[str, list[Fare]]:
    """`tenant/account` -> how its calls fare, and its jobs that could not reach a mailbox; kept for the next run."""
    state = msgspec.convert(turn.state, _State)
    for (tenant, account), later in noticing.since().items():
        name = f"{tenant}/{account}"
        state.calls[name] = state.calls.get(name, Fare()).then(later)
    for row in rows.all().values():
        name = "/".join(row.key)
        if row.account and (name in state.jobs or UNREACHED in row.last_error):
            state.jobs[name] = _of_job(row, *state.jobs.get(name, (Fare(), row.runs - max(row.failures, 1))))
    turn.state.update(msgspec.to_builtins(state))
    turn.go_on()
    found = {name: [fare] for name, fare in state.calls.items()}
    for name, (fare, _) in state.jobs.items():
        found.setdefault(name.rpartition("/")[0], []).append(fare)
    return found


def _of_job(row: Row, before: Fare, runs: int) -> tuple[Fare, int]:
    """How a job fares by its last run, and how often it had run then."""
    if row.runs == runs:
        return before, runs
    if UNREACHED in row.last_error:
        return before.then(Fare(row.ended_at, row.runs - runs)), row.runs
    return (before if row.last_error else Fare(good_since=row.ok_at, ok_at=row.ok_at)), row.runs
