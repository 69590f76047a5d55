"""Seeing whose identity is protected: a key with the scope `protected` asks for it, with a reason; each time is recorded by itself.

Everywhere else such recipients are not there: a route has nothing to do for it, because it is given what leaves them out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.http.authentication import require_scope
from adapters.http.errors import ReasonNeededError
from adapters.http.routes import PROTECTED_HEADER, REASON_HEADER, Call, Route
from adapters.strictjson import refuse

SCOPE = "protected"
KIND = "protected"
"""Of access; written before the answer leaves."""


def seeing(route: Route, call: Call[Any, Any]) -> Call[Any, Any]:
    """The call as it may see: with recipients whose identity is protected where it asks for them, else without.

    Raises:
        ForbiddenError: the key has not the scope.
        InvalidError: the header says something else than `true`, or the route shows nobody.
        ReasonNeededError: nobody said why.
    """
    said = call.headers.get(PROTECTED_HEADER.lower())
    if said is None:
        return call
    if said != "true":
        refuse(PROTECTED_HEADER, "say true, or leave it out")
    require_scope(call.key, (SCOPE,))
    if not route.shows_people:
        refuse(PROTECTED_HEADER, "leave it out: nobody is shown here")
    reason = call.reason or str(getattr(call.body, "reason", "")).strip()
    if not reason:
        msg = f"say in the header {REASON_HEADER} why you look at a protected identity"
        raise ReasonNeededError(msg)
    evidence = call.services.evidence
    services = replace(
        call.services,
        queries=call.services.queries.seeing_protected(),
        evidence=replace(evidence, shows_protected=True) if evidence else None,
    )
    return replace(call, services=services, reason=reason)
