"""Certified e-mail (PEC) of any Italian provider: the receipts in the sender's own mailbox.

Channel: certified e-mail. Documentation: RFC 6109 (April 2011), the English text of the rules of DM 2/11/2005, and the
DTD in its section 4.4; checked 2026-07.

Quirks:
- The RFC names the XML part certdata.xml; providers write daticert.xml.
- The warning after 12 and the final notice after 24 hours share tipo, header and subject (statuses.FINAL_NOTICE).
- Some providers write another domain into X-Riferimento-Message-ID than into the certification data.
- Published receipts of real providers break the DTD with stray text, and lack the end of their MIME structure.
- A receipt holds the original message, which may itself hold receipts: those are never read.
"""

from __future__ import annotations

from adapters.providers.contract import Operation, Provider
from adapters.providers.pec_mailbox import smtp, statuses
from adapters.providers.pec_mailbox.attesting import attest
from adapters.providers.pec_mailbox.client import CLIENT
from adapters.providers.pec_mailbox.crosscheck import NOTES
from adapters.providers.pec_mailbox.verdicts import VERDICTS
from adapters.providers.pec_mailbox.wire import parse, recognise

PROVIDER = Provider(
    name="pec_mailbox",
    title="PEC (certified e-mail, mailbox)",
    channel="certified_email",
    region="IT",
    mapping="pec_mailbox/1",
    documentation="RFC 6109, La Posta Elettronica Certificata; checked 2026-07",
    relied_on="the mailbox and its TLS connection: only the structure of a message is read here; whether the S/MIME "
    "signature of its provider is good is a verdict of its own, established over the raw bytes",
    operations=(
        Operation("receipt", "mailbox", "used", "one e-mail of the mailbox: receipt, notice or certified message", "R"),
        Operation(
            "submission", "SMTP", "used", "what the submission server said to our message; nothing certified", "R"
        ),
        Operation(
            "search", "IMAP", "used", "whether the mailbox holds a trace of a message that may have been taken", "A"
        ),
        Operation("skipped", "mailbox", "recorded", "a message of the mailbox that could not be had, and why", "A"),
        Operation("directory", "LDAP", "out_of_scope", "the providers' directory is open to providers only", "R"),
    ),
    tables={
        "status": statuses.KINDS,
        "error": statuses.ERRORS,
        "timeout": statuses.TIMEOUTS,
        "transport": statuses.TRANSPORTS,
        "address_type": statuses.RECIPIENTS,
        "receipt_kind": statuses.RECEIPTS,
        "bounce": statuses.BOUNCES,
        "reply": smtp.REPLIES,
        "limit": statuses.LIMITS,
    },
    parse=parse,
    recognise=recognise,
    notes={**NOTES, **VERDICTS},
    attest=attest,
    client=CLIENT,
)
