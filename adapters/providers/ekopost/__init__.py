"""Ekopost: letters, registered letters (REK), digital mailboxes, e-invoices and SMS in Sweden and Norway.

Documentation: https://api.ekopost.se (one page, no version, no machine-readable form), last checked 2026-07.

Quirks:
- Times carry no zone; the page says UTC. Booleans come as JSON booleans or as the text `"false"`.
- `$type` must be the first key of an address we send; reading does not care.
- Tracking is the only camelCase object, exists for REK only, and carries no time.
- Only one webhook exists (campaign completed), signed without a time, a key name or a delivery id; its example body is
  lost, so its fields are assumed (`statuses.WEBHOOK_FIELDS`). The campaign must be polled as well.
- Content answers do not name their envelope: it is read from the path of the call (`Arrival.name`).
- A letter that is not tracked ends as posted. Nobody ever says that it was delivered; by when it should have been is told (terms.py).
- A closed envelope in an open campaign is printed never: only the closed campaign counts as accepted.
- An envelope goes on under its id after its digital address failed; the failed attempt is shown by `?state=failed` alone.
- Lists have no pages, a rate limit is not documented, and what takes which address falls back to what stands in channels.py.
- The sandbox has no TLS, and sends nothing: its base_url is refused unless the settings say allow_plain_http.
"""

from __future__ import annotations

from adapters.providers.contract import Operation, Provider
from adapters.providers.ekopost import channels, statuses, wire
from adapters.providers.ekopost.addresses import REGION
from adapters.providers.ekopost.client import CLIENT
from adapters.providers.ekopost.looking import WATCHED_HEADERS

OPERATIONS = (
    Operation(
        "campaign",
        "POST /campaigns, GET /campaigns[/{id}], POST /campaigns/{id}/close, POST /campaigns/{id}/cancel",
        "used",
        "the state of a campaign",
        "C",
    ),
    Operation("envelope_create", "POST /campaigns/{id}/envelopes", "used", "the new envelope, its recipients", "C"),
    Operation(
        "envelope",
        "GET /campaigns/{id}/envelopes[/{id}] (also the failed ones), POST …/close, POST …/cancel",
        "used",
        "state, transaction, tracking, recipients",
        "C",
    ),
    Operation(
        "content",
        "POST /campaigns/{id}/envelopes/{id}/content, GET …/content/{id}",
        "used",
        "that a document was added, with the fingerprints of what we sent",
        "C",
    ),
    Operation(
        "edi_invitations", "EDI Invitations, and the same with an update first", "used", "invitation states", "R"
    ),
    Operation(
        "envelope_failed",
        "GET /campaigns/{id}/envelopes/{id}?state=failed",
        "used",
        "the failed attempt behind an envelope that goes on as a letter",
        "R",
    ),
    Operation(
        "reachable",
        "POST /reachable/{type}",
        "used",
        "whether the recipient has such a mailbox, where that decides the channel; the method is assumed",
        "R",
    ),
    Operation("sms", "GET /sms/{id}", "used", "the state of each number; path and shape are assumed", "A"),
    Operation("sms_send", "POST /sms", "used", "the id and the numbers of a text message; all assumed but errors", "A"),
    Operation("receipt", "a file, or a mail to consignor_contact", "used", "the parcel number of a `kb` receipt", "A"),
    Operation(
        "webhook", "webhook campaign completed", "used", "campaign and envelope states; the body is assumed", "A"
    ),
    Operation("error", "any other call", "used", "an error object, with HTTP 400 or inside a 2xx", "R"),
    Operation(
        "Create sender",
        "EDI Create sender",
        "recorded",
        "a setting of the account, answered by one sentence; kept as evidence that it was made",
        "R",
    ),
    Operation(
        "Check ebank list status",
        "reachable, for one issuer",
        "out_of_scope",
        "lists everybody who takes e-invoices: people who are not our recipients",
        "R",
    ),
    Operation(
        "Peppol lookup",
        "reachable, a generic search",
        "out_of_scope",
        "a search in a public directory, not about a message",
        "R",
    ),
    Operation(
        "Check Einvoice Complience",
        "POST /reachable/einvoiceready",
        "out_of_scope",
        "whether the account is set up for e-invoices; the refusal of an envelope says it again",
        "C",
    ),
    Operation(
        "Check Mastercard reachability",
        "reachable/mastercard",
        "out_of_scope",
        "asks with a full personal profile before a sending; says nothing of a message",
        "R",
    ),
    Operation(
        "Cancel campaign, Cancel envelope",
        "POST …/cancel",
        "out_of_scope",
        "nothing that was sent from here is withdrawn by a call; what was cancelled in the portal is read as a state",
        "R",
    ),
    Operation(
        "OAuth2 client credentials",
        "token",
        "out_of_scope",
        "its path is not published; an API key or a password opens the same calls",
        "R",
    ),
)

NOTES = {
    "api_headers": "Ekopost announced a version of its interface, or an end of one",
    "address_in_document": "no address was given: it stands only in the document, so no recipient is declared",
    "document_unreadable": "the document in our request is not base64; it has no fingerprint",
    "item_unreadable": "one object of a list could not be read; the others were",
    "length_differs": "Ekopost states another length than the document has that we sent",
    "protected_identity": "the recipient has a protected identity: only a personal number is known",
    "request_unreadable": "our own request could not be read, so nothing is taken from it",
    "text_repaired": "U+0000 or lone surrogates were replaced",
    "time_unreadable": "the time could not be read, or is before 1970; as written in texts",
    "unknown_address_type": "an address of a type that the tables do not know",
}

PROVIDER = Provider(
    name="ekopost",
    title="Ekopost",
    channel="post",
    region=REGION,
    mapping="ekopost/1",
    documentation="https://api.ekopost.se and two public clients of it; checked 2026-07",
    relied_on="Only the webhook is signed. For answers: TLS to api.ekopost.se, called by us with the account's key; "
    "each state can be polled again. The sandbox has no TLS, so nothing from it is evidence.",
    operations=OPERATIONS,
    tables={
        "status": statuses.STATUS,
        "campaign": statuses.CAMPAIGN,
        "transaction": statuses.TRANSACTION,
        "tracking": statuses.TRACKING,
        "content": statuses.CONTENT,
        "service": statuses.SERVICE,
        "plan": statuses.PLAN,
        "overdue": statuses.OVERDUE,
        "rescheduled": statuses.RESCHEDULED,
        "reachable": statuses.REACHABLE,
        "receipt": statuses.RECEIPT,
        "invitation": statuses.INVITATION,
        "sms": statuses.SMS,
        "error": statuses.ERROR,
        "http": statuses.HTTP,
        "address_type": statuses.ADDRESS_TYPE,
        "channel": channels.rows(),
        "limit": statuses.LIMIT,
    },
    parse=wire.parse,
    recognise=wire.recognise,
    notes=NOTES,
    headers=frozenset({"content-type", wire.SIGNATURE_HEADER, *WATCHED_HEADERS}),
    verify=wire.verify,
    signed_operations=frozenset({"webhook"}),
    client=CLIENT,
)
