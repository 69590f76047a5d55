"""Deleting e-mails from the mailbox: the receipts there are the evidence, and nobody else keeps it.

`plan` decides: every e-mail that the call would remove must be held as its signed original, covered by a signed head, and read back; a row
of the API is never enough. `carry_out` looks, decides, looks again, and only then deletes; an operator may go on all the same, with a
reason, which is recorded with what was lost. Nothing calls this by the clock.

Between the second look and the call another receipt may come in, and `DELETE /send/{code}` takes it along: delete when nothing more is
awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from adapters.providers.calling import Answer, CallFailedError, Deletion, Desk, Holding, Request
from adapters.providers.pec_massiva import facts, inbox, rows, statuses
from adapters.providers.pec_massiva.answers import fields_of, is_success, value
from adapters.providers.pec_massiva.rows import Row
from ledger.observations import Arrival, ArrivalKind, Observation, UnreadableError

MAX_TOLD = 100
"""E-mails that one event lists; their number is told in any case."""


class Held(StrEnum):
    """What the ledger holds of an e-mail."""

    NONE = "none"
    TEXT = "text"  # its row
    SIGNED_ORIGINAL = "signed_original"  # its bytes, with a signature that holds


class Evidence(NamedTuple):
    """What the ledger holds of an e-mail, and how safely.

    Attributes:
        is_covered: a signed head outside the database covers it.
        is_read_back: the stored bytes were read again and are those that were committed to.
    """

    held: Held
    is_covered: bool = False
    is_read_back: bool = False


class Doomed(NamedTuple):
    """An e-mail that a call would remove."""

    row: Row
    evidence: Evidence


class Loss(NamedTuple):
    """An e-mail that would be lost, and why it counts as lost."""

    row: Row
    why: str


class Allowed(NamedTuple):
    """All of it is held."""

    emails: int


class Refused(NamedTuple):
    """What would be lost; nothing, where there was nothing that could be looked at."""

    losses: tuple[Loss, ...]
    why: str = "evidence would be lost"


class Done(NamedTuple):
    """What became of the call.

    Attributes:
        kind: `provider_content.deleted`, `dispatch.answered` (it was refused) or `dispatch.unclear`.
        decision: on which it was made.
    """

    kind: str
    emails: int
    decision: Allowed | Refused


class Target(NamedTuple):
    """What is to be deleted: all e-mails of a message_id, or the one under a number of the inbox.

    Attributes:
        operation: `delete_send` or `delete_inbox`.
        name: message_id or number.
        row: of an inbox e-mail: what was seen under that number; another one by now is left alone.
    """

    operation: str
    name: str
    row: Row | None = None


def plan(doomed: Sequence[Doomed]) -> Allowed | Refused:
    """Whether a call that would remove these e-mails may be made."""
    losses = tuple(Loss(each.row, why) for each in doomed if (why := _why_lost(each.evidence)))
    if not doomed:
        return Refused((), "no such e-mail is in the mailbox, or another one has its number by now")
    return Refused(losses) if losses else Allowed(len(doomed))


def _why_lost(evidence: Evidence) -> str:
    if evidence.held is not Held.SIGNED_ORIGINAL:
        return {Held.NONE: "nothing of it is held", Held.TEXT: "only its row is held, which nobody signed"}[
            evidence.held
        ]
    if not evidence.is_covered:
        return "its signed original is held, and no signed head covers it yet"
    return "" if evidence.is_read_back else "its signed original is held, and was not read back"


def carry_out(
    desk: Desk, target: Target, evidence: Callable[[Observation], Evidence], *, reason: str = "", message: str = ""
) -> Refused | Done:
    """Delete, if nothing is lost by it, or if somebody says why it is to be done all the same.

    Args:
        evidence: what the ledger holds of the e-mail that an observation of its row is about.
        reason: of an operator, to go on though evidence is lost; "" = never.
        message: stream of the message, where the deletion is told.

    Raises:
        CallFailedError: the mailbox could not be looked at, or changed meanwhile; nothing was deleted.
    """
    found = _look(desk, target)
    decision = plan([Doomed(row, evidence(seen)) for row, seen in found])
    if isinstance(decision, Refused) and not (reason and decision.losses):
        return decision
    if sorted(row for row, _ in _look(desk, target)) != sorted(row for row, _ in found):
        msg = "the mailbox changed while it was looked at; nothing was deleted"
        raise CallFailedError(msg)
    request = Request(operation=target.operation, method="DELETE", url=_path(target))
    clear = {
        "operation": target.operation,
        "rule": "deletion.overridden" if isinstance(decision, Refused) else "deletion.evidence_held",
        "numbers": {"emails": len(found)} | ({"lost": len(decision.losses)} if isinstance(decision, Refused) else {}),
    }
    told = _told(target, found, decision, reason)
    # Announced first: what a cut off process may have deleted must not go unsaid. In the account's stream: of a message's
    # calls those are kept that send it.
    desk.record("dispatch.attempted", {**clear, "about": "account"}, told)
    answer = desk.call(request)
    kind = _outcome(answer)
    told["answer"] = value(fields_of(answer.body), "message") or str(answer.failure or answer.status)
    is_told_there = message and kind == "provider_content.deleted"
    desk.record(
        kind, {**clear, "about": "message" if is_told_there else "account"}, told, message if is_told_there else ""
    )
    return Done(kind, len(found), decision)


def _path(target: Target) -> str:
    folder, pattern = {"delete_send": ("send", statuses.MESSAGE_ID), "delete_inbox": ("inbox", inbox.NUMBER)}[
        target.operation
    ]
    if not pattern.fullmatch(target.name):
        msg = "that is no message_id, and no number of the inbox"
        raise CallFailedError(msg)
    return f"/{folder}/{target.name}"


def _look(desk: Desk, target: Target) -> list[tuple[Row, Observation]]:
    """The e-mails that the call would remove, as rows and as what they say; what the rows say is in the ledger then."""
    operation = {"delete_send": "send_status", "delete_inbox": "inbox"}[target.operation]
    request = Request(operation=operation, method="GET", url=_path(target), may_send=False)
    answer = desk.call(request)
    if answer.failure or (not is_success(answer.status) and answer.status != 404):
        msg = f"the mailbox could not be looked at: {answer.failure or answer.status}"
        raise CallFailedError(msg)
    if answer.status == 404:
        return []
    arrival = Arrival(
        provider="pec_massiva",
        account=desk.account,
        operation=operation,
        kind=ArrivalKind.POLL,
        observed_at=answer.at,
        body=answer.body,
        status=answer.status,
        name=request.url,
    )
    try:
        shown, seen = rows.rows(fields_of(answer.body)), [facts.each_named(each)[0] for each in rows.read(arrival)]
    except UnreadableError as error:
        msg = "the mailbox could not be looked at: an answer without e-mails"
        raise CallFailedError(msg) from error
    if len(shown) != len(seen) or (target.row and not all(inbox.is_same(row, target.row) for row in shown)):
        return []
    desk.admit(request, answer)
    return list(zip(shown, seen, strict=True))


def _told(
    target: Target, found: Sequence[tuple[Row, Observation]], decision: Allowed | Refused, reason: str
) -> dict[str, str]:
    """What is removed, and what of it is lost, for the event; committed, not in the clear."""
    lost = {loss.row: loss.why for loss in decision.losses} if isinstance(decision, Refused) else {}
    said = {"target": target.name} | ({"reason": reason} if lost else {})
    for index, (row, _) in enumerate(found[:MAX_TOLD]):
        said[f"email.{index}"] = " | ".join(filter(None, (row.written, row.subject, lost.get(row, ""))))
    return said


def _outcome(answer: Answer) -> str:
    if answer.failure == "unreachable":
        return "dispatch.answered"
    if answer.failure or answer.status >= 500:
        return "dispatch.unclear"
    is_done = is_success(answer.status) and fields_of(answer.body).get("success") is True
    return "provider_content.deleted" if is_done else "dispatch.answered"


def on_request(desk: Desk, name: str, held: Callable[[Observation], Holding], reason: str, message: str) -> Deletion:
    """Delete what an operator names: `send/MESSAGE_ID` or `inbox/NUMBER`; see `carry_out`.

    Raises:
        CallFailedError: also for another name.
    """
    folder, _, what = name.partition("/")
    operation = {"send": "delete_send", "inbox": "delete_inbox"}.get(folder)
    if operation is None:
        msg = "say send/MESSAGE_ID for all e-mails of one send, or inbox/NUMBER for one of the inbox"
        raise CallFailedError(msg)
    found = carry_out(desk, Target(operation, what), lambda seen: _evidence(held(seen)), reason=reason, message=message)
    decision = found if isinstance(found, Refused) else found.decision
    losses = decision.losses if isinstance(decision, Refused) else ()
    told = tuple(f"{loss.row.written} {loss.row.subject}: {loss.why}" for loss in losses)
    if isinstance(found, Refused):
        return Deletion(is_done=False, why=found.why, losses=told)
    is_done = found.kind == "provider_content.deleted"
    return Deletion(is_done, f"{found.emails} e-mails deleted" if is_done else "the provider did not say so", told)


def _evidence(holding: Holding) -> Evidence:
    held = Held.SIGNED_ORIGINAL if holding.is_signed else Held.TEXT if holding.is_text else Held.NONE
    return Evidence(held, holding.is_covered, holding.is_read_back)
