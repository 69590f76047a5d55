"""Acts that may take two people: one asks, another agrees or declines. Says so in the log, and who is another.

Two API keys are one person's when one was made by rotating the other, or when one made the other: a key is shown to whoever makes it.
The console is one person. What follows from an agreement is told in `adapters.carrying`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from adapters import safeguards
from adapters.accounts import CONSOLE, Accounts
from adapters.outbox import ActRefusedError
from adapters.strictjson import refuse
from ledger.errors import NotFoundError
from ledger.events import Event, parse_time, time_text
from ledger.streams import clean
from projections import acts as model
from projections.acts import ACT_COLUMNS, CARRYING_OUT, DECISIONS, SECOND_PERSON, ActsModel
from projections.queries import Queries

ACCOUNT = "acts"
"""Whose stream, besides the day's, they stand in."""
VALID = timedelta(days=14)
MAX_CHARS = 1_000
MAX_PAGE = 200

State = Literal["waiting", "ready", "approved", "declined", "expired", "done"]


class Act(msgspec.Struct, frozen=True):
    """What somebody asked for.

    Attributes:
        act: its id.
        rule: what kind of act, for example `hold.release`.
        state: `waiting` for a second person; `ready`: it takes none; `approved`: carried out next; `declined`: also withdrawn; `expired`:
            nobody decided in time; `done`.
        asked_by, decided_by: id of the API key; `console` at the command line.
        reason, decided_because: why; "" when nobody can open it any more.
        about: what stands in the clear of it: ids and numbers.
        said: what is sealed with it.
        expires_at: until when it can be decided.
    """

    act: str
    rule: str
    state: State
    reason: str
    asked_at: str
    asked_by: str
    expires_at: str
    about: Mapping[str, Any]
    said: Mapping[str, Any]
    position: int
    decided_at: str = ""
    decided_by: str = ""
    decided_because: str = ""
    done_at: str = ""

    @property
    def may_go(self) -> bool:
        """Whether it is to be carried out now."""
        return self.state in {"ready", "approved"}


def ask(  # noqa: PLR0917  whose, what, why, who
    accounts: Accounts,
    queries: Queries,
    tenant: str,
    rule: str,
    reason: str,
    actor: str = CONSOLE,
    *,
    clear: Mapping[str, Any] | None = None,
    said: Mapping[str, Any] | None = None,
) -> Act:
    """Ask for an act; whether it takes a second person is what the organisation demands now.

    Args:
        clear: ids and numbers that may stand in the clear (`events`, `streams`, `numbers`, `provider` …).
        said: what may not; sealed under a key of its own.

    Raises:
        InvalidError: no reason is given.
    """
    notes = [SECOND_PERSON] if safeguards.of(queries, tenant).takes_two(rule) else []
    about = {**(clear or {}), "rule": rule, **({"notes": notes} if notes else {})}
    position = accounts.record("act.asked", tenant, ACCOUNT, actor, about, require_reason(reason), said)
    return get(queries, tenant, accounts.ledger.event(position).id)


def approve(accounts: Accounts, queries: Queries, tenant: str, act: str, reason: str, actor: str = CONSOLE) -> Act:  # noqa: PLR0917  as above
    """Agree to an act as another person than who asked; what was approved stays approved.

    Raises:
        NotFoundError: the tenant has no such act.
        ActRefusedError: it is the asker, it takes no second person, or it was declined or has expired.
    """
    found = get(queries, tenant, act)
    if found.state in {"approved", "done"}:
        return found
    if found.state == "waiting" and is_same_person(queries, tenant, found.asked_by, actor):
        msg = (
            f"whoever asked for act {act} cannot agree to it: another person must, with an API key that neither made the asker's "
            "nor was made by it"
        )
        raise ActRefusedError(msg)
    return _decide(accounts, queries, tenant, found, "act.approved", (reason, actor))


def decline(accounts: Accounts, queries: Queries, tenant: str, act: str, reason: str, actor: str = CONSOLE) -> Act:  # noqa: PLR0917  as above
    """Decline an act, or withdraw one's own; what was declined stays declined.

    Raises:
        NotFoundError: the tenant has no such act.
        ActRefusedError: it was approved, carried out, or has expired.
    """
    found = get(queries, tenant, act)
    if found.state == "declined":
        return found
    return _decide(accounts, queries, tenant, found, "act.declined", (reason, actor))


def _decide(  # noqa: PLR0917  whose, which, how
    accounts: Accounts, queries: Queries, tenant: str, found: Act, decision: str, by: tuple[str, str]
) -> Act:
    reason, actor = by
    if found.state != "waiting":
        msg = f"act {found.act} is {found.state}; only one that waits can be decided"
        raise ActRefusedError(msg)
    clear = {"events": [found.act], "rule": found.rule}
    accounts.record(decision, tenant, ACCOUNT, actor, clear, require_reason(reason), once=("act.decided", found.act))
    decided = get(queries, tenant, found.act)
    if decided.state != "done" and decided.state != DECISIONS[decision]:
        msg = f"act {found.act} was {decided.state} at the same time"
        raise ActRefusedError(msg)
    return decided


def require_reason(text: str) -> str:
    """Why somebody acts, cleaned.

    Raises:
        InvalidError: nothing, or too much, is said.
    """
    found = clean(text.strip())
    if not found or len(found) > MAX_CHARS:
        refuse("reason", f"1 to {MAX_CHARS} characters")
    return found


# --- reading


def get(queries: Queries, tenant: str, act: str) -> Act:
    """One act.

    Raises:
        NotFoundError: the tenant has no such act.
    """
    for found in _acts(queries, tenant, "act = ?", (act,)):
        if found.act == act:
            return found
    msg = f"there is no act {act}"
    raise NotFoundError(msg)


def acts(queries: Queries, tenant: str, *, before: int = 0, limit: int = MAX_PAGE) -> list[Act]:
    """What was asked for, newest first.

    Args:
        before: a position; 0: from the newest.
    """
    where = "(? = 0 OR position < ?) ORDER BY position DESC LIMIT ?"
    found = _acts(queries, tenant, where, (before, before, limit))
    return [act for act in found if not before or act.position < before][:limit]


def waiting(queries: Queries, tenant: str) -> Iterator[Act]:
    """What waits for a second person, newest first; what was asked for longer ago than an act can wait is not looked at."""
    before, now = 0, time_text(queries.ledger.clock())
    while page := acts(queries, tenant, before=before):
        yield from (act for act in page if act.state == "waiting")
        before = page[-1].position
        if page[-1].expires_at <= now:
            return


def _acts(queries: Queries, tenant: str, where: str, values: Sequence[Any]) -> list[Act]:
    """The acts of these rows and of what the read model has not read yet, as they stand now; newest first."""
    names, unread = ACT_COLUMNS.split(", "), _unread(queries, tenant)  # first, so that nothing falls between the two
    rows = queries.ledger.database.read(
        f"SELECT {ACT_COLUMNS} FROM read_acts WHERE tenant = ? AND {where}", (tenant, *values)
    )
    found = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    for event in unread:
        with suppress(ValueError):
            _apply(found, names, event)
    ordered = sorted(found.values(), key=lambda row: -int(row["position"]))
    positions = {row[name] for row in ordered for name in ("position", "decided_in")} - {0}
    events = {event.position: event for event in queries.ledger.events_at(sorted(positions))}
    opened, now = queries.ledger.values(list(events.values())), queries.ledger.clock()
    demanded = safeguards.of(queries, tenant)
    waits = {row["act"] for row in ordered if row["second_person"] or demanded.takes_two(row["rule"])}
    return [_act(row, events[row["position"]], opened, now, waits) for row in ordered]


def _apply(found: dict[str, dict[str, Any]], names: Sequence[str], event: Event) -> None:
    if event.type == "act.asked":
        found[event.id] = dict(zip(names, model.asked(event), strict=True))
    elif event.type in DECISIONS:
        for *decision, act in model.decided(event):
            if act in found and not found[act]["decision"]:
                told = zip(("decision", "decided_at", "decided_by", "decided_in"), decision, strict=True)
                found[act].update(told)
    elif event.type in CARRYING_OUT:
        for at, act in model.carried_out(event):
            if act in found and not found[act]["done_at"]:
                found[act]["done_at"] = at


def _unread(queries: Queries, tenant: str) -> Iterator[Event]:
    """What the read model has not read yet: an act counts from the moment it stands in the log."""
    return (event for event in queries.runner.unread(queries.ledger, ActsModel.name) if event.tenant == tenant)


_OWN = frozenset({"v", "id", "nonce", "type", "tenant", "stream", "version", "observed_at", "recorded_at", "account"})
_TOLD = frozenset({"rule", "notes", "actor", "commit"})


def _act(
    row: Mapping[str, Any],
    event: Event,
    values: Mapping[int, Mapping[str, Any]],
    now: datetime,
    waits: Collection[str],
) -> Act:
    """One act; of `waits` are those that take a second person, as was demanded when they were asked for or is now."""
    said = dict(values.get(row["position"], {}))
    expires = time_text(parse_time(row["asked_at"]) + VALID)
    return Act(
        act=row["act"],
        rule=row["rule"],
        state=_state(row, expires <= time_text(now), row["act"] in waits),
        reason=str(said.pop("note", "")),
        asked_at=row["asked_at"],
        asked_by=row["asked_by"],
        expires_at=expires,
        about={name: value for name, value in event.fields.items() if name not in _OWN | _TOLD},
        said=said,
        position=row["position"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        decided_because=str(values.get(row["decided_in"], {}).get("note", "")),
        done_at=row["done_at"],
    )


def _state(row: Mapping[str, Any], is_over: bool, waits: bool) -> State:  # noqa: FBT001  said of the row
    if row["done_at"]:
        return "done"
    if row["decision"]:
        decided: State = "approved" if row["decision"] == "approved" else "declined"
        return decided
    return "ready" if not waits else "expired" if is_over else "waiting"


# --- who is another


def is_same_person(queries: Queries, tenant: str, one: str, other: str) -> bool:
    """Whether two actors may be one person, as far as API keys tell.

    Args:
        one, other: id of an API key; "" or `console`: at the console.
    """
    one, other = one or CONSOLE, other or CONSOLE
    grants = _grants(queries, tenant)
    return _root(grants, one) == _root(grants, other) or _made(grants, one, other) or _made(grants, other, one)


def _grants(queries: Queries, tenant: str) -> dict[str, tuple[str, str]]:
    """API key -> the key that made it, and the key whose place it took."""
    unread, sql = _unread(queries, tenant), "SELECT key_id, made_by, replaces FROM read_key_grants WHERE tenant = ?"
    found = {key: (by, replaces) for key, by, replaces in queries.ledger.database.read(sql, (tenant,))}
    for event in unread:
        if event.type == "access.granted":
            with suppress(ValueError):
                key, _, by, replaces = model.granted(event)
                found.setdefault(key, (by, replaces))
    return found


def _root(grants: Mapping[str, tuple[str, str]], key: str) -> str:
    """The first of the keys that took each other's place."""
    known = {key}
    while (before := grants.get(key, ("", ""))[1]) and before not in known:
        known.add(key := before)
    return key


def _made(grants: Mapping[str, tuple[str, str]], maker: str, key: str) -> bool:
    """Whether a key came, over whatever steps, of a key of the maker's; what the console made is not the console's."""
    known, look = set[str](), [key]
    while look:
        parents = {each for each in grants.get(look.pop(), ()) if each not in {"", CONSOLE}} - known
        known |= parents
        look += parents
    return maker != CONSOLE and _root(grants, maker) in {_root(grants, each) for each in known}
