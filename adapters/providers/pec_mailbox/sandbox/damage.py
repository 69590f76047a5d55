"""What goes wrong with receipts between the provider's pen and the reader: bytes in, bytes out."""

from __future__ import annotations

import re

_OPENING = re.compile(rb"\r\n\r\nMII")


def altered(mail: bytes) -> bytes:
    """Another text under the same signature."""
    return mail.replace(b"Identificativo messaggio", b"Identificativo Messaggio", 1)


def cut_in_signature(mail: bytes) -> bytes:
    """The mail ends in the middle of smime.p7s, as published receipts do."""
    found = list(_OPENING.finditer(mail))
    return mail[: found[-1].end() + 60] if found else mail


def without_signature(mail: bytes) -> bytes:
    """Somebody took smime.p7s away; the structure around it stands."""
    start = mail.rfind(b"\r\n--", 0, mail.rfind(b"smime.p7s"))
    end = mail.rfind(b"\r\n--")
    return mail[:start] + mail[end:]


def lf_only(mail: bytes) -> bytes:
    """Stored by a program that knows line feeds only."""
    return mail.replace(b"\r\n", b"\n")


def stray_text(xml: bytes) -> bytes:
    """A letter between two elements: breaks the DTD, as receipts of a real provider did."""
    return xml.replace(b"</risposte>", b"</risposte>a", 1)


def latin_1(xml: bytes) -> bytes:
    """Latin-1 bytes under a declaration that says UTF-8."""
    return xml.decode().replace("Fornitore", "Società").encode("iso-8859-1", "replace")


def other_msgid_domain(xml: bytes) -> bytes:
    """The certification data names the sender's message under the provider's domain, the header as it was."""
    return re.sub(rb"(<msgid>[^@<]*@)[^<]*(&gt;</msgid>)", rb"\1riscritto.example\2", xml)


def without_recipient(xml: bytes) -> bytes:
    """A receipt about one recipient that does not say whom."""
    return re.sub(rb"<consegna>[^<]*</consegna>\r\n", b"", xml)


def unknown_kind(xml: bytes) -> bytes:
    """A kind that no standard knows."""
    return re.sub(rb'(<postacert tipo=")[^"]*', rb"\1consegna-differita", xml)


def not_xml(xml: bytes) -> bytes:
    """Torn in the middle."""
    return xml[: len(xml) // 2]
