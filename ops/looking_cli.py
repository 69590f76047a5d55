"""The commands `status`, `trail` and `search`: where something is, or was at an earlier moment, and why."""

from __future__ import annotations

import msgspec

from ops import known_cli, show
from ops.console import Json, Limit, Tenant, looked, out, print_json, system
from ops.known_cli import AtPosition, ByRules, KnownAt, OccurredAt


def status(
    message: str,
    /,
    *,
    recipient: int | None = None,
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Where a message, or one of its deliveries, is now or was at an earlier moment, and why.

    Args:
        message: the message's id, as `search` and `import` print it.
        recipient: index of one recipient.
    """
    from adapters.forecasts import with_terms  # noqa: PLC0415  so that --help is quick

    with system() as s:
        answering = known_cli.reader(s, position, known_at, occurred_at, rules)
        view = answering.message(tenant or s.settings.tenant, message)
        if recipient is not None:
            view = msgspec.structs.replace(view, deliveries=(answering.delivery(view.tenant, message, recipient),))
        if not view.known:
            view = msgspec.structs.replace(view, deliveries=with_terms(s.ledger.database, view.tenant, view.deliveries))
        looked(s, view.tenant, "status", [message])
    if json:
        print_json(view)
        return
    known_cli.say(view.known)
    show.message(out, view)


def trail(
    message: str,
    /,
    *,
    recipient: int | None = None,
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Every event that tells a message's story, with what the status made of each; now, or as of an earlier moment.

    Args:
        message: the message's id.
        recipient: index of one recipient; without it all.
    """
    with system() as s:
        answering = known_cli.reader(s, position, known_at, occurred_at, rules)
        found = answering.trail(tenant or s.settings.tenant, message, recipient)
        looked(s, tenant or s.settings.tenant, "trail", [message])
    if json:
        print_json(found)
        return
    known_cli.say(found.known)
    show.trail(out, found)


def search(
    *,
    recipient: str = "",
    reference: str = "",
    label: str = "",
    batch: str = "",
    provider: str = "",
    account: str = "",
    status: str = "",
    grade: str = "",
    mark: str = "",
    since: str = "",
    until: str = "",
    document: str = "",
    limit: Limit = 50,
    cursor: str = "",
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Deliveries that fit all given filters, or did so at an earlier moment, newest first; without a filter all of them.

    Args:
        recipient: an e-mail address, phone or fax number, postal address …, in any spelling.
        reference: any reference or provider id, whole.
        label: policy, case, customer …
        status: pending, accepted, in_transit, delayed, available, delivered, accepted_by_recipient, refused, expired, failed,
            cancelled, disputed or unknown.
        grade: of the evidence, E0 (nothing) to E5 (a verified original says that an identified recipient acted).
        mark: open, final, disputed, late, deadline.warned, deadline.passed, deadline.met_late, missing, signature.wrong,
            signature.absent, content.differs, unattributed, unmapped, dispatch_unclear or clock.contradicts.
        since: first heard of at or after this time (2026-03-01, 2026-03-01T09:00Z or 2026-03-01T10:00+01:00; UTC if nothing is said).
        until: first heard of before this time.
        document: SHA-1 or SHA-256 of a document, hex, or the path of a file to digest here.
        cursor: `next` of the page before.
    """
    from projections.queries import Filters  # noqa: PLC0415  as above

    filters = Filters(
        recipient=recipient,
        reference=reference,
        label=label,
        batch=batch,
        provider=provider,
        account=account,
        status=status,
        grade=grade,
        mark=mark,
        since=since,
        until=until,
        document=show.digest_of(document),
    )
    with system() as s:
        answering = known_cli.reader(s, position, known_at, occurred_at, rules)
        page = answering.search(tenant or s.settings.tenant, filters, cursor, limit)
        # A page that looked at enough may hold little, and the list goes on.
        while page.next and (lacking := limit - len(page.deliveries)) > 0:
            more = answering.search(tenant or s.settings.tenant, filters, page.next, lacking)
            page = msgspec.structs.replace(page, deliveries=page.deliveries + more.deliveries, next=more.next)
        looked(s, tenant or s.settings.tenant, "search", (view.message for view in page.deliveries))
    if json:
        print_json(page)
        return
    known_cli.say(page.known)
    show.page(out, page)
