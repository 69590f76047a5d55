"""PEC Massiva of openapi.com (Altravia): certified e-mail in bulk, sent and watched by a polled API.

Channel: certified e-mail. Documentation: the OpenAPI document "PEC Massiva 1.0" (1.0.0) of openapi.com,
https://console.openapi.com/oas/en/pecmassiva.openapi.json; checked 2026-07.

Quirks:
- Nothing is pushed or signed; receipts are shown by subject and text, not as the signed e-mails they are.
- Rows are documented as data/object/message and come as date/subject/body; both are read.
- message_id is an id only when `success` is true: an old client found the text of an SMTP error there.
- The receipts of a message are found by its message_id, which the provider appends to the subject.
- The numbers of /inbox move when something is deleted; they are never a name for anything.
- Credentials of the mailbox stand in the body of every send call; what is kept of it is without them.
- The schema has one attachment as an object, its example a list of them; a list is sent.
- The same receipts lie in the mailbox as signed e-mails: row and e-mail are one fact (facts.py).
- Deleting removes receipts, which are the only evidence: refused unless the signed e-mails are held (deletion.py).
"""

from __future__ import annotations

from dataclasses import replace

from adapters.providers.contract import Operation, Provider
from adapters.providers.pec_mailbox import PROVIDER as MAILBOX
from adapters.providers.pec_massiva import statuses
from adapters.providers.pec_massiva.client import CLIENT
from adapters.providers.pec_massiva.wire import NOTES, parse, recognise

PROVIDER = Provider(
    name="pec_massiva",
    title="PEC Massiva",
    channel="certified_email",
    region="IT",
    mapping="pec_massiva/1",
    documentation="OpenAPI document PEC Massiva 1.0 of openapi.com; RFC 6109 for the subjects; checked 2026-07",
    relied_on="TLS and the bearer token of our own call: the API signs nothing; the signed receipts themselves stay "
    "in the mailbox, from where they are read over IMAP",
    operations=(
        Operation("send", "POST /send", "used", "acceptance of the call: message_id, count of sent", "R"),
        Operation("send_status", "GET /send/{code}", "used", "the receipts of one message, by subject", "R"),
        Operation("inbox", "GET /inbox and GET /inbox/{id}", "used", "receipts and messages of the mailbox", "R"),
        Operation("quota", "GET /quota/{mailbox}", "used", "how full the mailbox is, in steps", "R"),
        Operation("receipt", "mailbox", "used", "one signed e-mail of the mailbox behind the API", "R"),
        Operation("skipped", "mailbox", "recorded", "an e-mail of the mailbox that could not be had, and why", "R"),
        Operation("delete_send", "DELETE /send/{code}", "recorded", "destroys evidence: only by deletion.py", "R"),
        Operation("delete_inbox", "DELETE /inbox/{id}", "recorded", "destroys evidence, by a number that moves", "R"),
        Operation("token", "POST /token (oauth)", "out_of_scope", "another product; its answer is a secret", "R"),
    ),
    tables={
        "status": statuses.STATUS,
        "error": statuses.ERRORS,
        "http": statuses.HTTP,
        "limit": statuses.LIMITS,
        # What these words of the signed e-mails mean is told by the provider that reads them, and tested there.
        "mailbox": tuple(replace(row, type="") for rows in MAILBOX.tables.values() for row in rows),
    },
    parse=parse,
    recognise=recognise,
    notes=NOTES,
    headers=frozenset({"content-type", "date"}),
    client=CLIENT,
    attest=MAILBOX.attest,
    secret_bodies=frozenset({"token"}),
)
