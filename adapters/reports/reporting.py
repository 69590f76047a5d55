"""The long work `report`: makes a report, says so in the log, and hands it to those who are to get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from adapters.accounts import Accounts
from adapters.compliance.asking import checked
from adapters.compliance.registry import find
from adapters.outbox import ActRefusedError
from adapters.reports import making
from adapters.reports.contract import ReportAsk, StoppedError
from adapters.reports.register import ACCOUNT
from adapters.reports.schedules import REPORT
from adapters.tasks.contract import GiveUpError, Kind, Made, TaskStoppedError, Work
from adapters.tasks.rows import Row
from adapters.tasks.store import Tasks
from ledger.errors import NotFoundError, TooLargeError

DELIVERY = "delivery"
MAX_OPEN = 200
"""Of one tenant's tasks; what the clock asks for is not counted against it."""
PAUSES = (timedelta(minutes=1), timedelta(minutes=10))


def scopes_of(given: ReportAsk) -> tuple[str, ...]:
    """Who may ask for a report: one of them must be the asker's.

    Raises:
        NotFoundError: no such query.
    """
    return find(given.query).scopes


def ask(tasks: Tasks, given: ReportAsk, owner: str, once: Sequence[str] = ()) -> Row:
    """Put a report in the queue.

    Raises:
        NotFoundError: no such query.
        ValueError: a parameter is wrong; names it.
        ActRefusedError: too many are in the queue already.
        IdempotencyError: another report was asked for under the same `once`.
    """
    query = find(given.query)
    checked(query, given.parameters)
    if tasks.rows.open(given.tenant) >= MAX_OPEN:
        msg = f"{MAX_OPEN} tasks of this organisation are not at their end; wait for some of them, or cancel them"
        raise ActRefusedError(msg)
    request = {name: value for name, value in msgspec.to_builtins(given).items() if name != "tenant"}
    return tasks.ask(given.tenant, REPORT, {**request, "query": query.id}, owner=owner, scopes=query.scopes, once=once)


def kind(desk: making.Desk, accounts: Accounts, tasks: Tasks) -> Kind:
    """The work `report`.

    Its request is that of a report without the tenant, and `delivery` where it is to be delivered.
    """

    def run(work: Work) -> Made:
        asked = {name: value for name, value in work.request.items() if name != "delivery"}
        try:
            report = msgspec.convert({"tenant": work.tenant, **asked}, ReportAsk)
            checked(find(report.query), report.parameters)
        except ValueError as error:  # a later version may take other parameters
            raise GiveUpError(str(error)) from error
        try:
            made = making.make(desk, report, work.folder, work.progress, work.is_stopped)
        except StoppedError as error:
            raise TaskStoppedError from error
        except (NotFoundError, TooLargeError) as error:
            raise GiveUpError(str(error)) from error
        said = {name: getattr(made, name) for name in ("query", "rows", "position", "root", "tree_size", "digest")}
        return Made(tuple(work.folder / file.name for file in made.files), said)

    def finished(work: Work, said: Mapping[str, Any]) -> None:
        delivery: Mapping[str, Any] = work.request.get("delivery", {})
        names = {name: value for name, value in delivery.items() if name == "schedule"}
        told = {"task": work.task, "parameters": encoded(work.request["parameters"]), "digest": said["digest"], **names}
        told["files"] = encoded(said["files"])
        record(accounts, "report.delivered", work, "report.made", said, told, ("report.made", work.task))
        if delivery:
            _hand_on(tasks, work, delivery)

    def failed(work: Work, why: str, is_last: bool) -> None:  # noqa: FBT001  the contract's order
        delivery: Mapping[str, Any] = work.request.get("delivery", {})
        told = {"task": work.task, "error": why} | {k: v for k, v in delivery.items() if k == "schedule"}
        numbers = {"try": work.number, "given_up": int(is_last)}
        clear = {"rule": "report.unmade", "numbers": numbers}
        once = ("report.unmade", work.task, str(work.number))
        accounts.record("report.failed", work.tenant, ACCOUNT, work.owner, clear, "", told, once)

    return Kind(name=REPORT, title="makes a report", run=run, finished=finished, failed=failed, pauses=PAUSES)


def _hand_on(tasks: Tasks, work: Work, delivery: Mapping[str, Any]) -> None:
    """Put a delivery to each recipient in the queue, once."""
    scopes = tasks.rows.get(work.tenant, work.task).scopes.split()
    for number, recipient in enumerate(delivery["recipients"]):
        request = {**delivery, "recipients": [recipient], "report": work.task, "language": work.request["language"]}
        once = ("delivery", work.task, str(number))
        tasks.ask(work.tenant, DELIVERY, request, owner=work.owner, scopes=scopes, once=once)


def record(  # noqa: PLR0917  what, of which work, how, about which report, what more, once
    accounts: Accounts,
    event: str,
    work: Work,
    rule: str,
    report: Mapping[str, Any],
    told: Mapping[str, Any],
    once: Sequence[str],
    numbers: Mapping[str, int] | None = None,
) -> None:
    """Say what became of a report: which query, how many rows, and the tree they reflect, in the clear."""
    clear = {"rule": rule, "code": report["query"], "tree_size": report["position"], "root": report["root"]}
    clear["numbers"] = {"rows": report["rows"], **(numbers or {})}
    accounts.record(event, work.tenant, ACCOUNT, work.owner, clear, "", told, once)


def encoded(value: object) -> str:
    """A JSON value as text: events carry no fractions."""
    return msgspec.json.encode(value, order="sorted").decode()
