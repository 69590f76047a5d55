"""KPN's words for text messages, in our words; and the names of the members that carry them.

Status and failure codes are from KPN's SMS documentation page, as summarised by a third party (3P). The failure code of
a report is our reason as it stands ("006", never 6): it only qualifies, the status decides the type.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.providers.contract import Word

STATUS: tuple[Word, ...] = (
    Word("1", "content.consigned", "delivered", "3P"),
    Word("2", "relay.delayed", "queued", "3P"),
    Word("3", "relay.accepted", "accepted by the network", "3P"),
    Word("4", "content.consignment_failed", "failed", "3P", note="the failure code says why and whether to try again"),
    Word("5", "relay.rejected", "rejected", "3P", note="the failure code says why and whether to try again"),
    Word("6", "relay.failed", "expired undelivered", "3P", retry="later"),
)

REASON: tuple[Word, ...] = (
    Word("001", "", "unknown or unspecified error", "3P", retry="later"),
    Word("002", "", "the number or subscriber is unknown or invalid", "3P", retry="never"),
    Word("003", "", "the recipient is barred, blocked or suspended", "3P", retry="never"),
    Word("004", "", "the recipient has opted out", "3P", retry="never"),
    Word("005", "", "the recipient, network or device cannot receive text messages", "3P", retry="never"),
    Word("006", "", "the handset is unavailable or busy for now", "3P", retry="later"),
    Word("007", "", "the recipient is out of reach for now", "3P", retry="later"),
    Word("008", "", "the recipient is deregistered or gone for good", "3P", retry="never"),
    Word("009", "", "trouble with handset, SIM or storage, for now", "3P", retry="later"),
    Word("010", "", "trouble with handset, SIM or device, for good", "3P", retry="never"),
    Word("011", "", "the network, a system or the operator failed", "3P", retry="later"),
    Word("012", "", "trouble with number portability", "3P", retry="later"),
    Word("013", "", "no suitable route within the provider", "3P", retry="person"),
    Word("014", "", "no route to the recipient", "3P", retry="person"),
    Word("015", "", "unspecified routing error", "3P", retry="later"),
    Word("016", "", "the request is malformed", "3P", retry="never"),
    Word("017", "", "a parameter or the encoding is wrong", "3P", retry="never"),
    Word("018", "", "held back by anti-spam or other safeguards", "3P", retry="person"),
    Word("019", "", "the content is not permitted", "3P", retry="never"),
    Word("020", "", "not enough credit or quota", "3P", retry="person"),
    Word("021", "", "blocked by age or parental control", "3P", retry="never"),
    Word("022", "", "the recipient has opted out or is on a do-not-disturb list", "3P", retry="never"),
    Word("023", "", "a limit of spending, rate or conversations is reached", "3P", retry="later"),
    Word("024", "", "the validity ran out before delivery", "3P", retry="later"),
    Word("025", "", "a third party failed", "3P", retry="later"),
    Word("026", "", "the DLT entity id is missing or invalid", "3P", retry="person"),
    Word("027", "", "the DLT header id is missing or invalid", "3P", retry="person"),
    Word("028", "", "the DLT content id is missing or invalid", "3P", retry="person"),
    Word("029", "", "the recipient's consent is missing", "3P", retry="never"),
    Word("030", "", "other regulatory error", "3P", retry="person"),
)

DLR_MEMBERS: Mapping[str, str] = {
    # Attested in KPN's definitions.
    "document_id": "DLRID",  # that it holds the document_id of the send call is assumed
    "number": "RecipientPhonenumber",
    "time": "StatusDateTime",
    "message": "Message",
    "message_type": "MessageType",
    "customer_id": "CustomerId",
    # Assumed: no published text names them.
    "status": "Status",
    "failure": "ErrorCode",
    "part": "MessagePart",
    "parts": "MessageParts",
}
"""What we call a member of a delivery report -> what KPN calls it. Any may be missing."""

NUMBER_FORMS: tuple[Word, ...] = (
    Word("06", "", "Dutch mobile number, national", "R"),
    Word("+316", "", "Dutch mobile number, international", "R"),
    Word("0031", "", "Dutch number, international with 00", "R"),
    Word("097", "", "Dutch number of a device", "R"),
    Word("060", "", "no valid mobile number", "R", retry="never"),
    Word("067", "", "no valid mobile number", "R", retry="never"),
    Word("069", "", "no valid mobile number", "R", retry="never"),
)

LIMITS: tuple[Word, ...] = (
    Word("messages_max_1", "", "messages in a call, API of 2020", "R"),
    Word("messages_max_5000", "", "messages in a call, API of 2025", "R"),
    Word("messages_times_numbers_max_200", "", "messages times numbers in a call", "3P"),
    Word("content_max_1000", "", "characters of a message", "3P"),
    Word("content_parts_from_161", "", "characters from which a message goes out in parts", "3P"),
    Word("content_max_160_sandbox", "", "characters of a message in the sandbox", "3P"),
    Word("sender_max_11", "", "characters of the sender's name", "R"),
    Word("expirein_min_21", "", "seconds of validity abroad", "3P"),
)
