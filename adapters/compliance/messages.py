"""Any set of messages, chosen by the asker: where each of their deliveries is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from adapters.compliance.contract import ComplianceQuery, Context, CursorError, Parameters, Row
from adapters.compliance.deliveries import COLUMNS, values
from projections.queries import MAX_PAGE

MAX_MESSAGES = 10_000
Message = Annotated[str, Meta(max_length=36)]


class Chosen(Parameters, frozen=True):
    """Which messages.

    Attributes:
        messages: their ids; one that was joined into another stands for that one.
    """

    messages: Annotated[tuple[Message, ...], Meta(max_length=MAX_MESSAGES, description="ids of messages")] = ()


def _rows(context: Context, asked: Chosen, after: str) -> Iterator[Row]:
    begin, _, recipient = after.partition(":") if after else ("0", "", "-1")
    if not begin.isdecimal() or not recipient.removeprefix("-").isdecimal():
        raise CursorError(after)
    chosen = list(dict.fromkeys(context.queries.message_row(context.tenant, each).message for each in asked.messages))
    last = int(recipient)
    for number, message in enumerate(chosen[int(begin) :], int(begin)):
        while page := context.queries.deliveries(context.tenant, message, last, MAX_PAGE):
            last = page[-1].recipient
            yield from (Row(values(view), f"{number}:{view.recipient}") for view in page)
        last = -1
        context.progress(number + 1, len(chosen))


MESSAGES = ComplianceQuery(
    name="messages",
    version=1,
    title="Deliveries of chosen messages",
    counts="Every delivery of the messages that were named, in the order in which they were named, by recipient. A message without a "
    "known recipient has no delivery. An id that names no message of this organisation is refused.",
    parameters=Chosen,
    columns=COLUMNS,
    rows=_rows,
)
