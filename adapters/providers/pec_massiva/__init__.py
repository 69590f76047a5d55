"""PEC Massiva of openapi.com (Altravia): certified e-mail in bulk, sent and watched by a polled API.

Channel: certified e-mail. Documentation: the OpenAPI document "PEC Massiva 1.0" (1.0.0) of openapi.com,
https://console.openapi.com/oas/en/pecmassiva.openapi.json; checked 2026-07.

Quirks:
- Nothing is pushed or signed; receipts are shown by subject and text, not as the signed e-mails they are.
- Rows are documented as data/object/message and come as date/subject/body; both are read.
- message_id is an id only when `success` is true: an old client found the text of an SMTP error there.
- The receipts of a message are found by its message_id, which the provider appends to the subject.
- The numbers of /inbox move when something is deleted; they are never a name for anything.
- Credentials of the mailbox stand in the body of every send call; the caller removes them, nothing here reads them.
- Deleting removes receipts, which are the only evidence: no such call is made.
"""

from __future__ import annotations

from adapters.providers.contract import Operation, Provider
from adapters.providers.pec_massiva import statuses
from adapters.providers.pec_massiva.wire import NOTES, parse, recognise

PROVIDER = Provider(
    name="pec_massiva",
    title="PEC Massiva",
    channel="certified_email",
    mapping="pec_massiva/1",
    documentation="OpenAPI document PEC Massiva 1.0 of openapi.com; RFC 6109 for the subjects; checked 2026-07",
    relied_on="TLS and the bearer token of our own call: the API signs nothing; the signed receipts themselves stay "
    "in the mailbox, from where the provider `pec_mailbox` reads them",
    operations=(
        Operation("send", "POST /send", "used", "acceptance of the call: message_id, count of sent", "R"),
        Operation("send_status", "GET /send/{code}", "used", "the receipts of one message, by subject", "R"),
        Operation("inbox", "GET /inbox and GET /inbox/{id}", "used", "receipts and messages of the mailbox", "R"),
        Operation(
            "quota", "GET /quota/{mailbox}", "recorded", "how full the mailbox is; says nothing of a message", "R"
        ),
        Operation(
            "delete_send", "DELETE /send/{code}", "out_of_scope", "destroys evidence: the receipts of a message", "R"
        ),
        Operation(
            "delete_inbox", "DELETE /inbox/{id}", "out_of_scope", "destroys evidence, by a number that moves", "R"
        ),
        Operation("token", "POST /token (oauth)", "out_of_scope", "another product; its answer is a secret", "R"),
    ),
    tables={
        "status": statuses.STATUS,
        "error": statuses.ERRORS,
        "http": statuses.HTTP,
        "limit": statuses.LIMITS,
    },
    parse=parse,
    recognise=recognise,
    notes=NOTES,
    headers=frozenset({"content-type", "date"}),
    secret_bodies=frozenset({"token"}),
)
