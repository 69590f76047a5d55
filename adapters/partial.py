"""Searching people by a part of their address, where the organisation allows it: nothing is kept for it, sealed addresses are opened.

Addresses are kept under keyed digests, which a part finds nothing by. So those of a narrowed range of deliveries are opened and
compared, a bounded number for each page; who is erased or protected is never among them. Each page is recorded before anybody sees it,
with how many addresses were opened; the part itself is not, because it would outlive the person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from adapters import safeguards
from adapters.accounts import Accounts
from adapters.strictjson import refuse
from ledger.addresses import PHONES, normal
from ledger.errors import LedgerError
from ledger.observations import Address
from projections import searching
from projections.declared import Whose
from projections.discretion import addresses
from projections.queries import Filters, Queries
from projections.views import DeliveryView

MIN_CHARS = 3
"""What is shorter is in every other address."""
MAX_LOOKED = 2_000
"""Addresses that one page opens."""
MAX_FOUND = 100
"""Deliveries of one page."""
RULE = "access.partial"
AT_A_TIME = 500
ROUNDS = MAX_LOOKED // AT_A_TIME
NARROWING = ("since", "account", "batch", "label", "reference", "document", "recipient")
"""Filters of which at least one is given, so that nobody opens the addresses of everybody."""


class PartialSearchError(LedgerError):
    """People are searched for by whole addresses here; who may decide that it is enough of one switches on `partial_search`."""


class Part(msgspec.Struct, frozen=True):
    """A page of deliveries to addresses that contain something, newest message first.

    Attributes:
        looked: addresses that were opened for it.
        next: continues the search; "" at its end. A page that opened enough may be short, or empty, and still have it.
    """

    deliveries: tuple[DeliveryView, ...]
    looked: int
    next: str
    position: int


def find(  # noqa: PLR0917  whose, what, where, and which page
    queries: Queries, tenant: str, part: str, filters: Filters, cursor: str = "", limit: int = MAX_FOUND
) -> Part:
    """A page of the deliveries that all filters fit and whose address contains a part; `record` it before anybody sees it.

    Args:
        part: in any case and with any white space; of a number its digits are enough.
        cursor: `next` of the page before.

    Raises:
        PartialSearchError: the organisation does not allow it.
        InvalidError: the part is too short, or no filter narrows the search.
        NotFoundError: the cursor is not one of ours.
        ValueError: an unknown status, grade or mark, or a time that is none.
    """
    if not safeguards.of(queries, tenant).partial_search:
        raise PartialSearchError
    if len(_folded(part)) < MIN_CHARS:
        refuse("contains", f"at least {MIN_CHARS} characters")
    if not any(getattr(filters, name) for name in NARROWING):
        refuse("", f"narrow the search by at least one of {', '.join(NARROWING)}")
    position, looked, limit = queries.position(), 0, max(1, min(limit, MAX_FOUND))
    found: list[Whose] = []
    for _ in range(ROUNDS):
        rows, following = searching.found(
            queries.ledger, tenant, filters, cursor, AT_A_TIME, shows_protected=queries.shows_protected
        )
        named = [((str(row[0]), int(row[1])), after) for row, after in rows]
        opened = addresses(queries.ledger, [whose for whose, _ in named])
        looked += len(opened)
        fitting = [(whose, after) for whose, after in named if whose in opened and contains(opened[whose], part)]
        taken = fitting[: limit - len(found)]
        found += [whose for whose, _ in taken]
        cursor = taken[-1][1] if len(taken) < len(fitting) else following
        if not cursor or len(found) == limit:
            break
    return Part(_views(queries, tenant, found), looked, cursor, position)


def contains(address: Address, part: str) -> bool:
    """Whether an address, as it was given or in its normal form, contains a part."""
    forms = {_folded(address.value), _folded(normal(address))}
    if any(_folded(part) in form for form in forms):
        return True
    # A number's country takes the place of the 0 before it.
    digits = _digits(part).lstrip("0") if address.kind in PHONES and not re.search(r"[^\W\d_]", part) else ""
    return len(digits) >= MIN_CHARS and digits in _digits(normal(address))


def record(accounts: Accounts, tenant: str, actor: str, page: Part, reason: str = "") -> int:
    """Record who searched, why, how many addresses were opened and what is about to be shown; the position of the event.

    Args:
        actor: id of an API key, or `console`.
    """
    shown = list(dict.fromkeys(each.message for each in page.deliveries))
    clear = {"rule": RULE, "numbers": {"looked": page.looked, "found": len(page.deliveries)}}
    return accounts.record(
        "access.recorded", tenant, actor, actor, clear | ({"streams": shown} if shown else {}), reason
    )


def _views(queries: Queries, tenant: str, found: Sequence[Whose]) -> tuple[DeliveryView, ...]:
    """As they are now; who was erased or protected meanwhile is not there."""
    views = (view for message, index in found for view in queries.deliveries(tenant, message, index - 1, 1))
    return tuple(view for view in views if (view.message, view.recipient) in found)


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(each)) for each in text if each.isdecimal())
