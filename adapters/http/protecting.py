"""Protecting an identity, and no longer: acts of a privacy officer. Who may see it is in `adapters.http.protected`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from adapters import protecting
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given, Note


class WhyProtected(Given):
    """Why; kept with the event, sealed under the recipient's key."""

    reason: Note


class Marked(msgspec.Struct, frozen=True):
    """How many deliveries to the same address were marked; 0 when all of them were."""

    deliveries: int


@route(
    "POST /v1/messages/{message}/deliveries/{recipient}/protect",
    scopes=("privacy",),
    answers={200: Marked},
    example={"reason": "marked as protected in the population register"},
)
def protect(call: Call[NoQuery, WhyProtected]) -> Answer:
    """Protect the identity of a recipient, in this delivery, in every other one to the same address, and in those to come."""
    return _said(protecting.protect, call)


@route(
    "POST /v1/messages/{message}/deliveries/{recipient}/unprotect",
    scopes=("privacy",),
    answers={200: Marked},
    example={"reason": "the protection ended on 1 March"},
)
def unprotect(call: Call[NoQuery, WhyProtected]) -> Answer:
    """Take it back, in this delivery and every other one to the same address."""
    return _said(protecting.unprotect, call)


def _said(act: Callable[..., int], call: Call[Any, WhyProtected]) -> Answer:
    whose = (call.path["message"], int(call.path["recipient"]))
    return Answer(Marked(act(call.services.queries, call.tenant, whose, call.body.reason, call.actor)))
