"""The originals behind a trail: which may leave in a pack, and why the others stay.

Each is tied to an event that committed to its digest. Where that event stands outside the trail (bytes that waited in a lane first),
it comes along beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from adapters.evidence.names import People, UnsearchableError, senders_of, texts
from adapters.evidence.trail import Trail
from adapters.providers import registry
from adapters.receiving import read
from ledger.application import Ledger, Opened
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event, message_of, parse_time
from ledger.observations import Arrival, ArrivalKind, Observation, Verdict
from ledger.streams import clean
from projections import originals
from projections.discretion import ProtectedError, everything

WITHHELD = {
    "secret": "it carries a secret by the provider's contract and is never handed out",
    "erased": "its key was destroyed",
    "missing": "the file in which it is kept is gone, though nothing was erased",
    "untied": "the digest that ties it to the log was erased",
    "not_chosen": "this pack was asked for without originals",
    "other_messages": "it tells of other messages too",
    "other_persons": "it names somebody who is not shown in this pack",
    "unsearchable": "it holds parts in which nobody can look for the names of those who are not shown",
    "protected": "it names, or may name, somebody whose identity is protected",
    "erased_person": "it tells of somebody who was erased, and is kept for somebody else's sake",
}
"""Reason -> what it means. Those in OVERRULED can be overruled by a person who gives a reason."""
OVERRULED = frozenset({"other_messages", "other_persons", "unsearchable", "erased_person"})
SCAN_EVENTS = 5_000
ROLES = ("body", "request")
Disclosed = Mapping[int, Mapping[str, Opened]]


@dataclass(slots=True)
class Original:
    """One original.

    Attributes:
        event: the one that commits to its digest, at `artifact.<index>`.
        resting: the trail's events that rest on it.
        withheld: a key of WITHHELD, or "".
        body: None when withheld.
    """

    artifact: str
    event: Event
    index: int
    resting: list[Event] = field(default_factory=list)
    withheld: str = ""
    body: bytes | None = None

    @property
    def path(self) -> str:
        """The field that commits to its digest."""
        return f"artifact.{self.index}"

    @property
    def role(self) -> str:
        return ROLES[self.index] if self.index < len(ROLES) else "body"

    @property
    def kind(self) -> str:
        """The provider's operation it came from, in our words."""
        return str(self.event.fields.get("operation", ""))


def collect(ledger: Ledger, tenant: str, trail: Trail) -> list[Original]:
    """Every original that the trail's events name, in the order of the log; nothing is opened yet."""
    resting: dict[str, list[Event]] = {}
    for event in trail.events:
        for artifact in event.fields.get("artifacts", ()):
            resting.setdefault(artifact, []).append(event)
    return [_tied(ledger, tenant, artifact, events) for artifact, events in resting.items()]


def _tied(ledger: Ledger, tenant: str, artifact: str, resting: Sequence[Event]) -> Original:
    """The original, with the event that commits to its digest: one of the trail where there is one."""
    event = next((e for e in resting if _commits(e, artifact)), None)
    if event is None:
        event = _first_commitment(ledger, tenant, artifact)
    found = event or resting[0]
    index = found.fields["artifacts"].index(artifact)
    return Original(artifact, found, index, list(resting), "" if event else "untied")


def _commits(event: Event, artifact: str) -> bool:
    named = event.fields.get("artifacts", ())
    return artifact in named and f"artifact.{named.index(artifact)}" in event.fields.get("commit", {})


def _first_commitment(ledger: Ledger, tenant: str, artifact: str) -> Event | None:
    """The event that brought it; it stands in the same item as the first position stored with it."""
    try:
        position, _ = ledger.artifact_place(artifact)
    except (NotFoundError, ErasedError):
        return None
    found = ledger.between(position - 1, position - 1 + SCAN_EVENTS)
    return next((e for e in found if e.tenant == tenant and _commits(e, artifact)), None)


def open_all(  # noqa: PLR0917  whose, of what, with what, for whom
    ledger: Ledger,
    tenant: str,
    trail: Trail,
    found: Sequence[Original],
    opened: Disclosed,
    people: People,
    *,
    overrule: bool,
) -> None:
    """Open what may leave and say why the rest stays.

    Args:
        overrule: a person decided, with a reason, that originals which name others leave all the same.
    """
    arrivals: dict[tuple[str, ...], str] = {}
    of_erased = originals.of_erased(ledger.database, [original.artifact for original in found])
    for original in found:
        if original.withheld:
            continue
        named = tuple(original.event.fields["artifacts"])
        if named not in arrivals:
            arrivals[named] = _why_shared(ledger, tenant, _messages(trail), original.event, opened, people)
        original.withheld = _why(ledger, original, opened, people, arrivals[named])
        if original.artifact in of_erased and original.withheld in {"", *OVERRULED}:
            original.withheld = "erased_person"
        if original.withheld in OVERRULED and overrule:
            original.withheld = ""
        if not original.withheld:
            original.body = ledger.artifact(original.artifact).body


def _why(ledger: Ledger, original: Original, opened: Disclosed, people: People, shared: str) -> str:
    provider = registry().get(str(original.event.fields.get("provider", "")))
    if provider is not None and original.index == 0 and original.kind in provider.secret_bodies:
        return "secret"
    if original.path not in opened.get(original.event.position, {}):
        held = everything(ledger).disclosures([original.event]).get(original.event.position, {})
        return "protected" if original.path in held else "untied"
    body, lost = _body(ledger, original.artifact)
    if lost or shared or not people.is_strict:
        return lost or shared
    try:
        # The digest is disclosed together with the name of the file it came in.
        said = chain([str(opened[original.event.position][original.path].value)], texts(body))
        return "other_persons" if people.names_hidden(said, senders_of(body)) else ""
    except (UnsearchableError, RecursionError):
        return "unsearchable"


def _body(ledger: Ledger, artifact: str) -> tuple[bytes, str]:
    """The bytes, or why they are not there."""
    try:
        return ledger.artifact(artifact).body, ""
    except ProtectedError:
        return b"", "protected"
    except (ErasedError, NotFoundError):
        return b"", "erased"
    except FileNotFoundError:
        return b"", "missing"


def _messages(trail: Trail) -> set[str]:
    return {message_of(stream) for stream in trail.streams if not stream.startswith("batch/")}


def _why_shared(  # noqa: PLR0917  as above
    ledger: Ledger, tenant: str, messages: AbstractSet[str], event: Event, opened: Disclosed, people: People
) -> str:
    """Whether today's reading of the arrival finds other messages or persons in it."""
    try:
        owner = ledger.artifact_place(event.fields["artifacts"][0])[1]
        seen = _observations(ledger, tenant, event, opened)
    except (NotFoundError, ErasedError, ProtectedError, FileNotFoundError, KeyError):
        return ""  # told by whoever opens it
    if not seen and owner not in messages:
        return "other_messages"
    for each in seen:
        told_of = _messages_of(ledger, tenant, event, each)
        # What names no message stands in this one because a person said so; what is about a whole batch names others.
        if told_of - messages or (each.about in {"batch", "account"} and owner not in messages):
            return "other_messages"
        named = [*each.declares, *([each.recipient] if each.recipient else [])]
        if people.is_strict and not all(people.may_see(address) for address in named):
            return "other_persons"
    return ""


def names_others(  # noqa: PLR0917  as above
    ledger: Ledger, tenant: str, artifact: str, event: Event, messages: AbstractSet[str], people: People
) -> str:
    """Why an original cannot be told to be about some people alone; "" when it can.

    What cannot be searched for others' names is judged by what today's code reads in it.

    Args:
        event: that commits to its digest.
        messages: whose story it may tell.
        people: who is meant; `hidden` are the others whose names are looked for.

    Returns:
        A key of WITHHELD.

    Raises:
        ErasedError, NotFoundError, FileNotFoundError: it is not there any more.
    """
    opened = ledger.disclosures([event])
    for each in _observations(ledger, tenant, event, opened):
        if _messages_of(ledger, tenant, event, each) - messages or each.about in {"batch", "account"}:
            return "other_messages"
        named = [*each.declares, *([each.recipient] if each.recipient else [])]
        if not all(people.may_see(address) for address in named):
            return "other_persons"
    try:
        return "other_persons" if people.names_hidden(texts(ledger.artifact(artifact).body)) else ""
    except (UnsearchableError, RecursionError):
        return ""


def _messages_of(ledger: Ledger, tenant: str, event: Event, seen: Observation) -> set[str]:
    """The messages that its exclusive references lead to; a reference that leads nowhere names one nobody knows."""
    lookup = ledger.keyring.lookup
    account = str(event.fields.get("account", ""))
    digests = {
        lookup(tenant, "reference", account, each.kind, clean(each.value.strip())): each.value
        for each in seen.references
        if each.exclusive
    }
    found: dict[bytes, str] = {digest: stream for digest, stream, _, _ in ledger.probe_lookups(digests)}
    streams = {stream for stream in found.values() if not stream.startswith("batch/")}
    return {message_of(stream) for stream in streams} | ({"unknown"} if digests and not found else set())


def _observations(ledger: Ledger, tenant: str, event: Event, opened: Disclosed) -> tuple[Observation, ...]:
    """What today's code reads in the arrival behind an event; empty when it reads nothing."""
    values: dict[str, Any] = {path: each.value for path, each in opened.get(event.position, {}).items()}
    named, f = event.fields["artifacts"], event.fields
    arrival = Arrival(
        provider=str(f.get("provider", "")),
        account=str(f.get("account", "")),
        operation=str(f.get("operation", "")),
        kind=ArrivalKind(f["arrival"]),
        observed_at=parse_time(f["observed_at"]),
        headers=values.get("headers", {}),
        body=ledger.artifact(named[0]).body,
        request=ledger.artifact(named[1]).body if len(named) > 1 else None,
        verdict=Verdict(f["verdict"]),
        name=str(values.get("artifact.0", {}).get("name", "")),
    )
    return read(tenant, arrival).observations
