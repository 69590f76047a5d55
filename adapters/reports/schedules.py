"""Schedules of reports: made, replaced, patched, ended as events; looked at by the clock, each period that has ended is run once.

What is due is worked out anew at each look, from the definition and from the runs that stand in the log; nothing is kept between two
looks. Of several periods that were missed the latest is run, and its event says how many were not. Periods that were due before the
schedule was made are not run by the clock; a person may ask for the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta
from uuid_utils import uuid7

from adapters.accounts import Accounts
from adapters.compliance.asking import checked
from adapters.compliance.registry import find
from adapters.jobs.rows import Turn, said
from adapters.outbox import ActRefusedError
from adapters.reports.channels import Channels, Recipient
from adapters.reports.contract import Format, Language
from adapters.reports.periods import Pace, Period, Unit, due_at, latest, period
from adapters.reports.register import ACCOUNT, ChangedError, Entry, Register
from adapters.strictjson import decode, fitting, refuse
from adapters.tasks.rows import Row
from adapters.tasks.store import Tasks
from ledger.errors import ForkError, LedgerError, NotFoundError
from ledger.events import parse_time

REPORT = "report"
RUN = "schedule.run"
MAX_BYTES = 64 * 1024
SKIPPED_AT_ONCE = 64
TOLD_SKIPPED = 100
PATCH_FAULTS = {
    "JsonPatchTestFailed": "what it tests for is not what stands there",
    "JsonPatchConflict": "there is nothing where it points to, or no room",
    "JsonPointerException": "it points to nowhere",
    "InvalidJsonPatch": "no operation of RFC 6902 with all that belongs to it",
    "JsonPatchException": "it does not fit",
}


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule, as a person gives it.

    Attributes:
        title: for the recipients; the query's own without it.
        start_date: first day of the first period; its run is due when it has ended.
        period: length of a period, in units.
        time: local time of the run, on the day after a period's last.
        zone: IANA name; days begin and end there.
        type: a compliance query, with its version or without.
        parameters: of the query.
        span: `previous_period` gives the query the period that ended, as `since` and `until`; `none` leaves them as they are.
        recipients: each has one of `folder`, `email` and `webhook`.
    """

    start_date: date
    period: Annotated[int, Meta(ge=1, le=366)]
    period_unit: Unit
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    recipients: Annotated[tuple[Recipient, ...], Meta(min_length=1, max_length=50)]
    parameters: dict[str, Any] = {}
    span: Literal["previous_period", "none"] = "previous_period"
    format: Format = "csv"
    language: Language = "en"
    zone: Annotated[str, Meta(min_length=1, max_length=100)] = "UTC"
    time: Annotated[str, fitting(r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)", "a time of the day, 00:00 to 23:59")] = "00:00"
    title: Annotated[str, Meta(max_length=200)] = ""

    def pace(self) -> Pace:
        """How it repeats."""
        return Pace(self.start_date, self.period, self.period_unit, ZoneInfo(self.zone), time.fromisoformat(self.time))

    def filled(self, of: Period) -> dict[str, Any]:
        """The query's parameters for one period."""
        if self.span == "none":
            return dict(self.parameters)
        return {**self.parameters, "since": _second(of.since), "until": _second(of.until)}


class ScheduleView(msgspec.Struct, frozen=True):
    """A schedule and how it stands.

    Attributes:
        version: of the definition; also in the ETag.
        owner: who made it.
        next_at: when the clock runs it next, UTC.
    """

    schedule: str
    version: int
    owner: str
    made_at: str
    changed_at: str
    next_at: str
    definition: Schedule


Found = tuple[Entry, Schedule]


class Schedules:
    """The schedules of one ledger."""

    def __init__(self, accounts: Accounts, tasks: Tasks, channels: Channels) -> None:
        self.accounts = accounts
        self.ledger = accounts.ledger
        self.tasks = tasks
        self.channels = channels
        self.register = Register(self.ledger, "report.scheduled", "schedule")

    # --- people

    def list(self, tenant: str) -> list[Found]:
        """The tenant's schedules, in the order of making; one whose definition was erased is not among them."""
        return [(entry, definition(entry)) for entry in self.register.all(tenant) if entry.said]

    def get(self, tenant: str, schedule: str) -> Found:
        """One schedule.

        Raises:
            NotFoundError: the tenant has none of that id.
        """
        entry = self.register.get(tenant, schedule)
        return entry, definition(entry)

    def create(self, tenant: str, given: Schedule, actor: str) -> Found:
        """Make a schedule.

        Raises:
            InvalidError: names what cannot be so.
        """
        return self._put(tenant, str(uuid7()), 0, "created", given, actor)

    def replace(
        self, tenant: str, schedule: str, version: int, given: Schedule, actor: str, *, done: str = "replaced"
    ) -> Found:
        """Give a schedule another definition; the same again changes nothing.

        Args:
            version: that is replaced.
            done: `replaced` or `patched`.

        Raises:
            ChangedError: another version is the newest.
            InvalidError: names what cannot be so.
        """
        found = self._at(tenant, schedule, version)
        return found if given == found[1] else self._put(tenant, schedule, version, done, given, actor)

    def patched(self, given: Schedule, operations: Sequence[Mapping[str, Any]]) -> Schedule:
        """A definition changed by RFC 6902 operations, all of them or none.

        Raises:
            InvalidError: they do not fit, or what they make of it cannot be.
        """
        import jsonpatch  # noqa: PLC0415  few patch anything

        patched = _plain(given)
        for number, operation in enumerate(operations):
            try:
                patched = jsonpatch.apply_patch(patched, [dict(operation)])
            except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
                kinds = {kind.__name__ for kind in type(error).__mro__}
                refuse(f"[{number}]", next(why for kind, why in PATCH_FAULTS.items() if kind in kinds))
            _check_size(patched)  # after each: a few copies of the whole into itself would fill any memory
        return parsed(patched)

    def delete(self, tenant: str, schedule: str, version: int, actor: str) -> None:
        """End a schedule; what it made stays.

        Raises:
            ChangedError: another version is the newest.
        """
        self._at(tenant, schedule, version)
        self.register.put(tenant, schedule, version, "deleted", {}, actor)

    def run_now(self, tenant: str, schedule: str, actor: str) -> Row:
        """Have the latest period that has ended run once more.

        Raises:
            ActRefusedError: none has ended yet.
        """
        entry, found = self.get(tenant, schedule)
        of = latest(found.pace(), self.ledger.clock())
        if of is None:
            msg = f"no period of this schedule has ended; the first does at {_second(due_at(found.pace(), 1))}"
            raise ActRefusedError(msg)
        row = self._ask(entry, found, of, actor, ())
        self._record(entry, of, row, "schedule.asked", actor, [], ())
        return row

    def view(self, found: Found) -> ScheduleView:
        entry, given = found
        of = latest(given.pace(), self.ledger.clock())
        next_at = _second(due_at(given.pace(), of.number + 1 if of else 1))
        return ScheduleView(entry.name, entry.version, entry.owner, entry.made_at, entry.changed_at, next_at, given)

    def _at(self, tenant: str, schedule: str, version: int) -> Found:
        entry, found = self.get(tenant, schedule)
        if entry.version != version:
            raise ChangedError
        return entry, found

    def _put(self, tenant: str, schedule: str, version: int, done: str, given: Schedule, actor: str) -> Found:  # noqa: PLR0917  as `replace`
        self.check(tenant, given)
        text = msgspec.json.encode(given).decode()
        entry = self.register.put(tenant, schedule, version, done, {"definition": text}, actor)
        return entry, definition(entry)

    def check(self, tenant: str, given: Schedule) -> None:
        """Refuse a definition that could not be run.

        Raises:
            InvalidError: names the field.
        """
        _check_size(given)
        if not 1970 <= given.start_date.year <= 2999:
            refuse("start_date", "a day between 1970 and 2999")
        try:
            pace = given.pace()
        except (ZoneInfoNotFoundError, ValueError, OSError):
            refuse("zone", "no such time zone; write an IANA name, for example Europe/Rome")
        try:
            query = find(given.type)
        except NotFoundError as error:
            refuse("type", str(error))
        names = {field.name for field in msgspec.structs.fields(query.parameters)}
        if given.span == "previous_period" and not {"since", "until"} <= names:
            refuse("span", f"query {query.name} takes no since and until; write none")
        try:
            checked(query, given.filled(period(pace, 1)))
        except ValueError as error:
            refuse("parameters", str(error))
        for index, recipient in enumerate(given.recipients):
            self.channels.check(tenant, recipient, f"recipients[{index}]")

    # --- the clock

    def look(self, turn: Turn) -> None:
        """Run what is due; one schedule that cannot be run does not hold up the others."""
        for entry in self.register.all():
            try:
                turn.found += self._look_at(entry, turn.now)
            except ForkError:
                raise
            except (LedgerError, ValueError) as error:
                turn.trouble = f"schedule {entry.name}: {said(error)}"
            turn.go_on()

    def _look_at(self, entry: Entry, now: datetime) -> bool:
        """Run a schedule's latest period, unless it was."""
        if not entry.said:
            return False
        given = definition(entry)
        of = latest(given.pace(), now)
        is_due = of is not None and due_at(given.pace(), of.number) >= parse_time(entry.made_at)
        if of is None or not is_due or self._was_run(entry, [of]):
            return False
        once = ("schedule", entry.name, str(of.first), str(of.next))
        row = self._ask(entry, given, of, "", once)
        skipped = list(self._skipped(entry, given, of))
        self._record(entry, of, row, RUN, "", skipped, _run_key(entry, of))
        return True

    def _skipped(self, entry: Entry, given: Schedule, of: Period) -> Iterator[Period]:
        """Periods that were due before this one and were never run, the latest first, back to the last that was."""
        pace = given.pace()
        made_at = parse_time(entry.made_at)
        for begin in range(of.number - 1, 0, -SKIPPED_AT_ONCE):
            before = [period(pace, number) for number in range(begin, max(0, begin - SKIPPED_AT_ONCE), -1)]
            were_run = self._was_run(entry, before)
            for each in before:
                if each.number in were_run or due_at(pace, each.number) < made_at:
                    return
                yield each

    def _was_run(self, entry: Entry, periods: Sequence[Period]) -> set[int]:
        """The numbers of those of these periods that were run."""
        duplicate = self.ledger.keyring.duplicate
        keys = {duplicate(None, entry.tenant, ACCOUNT, *_run_key(entry, of)): of.number for of in periods}
        return {keys[key] for key in self.ledger.known(keys)}

    def _ask(self, entry: Entry, given: Schedule, of: Period, actor: str, once: Sequence[str]) -> Row:
        query = find(given.type)
        request = {
            "query": query.id,
            "parameters": given.filled(of),
            "format": given.format,
            "language": given.language,
            "zone": given.zone,
            "delivery": {
                "schedule": entry.name,
                "event": entry.event,
                "title": given.title or query.title,
                "first": str(of.first),
                "next": str(of.next),
                "recipients": _plain(given)["recipients"],
            },
        }
        return self.tasks.ask(entry.tenant, REPORT, request, owner=actor, scopes=query.scopes, once=once)

    def _record(  # noqa: PLR0917  what was run, how, by whom
        self, entry: Entry, of: Period, row: Row, rule: str, actor: str, skipped: Sequence[Period], once: Sequence[str]
    ) -> None:
        told = {"schedule": entry.name, "task": row.task, "first": str(of.first), "next": str(of.next)}
        missed = {"skipped": [str(each.first) for each in skipped[:TOLD_SKIPPED]]} if skipped else {}
        clear = {"rule": rule, "events": [entry.event], "numbers": {"skipped": len(skipped)}}
        kind = self.register.kind
        self.accounts.record(kind, entry.tenant, ACCOUNT, actor, clear, "", {**told, **missed}, once)


def definition(entry: Entry) -> Schedule:
    """What a schedule's newest version says."""
    return msgspec.json.decode(str(entry.said["definition"]), type=Schedule)


def parsed(values: Any) -> Schedule:
    """A definition from JSON values.

    Raises:
        InvalidError: names the field.
    """
    return decode(msgspec.json.Decoder(Schedule), msgspec.json.encode(values))


def _plain(given: Schedule) -> Any:
    """A definition as JSON values."""
    return msgspec.json.decode(msgspec.json.encode(given))


def _check_size(values: Any) -> None:
    if len(msgspec.json.encode(values)) > MAX_BYTES:
        refuse("", f"a definition of at most {MAX_BYTES} bytes")


def _run_key(entry: Entry, of: Period) -> tuple[str, ...]:
    return ("run", entry.name, str(of.first), str(of.next))


def _second(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
