"""Assumed words and member names of KPN Cloud Fax, in our words.

KPN publishes the operations of this product and nothing of any body: every row here is an assumption (A), or the word
of a comparable provider (CMP, named in the note). The first real answer corrects these tables and nothing else.

A word is compared in folded form: lower case, blanks and hyphens as underscores ("Pending Retry" is `pending_retry`).
States that are numbers are left out on purpose: every comparable provider counts differently.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.providers.contract import Word

STATUS: tuple[Word, ...] = (
    Word("accepted", "submission.accepted", "the job was taken", "A"),
    Word("new", "submission.accepted", "the job was taken", "CMP", note="eFax Enterprise"),
    Word("queued", "relay.delayed", "waits to be sent", "CMP", note="Sinch, RingCentral"),
    Word("pending", "relay.delayed", "waits to be sent", "CMP", note="Microsoft Fax"),
    Word("on_hold", "relay.delayed", "waits for something", "CMP", note="HelloSign"),
    Word("paused", "relay.delayed", "waits for something", "CMP", note="Microsoft Fax"),
    Word("rendering", "production.advanced", "the document becomes fax pages", "A"),
    Word("processing", "production.advanced", "the document becomes fax pages", "A"),
    Word("sending", "production.advanced", "the call is going on", "A"),
    Word("transmitting", "production.advanced", "the call is going on", "CMP", note="HelloSign"),
    Word("in_progress", "production.advanced", "the call is going on", "CMP", note="eFax Enterprise, Sinch"),
    Word("retrying", "relay.delayed", "will be tried again", "CMP", note="Microsoft Fax"),
    Word("pending_retry", "relay.delayed", "will be tried again", "CMP", note="eFax Enterprise"),
    Word("sent", "content.consigned", "all pages confirmed by the other machine", "CMP", note="RingCentral"),
    Word(
        "delivered", "content.consigned", "all pages confirmed by the other machine", "CMP", note="Telnyx, RingCentral"
    ),
    Word("success", "content.consigned", "all pages confirmed by the other machine", "CMP", note="HelloSign"),
    Word("ok", "content.consigned", "all pages confirmed by the other machine", "CMP", note="InterFAX, for its 0"),
    Word("completed", "content.consigned", "all pages confirmed by the other machine", "CMP", note="eFax, Sinch"),
    Word("partial", "content.consignment_failed", "some pages of several", "A", reason="partial", retry="person"),
    Word(
        "partially_sent", "content.consignment_failed", "some pages of several", "A", reason="partial", retry="person"
    ),
    Word("failed", "content.consignment_failed", "given up", "CMP", note="Telnyx, Microsoft Fax"),
    Word("failure", "content.consignment_failed", "given up", "CMP", note="Sinch"),
    Word("error", "content.consignment_failed", "given up", "CMP", note="eFax Enterprise"),
    Word("sendingfailed", "content.consignment_failed", "given up", "CMP", note="RingCentral"),
    Word("deliveryfailed", "content.consignment_failed", "given up", "CMP", note="RingCentral"),
    Word("rejected", "content.consignment_failed", "refused by the other side", "A", reason="rejected", retry="never"),
    Word("expired", "relay.failed", "not sent in time", "A", retry="later"),
    Word("retries_exceeded", "relay.failed", "tried as often as allowed", "CMP", retry="later", note="Microsoft Fax"),
    Word("cancelled", "submission.cancelled", "withdrawn", "A"),
    Word("canceled", "submission.cancelled", "withdrawn", "CMP", note="eFax Enterprise, Microsoft Fax"),
    Word("received", "inbound.received", "an incoming fax is there", "CMP", note="Telnyx, RingCentral"),
    Word("fetched", "inbound.fetched", "an incoming fax was read: it no longer stands among the new ones", "A"),
    Word("reset", "inbound.reset", "an incoming fax was marked as new again", "A"),
    Word("content_deleted", "provider_content.deleted", "the content is gone at the provider", "A"),
    Word("ack_requested", "acknowledgement.requested", "a receipt was asked for", "A"),
    Word("ack_reminded", "acknowledgement.reminded", "a receipt was asked for again (`jobRemainder`)", "A"),
    Word("acknowledged", "acknowledgement.received", "the recipient gave a receipt", "A"),
)

SMS: tuple[Word, ...] = (
    Word("sent", "relay.accepted", "the mobile network took it", "CMP", note="Vonage; of a fax it means delivered"),
    Word("success", "relay.accepted", "the mobile network took it", "A", note="of a text message no more than sent"),
    Word("ok", "relay.accepted", "the mobile network took it", "A", note="of a text message no more than sent"),
    Word("completed", "relay.accepted", "the mobile network took it", "A", note="of a text message no more than sent"),
    Word("delivered", "content.consigned", "the phone confirmed it", "CMP", note="Vonage"),
)
"""Read first where the job is a text message: nobody confirms pages there."""

JOB: tuple[Word, ...] = (
    Word(
        "completed",
        "production.advanced",
        "the job is worked off",
        "A",
        note="said of a job without its targets it may mean that some failed; of one target it means delivered",
    ),
)
"""Read first where a state names no target."""

REASON: tuple[Word, ...] = (
    Word("busy", "", "the line was busy", "A", reason="busy", retry="later"),
    Word("user_busy", "", "the line was busy", "CMP", reason="busy", retry="later", note="Telnyx"),
    Word("error_busy", "", "the line was busy", "CMP", reason="busy", retry="later", note="HelloSign"),
    Word("no_answer", "", "nobody answered", "A", reason="no_answer", retry="later"),
    Word("receiver_no_answer", "", "nobody answered", "CMP", reason="no_answer", retry="later", note="Telnyx"),
    Word("error_no_answer", "", "nobody answered", "CMP", reason="no_answer", retry="later", note="HelloSign"),
    Word("invalid_number", "", "no such number", "A", reason="invalid_number", retry="never"),
    Word("destination_invalid", "", "no such number", "CMP", reason="invalid_number", retry="never", note="Telnyx"),
    Word("receiver_unallocated_number", "", "no such number", "CMP", "invalid_number", "never", "Telnyx"),
    Word("receiver_invalid_number_format", "", "no such number", "CMP", "invalid_number", "never", "Telnyx"),
    Word("error_bad_destination", "", "no such number", "CMP", "invalid_number", "never", "HelloSign"),
    Word("no_fax_tone", "", "something answered that is no fax machine", "A", reason="no_fax_tone", retry="person"),
    Word("fax_initial_communication_timeout", "", "no fax machine answered", "CMP", "no_fax_tone", "person", "Telnyx"),
    Word("receiver_incompatible_destination", "", "no fax machine answered", "CMP", "no_fax_tone", "person", "Telnyx"),
    Word("communication_error", "", "the call broke", "A", reason="communication_error", retry="later"),
    Word("receiver_communication_error", "", "the call broke", "CMP", "communication_error", "later", "Telnyx"),
    Word("receiver_call_dropped", "", "the call broke", "CMP", "communication_error", "later", "Telnyx"),
    Word("fax_signaling_error", "", "the call broke", "CMP", "communication_error", "later", "Telnyx"),
    Word("error_disconnected", "", "the call broke", "CMP", "communication_error", "later", "HelloSign"),
    Word("rejected", "", "the other side refused", "A", reason="rejected", retry="never"),
    Word("receiver_decline", "", "the other side refused", "CMP", reason="rejected", retry="never", note="Telnyx"),
    Word("rendering_failed", "", "the document could not become pages", "A", reason="rendering_failed", retry="person"),
    Word("error_file", "", "the document could not become pages", "CMP", "rendering_failed", "person", "HelloSign"),
    Word("unreachable", "", "the network found no way", "A", reason="unreachable", retry="later"),
    Word("destination_unreachable", "", "the network found no way", "CMP", "unreachable", "later", "Telnyx"),
    Word("service_unavailable", "", "the network found no way", "CMP", "unreachable", "later", "Telnyx"),
    Word("noline", "", "no line was free", "CMP", reason="unreachable", retry="later", note="Microsoft Fax"),
    Word("no_credit", "", "the account has no credit", "A", reason="no_credit", retry="person"),
    Word("partial", "", "some pages of several arrived", "A", reason="partial", retry="person"),
)

MEMBERS: Mapping[str, tuple[str, ...]] = {
    # `jobid` and `target` are attested as parameters (AckRequest); that answers use them is assumed.
    "jobid": ("jobid", "key"),
    "target": ("target", "number", "recipient", "faxnumber", "to"),  # `number`: Retarus
    "targets": ("targets", "recipientstatus", "recipients", "target"),  # `recipientStatus`: Retarus
    "events": ("events", "history", "items"),
    "status": ("status", "state", "code", "event"),
    "description": ("description", "text", "message"),
    "error": ("errorcode", "failurereason", "reason", "error"),  # `failure_reason`: Telnyx; `reason`: Retarus
    "error_text": ("errortext", "errormessage", "errordescription"),
    "time": ("timestamp", "sentts", "endtime", "enddate", "time", "date"),  # `sentTs`: Retarus
    "started": ("starttime", "startdate"),
    "made": ("created", "createdat", "submitted", "submittime"),
    "direction": ("direction",),
    "pages_sent": ("pagessent", "sentpages"),
    "pages_total": ("pages", "pagestotal", "totalpages"),  # `pages`: Retarus
    "attempts": ("attempts", "retries"),
    "duration_s": ("durationinsecs", "duration"),  # `durationInSecs`: Retarus
    "remote_id": ("remotecsid", "remoteid", "csid"),  # `remoteCsid`: Retarus
    "list_page": ("page",),
    "list_pages": ("pagecount",),
    "subject": ("subject",),
    "kind": ("jobtype", "faxtype", "messagetype", "type"),  # JobType and faxType are attested as parameters
    "jobs": ("jobs", "injobs", "messages", "items"),
    "message_id": ("jobid", "id", "key"),
    "from": ("from", "sender", "callerid"),
    "to": ("to", "did", "target"),
    "notify": ("notifyto",),  # attested as a parameter
    "zone": ("timezone", "zone", "name"),  # timeZone is attested as a parameter
    "documents": ("documents", "files"),
    "name": ("name", "filename", "documentname"),
    "content": ("content", "data", "document", "file"),
}
"""Our name of a member -> names under which it is looked for, without case, underscores and hyphens; the first wins."""
