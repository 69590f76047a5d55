"""What makes two sightings of one receipt the same fact: as a row of the API, and as the signed e-mail in the mailbox.

Both show the subject, the Date of the e-mail and whom it is about; nothing else of a receipt is in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from adapters.providers.contract import Word
from adapters.providers.pec_massiva import statuses
from adapters.providers.pec_massiva.answers import address
from ledger.observations import Observation, ProviderTime

ABOUT_CALL = frozenset({"submission.accepted", "submission.rejected"})
"""Types of the receipts that are about everybody a call was for; the others are about one recipient."""

AGREED = ("receipt",)
"""The content of a fact that both forms tell. It is the same in both, so neither contradicts the other, and it is there, so the
signed e-mail is kept beside a row that was seen before."""


def message_id(subject: str) -> str:
    """The message_id that ends a subject, or ""."""
    found = statuses.SUBJECT_ID.search(subject.strip())
    return found[1] if found else ""


def told(
    seen: Observation, kind: Word, name: str, addresses: Iterable[str], occurred: ProviderTime | None
) -> Observation:
    """The observation as both forms tell it: what a receipt of this kind says of whom, and when.

    A receipt about everybody that names one person is about that person (of several, `each_named` makes one each); one that names
    nobody is about a person who is not named, because which of a message's recipients its call was for is not said.

    Args:
        kind: row of the table of subjects.
        name: message_id.
        addresses: whom the receipt names.
    """
    named = {each.casefold(): each for each in addresses}
    is_about_call = kind.type in ABOUT_CALL
    is_receipt = kind.type != "inbound.received"
    recipient = address(*named.values()) if len(named) == 1 and is_receipt else None
    parts = ("receipt", kind.word, name, " ".join(sorted(named)) if is_receipt else "")
    return replace(
        seen,
        type=kind.type,
        code=kind.word,
        reason=kind.reason,
        about="message" if not is_receipt or (is_about_call and len(named) > 1) else "recipient",
        recipient=recipient,
        declares=tuple(map(address, named.values())) if is_receipt and (is_about_call or recipient) else (),
        occurred=occurred,
        identity=(*parts, occurred.at.isoformat()) if name and occurred else (),
        content=AGREED if name and occurred else (),
    )


def each_named(seen: Observation) -> tuple[Observation, ...]:
    """A receipt about a call for several says so of each whom it names, and of nobody else: of a joint call some may have been left out."""
    if seen.about != "message" or len(seen.declares) < 2 or seen.identity[:1] not in {("receipt",), ("row",)}:
        return (seen,)
    return tuple(
        replace(
            seen, about="recipient", recipient=whom, declares=(whom,), identity=(*seen.identity, whom.value.casefold())
        )
        for whom in seen.declares
    )
