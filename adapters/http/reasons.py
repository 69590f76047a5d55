"""Why somebody looks: the header Access-Reason, and the requests that are refused without it where an organisation demands a reason.

What is given is sealed with the record of the access, whether it was demanded or not; it stands in no path, log or error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from adapters import safeguards
from adapters.http.errors import ReasonNeededError
from adapters.http.routes import REASON_CHARS, REASON_HEADER, Call, Route
from adapters.safeguards import Safeguards
from adapters.strictjson import refuse
from ledger.streams import clean
from projections.queries import Queries

BELIEVED_S = 1.0
_REASON_HEADER = REASON_HEADER.lower()


class Demanded:
    """What organisations demand, asked for at most once a second each; what this process changes counts at once.

    Args:
        clock: seconds, monotonic.

    Guarded by the lock: what was found, by tenant.
    """

    def __init__(self, queries: Queries, clock: Callable[[], float]) -> None:
        self._queries = queries
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Safeguards]] = {}

    def of(self, tenant: str) -> Safeguards:
        with self._lock:
            until, known = self._found.get(tenant, (0.0, Safeguards()))
        if self._clock() < until:
            return known
        found = safeguards.of(self._queries, tenant)
        with self._lock:
            self._found[tenant] = (self._clock() + BELIEVED_S, found)
        return found

    def forget(self, tenant: str) -> None:
        """Ask again next time: something was changed."""
        with self._lock:
            self._found.pop(tenant, None)


def given(headers: Mapping[str, str]) -> str:
    """The reason that a request carries, or "".

    Args:
        headers: lower-case names.

    Raises:
        InvalidError: it is too long.
    """
    said = headers.get(_REASON_HEADER)
    if said is None:
        return ""
    reason = clean(unquote(said, errors="replace")).strip()
    if len(reason) > REASON_CHARS:
        refuse(REASON_HEADER, f"at most {REASON_CHARS} characters")
    return reason


def with_reason(demanded: Demanded, route: Route, call: Call[Any, Any]) -> Call[Any, Any]:
    """The call with its reason, from the header or, where the body has a field for it, from there.

    Raises:
        ReasonNeededError: there is none, and the organisation demands one.
    """
    if not route.demands:
        return call
    reason = call.reason or str(getattr(call.body, "reason", "")).strip()
    if not reason and route.demands in demanded.of(call.tenant).reasons:
        msg = (
            f"this organisation demands a reason for {safeguards.REASONS[route.demands]}: say why in the header {REASON_HEADER}, in 1 to "
            f"{REASON_CHARS} characters (others than ASCII percent-encoded); it is sealed with the record of the access"
        )
        raise ReasonNeededError(msg)
    return call if reason == call.reason else replace(call, reason=reason)
