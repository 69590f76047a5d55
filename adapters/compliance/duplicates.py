"""What was sent twice: the same document to the same address, or the same own reference in more than one message.

Addresses, references and digests of documents are compared as they stand in the look-ups: as digests under the organisation's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from adapters.compliance.contract import Column, ComplianceQuery, Context, Row
from adapters.compliance.deliveries import COLUMNS, Found, Span, any_of, resumed, told, values
from ledger.contents import COPIED, TELLING
from ledger.events import parse_time, time_text
from ledger.streams import WHOLE_MESSAGE, clean
from projections.discretion import withheld
from projections.searching import place_of
from projections.stories import CLAIM

AT_ONCE = 100
"""Deliveries that are looked at together."""
OWN = "own_"
"""Begins the kinds of references that the sender gave; a provider's id names one message anyway."""

_TELLER = "CASE WHEN m.joined_into = '' THEN m.message ELSE m.joined_into END"
_SAME = (
    "SELECT t.message, t.opened_at FROM lookups AS l "
    f"JOIN read_messages AS m ON m.message = l.stream [sorted] JOIN read_messages AS t ON t.message = {_TELLER} "
    f"WHERE l.digest = {{0}} AND t.message <> {{1}} AND t.opened_position < {{2}} AND t.opened_at >= {{3}} AND t.first_type <> '{CLAIM}'"
)
"""The messages before one, within a span, in which a digest stands; of joined messages the one that tells the story."""
_NEAREST = " ORDER BY t.opened_position DESC LIMIT 1"
# A document may have gone to everybody, an address has a few messages: a subquery keeps planners from beginning with the document.
_CARRIES = (
    f"(SELECT 1 FROM lookups AS d WHERE d.digest = {{4}} AND d.stream = l.stream AND d.recipient = {WHOLE_MESSAGE})"
)
_STATEMENTS = {"document": f"{_SAME} AND {_CARRIES} = 1{_NEAREST}", "reference": f"{_SAME}{_NEAREST}"}
_SORTED = {"postgresql": 'COLLATE "default"', "sqlite": ""}
"""Look-ups sort as bytes, read models as their database does; without saying so PostgreSQL cannot use the read model's index."""


def statement(same: str, kind: str) -> str:
    """The statement that looks for an earlier message, for `Reads.each`.

    Args:
        same: `document` or `reference`.
        kind: of the database.
    """
    return _STATEMENTS[same].replace("[sorted]", _SORTED[kind])


class Duplicates(Span, frozen=True):
    """Which of them; `since` and `until` bound the later one.

    Attributes:
        days: at most so many days between the two messages.
        by: what is the same.
    """

    days: Annotated[int, Meta(ge=0, le=3_650, description="at most so many days between the two messages")] = 31
    by: Annotated[Literal["any", "document", "reference"], Meta(description="what is the same")] = "any"


class _Names(NamedTuple):
    """By what a message can be the same as another: shown value -> keyed digest."""

    documents: dict[str, bytes]
    references: dict[str, bytes]


class _Question(NamedTuple):
    """Whether something stood in an earlier message.

    Attributes:
        of: number of the delivery.
        same: `document` or `reference`.
        value: as it is shown.
        asked: what the statement names.
    """

    of: int
    same: str
    value: str
    asked: tuple[Any, ...]


def _duplicates(context: Context, asked: Duplicates, after: str) -> Iterator[Row]:
    before, seen = resumed(after)
    every = any_of(context, [asked.filters()], before)
    return told(_compared(context, asked, every), before, seen)


def _compared(
    context: Context, asked: Duplicates, every: Iterator[Found]
) -> Iterator[tuple[Found, list[tuple[Any, ...]]]]:
    while page := list(islice(every, AT_ONCE)):
        found: dict[int, list[tuple[Any, ...]]] = {}
        for question, message, opened_at in _answered(context, _questions(context, asked, page)):
            view = page[question.of].view
            days = (parse_time(view.opened_at) - parse_time(opened_at)) / timedelta(days=1)
            row = (*values(view), question.same, question.value, message, opened_at, round(days, 3))
            found.setdefault(question.of, []).append(row)
        yield from ((each, found.get(number, [])) for number, each in enumerate(page))


def _questions(context: Context, asked: Duplicates, page: Sequence[Found]) -> list[_Question]:
    """A document is asked about for each recipient, a reference for each message: with its first recipient."""
    names = _names(context, {each.view.message for each in page})
    addresses = _addresses(context, page)
    questions = []
    for number, (view, cursor) in enumerate(page):
        since = time_text(parse_time(view.opened_at) - timedelta(days=asked.days))
        bounds = (view.message, -place_of(cursor)[0], since)
        own = names[view.message]
        address = addresses.get((view.message, view.recipient))
        if asked.by != "reference" and address is not None:
            questions += [_Question(number, "document", v, (address, *bounds, d)) for v, d in own.documents.items()]
        if asked.by != "document" and view.recipient == 0:
            questions += [_Question(number, "reference", v, (d, *bounds)) for v, d in own.references.items()]
    return questions


def _answered(context: Context, questions: Sequence[_Question]) -> Iterator[tuple[_Question, str, str]]:
    """The questions to which there is an answer: the earlier message and when it was first heard of."""
    reads = context.queries.ledger.database
    for same in _STATEMENTS:
        mine = [question for question in questions if question.same == same]
        rows = reads.each(statement(same, reads.kind), [question.asked for question in mine])
        hidden = withheld(context.queries.ledger, {str(message) for _, message, _ in rows})
        shown = [row for row in sorted(rows) if (str(row[1]), WHOLE_MESSAGE) not in hidden]
        yield from ((mine[number], str(message), str(opened_at)) for number, message, opened_at in shown)


def _addresses(context: Context, page: Sequence[Found]) -> dict[tuple[str, int], bytes]:
    """The digest of each recipient's address; none once it is erased."""
    wanted = [(each.view.message, each.view.recipient) for each in page]
    columns = "stream, recipient, digest"
    rows = context.queries.ledger.database.probe_pairs("lookups", columns, ("stream", "recipient"), wanted)
    return {(str(stream), int(recipient)): bytes(digest) for stream, recipient, digest in rows}


def _names(context: Context, messages: Iterable[str]) -> Mapping[str, _Names]:
    """Documents and own references of messages, as far as their values are held."""
    ledger = context.queries.ledger
    found = {message: _Names({}, {}) for message in messages}
    pairs = [(message, WHOLE_MESSAGE) for message in sorted(found)]
    rows = ledger.database.probe_pairs("lookups", "stream, position", ("stream", "recipient"), pairs)
    naming = {int(position): str(stream) for stream, position in rows}
    events = ledger.events_at(naming)
    # A receipt also quotes the text of a mail, which is often the same: what was sent is said by who sent it.
    said = ledger.values([event for event in events if event.type not in {*TELLING, COPIED}])
    for position, each in said.items():
        names = found[naming[position]]
        for path, value in each.items():
            if path.startswith("document."):
                digest = str(value.get("sha256") or value.get("sha1") or "")
                names.documents[digest] = ledger.keyring.lookup(context.tenant, "document", digest)
            elif path.startswith("reference.") and value["kind"].startswith(OWN):
                shown, plain = f"{value['kind']} {value['value']}", clean(value["value"])
                names.references[shown] = ledger.keyring.lookup(context.tenant, "any_reference", plain)
    return found


DUPLICATES = ComplianceQuery(
    name="duplicates",
    version=1,
    title="Documents and references that were sent more than once",
    counts="One row for each document of a delivery that an earlier message carried to the same address, and one for each own reference "
    "of a message (shown with its first recipient) that an earlier message had, whoever got it; earlier means at most so many days "
    "before, and the row names the nearest such message. What was erased, and documents that only a receipt tells of, cannot be compared.",
    parameters=Duplicates,
    columns=(
        *COLUMNS,
        Column("same", "text", "document or reference"),
        Column("value", "text", "the document's digest, or the reference", personal=True),
        Column("earlier", "id", "id of the nearest earlier message"),
        Column("earlier_at", "time", "when the ledger first heard of that one"),
        Column("days_apart", "decimal", "days between the two"),
    ),
    rows=_duplicates,
)
