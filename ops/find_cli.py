"""The command `find`: people by a part of their address, where the organisation allows it."""

from __future__ import annotations

from adapters.accounts import CONSOLE
from ledger.errors import ConfigurationError
from ops import show
from ops.console import Json, Limit, Tenant, out, print_json, system


def find(
    *,
    contains: str,
    account: str = "",
    batch: str = "",
    label: str = "",
    reference: str = "",
    since: str = "",
    until: str = "",
    reason: str = "",
    limit: Limit = 50,
    cursor: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Deliveries to people by a part of their address, newest first; off unless `safeguards set` allows partial search.

    Sealed addresses of a narrowed range are opened and compared, so at least one of account, batch, label, reference and since is needed.
    Each page is recorded, with how many addresses were opened. Who is erased or protected is never found.

    Args:
        contains: at least 3 characters of an e-mail address, postal address or name; of a phone or fax number its digits are enough.
        since: first heard of at or after this time (2026-03-01, 2026-03-01T09:00Z or 2026-03-01T10:00+01:00; UTC if nothing is said).
        until: first heard of before this time.
        reason: why; sealed with the record of the search.
        limit: of deliveries; a page shows at most 100.
        cursor: `next` of the page before.
    """
    from adapters import partial, safeguards  # noqa: PLC0415  so that --help is quick
    from projections.queries import Filters  # noqa: PLC0415  as above
    from projections.views import Page  # noqa: PLC0415  as above

    filters = Filters(account=account, batch=batch, label=label, reference=reference, since=since, until=until)
    with system() as s:
        whose = tenant or s.settings.tenant
        if not reason.strip() and "look-ups" in safeguards.of(s.queries, whose).reasons:
            msg = "this organisation demands a reason for looking people up: say why with --reason"
            raise ConfigurationError(msg)
        page = partial.find(s.queries, whose, contains, filters, cursor, limit)
        if not s.ledger.frozen:
            partial.record(s.accounts, whose, CONSOLE, page, reason.strip())
    if json:
        print_json(page)
        return
    show.page(out, Page(page.deliveries, page.next, page.position))
    out.print(f"Addresses opened: {page.looked}.")
