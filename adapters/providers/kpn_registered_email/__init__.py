"""KPN Registered E-mail (Aangetekend Mailen): registered e-mail with a status document per ticket.

Channel: registered_email. Documentation: KPN's SwaggerHub definition `Registered E-mail - Registered E-mail` v.1.1.1
and https://developer.kpn.com; the process is described on aangetekendmailen.nl. Last checked 2026-07.

Quirks:
- KPN publishes two operations, both calls of ours. The status document (XML, Dutch names) is described only by schemas
  that no published operation uses; it is fetched with the ticket from Aangetekend Mailen itself.
- Of a delivery e-mail's ticket the document is fetched, where the account says where documents are: the e-mail is only a hint then.
- There is no list of what was sent: each open ticket is asked about by itself, for 120 days, and once a day all of the last eight. So a
  ticket that the provider no longer has is found, and one that was not sent through the ledger is not.
- The status comes as a document that is fetched or handed in, in a delivery e-mail, or from a person; events say which, by
  their arrival (poll, import, mailbox, api), and a delivery e-mail, which anybody can write, proves less.
- Of the status codes only 95 is attested. The history is kept row by row with the provider's words.
- Who must sign has not accepted before that. All attachments accepted, and no row that says so, is an acceptance all the same.
- Users are created by a call, activated by a link in an e-mail, and removed by hand: `senders` in the settings says how far each is.
- Times have no zone; the product's questions and answers say GMT.
- The ticket token opens the ticket's page: it is a secret like the URL, and so are the bodies that carry it.
- One recipient per call. A successful send answers 200, a created user 201.
"""

from __future__ import annotations

from adapters.providers import kpn_platform
from adapters.providers.contract import Operation, Provider
from adapters.providers.kpn_registered_email import statuses, wire
from adapters.providers.kpn_registered_email.client import CLIENT

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
        "used",
        "the id of a sender who was created; nothing is known of activation and removal, which a person tells",
        "R",
    ),
    Operation(
        "delivery_mail",
        "mailbox",
        "used",
        "the ticket it names and the beginning of its subject; its form is not published",
        "A",
    ),
    Operation("dashboard", "a person", "used", "what somebody saw on the dashboard, with a note on how", "A"),
    Operation("skipped", "mailbox", "recorded", "a message of the mailbox that could not be had, and why", "A"),
    Operation(
        "allowed_email_address",
        "DELETE /allowed_email_address/{id}",
        "out_of_scope",
        "of the older Management API of Aangetekend Mailen: senders are removed there by a person",
        "R",
    ),
    kpn_platform.TOKEN,
)

PROVIDER = Provider(
    name="kpn_registered_email",
    title="KPN Registered E-mail",
    channel="registered_email",
    region="NL",
    mapping="kpn_registered_email/2",
    documentation="https://app.swaggerhub.com/apis-docs/kpn/registeredemail-registeredemail/, last checked 2026-07",
    relied_on="Nothing is signed: we ask the provider ourselves, over TLS, with our credentials and the ticket token. "
    "Delivery e-mails are believed as little as any e-mail.",
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
    secret_references=frozenset({"ticket_token"}),
    client=CLIENT,
)
