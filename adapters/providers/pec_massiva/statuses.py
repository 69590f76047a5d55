"""The words of PEC Massiva: subjects of receipts, error messages, HTTP codes.

Errors are told by their English sentence, because error bodies carry no code. What a failed call becomes follows from
the retry class (sending.py): `unclear` may have been sent, `never` was refused, everything else was not sent and may be tried again.
"""

from __future__ import annotations

import re

from adapters.providers.contract import Word
from adapters.providers.pec_mailbox.statuses import SUBJECTS

STATUS = SUBJECTS

ERRORS = (  # message, or what it begins with
    Word("Post parameter is not valid", "", "a field of the request is wrong", "R", reason="parameter", retry="never"),
    Word("Authorization is not valid or empty", "", "token or mailbox credentials are wrong", "R",
         reason="authorization", retry="person", note="the two are not told apart"),
    Word("MySQL Error", "", "their database failed; a number follows", "R", reason="provider_database",
         retry="unclear", note="the mail may have left before"),
    Word("error occurred connecting to SMTP", "", "their mail server did not answer", "C", reason="smtp",
         retry="unclear", note="a client found it in message_id; of several recipients some may have been sent to"),
    Word("Result empty", "", "no receipt of this sending is in the mailbox", "R", reason="nothing_yet", retry="later",
         note="not yet, or deleted; a poll that found nothing"),
    Word("Message not found", "", "no message has this number in the mailbox", "R", reason="nothing_yet",
         retry="later", note="numbers move when messages are deleted"),
    Word("Email not found", "", "said by DELETE /send/{code} only", "R", reason="not_found", retry="never"),
    Word("An error occured: the requested mailbox might be unavailable", "", "said by GET /quota only", "R",
         reason="mailbox", retry="person"),
)  # fmt: skip

HTTP = (
    Word("200", "", "success, if the body says so too", "R", retry="unclear"),
    Word("201", "", "sent, if the body says so too", "R", retry="unclear"),
    Word("302", "", "sent elsewhere; nobody followed", "A", retry="unclear"),
    Word("400", "", "bad request", "R", retry="never"),
    Word("401", "", "token or mailbox credentials are wrong", "R", retry="person"),
    Word("403", "", "the token lacks the scope", "A", retry="person"),
    Word("404", "", "not found", "R", retry="never"),
    Word("413", "", "the message is too large", "A", retry="never"),
    Word("429", "", "more than one request a second", "A", retry="later"),
    Word("500", "", "their database failed", "R", retry="unclear"),
    Word("502", "", "their gateway failed", "A", retry="unclear"),
    Word("503", "", "unavailable", "A", retry="unclear"),
    Word("504", "", "their gateway waited too long", "A", retry="unclear"),
    Word("4xx", "", "any other refusal", "A", retry="never"),
    Word("5xx", "", "any other failure of theirs", "A", retry="unclear"),
)

LIMITS = (
    Word("1/s", "", "calls of POST /send", "R"),
    Word("25", "", "rows of one page of GET /inbox", "R", note="n_of_pages does not fit: page until a page is empty"),
)

MESSAGE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
"""What may be a message_id at all; a sentence is not one, whatever field it stands in."""

SUBJECT_ID = re.compile(
    r"(?:^|\s)(20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d\d{1,4})$", re.ASCII
)
"""Assumption A, from the two published examples: yyyyMMddHHmmss and a short number, the last word of the subject."""

RECIPIENT = re.compile(
    r"(?:indirizzato a|destinato all'utente|addressed to)\s+(?:\"|&quot;)([^\s\"&<>@]+@[^\s\"&<>@]+)(?:\"|&quot;)"
)
"""The sentence in which a receipt names the one recipient it is about: RFC 6109 section 3, and (assumption A) the Italian
sentence of real providers."""

LISTED = re.compile(
    r"(?<![^\s\"&<>()@])([^\s\"&<>()@]+@[^\s\"&<>()@]+)\s+\(?(?:\"|&quot;)"
    r"(?:posta certificata|posta ordinaria|certified mail|ordinary mail)(?:\"|&quot;)"
)
"""A line of an acceptance, which lists all recipients of the message: RFC 6109 section 3.1.4, and (A) the Italian of real providers."""

RECEIPT_SENDER = "posta-certificata@"
"""RFC 6109 section 3: every receipt comes from this mailbox of some provider's domain."""
