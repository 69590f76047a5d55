"""All routes of the API, in the order in which they are described."""

from __future__ import annotations

from adapters.http import (
    accounts,
    acts,
    catalogue,
    downtimes,
    erasures,
    evidence,
    hooks,
    jobs,
    keeping,
    keys,
    lanes,
    lists,
    log,
    lookups,
    messages,
    observations,
    operation,
    originals,
    partial,
    protecting,
    queries,
    safeguards,
    samples,
    saved,
    schedules,
    sends,
    settling,
    tasks,
    terms,
)
from adapters.http.routes import Route

_MODULES = (
    messages,
    sends,
    observations,
    hooks,
    lookups,
    originals,
    evidence,
    log,
    lists,
    partial,
    queries,
    samples,
    saved,
    tasks,
    schedules,
    keeping,
    erasures,
    protecting,
    acts,
    safeguards,
    accounts,
    keys,
    jobs,
    downtimes,
    lanes,
    settling,
    terms,
    catalogue,
    operation,
)

ROUTES: tuple[Route, ...] = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Route)
)
