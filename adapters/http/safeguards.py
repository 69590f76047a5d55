"""What an organisation demands of its own people: seen by its officers, changed by the privacy officer; each change is an event."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from adapters import carrying, safeguards
from adapters.acts import Act
from adapters.http.acts import Why, accepted
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given
from adapters.safeguards import Safeguards

FourEyes = Annotated[
    tuple[Literal["erasure", "hold.release", "retention"], ...],
    Meta(max_length=len(safeguards.FOUR_EYES), description="what takes two people"),
]
Reasons = Annotated[
    tuple[Literal["look-ups", "evidence", "queries", "exports"], ...],
    Meta(max_length=len(safeguards.REASONS), description="what needs a reason, in the header Access-Reason"),
]


class NewSafeguards(Given):
    """All that is demanded from now on: what is absent is not.

    Attributes:
        partial_search: people may be searched for by a part of their address.
    """

    reason: Why
    four_eyes: FourEyes = ()
    reasons: Reasons = ()
    partial_search: bool = False


@route("GET /v1/safeguards", scopes=("privacy", "compliance"), answers={200: Safeguards})
def show_safeguards(call: Call[NoQuery, None]) -> Answer:
    """What takes two people, what needs a reason, and whether people may be searched for by a part of their address."""
    return Answer(safeguards.of(call.services.queries, call.tenant))


@route(
    "PUT /v1/safeguards",
    scopes=("privacy",),
    answers={200: Safeguards, 202: Act},
    example={"four_eyes": ["erasure", "hold.release"], "reasons": ["evidence"], "reason": "board decision 2026/4"},
)
def set_safeguards(call: Call[NoQuery, NewSafeguards]) -> Answer:
    """Say what is demanded from now on. 202: it is less than before, two people are demanded for something, and a second must agree."""
    services, new = call.services, call.body
    wanted = safeguards.Safeguards(
        tuple(name for name in safeguards.FOUR_EYES if name in new.four_eyes),
        tuple(name for name in safeguards.REASONS if name in new.reasons),
        new.partial_search,
    )
    done = carrying.demand(services.accounts, services.queries, call.tenant, wanted, new.reason, call.actor)
    return accepted(done) if isinstance(done, Act) else Answer(done)
