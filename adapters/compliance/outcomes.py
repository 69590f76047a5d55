"""How deliveries ended, or did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adapters.compliance.contract import ComplianceQuery, Context, Row
from adapters.compliance.deliveries import COLUMNS, Span, rows


def _disputed(context: Context, asked: Span, after: str) -> Iterator[Row]:
    return rows(context, replace(asked.filters(), status="disputed"), after)


DISPUTED = ComplianceQuery(
    name="disputed",
    version=1,
    title="Deliveries whose final facts contradict each other",
    counts="Deliveries whose status is disputed now. One that a person settled is not counted, until a later fact opens it again.",
    parameters=Span,
    columns=COLUMNS,
    rows=_disputed,
)
