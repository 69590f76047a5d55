"""The command `explain`: a paragraph for a customer, in their language, and step by step why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec
from rich.table import Table
from rich.text import Text

from ops.console import Json, Tenant, looked, out, print_json, system
from ops.known_cli import AtPosition, ByRules, KnownAt, OccurredAt, reader
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.explaining.explanation import Explanation
    from ops.system import System
    from projections.views import MessageView

AT_MOST = 20
"""Deliveries of one message that are explained together."""

Language = Literal["en", "it", "nl", "sv"]


def explain(
    message: str,
    /,
    *,
    recipient: int | None = None,
    language: Language = "en",
    zone: str = "UTC",
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Where a message is, or was, and how far that is proven: a paragraph to paste for a customer, then step by step why.

    Args:
        message: the message's id, as `search` and `import` print it.
        recipient: index of one recipient; without it the first twenty.
        language: of the paragraph and the steps.
        zone: time zone of the times in the paragraph, for example Europe/Rome.
    """
    with system() as s:
        answering = reader(s, position, known_at, occurred_at, rules)
        view = answering.message(tenant or s.settings.tenant, message)
        if recipient is not None:
            view = msgspec.structs.replace(view, deliveries=(answering.delivery(view.tenant, message, recipient),))
        found = list(_explained(s, view, language, zone))
        looked(s, view.tenant, "status", [message])
    if json:
        print_json(found)
        return
    for each in found:
        _show(each)
    if not found:
        from adapters.explaining.sentences import without_delivery  # noqa: PLC0415  so that --help is quick

        out.print(without_delivery(view, language), markup=False)
    elif recipient is None and view.recipients > len(found):
        out.print(
            f"{len(found)} of {view.recipients} recipients are explained; one: explain {view.message} --recipient N"
        )


def _explained(s: System, view: MessageView, language: str, zone: str) -> Iterator[Explanation]:
    from adapters.explaining.explanation import explain as explained  # noqa: PLC0415  as above
    from adapters.forecasts import with_terms  # noqa: PLC0415  as above

    deliveries = view.deliveries[:AT_MOST]
    if not view.known:
        deliveries = with_terms(s.ledger.database, view.tenant, deliveries)
    for delivery in deliveries:
        yield explained(msgspec.structs.replace(delivery, known=view.known), language, zone)


def _show(found: Explanation) -> None:
    out.print(plain(found.text))
    table = Table(box=None, show_header=False, pad_edge=False)
    for fact in found.facts:
        why = f"{fact.effect_text}: {fact.rule_text}"
        said = " ".join(filter(None, (fact.code, fact.reason)))
        table.add_row(when(fact.at), Text(fact.meaning), plain(said), plain(why))
    out.print(table)
    for text in found.flags.values():
        out.print(Text(f"! {text}"))
    out.print()
