"""What a delivery receipt says was delivered: digests that find each document again, whatever mail did to its wrapping.

The originals are composed by the standard library's e-mail package, which shares nothing with the reader.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.providers.pec_mailbox import PROVIDER, contents, mime
from adapters.providers.pec_mailbox.contents import Contents
from adapters.receiving import read
from ledger.decision import Outcome
from ledger.observations import Arrival, ArrivalKind, Fingerprint
from tests.postgres import Database
from tests.world import TENANT, world

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 20
LOGO = b"\x89PNG\r\n\x1a\n" + bytes(range(99))


def sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def composed(files: Sequence[tuple[str | None, bytes]], text: str = "In allegato.") -> EmailMessage:
    """An original as a mail client makes it."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["Subject"] = "ufficio@pec.example", "Prova"
    message.set_content(text)
    for name, data in files:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message


def receipt(original: bytes, encoding: str = "7bit", end: bytes = b"\r\n--mix--\r\n") -> bytes:
    """A mail with an original in it; certification data has no part in this."""
    return (
        b"X-Ricevuta: avvenuta-consegna\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n"
        b"--mix\r\nContent-Type: text/plain\r\n\r\nRicevuta.\r\n"
        b"--mix\r\nContent-Type: message/rfc822; name=postacert.eml\r\n"
        + f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + original
        + end
    )


def delivered(kind: str, original: bytes) -> Arrival:
    """A receipt with certification data, unsigned in this copy."""
    cert = (
        b"\r\n--mix\r\nContent-Type: application/xml; name=daticert.xml\r\n\r\n<postacert tipo='" + kind.encode() + b"'>"
        b"<dati><identificativo>i</identificativo><consegna>a@pec.example</consegna></dati></postacert>\r\n--mix--\r\n"
    )  # fmt: skip
    return Arrival(
        provider="pec_mailbox",
        account="a",
        operation="receipt",
        kind=ArrivalKind.MAILBOX,
        observed_at=datetime(2026, 3, 2, tzinfo=UTC),
        body=receipt(original, end=cert),
    )


def told(mail: bytes, kind: str = "completa", *, covered: bool = False) -> Contents:
    return contents.contents(mail, mime.read(mail), kind, covered=covered)


def of(message: EmailMessage, kind: str = "completa") -> tuple[Fingerprint, ...]:
    return told(receipt(message.as_bytes()), kind).documents


def known_by_sha256(documents: Sequence[Fingerprint], data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() in {document.sha256 for document in documents}


# --- complete


FILES = st.lists(st.tuples(st.one_of(st.none(), st.text("aà€ .'\"日;%", max_size=40)), st.binary(max_size=300)))


@given(FILES)
def test_every_file_of_a_complete_receipt_is_found_by_its_digests(files: list[tuple[str | None, bytes]]) -> None:
    """Decoded and as base64, both algorithms; with any name, none, or the same name twice; in any number."""
    files = files[:20]
    found = {(d.sha256, d.sha1, d.sha256_base64, d.sha1_base64, d.size) for d in of(composed(files))}
    for _, data in files:
        line = base64.b64encode(data)
        digests = (
            hashlib.sha256(data).hexdigest(),
            sha1(data),
            hashlib.sha256(line).hexdigest(),
            sha1(line),
            len(data),
        )
        assert digests in found


def test_order_and_base64_line_lengths_do_not_matter() -> None:
    """The same files give the same fingerprints."""
    one, other = composed([("a.pdf", PDF), ("b.png", LOGO)]), composed([("b.png", LOGO), ("a.pdf", PDF)])
    assert set(of(one)) == set(of(other))
    lines = base64.encodebytes(PDF).replace(b"\n", b"\r\n").strip()
    for width in (1, 4, 61, 998, len(lines)):
        text = base64.b64encode(PDF)
        broken = b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))
        mail = one.as_bytes()
        assert lines in mail
        assert set(of(one)) == set(told(receipt(mail.replace(lines, broken))).documents)


def test_a_copy_with_other_line_ends_tells_the_same() -> None:
    """Tools save mail with bare line feeds; a file that travelled as text is known with either."""
    message = composed([("a.pdf", PDF)])
    message.add_attachment("id;importo\n1;2\n", subtype="csv", filename="righe.csv", cte="7bit")
    mail = receipt(message.as_bytes())
    saved = told(mail.replace(b"\r\n", b"\n"))
    assert set(told(mail).documents) == set(saved.documents)
    assert known_by_sha256(saved.documents, b"id;importo\n1;2\n")
    assert known_by_sha256(saved.documents, b"id;importo\r\n1;2\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain; name=a.txt",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment",
        b"Content-Type: text/html\r\nContent-Disposition: ATTACHMENT; size=5",
        b"Content-Type: application/json",
    ],
)
def test_a_text_file_is_known_with_the_line_ends_it_had(head: bytes) -> None:
    """A name, an attachment's disposition or another type than a body's makes it a file."""
    assert known_by_sha256(told(receipt(head + b"\r\n\r\n1\r\n2\r\n")).documents, b"1\n2\n")


def test_torn_base64_is_digested_as_far_as_it_goes() -> None:
    """A single character at the end is no byte."""
    part = b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\nR"
    assert {hashlib.sha256(b"ABC").hexdigest()} == {document.sha256 for document in told(receipt(part)).documents}


@pytest.mark.parametrize("line", [b"x", b"xy", b"xyz", b"x\r"])
def test_a_long_text_has_the_digest_of_all_its_lines(line: bytes) -> None:
    """Long texts are digested in pieces; a line end may lie across two of them."""
    text = (line + b"\r\n") * 200_000
    found = told(receipt(b"Content-Type: text/csv; name=a.csv\r\n\r\n" + text)).documents
    assert known_by_sha256(found, text)
    assert known_by_sha256(found, (line + b"\n") * 200_000)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
def test_the_body_is_found_in_any_transfer_encoding(encoding: str) -> None:
    """The text of the message is content as well, with the line ends of mail."""
    message = EmailMessage(policy=SMTP)
    message.set_content("Prima riga.\nSeconda riga.\n", cte=encoding)
    assert known_by_sha256(of(message), b"Prima riga.\r\nSeconda riga.\r\n")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"attachment; filename=a.pdf", "a.pdf"),
        (b'attachment; filename="a b.pdf"', "a b.pdf"),
        (b"attachment; filename*=UTF-8''Per%C3%B2.pdf", "Però.pdf"),
        (b"attachment; filename*=iso-8859-1'it'Per%F2.pdf", "Però.pdf"),
        (b"attachment; filename*1*=%B2.pdf; filename*0*=utf-8''Per%C3", "Però.pdf"),
        (b'attachment; filename*0="it\'s"; filename*1=.pdf', "it's.pdf"),
        (b"attachment; filename*=x-none''a%FF.pdf", "a\ufffd.pdf"),
        (b'attachment; filename="=?iso-8859-1?Q?Per=F2?=.pdf"', "Però.pdf"),
        ("attachment; filename=Pero\u0300.pdf".encode(), "Però.pdf"),
        (b"attachment; filename*=utf-8''" + b"a" * 999, "a" * 255),
        (b"attachment", ""),
    ],
)
def test_a_file_has_the_name_that_its_sender_gave_it(header: bytes, name: str) -> None:
    """RFC 2231 and RFC 2047, in one Unicode form; no name is none."""
    mail = b"Content-Type: application/pdf\r\nContent-Disposition: " + header + b"\r\n\r\nx"
    assert {name} == {document.name for document in told(receipt(mail)).documents}


def test_an_attached_message_is_one_file_and_is_not_opened() -> None:
    """What somebody forwarded is a document, not more of the original."""
    inner = composed([("dentro.pdf", PDF)])
    message = composed([("fuori.png", LOGO)])
    message.add_attachment(inner, filename="inoltrata.eml")
    found = of(message)
    assert known_by_sha256(found, inner.as_bytes())
    assert not known_by_sha256(found, PDF)


def test_the_files_of_a_signed_original_are_found() -> None:
    """The sender's own S/MIME signature wraps the parts; it is one more file."""
    signed = (
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
        + composed([("a.pdf", PDF)]).as_bytes()
        + b"\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nMII\r\n--s--\r\n"
    )
    found = told(receipt(signed)).documents
    assert known_by_sha256(found, PDF)
    assert "smime.p7s" in {document.name for document in found}


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_original_in_a_transfer_encoding_is_read(encoding: str) -> None:
    """RFC 2046 forbids it, mail systems do it."""
    message = composed([("a.pdf", PDF)]).as_bytes()
    coded = base64.encodebytes(message) if encoding == "base64" else message.replace(b"=", b"=3D")
    assert known_by_sha256(told(receipt(coded, encoding)).documents, PDF)


def test_a_file_called_hash_in_a_complete_receipt_is_the_senders_own() -> None:
    """Its forty digits quote nothing."""
    text = sha1(PDF).encode()
    assert known_by_sha256(of(composed([("a.pdf.hash", text)])), text)
    assert () == tuple(d for d in of(composed([("a.pdf.hash", text)])) if not d.sha256)


# --- brief


@pytest.mark.parametrize(
    ("quote", "encoding"),
    [
        (sha1(PDF), "7bit"),
        (sha1(PDF).upper() + "\r\n", "7bit"),
        (sha1(base64.encodebytes(PDF).replace(b"\n", b"\r\n")), "7bit"),
        (sha1(PDF), "base64"),
        (base64.b64encode(sha1(PDF).encode()).decode(), "base64"),
    ],
)
def test_a_brief_receipt_quotes_a_sha1_for_each_file(quote: str, encoding: str) -> None:
    """Told by the file's name with no other digest; the part may claim an encoding that it has not."""
    part = (
        f"Content-Type: text/plain; name=A.pdf.hash\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{quote}"
    ).encode()
    wanted = base64.b64decode(quote).decode() if len(quote) > 42 else quote.strip().lower()
    assert Contents((Fingerprint("A.pdf", "", wanted),), ("content_breve",)) == told(receipt(part), "breve")


@pytest.mark.parametrize("text", [b"", b"no digest", b"a" * 39, b"a" * 41, b"g" * 40, b"a" * 40 + b" " * 2000])
def test_a_hash_file_without_a_digest_is_a_file(text: bytes) -> None:
    """Nothing is quoted that does not stand there."""
    part = b"Content-Type: text/plain; name=a.pdf.hash\r\n\r\n" + text
    (document,) = told(receipt(part), "breve").documents
    assert ("a.pdf.hash", hashlib.sha256(text).hexdigest()) == (document.name, document.sha256)


def test_the_body_and_the_senders_signature_stay_in_a_brief_receipt() -> None:
    """Only parts with a name are replaced, and a signature is left (RFC 6109 section 3.3.2.2)."""
    message = composed([("a.pdf.hash", sha1(PDF).encode()), ("smime.p7s", b"0\x80")])
    found = {document.name: document for document in of(message, "breve")}
    assert ("", sha1(PDF)) == (found["a.pdf"].sha256, found["a.pdf"].sha1)
    assert hashlib.sha256(b"In allegato.\r\n").hexdigest() == found[""].sha256
    assert hashlib.sha256(b"0\x80").hexdigest() == found["smime.p7s"].sha256


# --- which kind, and what is missing


@pytest.mark.parametrize(
    ("kind", "mail", "notes"),
    [
        ("completa", composed([("a", PDF)]).as_bytes(), ("content_completa",)),
        ("Completa", composed([("a", PDF)]).as_bytes(), ("content_completa",)),
        ("breve", composed([("a.hash", sha1(PDF).encode())]).as_bytes(), ("content_breve",)),
        ("", composed([("a", PDF)]).as_bytes(), ("content_completa",)),
        ("", composed([("a.hash", sha1(PDF).encode())]).as_bytes(), ("content_breve",)),
        ("lunga", composed([("a", PDF)]).as_bytes(), ("content_completa",)),
        ("partial", composed([("a", PDF)]).as_bytes(), ("content_completa",)),
        ("completa", b"no header", ("content_completa", "original_damaged")),
        ("", b"no header", ("original_damaged",)),
    ],
)
def test_the_kind_is_what_the_receipt_says_or_else_what_it_holds(
    kind: str, mail: bytes, notes: tuple[str, ...]
) -> None:
    """An unknown word stands in the texts; what is inside can still be seen."""
    assert notes == told(receipt(mail), kind).notes


@pytest.mark.parametrize(
    ("kind", "notes"),
    [
        ("completa", ("content_completa", "original_missing")),
        ("breve", ("content_breve", "original_missing")),
        ("sintetica", ("content_sintetica",)),
        ("", ("content_sintetica",)),
    ],
)
def test_without_the_original_nothing_is_said_of_the_content(kind: str, notes: tuple[str, ...]) -> None:
    """A receipt that should hold it and does not is noted."""
    assert Contents((), notes) == told(b"Subject: x\r\n\r\ntext", kind)


def test_an_original_that_the_signature_does_not_cover_does_not_count() -> None:
    """Somebody who adds a part to a signed receipt adds nothing to what it says was delivered."""
    forged = receipt(composed([("a.pdf", PDF)]).as_bytes())
    assert Contents((), ("content_completa", "original_missing")) == told(forged, covered=True)
    both = (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + forged + b"\r\n--o\r\n"
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
        + receipt(composed([("b.png", LOGO)]).as_bytes())
        + b"\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nMII\r\n--s--\r\n--o--\r\n"
    )
    found = told(both, covered=True).documents
    assert (True, False) == (known_by_sha256(found, LOGO), known_by_sha256(found, PDF))


def test_the_part_that_is_named_so_is_the_original() -> None:
    """A provider may add other messages for services of its own."""
    other = b"Content-Type: message/rfc822\r\n\r\n" + composed([("b.png", LOGO)]).as_bytes() + b"\r\n--mix\r\n"
    mail = receipt(composed([("a.pdf", PDF)]).as_bytes())
    found = told(mail.replace(b"--mix\r\nContent-Type: text/plain", b"--mix\r\n" + other, 1)).documents
    assert (True, False) == (known_by_sha256(found, PDF), known_by_sha256(found, LOGO))


@pytest.mark.parametrize("kind", ["avvenuta-consegna", "accettazione", "errore-consegna"])
def test_only_a_delivery_receipt_says_what_was_delivered(kind: str) -> None:
    """With or without a signature in this copy; of other receipts nothing is said of the content."""
    (seen,) = PROVIDER.parse(delivered(kind, composed([("a.pdf", PDF)]).as_bytes()))
    is_delivery = kind == "avvenuta-consegna"
    assert is_delivery == known_by_sha256(seen.documents, PDF) == ("content_completa" in seen.notes)


# --- torn, too many


def test_of_a_torn_original_only_what_has_an_end_is_digested() -> None:
    """The digest of half a file would look like another file."""
    mail = receipt(composed([("a.png", LOGO), ("b.pdf", PDF)]).as_bytes())
    torn = told(mail[: mail.index(base64.encodebytes(PDF)[:70]) + 400])
    assert ("content_completa", "original_damaged") == torn.notes
    assert known_by_sha256(torn.documents, LOGO)
    assert {"", "a.png"} == {document.name for document in torn.documents}


def test_a_receipt_that_ends_within_a_plain_original_has_no_digest() -> None:
    """Nothing shows where the text would have ended."""
    assert Contents((), ("content_completa", "original_damaged")) == told(receipt(b"Subject: x\r\n\r\nHalf", end=b""))


def test_a_receipt_that_lacks_only_its_own_end_says_all_of_the_content() -> None:
    """The original has its last boundary: everything in it is whole."""
    whole = receipt(composed([("a.pdf", PDF)]).as_bytes(), end=b"")
    assert ("content_completa",) == told(whole).notes
    assert known_by_sha256(told(whole).documents, PDF)


def test_more_files_than_an_event_can_name_are_noted() -> None:
    """The first ones are told; the receipt itself is kept in full."""
    many = told(receipt(composed([(f"{i}.txt", b"%d" % i) for i in range(contents.MAX_DOCUMENTS + 5)]).as_bytes()))
    assert ("content_completa", "content_partial") == many.notes
    assert contents.MAX_DOCUMENTS == len(many.documents)


def test_an_original_of_too_many_parts_is_noted() -> None:
    """No digest is guessed for what was not read."""
    parts = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (mime.MAX_PARTS + 1) + b"--b--"
    assert Contents((), ("content_completa", "original_damaged")) == told(receipt(parts))


def test_an_event_can_name_as_many_files_as_are_told(sqlite_database: Database, tmp_path: Path) -> None:
    """With the longest names there are: the receipt is a fact and does not wait among the unreadable."""
    files = [(f"{i:03}" + "è" * 300, b"%d" % i) for i in range(contents.MAX_DOCUMENTS)]
    mail = delivered("avvenuta-consegna", composed(files).as_bytes())
    with world(sqlite_database.url, tmp_path) as found:
        (outcome,) = found.intake.admit([read(TENANT, mail)])
        assert isinstance(outcome, Outcome)
        assert (1, 0) == (len(outcome.facts), outcome.unreadable)
