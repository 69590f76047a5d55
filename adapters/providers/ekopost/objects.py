"""Ekopost's objects about letters (campaign, envelope, content, webhook) as observations; the others are read in `beside`.

Each reader takes decoded JSON. One object may say several things (its state, its transaction, its tracking): each is
one observation, with the same identity whether it was polled or pushed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from adapters.providers.contract import Word
from adapters.providers.ekopost import statuses, terms
from adapters.providers.ekopost.addresses import recipients, used
from adapters.providers.reading import fingerprint, text, time_iso
from ledger.observations import Fingerprint, Observation, ProviderTime, Reference, UnreadableError, ZoneBasis

MAX_ITEMS = 200_000
"""Of one list; an SMS may have 100,000 recipients, and no list is paged."""
FIRST_YEAR = 1970
"""An earlier time is no time: 0001-01-01 is what an unset .NET date prints."""

ID = re.compile(r"[\w-]{1,64}", re.ASCII)
"""What may stand in the path of a call; the page says that ids are GUIDs."""

_CAMPAIGN_TEXTS = ("name", "cost_center", "output_date")
_ENVELOPE_TEXTS = ("name", "postage", "pu", "consignor_contact", "agent", "warning", "failed_reason")


def rows_of(table: tuple[Word, ...]) -> dict[str, Word]:
    """The rows of a word table by their word."""
    return {row.word: row for row in table}


CAMPAIGN, STATUS = rows_of(statuses.CAMPAIGN), rows_of(statuses.STATUS)
TRANSACTION, TRACKING = rows_of(statuses.TRANSACTION), rows_of(statuses.TRACKING)
CONTENT, SERVICE = rows_of(statuses.CONTENT), rows_of(statuses.SERVICE)
OVERDUE, PLAN, RESCHEDULED = (rows_of(table) for table in (statuses.OVERDUE, statuses.PLAN, statuses.RESCHEDULED))


@dataclass(frozen=True, slots=True)
class Reading:
    """A decoded arrival.

    Attributes:
        value: of the body; `request`: the fields of ours.
        campaign, envelope: ids in the path that it came by; "" unknown.
        at: when it came.
        named: the name that was asked for; "" any.
    """

    value: Any
    request: dict[str, Any]
    campaign: str = ""
    envelope: str = ""
    at: datetime | None = None
    named: str = ""


# --- shared by all objects


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a JSON object; none, when it is something else."""
    return value if isinstance(value, dict) else {}


def required_id(item: Any, what: str, field: str = "id") -> str:
    """The id of an object.

    Raises:
        UnreadableError: it has none.
    """
    found = text(fields_of(item).get(field)).strip()
    if not found:
        msg = f"{what} without an id"
        raise UnreadableError(msg)
    return found


def each(value: Any, read: Callable[[Any], Sequence[Observation]], batch: Reference | None) -> Iterator[Observation]:
    """Read one object, or each of a list; in a list, one that cannot be read is reported and hurts no other."""
    if not isinstance(value, list):
        yield from read(value)
        return
    if len(value) > MAX_ITEMS:
        msg = f"a list of {len(value)}; at most {MAX_ITEMS} are read"
        raise UnreadableError(msg)
    for item in value:
        try:
            yield from read(item)
        except UnreadableError:
            # One part: the same object at the next poll is the same fact, whatever else the list holds by then.
            identity = (f"unreadable {hashlib.sha256(repr(item).encode()).hexdigest()}",)
            yield Observation(
                type="channel.unmapped",
                batch=batch,
                about="batch" if batch else "account",
                identity=identity,
                notes=("item_unreadable",),
            )


def fact(base: Observation, table: Mapping[str, Word], word: str, about: tuple[str, ...], time: object) -> Observation:
    """`base` with the meaning of a word, the time, and the identity (object kind, id, what, word[, readable time])."""
    row, original = table.get(word), text(time)
    occurred = _time(original)
    texts = dict(base.texts)
    if row is None:
        texts["code"] = word
    if original and occurred is None:
        texts["time"] = original
    return replace(
        base,
        type=row.type if row else "channel.unmapped",
        code=word if row else "",
        reason=row.reason if row else "",
        occurred=occurred,
        identity=(*about, word, original) if occurred else (*about, word),
        texts=texts,
        notes=base.notes + (("time_unreadable",) if "time" in texts else ()),
    )


def _time(original: str) -> ProviderTime | None:
    read = time_iso(original, ZoneBasis.DOCUMENTED)
    return read if read and read.at.year >= FIRST_YEAR else None


def _texts(item: Mapping[str, Any], fields: Iterable[str]) -> dict[str, str]:
    return {name: text(item.get(name)) for name in fields if text(item.get(name))}


def batch_of(campaign: str) -> Reference | None:
    """A campaign as the batch of its envelopes."""
    return Reference("campaign_id", campaign) if campaign else None


def id_of(item: Any) -> str:
    """The id of an object, if it can stand in the path of a call; else ""."""
    found = text(fields_of(item).get("id")).strip()
    return found if ID.fullmatch(found) else ""


# --- campaigns and envelopes


def campaigns(reading: Reading) -> Iterator[Observation]:
    """The state of one campaign, or of each of a list."""
    return each(reading.value, lambda item: _campaign(item, reading.at), None)


def _campaign(item: Any, at: datetime | None) -> tuple[Observation, ...]:
    campaign = required_id(item, "a campaign")
    count = item.get("envelope_count")
    known = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_ITEMS
    base = Observation(
        type="",
        about="batch",
        batch=batch_of(campaign),
        texts=_texts(item, _CAMPAIGN_TEXTS),
        numbers={"envelopes": count} if known else {},
    )
    about = ("campaign", campaign)
    state = fact(base, CAMPAIGN, word_of(item, "state"), (*about, "state"), item.get("state_changed_at"))
    output = _time(text(item.get("output_date")))
    if output is None:
        return (state,)
    bare = Observation(type="", about="batch", batch=batch_of(campaign))
    plan = fact(bare, PLAN, "output_date", (*about, "plan"), output.original)
    is_overdue = state.code == "opened" and known and bool(count) and at is not None and output.at <= at
    late = [fact(bare, OVERDUE, "campaign_open", (*about, "overdue"), output.original)] if is_overdue else []
    return (state, plan, *late)


def word_of(item: Mapping[str, Any], field: str) -> str:
    """The word in a field that there must be.

    Raises:
        UnreadableError: there is none.
    """
    word = text(item.get(field))
    if not word:
        msg = f"no {field}"
        raise UnreadableError(msg)
    return word


def envelopes(reading: Reading) -> Iterator[Observation]:
    """What one envelope says, or each of a list; where one was asked for by its name, the others are nobody's business."""

    def read(item: Any) -> tuple[Observation, ...]:
        fields = fields_of(item)
        if reading.named and reading.named not in {text(fields.get("unique_id")), text(fields.get("name"))}:
            return ()
        return _envelope(item, reading.campaign, used(fields_of(item).get("address")))

    return each(reading.value, read, batch_of(reading.campaign))


def created(reading: Reading) -> tuple[Observation, ...]:
    """The answer to a creation; what it does not repeat stands in our request, and a new envelope is opened."""
    envelope = required_id(reading.value, "a created envelope")
    said = {key: value for key, value in reading.value.items() if value is not None}
    item = {**reading.request, "state": "opened", **said, "id": envelope}
    asked = fields_of(reading.request.get("address"))
    if text(asked.get("$type")) != "lookup":
        return _envelope(item, reading.campaign, "")
    # The look-up puts an address in the place of the person whom we named.
    return _envelope({**item, "address": asked}, reading.campaign, used(said.get("address")))


def _envelope(item: Any, campaign: str, address_used: str = "") -> tuple[Observation, ...]:
    envelope = required_id(item, "an envelope")
    tracking, transaction = fields_of(item.get("tracking")), fields_of(item.get("transaction"))
    unique, parcel = text(item.get("unique_id")).strip(), text(tracking.get("parcelNo")).strip()
    names = (("envelope_id", envelope), ("unique_id", unique), ("parcel_no", parcel))
    base = Observation(
        type="", references=tuple(Reference(kind, value) for kind, value in names if value), batch=batch_of(campaign)
    )
    whole = described(base, item)
    whole = replace(whole, texts={**whole.texts, **_told(item, address_used)})
    rows = (
        (whole, STATUS, item.get("state"), "state", item.get("state_changed_at")),
        (base, TRANSACTION, transaction.get("state"), "transaction", transaction.get("state_changed_at")),
        (_tracked(base, tracking), TRACKING, tracking.get("trackingState"), "tracking", None),
        (base, SERVICE, "kb" if _flag(item.get("kb")) else "", "service", item.get("created_at")),
    )
    seen = tuple(
        fact(said, table, text(word), ("envelope", envelope, what), time)
        for said, table, word, what, time in rows
        if text(word)
    )
    if not seen:
        msg = "an envelope without a state"
        raise UnreadableError(msg)
    return seen


def _told(item: dict[str, Any], address_used: str) -> dict[str, str]:
    """The address that is printed, and by when an untracked letter that was posted should have arrived.

    A protected address is never told, whoever tells it to us.
    """
    postage = text(item.get("postage"))
    posted = _time(text(item.get("state_changed_at"))) if item.get("state") == "posted" else None
    texts = {
        "address_used": "" if postage == "protected" else address_used,
        "expected": terms.expected(posted.at, postage) if posted else "",
    }
    return {name: value for name, value in texts.items() if value}


def rescheduled(reading: Reading) -> tuple[Observation]:
    """The failed attempt behind an envelope that goes on as a letter; it ends nothing."""
    envelope, item = required_id(reading.value, "an envelope"), reading.value
    if text(item.get("state")) != "failed":
        msg = "a failed envelope that has not failed"
        raise UnreadableError(msg)
    base = Observation(type="", references=(Reference("envelope_id", envelope),), batch=batch_of(reading.campaign))
    kind = text(fields_of(item.get("address")).get("$type"))
    whole = described(base, item)
    whole = replace(whole, texts={**whole.texts, **({"address_type": kind} if kind else {})})
    about = ("envelope", envelope, "rescheduled")
    return (fact(whole, RESCHEDULED, "rescheduled", about, item.get("state_changed_at")),)


def _flag(value: Any) -> bool:
    """A boolean, also as text: samples show `"false"`."""
    return text(value).strip().lower() == "true"


def _tracked(base: Observation, tracking: dict[str, Any]) -> Observation:
    url = text(tracking.get("trackingUrl"))
    return replace(base, texts={"tracking_url": url}) if url else base


def described(base: Observation, item: dict[str, Any]) -> Observation:
    """`base` with the recipients and descriptions that an envelope carries beside its state."""
    declares, notes = recipients(item["address"]) if "address" in item else ((), ())
    texts = _texts(item, _ENVELOPE_TEXTS)
    address = fields_of(item.get("address"))
    if texts.get("postage") == "protected" and text(address.get("$type")) != "protected":
        declares, notes = (), ("protected_identity",)
    texts |= {"subject": text(address.get("subject"))} if text(address.get("subject")) else {}
    texts |= {"address_type": text(address.get("$type"))} if "unknown_address_type" in notes else {}
    return replace(base, declares=declares, protected="protected_identity" in notes, texts=texts, notes=notes)


def content(reading: Reading) -> tuple[Observation]:
    """A document that was added to an envelope, with the fingerprints of the one in our request."""
    content_id, item = required_id(reading.value, "a content"), reading.value
    names = (("envelope_id", reading.envelope), ("content_id", content_id))
    documents, notes = _documents(reading.request)
    if documents and text(item.get("length")) not in ("", str(documents[0].size)):
        notes += ("length_differs",)
    base = Observation(
        type="",
        references=tuple(Reference(kind, value) for kind, value in names if value),
        batch=batch_of(reading.campaign),
        texts=_texts(item, ("mime",)),
        notes=notes,
        documents=documents,
    )
    return (fact(base, CONTENT, word_of(item, "type"), ("content", content_id, "added"), item.get("created_at")),)


def _documents(request: dict[str, Any]) -> tuple[tuple[Fingerprint, ...], tuple[str, ...]]:
    data = request.get("data")
    if not isinstance(data, str):
        return (), ()
    try:
        return (fingerprint("", data),), ()
    except UnreadableError:
        return (), ("document_unreadable",)


def webhook(reading: Reading) -> Iterator[Observation]:
    """A completed campaign and the states of its envelopes, as polling would have told them."""
    fields, value = statuses.WEBHOOK_FIELDS, reading.value
    campaign = required_id(value, "a webhook's campaign", fields["campaign"])
    state, time = value.get(fields["state"]), value.get(fields["time"])
    yield from _campaign({"id": campaign, "state": state, "state_changed_at": time}, reading.at)
    inside = value.get(fields["envelopes"]) or []
    yield from each(inside, lambda item: _envelope(item, campaign), batch_of(campaign))
