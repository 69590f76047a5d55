"""The certification data of a PEC message (daticert.xml): found among the parts, read, and held against the DTD.

RFC 6109 section 4.4. Data that breaks the DTD is read all the same and marked: real providers publish such data.
Leaves out: what a kind of receipt means (wire.py).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple
from xml.etree.ElementTree import Element

from adapters.providers.pec_mailbox import mime
from adapters.providers.pec_mailbox.statuses import ERRORS, KINDS, RECEIPTS, RECIPIENTS
from adapters.providers.reading import xml_root
from ledger.observations import ProviderTime, UnreadableError, ZoneBasis

MAX_BYTES = 8 * 1024 * 1024
"""Measured: 100,000 recipients with short addresses take 5 MB."""

MAX_TAGS = 400_000
"""As many as twice 100,000 recipients have; empty elements in 8 MB would be two million, and take seconds."""

NAMES = frozenset({"daticert.xml", "certdata.xml"})
"""certdata.xml is the name in RFC 6109 section 4.3.3; providers write daticert.xml, the name of the Italian rules."""

_PROBE_BYTES = 8192
_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<postacert[\s/>]")
_DECLARATION = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>)?")
_BRACKETED = re.compile(r"<([^<>\s]+)>")
_LAST = b"</postacert>"
_DAY = re.compile(r"(\d\d)/(\d\d)/(\d{4})", re.ASCII)
_HOUR = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)", re.ASCII)
_ZONE = re.compile(r"([+-])(\d\d):?([0-5]\d)", re.ASCII)

_CHILDREN = {  # element -> its content model; an element that is not here holds text only
    "postacert": "intestazione dati ",
    "intestazione": "mittente (destinatari )+risposte (oggetto )?",
    "dati": "gestore-emittente data identificativo (msgid )?(ricevuta )?(consegna )?(ricezione )*(errore-esteso )?",
    "data": "giorno ora ",
    "ricevuta": "",
}
_ATTRIBUTES = {  # (element, attribute) -> allowed values, and whether it must be there
    ("postacert", "tipo"): ("|".join(row.word for row in KINDS), True),
    ("postacert", "errore"): ("|".join(row.word for row in ERRORS), False),
    ("destinatari", "tipo"): ("|".join(row.word for row in RECIPIENTS), False),
    ("data", "zona"): (".*", True),
    ("ricevuta", "tipo"): ("|".join(row.word for row in RECEIPTS), True),
}


class Found(NamedTuple):
    """Certification data as it stood in the e-mail.

    Attributes:
        xml: its bytes, transfer encoding undone.
        covered: it lies in the part that a signature is there for; the signature was not checked.
        doubled: other, different certification data stands in the same e-mail.
    """

    xml: bytes
    covered: bool
    doubled: bool


class Recipient(NamedTuple):
    """One of `destinatari`: the address as written, and its kind (`certificato` or `esterno`)."""

    address: str
    kind: str


class Daticert(NamedTuple):
    """What the certification data says; "" or () for what it leaves out.

    Attributes:
        day, hour, zone: of processing, as written.
        identifier: the provider's own id of the message; msgid: the sender's, without angle brackets.
        consigned: the one recipient that a delivery receipt is about.
        received: the recipients that a receiving provider took charge for.
        valid: it keeps to the DTD.
        repaired: it was readable only in another character set than it claims, or without what stands behind it.
    """

    kind: str
    error: str
    sender: str
    recipients: tuple[Recipient, ...]
    subject: str
    provider: str
    day: str
    hour: str
    zone: str
    identifier: str
    msgid: str
    receipt_kind: str
    consigned: str
    received: tuple[str, ...]
    error_text: str
    valid: bool
    repaired: bool


def find(mail: bytes, top: mime.Part) -> Found | None:
    """The certification data among the parts, known by name or content: signed before unsigned, then named first."""
    found = []
    for part, covered in mime.leaves(top):
        named = part.name in NAMES
        xml = _certification(mail, part, named=named)
        if xml is not None:
            found.append((not covered, not named, xml))
    if not found:
        return None
    unsigned, _, xml = min(found, key=lambda candidate: candidate[:2])
    return Found(xml, not unsigned, any(other != xml for _, _, other in found))


def read(xml: bytes) -> Daticert:
    """Read certification data, whether or not it keeps to the DTD.

    Raises:
        UnreadableError: too large, not XML, with entities, or something else than certification data.
    """
    if len(xml) > MAX_BYTES:
        msg = f"{len(xml)} bytes of certification data; at most {MAX_BYTES} are read"
        raise UnreadableError(msg)
    tags = xml.count(b"<")
    if tags > MAX_TAGS:
        msg = f"{tags} tags in the certification data; at most {MAX_TAGS} are read"
        raise UnreadableError(msg)
    root, was_repaired = _root(xml)
    if root.tag != "postacert":
        msg = "the certification data does not begin with the element postacert"
        raise UnreadableError(msg)

    def value(path: str) -> str:
        return (root.findtext(path) or "").strip()

    def attribute(path: str, name: str, default: str = "") -> str:
        element = root.find(path)
        return default if element is None else element.get(name, default).strip()

    return Daticert(
        kind=attribute(".", "tipo"),
        error=attribute(".", "errore", "nessuno"),
        sender=value("intestazione/mittente"),
        recipients=_recipients(root),
        subject=value("intestazione/oggetto"),
        provider=value("dati/gestore-emittente"),
        day=value("dati/data/giorno"),
        hour=value("dati/data/ora"),
        zone=attribute("dati/data", "zona"),
        identifier=bare_id(value("dati/identificativo")),
        msgid=bare_id(value("dati/msgid")),
        receipt_kind=attribute("dati/ricevuta", "tipo"),
        consigned=value("dati/consegna"),
        received=tuple(dict.fromkeys(_texts(root, "dati/ricezione"))),
        error_text=value("dati/errore-esteso"),
        valid=all(map(_keeps_to_dtd, root.iter())),
        repaired=was_repaired,
    )


def written_time(cert: Daticert) -> str:
    """Day, hour and zone as the provider wrote them."""
    return " ".join(filter(None, (cert.day, cert.hour, cert.zone)))


def occurred(cert: Daticert) -> ProviderTime | None:
    """When the provider did what it certifies, or None when that cannot be read; no zone is taken as UTC, assumed."""
    day, hour, zone = _DAY.fullmatch(cert.day), _HOUR.fullmatch(cert.hour), _ZONE.fullmatch(cert.zone)
    if not day or not hour or (cert.zone and not zone):
        return None
    hours, minutes, seconds = map(int, hour.groups())
    try:
        east = timedelta(hours=int(zone[2]), minutes=int(zone[3])) if zone else timedelta()
        offset = timezone(-east if zone and zone[1] == "-" else east)
        midnight = datetime(int(day[3]), int(day[2]), int(day[1]), tzinfo=offset)
        # A leap second (`:60`) is allowed there; datetime knows none, adding does.
        at = (midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return ProviderTime(at, written_time(cert), ZoneBasis.STATED if zone else ZoneBasis.ASSUMED)


def bare_id(value: str) -> str:
    """A message id as a whole token: what stands in the angle brackets if there is one pair, else all of the text."""
    bracketed = _BRACKETED.findall(value)
    return bracketed[0] if len(bracketed) == 1 else value.strip().removeprefix("<").removesuffix(">").strip()


def _certification(mail: bytes, part: mime.Part, *, named: bool) -> bytes | None:
    declared = mime.decoder(part)
    # A wrong Content-Transfer-Encoding is forgiven: it may be plain, or base64, whatever was declared.
    readings = (declared, bytes, mime.from_base64)
    probe = mail[part.body : min(part.end, part.body + _PROBE_BYTES)]
    fitting = next((decode for decode in readings if _BEGINS.match(decode(probe))), None)
    if fitting is None and not named:
        return None
    return (fitting or declared)(mail[part.body : min(part.end, part.body + 2 * MAX_BYTES)])


def _root(xml: bytes) -> tuple[Element, bool]:
    try:
        return xml_root(xml.lstrip()), False
    except UnreadableError:
        bare = _DECLARATION.sub(b"", xml[: xml.rfind(_LAST) + len(_LAST)] if _LAST in xml else xml, count=1)
        try:
            text = bare.decode("utf-8")
        except UnicodeDecodeError:
            text = bare.decode("iso-8859-1")  # the other character set that RFC 6109 knows
        if text.encode("utf-8") == xml:
            raise
        return xml_root(text.encode("utf-8")), True


def _texts(root: Element, path: str) -> list[str]:
    return [text for element in root.iterfind(path) if (text := (element.text or "").strip())]


def _recipients(root: Element) -> tuple[Recipient, ...]:
    listed: dict[str, Recipient] = {}
    for element in root.iterfind("intestazione/destinatari"):
        address = (element.text or "").strip()
        if address:
            listed.setdefault(address.casefold(), Recipient(address, element.get("tipo", "certificato").strip()))
    return tuple(listed.values())


def _keeps_to_dtd(element: Element) -> bool:
    names = "".join(f"{child.tag} " for child in element)
    model = _CHILDREN.get(element.tag)
    if not re.fullmatch(model or "", names):
        return False
    if model is not None and any((text or "").strip() for text in (element.text, *(child.tail for child in element))):
        return False
    allowed = {name: rule for (tag, name), rule in _ATTRIBUTES.items() if tag == element.tag}
    return (
        element.attrib.keys() <= allowed.keys()
        and all(name in element.attrib for name, (_, needed) in allowed.items() if needed)
        and all(re.fullmatch(allowed[name][0], value, re.DOTALL) for name, value in element.items())
    )
