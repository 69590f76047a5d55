"""The third part of the demo: what people come for. Explanations, every compliance query, the month's report, an audit sample."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from adapters.accounts import CONSOLE
from adapters.compliance import asking
from adapters.compliance.registry import QUERIES
from adapters.evidence import verify as verifier
from adapters.explaining.explanation import explain
from adapters.reports.contract import Format, Language, Made, ReportAsk
from adapters.reports.making import make
from adapters.sampling import Sample, Sampling
from ledger.events import time_text
from ops.reports import desk
from ops.show import plain
from ops.system import System
from projections.searching import Filters
from projections.views import DeliveryView

SAMPLE_SIZE = 5
MONTHLY = "completeness"
"""The query of which the month's report is made, once in each format."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered.

    Attributes:
        explanations: language -> paragraph, of one delivery.
        rows: query -> how many rows its answer has.
        reports: format -> the month's report.
        is_proven: whether every report verifies as its reader would check it.
    """

    explanations: dict[str, str]
    rows: dict[str, int]
    reports: dict[str, Made]
    is_proven: bool
    sample: Sample


def run(system: System, tenant: str, folder: Path, deliveries: Sequence[DeliveryView], out: Console | None) -> Answers:
    """Ask everything, and show it.

    Args:
        folder: where the reports go.
        deliveries: of which one is explained; its address, and a document of one of them, are asked for.
        out: where people read; None shows nothing.
    """
    chosen = next((d for d in deliveries if d.status == "disputed"), deliveries[0])
    needed: dict[str, dict[str, Any]] = {
        "by_recipient": {"recipient": chosen.address.address},
        "by_document": {"digest": _document(system, tenant, deliveries)},
        "messages": {"messages": [chosen.message]},
    }
    rows = {name: _rows(system, tenant, name, needed.get(name, {})) for name in QUERIES}
    reports = {kind: _monthly(system, tenant, kind, folder / kind) for kind in get_args(Format)}
    samples = Sampling(system.accounts, system.queries, system.heads, system.signed_head)
    asked = samples.ask(tenant, SAMPLE_SIZE, Filters(), note="the demo's")
    system.runner.run()
    found = Answers(
        explanations={language: explain(chosen, language).text for language in get_args(Language)},
        rows=rows,
        reports=reports,
        is_proven=all(_holds(system, folder / kind) for kind in reports),
        sample=samples.draw(tenant, asked),
    )
    if out is not None:
        _show(out, found, folder)
    return found


def _document(system: System, tenant: str, deliveries: Sequence[DeliveryView]) -> str:
    """The digest of a document that was sent."""
    messages = (system.queries.message(tenant, delivery.message) for delivery in deliveries)
    return str(next(document["sha256"] for message in messages for document in message.documents))


def _rows(system: System, tenant: str, name: str, parameters: dict[str, Any]) -> int:
    """How many rows a query answers."""
    system.runner.run()
    with asking.asked(system.queries, system.heads, tenant, name, parameters) as answer:
        rows = sum(1 for _ in answer.rows)
    asking.record(system.accounts, CONSOLE, answer.header, "the demo asks everything once")
    return rows


def _monthly(system: System, tenant: str, kind: Format, folder: Path) -> Made:
    since = time_text(system.ledger.clock())[:8] + "01"
    ask = ReportAsk(tenant=tenant, query=MONTHLY, parameters={"since": since}, format=kind)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return make(desk(system), ask, folder)


def _holds(system: System, folder: Path) -> bool:
    """Whether a report verifies offline, with the log's key from elsewhere."""
    with redirect_stdout(io.StringIO()):
        return verifier.main([f"--log-key={system.leader.identity().keys[-1].vkey()}", str(folder)]) == 0


def _show(out: Console, found: Answers, folder: Path) -> None:
    out.print("\nWhy is it so? A paragraph for whoever asks:")
    for language, text in found.explanations.items():
        out.print(plain(f"  {language}: {text}"))
    out.print("\nCompliance queries, with their defaults (`query show NAME` says what is counted):")
    table = Table("rows", "query", "answers", box=None)
    for name, rows in found.rows.items():
        table.add_row(str(rows), name, QUERIES[name].title)
    out.print(table)
    held = "each verifies with the log's key" if found.is_proven else "NOT ALL OF THEM VERIFY"
    rows = next(iter(found.reports.values())).rows
    out.print(
        f"\nThe month's report ({MONTHLY}, {rows} rows) as {', '.join(found.reports)} in {folder}: {held}.",
        markup=False,
    )
    sample = found.sample
    drawn = ", ".join(f"{d.message}/{d.recipient}" for d in sample.drawn)
    out.print(
        f"An audit sample of {sample.size} out of {sample.population}, drawn by the checkpoint after the question: {drawn}\n"
    )
