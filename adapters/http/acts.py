"""Acts that may take two people: what was asked for, and agreeing or declining. A key sees and decides what its scopes are for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters import acts, carrying
from adapters.acts import Act
from adapters.http.authentication import require_scope
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given

SCOPES = tuple(dict.fromkeys(scope for scopes in carrying.DECIDED_BY.values() for scope in scopes))
Why = Annotated[str, Meta(min_length=1, max_length=1_000, description="why; sealed beside the event")]


class ActsQuery(Given):
    """Query of the list of acts.

    Attributes:
        before: `next` of the page before.
    """

    state: Annotated[Literal["waiting", "all"], Meta(description="those that wait for a second person, or all")] = (
        "waiting"
    )
    before: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0


class ActList(msgspec.Struct, frozen=True):
    """Acts that this key may decide, newest first.

    Attributes:
        next: continues the list; 0 at its end.
    """

    acts: tuple[Act, ...]
    next: int


class Decision(Given):
    """What somebody decides about an act."""

    reason: Why


@route("GET /v1/acts", scopes=SCOPES, answers={200: ActList}, access="acts")
def list_acts(call: Call[ActsQuery, None]) -> Answer:
    """What was asked for, by whom and why, and what was decided."""
    page = acts.acts(call.services.queries, call.tenant, before=call.query.before)
    told = tuple(
        act
        for act in page
        if set(carrying.deciders(act.rule)) & set(call.key.scopes) and call.query.state in {"all", act.state}
    )
    return Answer(ActList(told, page[-1].position if len(page) == acts.MAX_PAGE else 0))


@route("GET /v1/acts/{act}", scopes=SCOPES, answers={200: Act}, access="acts")
def show_act(call: Call[NoQuery, None]) -> Answer:
    """One act."""
    return Answer(_act(call))


@route(
    "POST /v1/acts/{act}/approve",
    scopes=SCOPES,
    answers={200: Act},
    problems=(409,),
    example={"reason": "identity checked"},
)
def approve_act(call: Call[NoQuery, Decision]) -> Answer:
    """Agree to an act as another person than who asked; what it asks for is done then. One that was approved stays approved.

    409: by the same API key, one made by rotating it, one that it made or that made it; or it was declined, or has expired.
    """
    services, act = call.services, _act(call)
    return Answer(
        carrying.approve(services.accounts, services.queries, call.tenant, act.act, call.body.reason, call.actor)
    )


@route(
    "POST /v1/acts/{act}/decline",
    scopes=SCOPES,
    answers={200: Act},
    problems=(409,),
    example={"reason": "another person is meant"},
)
def decline_act(call: Call[NoQuery, Decision]) -> Answer:
    """Decline an act, or withdraw one's own; 409 when it was approved or has expired."""
    services, act = call.services, _act(call)
    return Answer(acts.decline(services.accounts, services.queries, call.tenant, act.act, call.body.reason, call.actor))


def accepted(act: Act) -> Answer:
    """That an act waits for a second person, and where to look after it."""
    return Answer(act, 202, {"Location": f"/v1/acts/{act.act}"})


def _act(call: Call[Any, Any]) -> Act:
    act = acts.get(call.services.queries, call.tenant, call.path["act"])
    require_scope(call.key, carrying.deciders(act.rule))
    return act
