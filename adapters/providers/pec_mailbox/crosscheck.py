"""What was odd about a certified message: its header and structure held against its certification data.

A difference never changes what the message means; it becomes a note.
"""

from __future__ import annotations

from adapters.providers.pec_mailbox import bounces, contents, mime
from adapters.providers.pec_mailbox.daticert import Daticert, Found, bare_id, occurred

NOTES = {
    "signature_missing": "no signature stands beside what was read in this copy",
    "mime_damaged": "the e-mail's structure is torn or cut off; what could be read was read",
    "daticert_invalid": "the certification data breaks the DTD of RFC 6109",
    "daticert_missing": "header fields of certified e-mail without certification data: nothing is claimed from them",
    "daticert_doubled": "other certification data stands in the same e-mail; a signed, then a named one was preferred",
    "header_differs": "X-Ricevuta, X-Trasporto or X-VerificaSicurezza says something else than the certification data",
    "header_missing": "neither X-Ricevuta nor X-Trasporto stands in the header",
    "msgid_domain_differs": "header and certification data name the message alike but for the domain",
    "msgid_differs": "header and certification data name different messages; the certification data was followed",
    "reference_unsigned": "only the header, which nothing signs, names the message: nothing was attributed by it",
    "recipient_missing": "a receipt about one recipient that names none",
    "recipient_not_listed": "a receipt about a recipient whom it does not list among the message's",
    "not_a_receipt": "a message that came in, not a statement about one that was sent",
    "text_repaired": "characters that could not be read or stored were replaced, or read in another character set",
    "time_unreadable": "the provider's time could not be read; it stands in the texts",
    "finality_by_5_4_1": "warning or final notice: told apart by whether errore-esteso begins with 5.4.1 (an assumption)",
    **bounces.NOTES,
    **contents.NOTES,
}


def notes(top: mime.Part, found: Found, cert: Daticert) -> tuple[str, ...]:
    """The tokens of NOTES that hold for a message with certification data, whoever it is about."""
    header = top.fields
    said = header.get("x-ricevuta") or header.get("x-trasporto") or ""
    told_virus = header.get("x-verificasicurezza", "").casefold() == "errore"
    told_id = bare_id(header.get("x-riferimento-message-id", ""))
    held = {
        "signature_missing": not found.covered,
        "mime_damaged": not mime.is_whole(top),
        "daticert_invalid": not cert.valid,
        "daticert_doubled": found.doubled,
        "header_differs": (said and said.casefold() != cert.kind) or (told_virus and cert.error != "virus"),
        "header_missing": not said,
        difference(told_id, cert.msgid): told_id and cert.msgid,
        "reference_unsigned": found.covered and told_id and not cert.msgid,
        "text_repaired": cert.repaired,
        "time_unreadable": occurred(cert) is None,
        "finality_by_5_4_1": cert.kind == "preavviso-errore-consegna",
    }
    return tuple(note for note, holds in held.items() if note and holds)


def difference(one: str, other: str) -> str:
    """The note on two message ids; "" when they are one but for the case of the domain."""
    (local, _, domain), (other_local, _, other_domain) = one.rpartition("@"), other.rpartition("@")
    if local != other_local or not local:
        return "" if one == other else "msgid_differs"
    return "" if domain.casefold() == other_domain.casefold() else "msgid_domain_differs"
