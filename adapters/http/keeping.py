"""What must be kept: legal holds and retention policies. Personal values stand in bodies only; each act is an event."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters import carrying, heldquery, keeping
from adapters.accounts import Accounts
from adapters.acts import Act
from adapters.heldquery import HeldQuery
from adapters.http.acts import accepted
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given
from adapters.keeping import Hold, Policy
from adapters.records import END, AwareTime, Name, utc
from adapters.strictjson import refuse
from projections.queries import Queries

OFFICERS = ("compliance",)
Why = Annotated[str, Meta(min_length=1, max_length=1_000, description="why; sealed beside the event")]
MayBeWhy = Annotated[str, Meta(max_length=1_000, description="why; sealed beside the event")]
Label = Annotated[str, Meta(max_length=1_000)]
Term = Annotated[str, Meta(pattern=f"^{keeping.KEEP.pattern}{END}", description=keeping.KEEP_ADVICE)]


class HoldQuery(Given):
    """Query of the list of holds."""

    state: Annotated[Literal["in_force", "all"], Meta(description="those in force, or those that ended, too")] = (
        "in_force"
    )


class HoldList(msgspec.Struct, frozen=True):
    """Holds, oldest first."""

    holds: tuple[Hold, ...]


class NewHold(Given):
    """A legal hold.

    Attributes:
        value: id of a message, or an address, label or batch in any spelling; whatever comes under it later is held, too.
        where: of a hold on a query, instead of `value`; likewise.
        floor: it cannot be released before then.
    """

    scope: Literal["message", "recipient", "batch", "label", "query"]
    reason: Why
    value: Annotated[str, Meta(max_length=1_000)] = ""
    where: HeldQuery | None = None
    floor: AwareTime | None = None


class Release(Given):
    """The end of a hold."""

    reason: Why


class PolicyList(msgspec.Struct, frozen=True):
    """The policies in force, by provider and label; where there is none, nothing is ever due."""

    policies: tuple[Policy, ...]


class NewPolicy(Given):
    """How long to keep what a provider carried, counted from when the ledger first heard of a message.

    Attributes:
        label: only for what bears it; such a policy goes before one without a label, and of several the longest counts.
        reason: why; needed where this takes two people.
    """

    provider: Name
    keep: Term
    label: Label = ""
    reason: MayBeWhy = ""


class PolicyEnd(Given):
    """Which policy is to end; `label` as it was set, `reason` as when it is set."""

    provider: Name
    label: Label = ""
    reason: MayBeWhy = ""


@route("GET /v1/holds", scopes=OFFICERS, answers={200: HoldList}, access="holds")
def list_holds(call: Call[HoldQuery, None]) -> Answer:
    """The legal holds, what each is on and why."""
    found = keeping.holds(call.services.queries, call.tenant, released=call.query.state == "all")
    return Answer(HoldList(tuple(found)))


@route(
    "POST /v1/holds",
    scopes=OFFICERS,
    answers={201: Hold},
    problems=(404,),
    example={"scope": "label", "value": "case 100", "reason": "claim 2026/14", "floor": "2030-01-01T00:00:00Z"},
)
def place_hold(call: Call[NoQuery, NewHold]) -> Answer:
    """Place a hold; what it is on and why are sealed."""
    services, new = call.services, call.body
    floor = utc("floor", new.floor) if new.floor else None
    if (new.scope == keeping.QUERY) == (new.where is None) or bool(new.value) == bool(new.where):
        refuse("where", "a hold on a query has `where`, any other `value`")
    value = heldquery.written(new.where) if new.where else new.value
    whose = (services.accounts, services.queries, call.tenant)
    return Answer(keeping.place(*whose, new.scope, value, new.reason, floor, call.actor), 201)


@route("POST /v1/holds/{hold}/release", scopes=OFFICERS, answers={200: Hold, 202: Act}, problems=(409,))
def release_hold(call: Call[NoQuery, Release]) -> Answer:
    """End a hold; one that has ended stays as it is, and 409 before its floor. 202: it stands until a second person agrees to the act."""
    return _told(carrying.release(*_whose(call), call.path["hold"], call.body.reason, call.actor))


@route("GET /v1/retention", scopes=OFFICERS, answers={200: PolicyList})
def list_policies(call: Call[NoQuery, None]) -> Answer:
    """How long what each provider carried is kept."""
    return Answer(PolicyList(tuple(keeping.policies(call.services.queries, call.tenant))))


@route(
    "POST /v1/retention",
    scopes=OFFICERS,
    answers={200: Policy, 202: Act},
    example={"provider": "kpn_sms", "keep": "18m"},
)
def set_policy(call: Call[NoQuery, NewPolicy]) -> Answer:
    """Set a policy, in the place of the one for the same provider and label. 202: once a second person agrees to the act.

    Nothing that the provider carried is erased within seven days from then, so that a mistake can be taken back.
    """
    new = call.body
    return _told(carrying.keep(*_whose(call), new.provider, new.keep, new.label, new.reason, call.actor))


@route("POST /v1/retention/remove", scopes=OFFICERS, answers={200: Policy, 202: Act})
def remove_policy(call: Call[NoQuery, PolicyEnd]) -> Answer:
    """End a policy: what it was for is never due, unless another policy is for it. 202: once a second person agrees to the act."""
    ended = call.body
    return _told(carrying.keep(*_whose(call), ended.provider, "", ended.label, ended.reason, call.actor))


def _whose(call: Call[Any, Any]) -> tuple[Accounts, Queries, str]:
    return call.services.accounts, call.services.queries, call.tenant


def _told(done: Hold | Policy | Act) -> Answer:
    """What was done, or the act that waits for a second person."""
    return accepted(done) if isinstance(done, Act) else Answer(done)
