"""What a legal hold on a query is on: by what never changes of a delivery, so that nothing leaves the hold by itself."""

from __future__ import annotations

import msgspec

from adapters.strictjson import refuse
from ledger.canonical import encode_checked
from projections.searching import Filters, moment
from projections.stories import MessageRow

DIGESTED = ("recipient", "label", "batch")
"""Filters on what is sealed."""


class HeldQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that is given must hold.

    Attributes:
        since, until: bounds on when the ledger first heard of the message: a day or time; without a zone it is UTC.
        recipient, label, batch: as they are searched for.
    """

    provider: str = ""
    account: str = ""
    since: str = ""
    until: str = ""
    recipient: str = ""
    label: str = ""
    batch: str = ""

    def fits(self, teller: MessageRow) -> bool:
        """Whether a message fits, as far as that stands in the clear."""
        named = self.provider in {"", teller.provider} and self.account in {"", teller.account}
        return named and self.since <= teller.opened_at and (not self.until or teller.opened_at < self.until)

    def filters(self) -> Filters:
        """As a search takes it."""
        return Filters(**msgspec.structs.asdict(self))


_query = msgspec.json.Decoder(HeldQuery)


def written(query: HeldQuery) -> str:
    """A query as it is sealed, times in the one form that they have.

    Raises:
        InvalidError: it asks for nothing, or for a time that is none.
    """
    try:
        bounds = {name: moment(name, text) for name in ("since", "until") if (text := getattr(query, name))}
    except ValueError as error:
        refuse("where", str(error))
    found = msgspec.to_builtins(msgspec.structs.replace(query, **bounds))
    if not found:
        refuse("where", f"give one of {', '.join(HeldQuery.__struct_fields__)} at least")
    return encode_checked(found).decode()


def read(text: str) -> HeldQuery | None:
    """A query as it was sealed; None for what nobody can read any more."""
    try:
        return _query.decode(text)
    except msgspec.DecodeError:
        return None
