"""KPN Registered E-mail (Aangetekend Mailen): registered e-mail with a status document per ticket.

Channel: registered_email. Documentation: KPN's SwaggerHub definition `Registered E-mail - Registered E-mail` v.1.1.1
and https://developer.kpn.com; the process is described on aangetekendmailen.nl. Last checked 2026-07.

Quirks:
- KPN publishes two operations, both calls of ours. The status document (XML, Dutch names) is described only by schemas
  that no published operation uses; it is fetched with the ticket from Aangetekend Mailen itself.
- Of the status codes only 95 is attested. The history is kept row by row with the provider's words.
- Times have no zone; the product's questions and answers say GMT.
- The ticket token opens the ticket's page: it is a secret like the URL, and so are the bodies that carry it.
- One recipient per call. A successful send answers 200, a created user 201.
"""

from __future__ import annotations

from adapters.providers import kpn_platform
from adapters.providers.contract import Operation, Provider
from adapters.providers.kpn_registered_email import statuses, wire

_OPERATIONS = (
    Operation(
        "send", "POST /webservice/mailsender/send", "used", "acceptance or refusal, ticket, recipient, attachments", "R"
    ),
    Operation(
        "biljet",
        "GET the ticket's page with action=ticket_xml",
        "used",
        "the history of a ticket and which attachments were accepted; the schema is published, the address is assumed",
        "A",
    ),
    Operation(
        "user_create",
        "POST /api/user/",
        "recorded",
        "opens a sender's dashboard account: it names no message, and shows from when that person could send",
        "R",
    ),
    kpn_platform.TOKEN,
)

PROVIDER = Provider(
    name="kpn_registered_email",
    title="KPN Registered E-mail",
    channel="registered_email",
    mapping="kpn_registered_email/1",
    documentation="https://app.swaggerhub.com/apis-docs/kpn/registeredemail-registeredemail/, last checked 2026-07",
    relied_on="Nothing is signed: we ask the provider ourselves, over TLS, with our credentials and the ticket token.",
    operations=_OPERATIONS,
    tables={
        "status": statuses.STATUS,
        "description": statuses.DESCRIPTION,
        "attachment": statuses.ATTACHMENT,
        "error": kpn_platform.ERRORS,
        "http": kpn_platform.HTTP,
    },
    parse=wire.parse,
    recognise=wire.recognise,
    notes=kpn_platform.NOTES | wire.NOTES,
    headers=kpn_platform.HEADERS,
    secret_bodies=wire.SECRET_BODIES,
)
