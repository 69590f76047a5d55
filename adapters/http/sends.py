"""Sends through the outbox: how far they are, and what a person may say about them. Asking for one is part of `messages`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, Limit, Note, Noted
from adapters.outbox import OPEN, STATES, DispatchView

SENDERS = ("ingest", "operator")
OPERATORS = ("operator",)


class Sends(msgspec.Struct, frozen=True):
    """Sends by message id, which is by time; `next` continues the list, "" at its end."""

    sends: tuple[DispatchView, ...]
    next: str


class SendsQuery(Given):
    """Query of the list of sends.

    Attributes:
        state: one of the states, or `open` for those that are not at their end.
        after: `next` of the page before.
    """

    state: Literal["open", "queued", "waiting", "unclear", "sent", "partly", "refused", "cancelled", "erased"] = "open"
    after: Annotated[str, msgspec.Meta(max_length=100)] = ""
    limit: Limit = 100


class NewResolution(Given):
    """What became of an unclear call.

    Attributes:
        call: its number.
        was_sent: whether the provider took it; if not, it is made again.
    """

    call: int
    was_sent: bool
    note: Note


@route("GET /v1/sends", scopes=("read", "operator"), answers={200: Sends})
def list_sends(call: Call[SendsQuery, None]) -> Answer:
    """Sends that wait, are unclear, or ended; without their calls."""
    asked = call.query
    states = OPEN if asked.state == "open" else (asked.state,)
    rows = call.services.outbox.list(call.tenant, states, asked.after, asked.limit)
    views = tuple(DispatchView(r.message, r.account, r.provider, r.state, STATES[r.state], r.due_at) for r in rows)
    return Answer(Sends(views, rows[-1].message if len(rows) == asked.limit else ""))


@route(
    "GET /v1/messages/{message}/dispatch", scopes=("read", "operator"), answers={200: DispatchView}, access="dispatch"
)
def show_dispatch(call: Call[NoQuery, None]) -> Answer:
    """How far the send of a message is, call by call."""
    return Answer(call.services.outbox.view(call.tenant, call.path["message"]))


@route("POST /v1/messages/{message}/dispatch/resolve", scopes=OPERATORS, answers={200: DispatchView}, problems=(409,))
def resolve_dispatch(call: Call[NoQuery, NewResolution]) -> Answer:
    """Say what became of an unclear call; the note says how you know. One that was not sent is made again."""
    said, outbox, message = call.body, call.services.outbox, call.path["message"]
    outbox.resolve(call.tenant, message, said.call, said.note, was_sent=said.was_sent, actor=call.actor)
    return Answer(outbox.view(call.tenant, message))


@route("POST /v1/messages/{message}/dispatch/cancel", scopes=SENDERS, answers={200: DispatchView}, problems=(409,))
def cancel_dispatch(call: Call[NoQuery, Noted]) -> Answer:
    """Withdraw a send of which nothing was taken yet."""
    outbox, message = call.services.outbox, call.path["message"]
    outbox.cancel(call.tenant, message, call.body.note, call.actor)
    return Answer(outbox.view(call.tenant, message))
