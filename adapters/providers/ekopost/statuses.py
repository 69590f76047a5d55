"""Ekopost's words and ours, table by table.

Sources: R the API page at api.ekopost.se; C a public client; CMP the item states of PostNord's Track & Trace, which
carries the registered letters; A our assumption. Everything assumed stands in a row marked A or CMP, or in the
`*_FIELDS` tables at the end. Nothing here reads bytes.
"""

from __future__ import annotations

from adapters.providers.contract import Word

STATUS = (
    Word("opened", "dispatch.answered", "created; contents may be added, and it may be cancelled", "R"),
    Word(
        "closed",
        "dispatch.answered",
        "marked as ready to be printed and distributed",
        "R",
        note="Nothing is printed before the campaign is closed too: only then, or once it is transferred, it is accepted.",
    ),
    Word("transferred", "submission.accepted", "handed to the production facility; no longer cancellable", "R"),
    Word("printed", "production.advanced", "printed", "R"),
    Word(
        "posted",
        "relay.accepted",
        "posted",
        "R",
        note="The last word on an untracked letter: the carrier has it. Nobody says more; it never means delivered.",
    ),
    Word("cancelled", "submission.cancelled", "withdrawn; it will be neither printed nor distributed", "R"),
    Word(
        "failed",
        "submission.rejected",
        "could not be produced",
        "R",
        retry="person",
        note="The producer gave up before any carrier had it: a refusal, not a failed delivery. Ekopost may reschedule "
        "a failed digital address as another envelope, which is another message.",
    ),
)

CAMPAIGN = (
    Word("opened", "dispatch.answered", "created; envelopes may be added", "R"),
    Word("closed", "submission.accepted", "marked, with all its envelopes, as ready for production", "R"),
    Word("transferred", "submission.accepted", "handed, with all its envelopes, to the production facility", "R"),
    Word(
        "completed",
        "relay.accepted",
        "all its envelopes were printed and posted",
        "R",
        note="Posted, as for an envelope; an envelope that failed meanwhile keeps its own state.",
    ),
    Word("cancelled", "submission.cancelled", "withdrawn with all its envelopes", "R"),
    Word("failed", "submission.rejected", "could not be produced", "R", retry="person"),
)

TRANSACTION = (
    *(
        Word(word, "dispatch.answered", f"the transaction is {word}", "R", reason="transaction")
        for word in ("opened", "closed", "transferred", "printed", "posted", "cancelled", "failed")
    ),
    Word(
        "completed",
        "dispatch.answered",
        "the transaction is completed",
        "C",
        reason="transaction",
        note="Not among the listed states, but in the published sample of an envelope.",
    ),
)
"""The producer's own account of it, with its own time. All of a type that decides and proves nothing: the published sample
has a completed transaction beside an envelope that is still open."""

TRACKING = (
    Word("CREATED", "production.advanced", "the carrier knows the number, not yet the letter", "CMP"),
    Word("INFORMED", "production.advanced", "the carrier was told electronically that it will come", "CMP"),
    Word("EN_ROUTE", "relay.accepted", "the carrier has it", "CMP"),
    Word(
        "SPLIT",
        "relay.accepted",
        "the item was split",
        "CMP",
        note="Older clients only. A carrier that splits an item holds it; the parts' numbers are not told here.",
    ),
    Word("DELAYED", "relay.delayed", "delayed", "CMP"),
    Word("EXPECTED_DELAY", "relay.delayed", "a delay is expected", "CMP"),
    Word("AVAILABLE_FOR_DELIVERY", "notice.issued", "waits to be collected", "CMP"),
    Word("AVAILABLE_FOR_DELIVERY_PAR_LOC", "notice.issued", "waits in a parcel locker to be collected", "CMP"),
    Word(
        "DELIVERED",
        "content.consigned",
        "delivered",
        "CMP",
        note="Who signed is not passed on by Ekopost, so it is a delivery and not a recipient's acceptance.",
    ),
    Word("DELIVERY_IMPOSSIBLE", "content.consignment_failed", "could not be delivered", "CMP"),
    Word("DELIVERY_REFUSED", "consignment.rejected", "the recipient refused it", "CMP"),
    Word("RETURNED", "content.returned", "returned to the sender", "CMP"),
    Word("STOPPED", "relay.failed", "the carrier stopped it", "CMP"),
    Word(
        "OTHER",
        "channel.unmapped",
        "some other state",
        "CMP",
        reason="no_meaning",
        note="The word is known and says nothing; any type with a meaning would claim more than the carrier did.",
    ),
)

CONTENT = (
    Word("document", "dispatch.answered", "the main document was added", "R"),
    Word("attachment", "dispatch.answered", "an attachment was added", "R"),
    Word("markup", "dispatch.answered", "an XML markup was added", "R"),
    Word("replymail", "dispatch.answered", "the template of a reply mail was added", "R"),
)

SERVICE = (
    Word("kb", "acknowledgement.requested", "a receipt of delivery was ordered with a registered letter", "R"),
    Word("pu", "", "personal delivery was ordered with a registered letter", "R"),
)

INVITATION = tuple(
    Word(word, kind, meaning, "R", reason, "person" if number == "1008" else "", note)
    for number, name, kind, meaning, reason, note in (
        ("1001", "registered", "production.advanced", "the invitation is registered at Ekopost", "", ""),
        ("1002", "sent", "notice.issued", "the invitation went out", "", "It is itself the notice to the receiver."),
        (
            "1003",
            "received",
            "notice.issued",
            "the receiver has the invitation",
            "",
            "Not content.consigned: that would be final, and the receiver may still deny the connection.",
        ),
        (
            "1004",
            "answered",
            "content.accessed",
            "the receiver answered the invitation",
            "",
            "Not consignment.accepted: an answer may be yes (1005) or no (1006); it shows only that it was read.",
        ),
        ("1005", "connection_approved", "consignment.accepted", "the connection was approved", "", ""),
        ("1006", "connection_denied", "consignment.rejected", "the connection was denied", "", ""),
        ("1007", "reminder_sent", "notice.issued", "a reminder went out", "", ""),
        (
            "1008",
            "insufficient_information",
            "submission.rejected",
            "the invitation lacks information",
            "",
            "Ekopost cannot go on with what it was given; somebody must complete it.",
        ),
        (
            "1009",
            "unkown_status",
            "channel.unmapped",
            "Ekopost does not know the status either",
            "no_meaning",
            "Spelt like this by Ekopost. The word is known and says nothing.",
        ),
        ("1010", "expired", "acceptance.expired", "the invitation expired without an answer", "", ""),
    )
    for word in (number, name)
)
"""Each status as its number and as its name: the page gives both and does not say which one is sent."""

SENT = frozenset({"1002", "sent"})
"""The invitation statuses that `date_sent` dates; the others have no time."""

SMS = (
    Word("queued", "submission.accepted", "taken, and waits to be sent", "A"),
    Word("sent", "relay.accepted", "handed to the network", "A"),
    Word("delivered", "content.consigned", "delivered to the handset", "A"),
    Word("failed", "content.consignment_failed", "could not be delivered", "A"),
)

ERROR = (
    Word("0", "submission.rejected", "the credentials are not valid", "R", retry="person"),
    Word("100A", "dispatch.attempted", "an envelope without a document cannot be closed", "R", retry="person"),
    Word("100B", "dispatch.attempted", "an envelope without a markup cannot be closed", "R", retry="person"),
    Word("101", "dispatch.attempted", "a campaign without an envelope cannot be closed", "R", retry="person"),
    Word("102", "dispatch.attempted", "an envelope of the campaign is still open", "R", retry="person"),
    Word(
        "103",
        "dispatch.attempted",
        "the envelope already has a document",
        "R",
        retry="never",
        note="After a repeated call: the first one got through.",
    ),
    Word("104", "dispatch.attempted", "a content must be application/pdf", "R", retry="never"),
    Word("105", "dispatch.attempted", "no postal address was found in the document", "R", retry="never"),
    Word("106", "submission.rejected", "there is no such campaign", "R", retry="never"),
    Word("107", "dispatch.attempted", "the document cannot be opened or has no pages", "R", retry="never"),
    Word("108", "dispatch.attempted", "an attachment must be application/pdf", "R", retry="never"),
    Word("109", "dispatch.attempted", "a markup must be application/xml", "R", retry="never"),
    Word("110", "dispatch.attempted", "the envelope already has a markup", "R", retry="never"),
    Word("111", "dispatch.attempted", "there is no such envelope", "R", retry="never"),
    Word("112", "submission.rejected", "the country is not an ISO 3166-1 alpha-2 code", "R", retry="never"),
    Word("113", "submission.rejected", "the credit limit of the month is used up", "R", retry="person"),
    Word("114", "dispatch.attempted", "a search without parameters", "R", retry="never"),
    Word("115", "dispatch.attempted", "a search with invalid parameters", "R", retry="never"),
    Word("116", "dispatch.attempted", "an invalid span of time", "R", retry="never"),
    Word("117", "dispatch.attempted", "the size of the document is invalid", "R", retry="never"),
    Word("118", "dispatch.attempted", "the size of the attachment is invalid", "R", retry="never"),
    Word("119", "submission.rejected", "the recipient is missing", "R", retry="never"),
    Word("120", "submission.rejected", "the e-mail address is missing", "R", retry="never"),
    Word("121", "submission.rejected", "the campaign takes no more envelopes", "R", retry="never"),
    Word("122", "submission.rejected", "one signer is needed", "R", retry="never"),
    Word("123", "submission.rejected", "the e-mail address has invalid characters", "R", retry="never"),
    Word("124", "submission.rejected", "the issuer (FUI) is not registered", "R", retry="person"),
    Word("125", "dispatch.attempted", "nobody is registered with this issuer (FUI)", "R", retry="never"),
    Word(
        "126",
        "dispatch.unclear",
        "the unique_id is taken",
        "R",
        retry="never",
        note="An earlier call with this unique_id got through, and its envelope exists: the message is not refused.",
    ),
    Word("127", "submission.rejected", "invalid data", "R", retry="never"),
    Word("128", "submission.rejected", "an SMS must be text/plain", "R", retry="never"),
    Word("129", "submission.rejected", "the data are empty", "R", retry="never"),
    Word("130", "submission.rejected", "the text of the SMS is not base64", "R", retry="never"),
    Word("131", "submission.rejected", "a phone number of the SMS is invalid", "R", retry="never"),
    Word("132", "submission.rejected", "the SMS has no recipients", "R", retry="never"),
    Word("133", "submission.rejected", "the SMS has no FromName", "R", retry="never"),
    Word("134", "submission.rejected", "more than 100,000 recipients of one SMS", "R", retry="never"),
    Word("135", "submission.rejected", "the address is not valid", "R", retry="never"),
    Word("136", "submission.rejected", "the contract is not valid; the message says more", "R", retry="person"),
    Word("137", "dispatch.attempted", "the envelope has no document", "R", retry="person"),
    Word("138", "submission.rejected", "the recipient is the issuer", "R", retry="never"),
    Word("139", "submission.rejected", "the recipient has no valid value", "R", retry="never"),
    Word("140", "submission.rejected", "protected mailing is not set up", "R", retry="person"),
    Word("141", "submission.rejected", "the contract is not valid", "R", retry="person"),
    Word("142", "dispatch.attempted", "the template of the reply mail is missing", "R", retry="person"),
    Word("143", "dispatch.attempted", "more than 50 documents over 8 MB today", "R", retry="later"),
)
"""`submission.rejected` refuses what creates a message; `dispatch.attempted` a later step, which leaves it be."""

HTTP = (
    Word(
        "2xx",
        "dispatch.unclear",
        "success, but the body is not what was promised",
        "A",
        retry="unclear",
        note="A class of codes stands for those without a row of their own.",
    ),
    Word("3xx", "dispatch.unclear", "sent elsewhere; not documented", "A", retry="unclear"),
    Word("400", "submission.rejected", "a handled error, here without its error object", "R", retry="never"),
    Word("404", "submission.rejected", "there is no such thing", "R", retry="never"),
    Word("4xx", "submission.rejected", "refused; not documented", "A", retry="person"),
    Word("500", "dispatch.unclear", "an unhandled error at Ekopost", "R", retry="unclear"),
    Word("5xx", "dispatch.unclear", "an error between us and Ekopost; not documented", "A", retry="unclear"),
)

ADDRESS_TYPE = (
    Word(
        "postal",
        "",
        "a letter; null means this too",
        "R",
        note="The address stands in the document itself, unless use_coverpage.",
    ),
    Word("email", "", "an e-mail with the contents attached", "R"),
    Word(
        "einbox",
        "",
        "Digipost (Norway) or Mina meddelanden (Sweden)",
        "R",
        note="Without such a mailbox it is printed and posted instead.",
    ),
    Word("einbox_kivra", "", "Kivra", "R", note="Without such a mailbox it is printed and posted instead."),
    Word("einboxKivra", "", "Kivra", "R", note="The spelling of the list filter; read as the same."),
    Word(
        "einbox_signer",
        "",
        "to be signed by one or more people",
        "R",
        note="Without a mailbox a signer signs by e-mail link and BankID. No state of a single signer is published.",
    ),
    Word("einvoice", "", "an electronic invoice", "R"),
    Word(
        "lookup",
        "",
        "a letter to the address that the population register has",
        "R",
        note="Ekopost puts the postal address in its place.",
    ),
    Word("ebank", "", "an invoice in the recipient's bank", "R"),
    Word(
        "protected",
        "",
        "a letter to a person with a protected identity",
        "R",
        note="Only the personal number is known here.",
    ),
    Word("einvoice_mastercard", "", "an electronic invoice by Mastercard", "R"),
)

LIMIT = (
    Word("PDF 1.4", "", "later versions of PDF are printed without a promise", "R"),
    Word("35 characters", "", "name and street rows of a registered letter", "R"),
    Word("5 digits", "", "postal code of a registered letter", "R"),
    Word("1 document", "", "documents of one envelope", "R"),
    Word("50 documents", "", "documents over 8 MB in one day", "R"),
    Word("100 000 recipients", "", "recipients of one SMS", "R"),
)

IDENTIFIER_KIND = {"SE.REGNO": "organisation", "GS1.GLN": "organisation", "SE.SSNNO": "person_number"}
"""Kind of address behind the identifier types of an einvoice (R)."""

RECIPIENT_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "email": (("email", "recipient"), ("email", "email")),
    "einbox": (("person_number", "recipient"),),
    "einbox_kivra": (("person_number", "recipient"),),
    "einboxKivra": (("person_number", "recipient"),),
    "lookup": (("person_number", "recipient"),),
    "protected": (("person_number", "recipient"),),
    "ebank": (("other", "recipient"),),
    "einvoice_mastercard": (("person_number", "social_security_number"), ("other", "efaktura_identifier")),
}
"""Address type -> (kind, field), best first. R, but for `email` (A): the page lists the field `subject` twice."""

SIGNER_FIELDS = (("person_number", "recipient"), ("email", "email"))
"""The same for each of the `signers` of an einbox_signer (R)."""

WEBHOOK_FIELDS = {"campaign": "campaign_id", "state": "state", "time": "state_changed_at", "envelopes": "envelopes"}
"""Our name -> the field of a webhook (A: the example delivery is lost; the envelopes are taken to be as in the API)."""

SMS_FIELDS = {
    "message": "id",
    "recipients": "recipients",
    "number": "number",
    "state": "state",
    "time": "state_changed_at",
}
"""Our name -> the field of a polled SMS (A: both sample answers are lost)."""

OVERDUE = (
    Word(
        "campaign_open",
        "deadline.warned",
        "its output date is over and the campaign is still open, so nothing of it is printed",
        "R",
        note="Ours, from state, output_date and envelope_count of one answer; closing the campaign is all that helps.",
    ),
)

RESCHEDULED = (
    Word(
        "rescheduled",
        "channel.switched",
        "the digital address failed; the envelope goes on as a letter",
        "R",
        note="Told by the failed envelope behind an envelope that goes on (`?state=failed`).",
    ),
)

REACHABLE = (
    Word("reachable", "dispatch.answered", "the recipient has such a mailbox", "R"),
    Word("not_reachable", "channel.switched", "the recipient has no such mailbox; it goes as a letter", "R"),
)
"""Asked only where the answer decides the channel (`Options.ask_reachable`)."""

RECEIPT = (
    Word(
        "kb_receipt",
        "acknowledgement.received",
        "the receipt of delivery of a registered letter, as the carrier mailed it",
        "R",
    ),
)

PLAN = (
    Word(
        "output_date",
        "dispatch.answered",
        "when it is to be printed and distributed",
        "R",
        note="No sooner can anything be late: what is expected of the producer counts from here.",
    ),
)
