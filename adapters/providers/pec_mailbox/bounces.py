"""Ordinary bounces: reports of mail servers about mail that left the certified world (RFC 3464, RFC 6522).

Anybody can write one: what it says is kept as ordinary mail that certifies nothing, and a good end is never believed of it.
It is about the message whose header it returns, never about one that its text or subject mentions.
Leaves out: bounces in free text, and reports that somebody read it (RFC 8098).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from adapters.providers.pec_mailbox import mime
from adapters.providers.pec_mailbox.daticert import bare_id
from adapters.providers.pec_mailbox.statuses import BOUNCES
from adapters.providers.reading import repaired, time_rfc2822
from ledger.observations import Address, Observation, ProviderTime, Reference, UnreadableError

MAX_BYTES = 1024 * 1024
"""Of the machine-readable part: some thousand recipients."""

NOTES = {
    "ordinary_mail": "an ordinary mail server's report: unsigned, certifies nothing",
    "anomaly_envelope": "it came in an anomaly envelope, by which the provider says that it is not certified mail",
}

_ACTIONS = {row.word: row for row in BOUNCES}
_STATUS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED = frozenset({"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"})
_BLANK_LINES = re.compile(rb"(?:\r?\n[ \t]*){2,}")


class Bounce(NamedTuple):
    """A delivery report within an e-mail: the e-mail's tree, the report's own tree, and its machine-readable part."""

    top: mime.Part
    status: mime.Part


def find(mail: bytes, top: mime.Part, *, wrapped: bool) -> Bounce | None:
    """The delivery report that an e-mail is; or that it holds, for an anomaly envelope."""
    whole = _wrapped(mail, top) if wrapped else top
    parts = whole.parts if whole and whole.kind == "multipart/report" else ()
    status = next((part for part in parts if part.kind in _STATUS), None)
    return Bounce(whole, status) if whole and status else None


def read(mail: bytes, bounce: Bounce, *, wrapped: bool) -> tuple[Observation, ...]:
    """One observation for each recipient that a delivery report names.

    Raises:
        UnreadableError: it is too large, or names nobody.
    """
    if bounce.status.end - bounce.status.body > MAX_BYTES:
        msg = f"a delivery report of {bounce.status.end - bounce.status.body} bytes; at most {MAX_BYTES} are read"
        raise UnreadableError(msg)
    whole, *groups = _groups(mail, bounce.status)
    about = [group for group in groups if _recipient(group)]
    if not about:
        msg = "a delivery report that names no recipient"
        raise UnreadableError(msg)
    references = tuple(_references(_returned(mail, bounce.top)))
    notes = {"ordinary_mail": True, "anomaly_envelope": wrapped, "mime_damaged": not mime.is_whole(bounce.top)}
    told = tuple(note for note, holds in notes.items() if holds)
    return tuple(_observation(bounce.top.fields, whole, group, references, told) for group in about)


def _wrapped(mail: bytes, top: mime.Part) -> mime.Part | None:
    part = next((part for part, _ in mime.leaves(top) if part.kind == "message/rfc822"), None)
    if part is None:
        return None
    try:
        return mime.read(mail, part.body, part.end, whole=part.whole)
    except UnreadableError:
        return None


def _groups(mail: bytes, status: mime.Part) -> list[Mapping[str, str]]:
    """The fields about the message, then those about each recipient."""
    raw = mime.decoder(status)(mail[status.body : status.end]).strip()
    return [mime.head(block, 0, len(block))[0] for block in _BLANK_LINES.split(raw)]


def _returned(mail: bytes, top: mime.Part) -> Mapping[str, str]:
    """The header of the message that came back; empty when it was left out."""
    part = next((part for part in top.parts if part.kind in _RETURNED), None)
    if part is None:
        return {}
    raw = mime.decoder(part)(mail[part.body : min(part.end, part.body + 2 * mime.MAX_HEADER_BYTES)]).lstrip()
    return mime.head(raw, 0, len(raw))[0]


def _references(returned: Mapping[str, str]) -> Iterator[Reference]:
    """The names of the message that came back; a transport envelope has the provider's id and refers to the sender's."""
    own, referred = (bare_id(returned.get(name, "")) for name in ("message-id", "x-riferimento-message-id"))
    is_envelope = bool(referred) or "x-trasporto" in returned
    sender_id, provider_id = (referred, own) if is_envelope else (own, "")
    yield from (
        Reference(kind, value) for kind, value in (("msgid", sender_id), ("identificativo", provider_id)) if value
    )


def _recipient(group: Mapping[str, str]) -> str:
    """The address as the sender wrote it where the report has it, else the final one."""
    return _address(group.get("original-recipient", "")) or _address(group.get("final-recipient", ""))


def _address(field: str) -> str:
    return field.rpartition(";")[2].strip().removeprefix("<").removesuffix(">").strip()


def _observation(
    header: Mapping[str, str],
    whole: Mapping[str, str],
    group: Mapping[str, str],
    references: tuple[Reference, ...],
    notes: tuple[str, ...],
) -> Observation:
    action = group.get("action", "").partition(" ")[0].casefold()
    row, recipient = _ACTIONS.get(action), _recipient(group)
    occurred, written = _time(group.get("last-attempt-date", ""), header.get("date", ""))
    own_id, status, diagnostic = bare_id(header.get("message-id", "")), *map(group.get, ("status", "diagnostic-code"))
    texts = {
        "code": "" if row else group.get("action", ""),
        "error_text": " ".join(filter(None, (status, diagnostic))),
        "final_recipient": _address(group.get("final-recipient", "")),
        "provider_name": _address(whole.get("reporting-mta", "")),
        "subject": mime.decoded(header.get("subject", "")),
        "sender": mime.decoded(header.get("from", "")),
        "receipt_message_id": own_id,
        "time": "" if occurred else written,
    }
    return Observation(
        type=row.type if row else "channel.unmapped",
        references=references,
        about="recipient",
        recipient=Address("email" if "@" in recipient else "other", recipient),
        occurred=occurred,
        code=row.word if row else "",
        reason=row.reason if row else "",
        # What names no message is known by its bytes: it waits for a person, who is to see each of them.
        identity=("bounce", own_id, action, recipient, texts["final_recipient"]) if own_id and references else (),
        content=(written, texts["error_text"]),
        texts={path: repaired(text) for path, text in texts.items() if text},
        notes=(*notes, *(() if occurred else ("time_unreadable",))),
    )


def _time(*written: str) -> tuple[ProviderTime | None, str]:
    """The first time that can be read, and what was written."""
    times = [(time_rfc2822(text), text) for text in written if text]
    return next((time for time in times if time[0]), times[0] if times else (None, ""))
