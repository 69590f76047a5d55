"""Applying events to read models inside a transaction: content stops nothing, and one bad event hurts only itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from eventsourcing.persistence import DataError, IntegrityError, PersistenceError

from ledger.database import Cursor
from ledger.events import Event
from projections.models import ReadModel, Target, Unapplied

LOG = logging.getLogger(__name__)


def apply_to(models: Sequence[ReadModel], cursor: Cursor, events: Sequence[Event], target: Target) -> None:
    """Apply to each model what it wants of some events, and file what it cannot apply.

    Raises:
        PersistenceError: the database's trouble.
    """
    types = [event.type for event in events] if any(model.wants for model in models) else []
    known = set(types)
    for model in models:
        if not model.wants:
            _apply(model, cursor, events, target)
        elif known & model.wants:
            wanted = [event for event, kind in zip(events, types, strict=True) if kind in model.wants]
            _apply(model, cursor, wanted, target)


def _apply(model: ReadModel, cursor: Cursor, events: Sequence[Event], target: Target) -> None:
    try:
        with cursor.attempt():
            unapplied = model.apply(cursor, events, target)
    except Exception as error:
        if isinstance(error, PersistenceError) and not isinstance(error, DataError | IntegrityError):
            raise  # the database's trouble, not the content's
        if len(events) > 1:
            for event in events:
                _apply(model, cursor, [event], replace(target, is_fresh=False))
            return
        LOG.exception("read model %s cannot apply position %s", model.name, events[0].position)
        unapplied = [Unapplied(events[0].position, f"{type(error).__name__} in {events[0].type}")]
    rows = [(model.name + target.suffix, each.position, each.why[:300]) for each in unapplied]
    sql = f"INSERT INTO {target.schema}read_unapplied VALUES (?,?,?) ON CONFLICT DO NOTHING"
    cursor.executemany(sql, rows)
