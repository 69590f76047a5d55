"""Reads the receipts and envelopes of certified e-mail (RFC 6109) into observations, with what else stands in a mailbox.

The certification data alone decides what a message means; header fields are compared with it and a difference becomes
a note. Leaves out: the S/MIME signature, and comparing the original inside a receipt with what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from adapters.providers.contract import Word
from adapters.providers.pec_mailbox import bounces, crosscheck, daticert, mime
from adapters.providers.pec_mailbox.contents import contents
from adapters.providers.pec_mailbox.daticert import Daticert, bare_id
from adapters.providers.pec_mailbox.smtp import submitted, traced
from adapters.providers.pec_mailbox.statuses import ERRORS, FINAL_NOTICE, KINDS, RECIPIENTS, TIMEOUTS, TRANSPORTS
from adapters.providers.reading import repaired, time_rfc2822
from ledger.observations import Address, Arrival, Observation, Reference, UnreadableError

_KINDS = {row.word: row for row in KINDS}
_ERRORS = {row.word: row for row in ERRORS}
_TIMEOUTS = {row.word: row for row in TIMEOUTS}
_TRANSPORTS = {row.word: row for row in TRANSPORTS}
_EXTERNAL = next(row for row in RECIPIENTS if row.type)

_HEAD_BYTES = 64 * 1024
_EMAIL = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:From [^\n]*\n)?[!-9;-~]+[ \t]*:")
_CERTIFIED = re.compile(rb"^X-(?:Ricevuta|Trasporto)[ \t]*:|(?:daticert|certdata)\.xml", re.IGNORECASE | re.MULTILINE)


def recognise(file_name: str, body: bytes) -> str:
    """`receipt` for an .eml file, or for an e-mail that says in its first 64 KiB that it is a certified one."""
    head = body[:_HEAD_BYTES]
    is_certified = _EMAIL.match(head) is not None and _CERTIFIED.search(head) is not None
    return "receipt" if file_name.casefold().endswith(".eml") or is_certified else ""


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What an e-mail of a PEC mailbox says.

    Raises:
        UnreadableError: not an e-mail, not a certified one, or its certification data cannot be read.
    """
    reader = _OPERATIONS.get(arrival.operation)
    if reader is None:
        msg = f"operation {arrival.operation!r} is not read"
        raise UnreadableError(msg)
    return reader(arrival)


def _submission(arrival: Arrival) -> tuple[Observation, ...]:
    return tuple(map(_finished, submitted(arrival)))


def _search(arrival: Arrival) -> tuple[Observation, ...]:
    return tuple(map(_finished, traced(arrival)))


def _receipt(arrival: Arrival) -> tuple[Observation, ...]:
    mail = arrival.body
    top = mime.read(mail)
    transport = _TRANSPORTS.get(top.fields.get("x-trasporto", "").casefold())
    found = None if transport else daticert.find(mail, top)
    if found is None:
        return _uncertified(mail, top, transport)
    cert = daticert.read(found.xml)
    base = _base(top, found, cert)
    if base.type == "content.consigned":
        told = contents(mail, top, cert.receipt_kind, covered=found.covered)
        base = replace(base, documents=told.documents, notes=(*base.notes, *told.notes))
    return tuple(_READERS.get(cert.kind, _unknown)(base, cert))


def _uncertified(mail: bytes, top: mime.Part, transport: Word | None) -> tuple[Observation, ...]:
    """What has no certification data, or is said by the provider to be none of its own."""
    wrapped = transport is not None
    bounce = bounces.find(mail, top, wrapped=wrapped)
    if bounce:
        return tuple(map(_finished, bounces.read(mail, bounce, wrapped=wrapped)))
    return (_anomaly(top, transport) if transport else _bare(top),)


def _base(top: mime.Part, found: daticert.Found, cert: Daticert) -> Observation:
    """What every observation of one message shares."""
    row, error = _row(cert), _ERRORS.get(cert.error)
    texts = {
        "code": cert.kind if row is None else "",
        "text": mime.decoded(top.fields.get("subject", "")) if row is None else "",
        "reason": cert.error if error is None else "",
        "subject": mime.decoded(cert.subject),
        "sender": cert.sender,
        "provider_name": cert.provider,
        "error_text": cert.error_text,
        "receipt_message_id": bare_id(top.fields.get("message-id", "")),
        "receipt_kind": cert.receipt_kind,
    }
    occurred = daticert.occurred(cert)
    return _finished(
        Observation(
            type=row.type if row else "channel.unmapped",
            references=_references(top.fields, cert, covered=found.covered),
            occurred=occurred,
            code=cert.kind if row else "",
            reason=_reason(cert, row),
            identity=_identity(cert),
            content=_content(cert),
            texts=texts if occurred else {**texts, "time": daticert.written_time(cert)},
            notes=crosscheck.notes(top, found, cert),
        )
    )


def _row(cert: Daticert) -> Word | None:
    row = _KINDS.get(cert.kind)
    is_final = row is not None and row.reason == "warning_12h" and FINAL_NOTICE.match(cert.error_text)
    return _TIMEOUTS["final_24h"] if is_final else row


def _reason(cert: Daticert, row: Word | None) -> str:
    own = row.reason if row else ""
    error = _ERRORS.get(cert.error)
    return own if own in _TIMEOUTS or error is None else error.reason or own


def _references(fields: Mapping[str, str], cert: Daticert, *, covered: bool) -> tuple[Reference, ...]:
    told = bare_id(fields.get("x-riferimento-message-id", ""))
    # Where only the domain differs one of the two was rewritten, and the sender may know either.
    is_rewritten = crosscheck.difference(told, cert.msgid) == "msgid_domain_differs"
    pairs = (
        # No signature is over the header: whoever has a signed receipt could write any message's name into it.
        ("msgid", cert.msgid or ("" if covered else told)),
        ("identificativo", cert.identifier),
        ("msgid", told if is_rewritten and cert.msgid else ""),
    )
    return tuple(Reference(kind, value) for kind, value in pairs if value)


def _identity(cert: Daticert) -> tuple[str, ...]:
    """Empty (the whole body counts) for a message that names neither itself nor what it is about."""
    name = cert.identifier or cert.msgid
    row = _row(cert)
    finality = (row.reason,) if row and row.reason in _TIMEOUTS else ()
    return ("receipt", cert.kind, name, cert.consigned, *finality) if name else ()


def _content(cert: Daticert) -> tuple[str, ...]:
    recipients = sorted(f"{recipient.kind} {recipient.address}" for recipient in cert.recipients)
    return (cert.error, cert.day, cert.hour, cert.zone, cert.msgid, cert.error_text, *recipients)


def _address(value: str) -> Address:
    return Address("email" if "@" in value else "other", value)


def _declared(cert: Daticert) -> tuple[Address, ...]:
    return tuple(_address(recipient.address) for recipient in cert.recipients)


def _accepted(base: Observation, cert: Daticert) -> list[Observation]:
    external = [r.address for r in cert.recipients if r.kind == _EXTERNAL.word]
    return [
        replace(base, declares=_declared(cert)),
        *(
            replace(
                base,
                type=_EXTERNAL.type,
                about="recipient",
                recipient=_address(address),
                reason=_EXTERNAL.reason,
                identity=base.identity and ("receipt", cert.kind, base.identity[2], address, _EXTERNAL.word),
            )
            for address in external
        ),
    ]


def _not_accepted(base: Observation, cert: Daticert) -> list[Observation]:
    return [replace(base, declares=_declared(cert))]


def _envelope(base: Observation, _: Daticert) -> list[Observation]:
    """A certified message to us; its msgid was chosen by a stranger, so it is no claim on a message of ours."""
    names = tuple(name._replace(exclusive=name.kind != "msgid") for name in base.references)
    return [replace(base, references=names, notes=(*base.notes, "not_a_receipt"))]


def _delivery(base: Observation, cert: Daticert) -> list[Observation]:
    return _about_each(base, cert, (cert.consigned,))


def _taken(base: Observation, cert: Daticert) -> list[Observation]:
    return _about_each(base, cert, cert.received or ("",))


def _unknown(base: Observation, cert: Daticert) -> list[Observation]:
    return _delivery(base, cert) if cert.consigned else [base]


def _about_each(base: Observation, cert: Daticert, addresses: tuple[str, ...]) -> list[Observation]:
    """One observation per address; of the message's recipients each declares only its own."""
    listed = {recipient.address.casefold() for recipient in cert.recipients}
    return [_about(base, address, is_listed=address.casefold() in listed) for address in addresses]


def _about(base: Observation, address: str, *, is_listed: bool) -> Observation:
    if not address:
        return replace(base, about="recipient", notes=(*base.notes, "recipient_missing"))
    return replace(
        base,
        about="recipient",
        recipient=_address(address),
        declares=(_address(address),),
        identity=base.identity and (*base.identity[:3], address, *base.identity[4:]),
        notes=base.notes if is_listed else (*base.notes, "recipient_not_listed"),
    )


def _anomaly(top: mime.Part, row: Word) -> Observation:
    """An anomaly envelope; it has no reference, because what it wraps may quote any message id."""
    base = _header_only(top, "not_a_receipt")
    return replace(base, type=row.type, code=row.word, reason=row.reason)


def _bare(top: mime.Part) -> Observation:
    """A certified message whose certification data is gone: what its header says is kept, nothing claimed from it."""
    word = top.fields.get("x-ricevuta") or top.fields.get("x-trasporto")
    if not word:
        msg = "neither certification data nor header fields of certified e-mail"
        raise UnreadableError(msg)
    base = _header_only(top, "daticert_missing")
    msgid = bare_id(top.fields.get("x-riferimento-message-id", ""))
    texts = {**base.texts, "code": word, "text": mime.decoded(top.fields.get("subject", ""))}
    return _finished(replace(base, texts=texts, references=(Reference("msgid", msgid),) if msgid else ()))


def _header_only(top: mime.Part, note: str) -> Observation:
    """What a header says that nobody vouches for; its ids name nothing either, so the whole body is the identity."""
    date = top.fields.get("date", "")
    occurred = time_rfc2822(date)
    notes = {note: True, "mime_damaged": not mime.is_whole(top), "time_unreadable": occurred is None}
    texts = {
        "subject": mime.decoded(top.fields.get("subject", "")),
        "sender": mime.decoded(top.fields.get("from", "")),
        "receipt_message_id": bare_id(top.fields.get("message-id", "")),
        "time": "" if occurred else date,
    }
    return _finished(
        Observation(
            type="channel.unmapped",
            occurred=occurred,
            texts=texts,
            notes=tuple(note for note, holds in notes.items() if holds),
        )
    )


def _finished(observation: Observation) -> Observation:
    """Texts that are not empty and can be stored."""
    texts = {path: repaired(text) for path, text in observation.texts.items() if text}
    is_broken = "\N{REPLACEMENT CHARACTER}" in "".join(texts.values()) and "text_repaired" not in observation.notes
    return replace(observation, texts=texts, notes=(*observation.notes, *(("text_repaired",) if is_broken else ())))


_READERS: dict[str, Callable[[Observation, Daticert], list[Observation]]] = {
    "accettazione": _accepted,
    "non-accettazione": _not_accepted,
    "posta-certificata": _envelope,
    "presa-in-carico": _taken,
    "avvenuta-consegna": _delivery,
    "errore-consegna": _delivery,
    "preavviso-errore-consegna": _delivery,
    "rilevazione-virus": _delivery,
}
_OPERATIONS: dict[str, Callable[[Arrival], tuple[Observation, ...]]] = {
    "receipt": _receipt,
    "submission": _submission,
    "search": _search,
}
