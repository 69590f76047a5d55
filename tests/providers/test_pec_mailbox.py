"""Rules of certified e-mail beyond the common contract: what is the same receipt, what is believed, what is refused."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.providers.pec_mailbox import PROVIDER, daticert, mime, statuses
from ledger.observations import Address, Arrival, ArrivalKind, Observation, Reference, UnreadableError, ZoneBasis
from tests.providers import samples

MINE = [c for suffix in ("", ".words") for c in samples.cases(suffix) if samples.provider_of(c) == "pec_mailbox"]

VALID = {
    "tipo": "avvenuta-consegna",
    "errore": "nessuno",
    "destinatari": "<destinatari>a@pec.example</destinatari>",
    "oggetto": "<oggetto>Prova</oggetto>",
    "data": '<data zona="+0100"><giorno>02/03/2026</giorno><ora>10:00:00</ora></data>',
    "identificativo": "<identificativo>id1@pec.example</identificativo>",
    "msgid": "<msgid>&lt;m1@client.example&gt;</msgid>",
    "ricevuta": "",
    "consegna": "<consegna>a@pec.example</consegna>",
    "errore_esteso": "",
}


def certification(**changed: str) -> bytes:
    """Certification data that keeps to the DTD, with some of its pieces changed."""
    part = {**VALID, **changed}
    return (
        f'<postacert tipo="{part["tipo"]}" errore="{part["errore"]}">'
        f"<intestazione><mittente>me@pec.example</mittente>{part['destinatari']}<risposte>me@pec.example</risposte>"
        f"{part['oggetto']}</intestazione><dati><gestore-emittente>PEC</gestore-emittente>{part['data']}"
        f"{part['identificativo']}{part['msgid']}{part['ricevuta']}{part['consegna']}{part['errore_esteso']}"
        "</dati></postacert>"
    ).encode()


def attached(xml: bytes, head: bytes = b"X-Ricevuta: avvenuta-consegna\n") -> bytes:
    """An e-mail that is nothing but certification data."""
    return head + b"Content-Type: application/xml; name=daticert.xml\n\n" + xml


def signed(xml: bytes, beside: bytes = b"") -> bytes:
    """An e-mail with certification data under a signature, in base64, and what somebody put beside it."""
    return (
        b"X-Ricevuta: avvenuta-consegna\r\nMessage-ID: <other@pec.example>\r\n"
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n" + beside + b"--o\r\n"
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
        b"Content-Transfer-Encoding: base64\r\nContent-Type: application/xml; name=daticert.xml\r\n\r\n"
        + base64.encodebytes(xml).replace(b"\n", b"\r\n")
        + b"--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nMIIx\r\n--s--\r\n--o--\r\n"
    )


def read(body: bytes, operation: str = "receipt") -> tuple[Observation, ...]:
    return PROVIDER.parse(
        Arrival(
            provider="pec_mailbox",
            account="a",
            operation=operation,
            kind=ArrivalKind.MAILBOX,
            observed_at=datetime(2026, 3, 2, tzinfo=UTC),
            body=body,
        )
    )


def only(body: bytes) -> Observation:
    (seen,) = read(body)
    return seen


# --- the same receipt


def test_another_copy_of_a_receipt_is_the_same_fact() -> None:
    """Signed in base64 with CRLF, or bare with LF: identity and content come from the certification data alone."""
    one, other = only(attached(certification())), only(signed(certification()))
    assert (one.identity, one.content) == (other.identity, other.content)
    assert one.texts != other.texts


def test_receipts_of_two_recipients_are_two_facts() -> None:
    """One message has one identificativo and a delivery receipt from each recipient's provider."""
    other = certification(consegna="<consegna>b@pec.example</consegna>")
    assert only(attached(certification())).identity != only(attached(other)).identity


def test_a_changed_error_text_changes_the_content_and_not_the_identity() -> None:
    """A second, different statement about the same thing must show as a contradiction."""
    one = only(attached(certification()))
    other = only(attached(certification(errore_esteso="<errore-esteso>x</errore-esteso>")))
    assert one.identity == other.identity
    assert one.content != other.content


def test_without_identificativo_the_msgid_names_the_receipt_and_without_both_the_body_does() -> None:
    """Receipts of different messages must never share an identity because both lack a name."""
    no_id = only(attached(certification(identificativo="")))
    assert ("receipt", "avvenuta-consegna", "m1@client.example", "a@pec.example") == no_id.identity
    nameless = only(attached(certification(identificativo="", msgid="")))
    assert ((), ()) == (nameless.identity, nameless.references)


# --- who it is about


def test_a_delivery_receipt_declares_its_own_recipient_only() -> None:
    """The other recipients are the acceptance's to declare."""
    both = "<destinatari>a@pec.example</destinatari><destinatari>b@pec.example</destinatari>"
    seen = only(attached(certification(destinatari=both)))
    assert (Address("email", "a@pec.example"),) == seen.declares
    assert Address("email", "a@pec.example") == seen.recipient


def test_a_delivery_receipt_that_names_nobody_moves_nobody() -> None:
    """With one recipient listed it could be guessed; it is not."""
    seen = only(attached(certification(consegna="")))
    assert ("recipient", None, ()) == (seen.about, seen.recipient, seen.declares)
    assert "recipient_missing" in seen.notes


def test_recipient_is_listed_whatever_the_case() -> None:
    """A difference of case alone is no note."""
    seen = only(attached(certification(consegna="<consegna>A@PEC.example</consegna>")))
    assert "recipient_not_listed" not in seen.notes


def test_what_is_no_address_is_kept_as_given() -> None:
    """A recipient without @ is not taken for an e-mail address, nor dropped."""
    seen = only(attached(certification(consegna="<consegna> Ufficio Protocollo </consegna>")))
    assert Address("other", "Ufficio Protocollo") == seen.recipient


def test_a_recipient_listed_twice_is_declared_once() -> None:
    """To and Cc may name the same mailbox."""
    twice = "<destinatari>a@pec.example</destinatari><destinatari>A@pec.example</destinatari>"
    seen = only(attached(certification(tipo="accettazione", destinatari=twice, consegna="")))
    assert (Address("email", "a@pec.example"),) == seen.declares


def test_a_receipt_with_very_many_recipients_is_read_in_full() -> None:
    """Its certification data is found by its beginning and read to its end."""
    many = "".join(f"<destinatari>a{i}@pec.example</destinatari>" for i in range(2000))
    seen = only(attached(base64.b64encode(certification(tipo="accettazione", destinatari=many, consegna=""))))
    assert 2000 == len(seen.declares)


def test_an_envelope_never_declares_recipients() -> None:
    """The message itself came in from somebody; whom they wrote to is not ours."""
    seen = only(attached(certification(tipo="posta-certificata", consegna="")))
    assert ("inbound.received", ()) == (seen.type, seen.declares)
    assert "not_a_receipt" in seen.notes


def test_the_id_that_a_stranger_chose_claims_no_message_of_ours() -> None:
    """An envelope is known by its provider's id; the sender's Message-ID may be that of any message."""
    seen = only(attached(certification(tipo="posta-certificata", consegna="")))
    told = [Reference("msgid", "m1@client.example", exclusive=False), Reference("identificativo", "id1@pec.example")]
    assert tuple(told) == seen.references


def test_an_unknown_tipo_stays_with_the_recipient_it_names() -> None:
    """The word is kept as written and claims nothing."""
    seen = only(attached(certification(tipo="nuova-cosa")))
    assert ("channel.unmapped", "", "nuova-cosa") == (seen.type, seen.code, seen.texts["code"])
    assert ("recipient", Address("email", "a@pec.example")) == (seen.about, seen.recipient)


# --- warning and final notice


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("5.4.1 - PEC - non consegnato", "relay.failed", "final_24h"),
        ("5.4.1", "relay.failed", "final_24h"),
        ("5.4.10 - PEC", "relay.delayed", "warning_12h"),
        ("5.4.1.7 - PEC", "relay.delayed", "warning_12h"),
        ("4.4.1 - PEC", "relay.delayed", "warning_12h"),
        ("errore 5.4.1", "relay.delayed", "warning_12h"),
        ("", "relay.delayed", "warning_12h"),
    ],
)
def test_only_a_status_5_4_1_makes_the_notice_final(error: str, kind: str, reason: str) -> None:
    """In doubt it is the warning: a final negative is not guessed."""
    text = f"<errore-esteso>{error}</errore-esteso>"
    seen = only(attached(certification(tipo="preavviso-errore-consegna", errore="altro", errore_esteso=text)))
    assert (kind, reason, reason) == (seen.type, seen.reason, seen.identity[-1])


# --- message ids


@pytest.mark.parametrize(
    ("header", "notes"),
    [
        ("<m1@client.example>", set()),
        ("m1@CLIENT.example", set()),
        ("<m1@rewritten.example>", {"msgid_domain_differs"}),
        ("<m11@client.example>", {"msgid_differs"}),
        ("<M1@client.example>", {"msgid_differs"}),
        ("m1", {"msgid_differs"}),
        ("", set()),
    ],
)
def test_the_certification_data_names_the_message_and_a_differing_header_is_noted(header: str, notes: set[str]) -> None:
    """Ids are compared as whole tokens; only the case of the domain does not matter."""
    head = f"X-Ricevuta: avvenuta-consegna\nx-riferimento-message-id: {header}\n".encode()
    seen = only(attached(certification(), head))
    assert ("msgid", "m1@client.example", True) == seen.references[0]
    assert notes == {n for n in seen.notes if n.startswith("msgid")}


def test_a_rewritten_domain_gives_the_message_both_names() -> None:
    """The sender may know either; another local part is another message and names nothing."""
    head = "X-Ricevuta: avvenuta-consegna\nX-Riferimento-Message-ID: {}\n"
    rewritten = only(attached(certification(), head.format("<m1@rewritten.example>").encode()))
    assert ["m1@client.example", "id1@pec.example", "m1@rewritten.example"] == [r.value for r in rewritten.references]
    other = only(attached(certification(), head.format("<m11@client.example>").encode()))
    assert ["m1@client.example", "id1@pec.example"] == [r.value for r in other.references]


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("<a@b.example>", "a@b.example"),
        (" a@b.example ", "a@b.example"),
        ("<a@b.example> (of the client)", "a@b.example"),
        ("see <a@b.example>", "a@b.example"),
        ("<a@b.example> <c@d.example>", "a@b.example> <c@d.example"),
        ("<>", ""),
        ("", ""),
    ],
)
def test_a_message_id_is_a_whole_token(written: str, bare: str) -> None:
    """What stands in one pair of angle brackets; two ids are none that anybody else has."""
    assert bare == daticert.bare_id(written)


def test_without_msgid_the_header_names_the_message_where_nothing_is_signed() -> None:
    """RFC 6109 has both; one of them is enough, and neither is worth more than the other."""
    head = b"X-Ricevuta: avvenuta-consegna\nX-Riferimento-Message-ID:\n <h1@client.example>\n"
    seen = only(attached(certification(msgid=""), head))
    assert ("msgid", "h1@client.example", True) == seen.references[0]
    assert "reference_unsigned" not in seen.notes


@pytest.mark.parametrize(
    ("msgid", "names"), [("", ["id1@pec.example"]), (None, ["m1@client.example", "id1@pec.example"])]
)
def test_a_signed_receipt_belongs_to_no_message_that_only_its_header_names(msgid: str | None, names: list[str]) -> None:
    """No signature is over the header: with another name in it a genuine receipt would tell of another message."""
    head = b"X-Riferimento-Message-ID: <h1@client.example>\r\n"
    seen = only(head + signed(certification(**({} if msgid is None else {"msgid": msgid}))))
    assert names == [reference.value for reference in seen.references]
    assert (msgid == "") == ("reference_unsigned" in seen.notes)


# --- header against certification data


@pytest.mark.parametrize(
    ("head", "errore", "note"),
    [
        (b"x-RICEVUTA: avvenuta-consegna\n", "nessuno", None),
        (b"X-Ricevuta: errore-consegna\n", "nessuno", "header_differs"),
        (b"X-Trasporto: posta-certificata\n", "nessuno", "header_differs"),
        (b"X-Ricevuta: avvenuta-consegna\nX-VerificaSicurezza: errore\n", "nessuno", "header_differs"),
        (b"X-Ricevuta: avvenuta-consegna\nX-VerificaSicurezza: errore\n", "virus", None),
        (b"Subject: x\n", "nessuno", "header_missing"),
    ],
)
def test_the_header_never_decides_and_is_compared(head: bytes, errore: str, note: str | None) -> None:
    """The meaning stays what the certification data says; a disagreement is a note."""
    seen = only(attached(certification(errore=errore), head))
    assert "content.consigned" == seen.type
    assert note is None or note in seen.notes
    assert note is not None or not {"header_differs", "header_missing"} & set(seen.notes)


def test_an_anomaly_envelope_is_never_a_receipt() -> None:
    """What a provider wrapped as uncertified stays so, whatever certification data it holds or quotes."""
    seen = only(attached(certification(), b"X-Trasporto: Errore\nX-Riferimento-Message-ID: <m1@client.example>\n"))
    assert ("inbound.received", "anomaly", ()) == (seen.type, seen.reason, seen.references)


@pytest.mark.parametrize("head", [b"X-Trasporto: errore\n", b"X-Ricevuta: avvenuta-consegna\n"])
def test_what_nobody_vouches_for_is_known_by_its_bytes(head: bytes) -> None:
    """Any sender may write any Message-ID; a second mail with the same one must not pass for the first."""
    assert () == only(head + b"Message-ID: <x@posta.example>\nDate: Sat, 7 Mar 2026 13:00:00 +0100\n\ntext").identity


# --- the signature's place


def test_signed_certification_data_is_preferred_to_what_stands_beside_it() -> None:
    """Somebody who can add a part to an e-mail cannot make it say something else."""
    forged = b"--o\r\nContent-Type: application/xml; name=daticert.xml\r\n\r\n" + certification(tipo="errore-consegna")
    seen = only(signed(certification(), forged + b"\r\n"))
    assert "content.consigned" == seen.type
    assert {"daticert_doubled", "content_sintetica"} == set(seen.notes)


def test_certification_data_outside_the_signed_part_counts_as_unsigned() -> None:
    """A signature somewhere in the e-mail says nothing about what it does not cover."""
    beside = b"--o\r\nContent-Type: application/xml\r\n\r\n" + certification() + b"\r\n"
    mail = signed(b"nothing", beside).replace(b"name=daticert.xml", b"name=note.txt")
    assert "signature_missing" in only(mail).notes
    assert "signature_missing" not in only(signed(certification())).notes


# --- torn, dirty, wrongly encoded


@pytest.mark.parametrize(
    ("mail", "note"),
    [
        (attached(certification()), None),
        (attached(b"\xef\xbb\xbf" + certification()), None),
        (attached(b'<?xml version="1.0" encoding="x-none"?>' + certification()), "text_repaired"),
        (attached(certification().decode().replace("Prova", "Però").encode("iso-8859-1")), "text_repaired"),
        (attached(certification() + b"\n--\nposted by a gateway"), "text_repaired"),
        (attached(('<?xml version="1.0" encoding="UTF-16"?>' + certification().decode()).encode("utf-16")), None),
        (b"\n\nFrom me Mon Mar  2\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(certification()), None),
        (b"A: b\nContent-Transfer-Encoding: 7bit\n\n" + base64.encodebytes(certification()), None),
        (b"A: b\nContent-Transfer-Encoding: base64\n\n" + certification(), None),
        (b"A: b\nContent-Transfer-Encoding: quoted-printable\n\n" + certification().replace(b"=", b"=3D"), None),
        (b'A: b\nContent-Type: multipart/mixed; boundary="x\n\n--x\n\n' + certification() + b"\n--x", "mime_damaged"),
        (b"A: b\nContent-Type: multipart/mixed\n\n" + certification(), "mime_damaged"),
    ],
)
def test_certification_data_is_found_through_damage(mail: bytes, note: str | None) -> None:
    """By name or by content, whatever its transfer encoding, character set and surroundings claim."""
    seen = only(mail)
    assert ("content.consigned", "id1@pec.example") == (seen.type, seen.references[1].value)
    assert note is None or note in seen.notes
    assert note is not None or not {"text_repaired", "mime_damaged"} & set(seen.notes)


@pytest.mark.parametrize(
    "changed",
    [
        {"tipo": "mancata-consegna"},
        {"errore": "boh"},
        {"destinatari": ""},
        {"destinatari": '<destinatari tipo="altro">a@pec.example</destinatari>'},
        {"destinatari": "<destinatari>a@pec.example</destinatari>a"},
        {"oggetto": "<oggetto>a</oggetto><oggetto>b</oggetto>"},
        {"data": "<data><giorno>02/03/2026</giorno><ora>10:00:00</ora></data>"},
        {"data": '<data zona="+0100"><ora>10:00:00</ora><giorno>02/03/2026</giorno></data>'},
        {"identificativo": ""},
        {"msgid": "<msgid><b>x</b></msgid>"},
        {"ricevuta": '<ricevuta tipo="lunga"/>'},
        {"ricevuta": '<ricevuta tipo="breve">x</ricevuta>'},
        {"consegna": '<consegna a="b">a@pec.example</consegna>'},
        {"errore_esteso": "<errore-esteso>x</errore-esteso><nuovo/>"},
    ],
)
def test_certification_data_that_breaks_the_dtd_is_read_and_noted(changed: dict[str, str]) -> None:
    """Real receipts break it; none is refused for that."""
    assert "daticert_invalid" in only(attached(certification(**changed))).notes


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"tipo": "presa-in-carico", "consegna": "<ricezione>a@pec.example</ricezione>" * 2},
        {"oggetto": "", "msgid": "", "consegna": "", "ricevuta": '<ricevuta tipo="breve"/>'},
        {"destinatari": '<destinatari tipo="esterno">a@pec.example</destinatari> <destinatari>b</destinatari>'},
    ],
)
def test_certification_data_that_keeps_to_the_dtd_is_not_noted(changed: dict[str, str]) -> None:
    """Optional and repeated elements are what RFC 6109 section 4.4 allows."""
    assert all("daticert_invalid" not in seen.notes for seen in read(attached(certification(**changed))))


@pytest.mark.parametrize(
    ("zone", "day", "hour", "at", "basis"),
    [
        ("+0200", "10/07/2026", "00:30:00", datetime(2026, 7, 9, 22, 30, tzinfo=UTC), ZoneBasis.STATED),
        ("-0330", "10/07/2026", "00:30:00", datetime(2026, 7, 10, 4, 0, tzinfo=UTC), ZoneBasis.STATED),
        ("+01:00", "10/07/2026", "00:30:00", datetime(2026, 7, 9, 23, 30, tzinfo=UTC), ZoneBasis.STATED),
        ("", "10/07/2026", "00:30:00", datetime(2026, 7, 10, 0, 30, tzinfo=UTC), ZoneBasis.ASSUMED),
        ("CEST", "10/07/2026", "00:30:00", None, None),
        ("+2500", "10/07/2026", "00:30:00", None, None),
        ("+0100", "2026-07-10", "00:30:00", None, None),
        ("+0100", "30/02/2026", "00:30:00", None, None),
        ("+0100", "01/01/0001", "00:30:00", None, None),
        ("-0100", "31/12/9999", "23:30:00", None, None),
        ("+0100", "10/07/2026", "24:00:00", None, None),
        ("+0100", "\u0661\u0660/07/2026", "00:30:00", None, None),
    ],
)
def test_time_is_utc_with_its_zone_or_kept_as_text(
    zone: str, day: str, hour: str, at: datetime | None, basis: ZoneBasis | None
) -> None:
    """Day and hour are local to the zone; what is no time is kept as written and noted."""
    data = f'<data zona="{zone}"><giorno>{day}</giorno><ora>{hour}</ora></data>'
    seen = only(attached(certification(data=data)))
    assert (at, basis) == ((seen.occurred.at, seen.occurred.zone) if seen.occurred else (None, None))
    assert (at is None) == ("time_unreadable" in seen.notes) == ("time" in seen.texts)


def test_header_text_that_cannot_be_stored_is_repaired() -> None:
    """U+0000 and broken bytes become U+FFFD and are noted."""
    seen = only(b"X-Ricevuta: nuova\0\nSubject: caff\xe8\nMessage-ID: <\0@x>\n\n")
    assert ("nuova\ufffd", "caff\ufffd", "\ufffd@x") == tuple(
        seen.texts[n] for n in ("code", "subject", "receipt_message_id")
    )
    assert "text_repaired" in seen.notes


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("=?UTF-8?Q?Perch=C3=A9?= no", "Perché no"),
        ("=?utf-8?b?UGVyY2jDqQ==?=\n =?iso-8859-1?q?_=E8?= vero", "Perché è vero"),
        ("=?windows-1252?Q?=80_5?=", "€ 5"),
        ("=?unicode_escape?Q?=5Cq?=", "=?unicode_escape?Q?=5Cq?="),
        ("=?utf-8?Q?", "=?utf-8?Q?"),
        ("a = b ? c", "a = b ? c"),
        ("=?utf-8?B?w6g=?= =?utf-8?Q?=C3?= =?utf-8?Q?=A8?=", "\u00e8\u00e8"),
        ("=?utf-8*it?Q?=C3=A8?=", "\u00e8"),
        ("=?x-none?Q?a?=  =?utf-8?Q?b?=", "=?x-none?Q?a?=b"),
    ],
)
def test_encoded_words_are_decoded_in_known_character_sets_only(written: str, plain: str) -> None:
    """Python knows codecs that warn or misbehave on hostile input; mail needs a handful."""
    assert plain == mime.decoded(written)


# --- refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\1\2",
        b"no header here",
        b"Subject: hello\n\nan ordinary e-mail",
        attached(b"<postacert"),
        attached(b"<html/>"),
        attached(b'<!DOCTYPE postacert [<!ENTITY a "b">]><postacert>&a;</postacert>'),
        attached(b'<!DOCTYPE postacert [<!ENTITY a SYSTEM "file:///etc/passwd">]><postacert>&a;</postacert>'),
        attached(certification(oggetto="<oggetto>" + "x" * daticert.MAX_BYTES + "</oggetto>")),
        attached(b"<postacert>" + b"<a/>" * daticert.MAX_TAGS + b"</postacert>"),
        b"X-Ricevuta: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * (mime.MAX_PARTS + 1),
    ],
)
def test_what_is_no_certified_mail_is_unreadable(body: bytes) -> None:
    """Not an e-mail, an ordinary one, entities, other XML, or more than is read: a person looks at it."""
    with pytest.raises(UnreadableError):
        read(body)


def test_an_operation_of_somebody_else_is_unreadable() -> None:
    """Only `receipt` is read."""
    with pytest.raises(UnreadableError):
        read(attached(certification()), operation="send")


def test_parts_nested_too_deep_are_not_opened() -> None:
    """Depth is bounded; what lies deeper is not found, and nothing is claimed."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(1000))
    seen = only(b"X-Ricevuta: avvenuta-consegna\n" + deep + attached(certification(), b""))
    assert "channel.unmapped" == seen.type


def test_a_doctype_that_names_a_file_is_read_and_the_file_is_not() -> None:
    """Providers may point to the DTD; nothing is fetched."""
    seen = only(attached(b'<!DOCTYPE postacert SYSTEM "http://127.0.0.1:1/d.dtd">' + certification()))
    assert "content.consigned" == seen.type


# --- recognising


@pytest.mark.parametrize(
    ("name", "body", "operation"),
    [
        ("x.EML", b"", "receipt"),
        ("x", b"Return-Path: <>\nx-ricevuta: accettazione\n", "receipt"),
        ("x", b"From a b\nX-Trasporto : errore\n", "receipt"),
        ("x", b"A: b\nContent-Type: application/xml; name=Daticert.xml\n", "receipt"),
        ("x", b"Subject: hello\n\nordinary", ""),
        ("x", b'{"X-Ricevuta: ": 1}', ""),
        ("daticert.xml", b"<postacert/>", ""),
    ],
)
def test_recognises_certified_mail(name: str, body: bytes, operation: str) -> None:
    """By file name, or by how the bytes begin and what they say of themselves."""
    assert operation == PROVIDER.recognise(name, body)


# --- subjects


def test_subject_prefixes_stand_longest_first() -> None:
    """Otherwise a shorter one would hide a longer one."""
    lengths = [len(row.word) for row in statuses.SUBJECTS]
    assert sorted(lengths, reverse=True) == lengths


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        ("AVVISO DI MANCATA CONSEGNA PER VIRUS: x", "AVVISO DI MANCATA CONSEGNA PER VIRUS"),
        (
            "AVVISO DI MANCATA CONSEGNA PER SUP.  TEMPO\n MASSIMO: x",
            "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO",
        ),
        ("CONSEGNA:x", "CONSEGNA"),
        ("POSTA CERTIFICATA: CONSEGNA: x", "POSTA CERTIFICATA"),
        ("CONSEGNA documenti: x", None),
        ("Re: CONSEGNA: x", None),
        ("MANCATA CONSEGNA: x", None),
    ],
)
def test_a_subject_has_a_kind_only_by_its_whole_prefix_and_colon(subject: str, word: str | None) -> None:
    """A sender's own words must not pass for a provider's."""
    row = statuses.subject_kind(subject)
    assert word == (row.word if row else None)


# --- hostile bytes

BUDGET: dict[str, Any] = {"max_examples": 300, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def reads_or_refuses(body: bytes) -> None:
    PROVIDER.recognise("x", body)
    try:
        seen = read(body)
    except UnreadableError:
        return
    for one in seen:
        assert not {"\0"} & set("".join(one.texts.values()))
        "".join([*one.texts.values(), *one.identity, *one.content]).encode()
        assert set(one.notes) <= set(PROVIDER.notes)


@settings(**BUDGET)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No input ends in anything but observations or UnreadableError."""
    reads_or_refuses(body)
    reads_or_refuses(b"X-Ricevuta: x\n" + body)
    reads_or_refuses(attached(body))


@settings(**BUDGET)
@given(st.sampled_from(MINE), st.data())
def test_any_mutated_sample_is_read_or_refused(case: Any, data: st.DataObject) -> None:
    """Cut, doubled, overwritten: the same rule."""
    body = bytearray((case / "body.raw").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        stop = min(len(body), start + data.draw(st.integers(0, 40)))
        body[start:stop] = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(body[:stop]))))
    reads_or_refuses(bytes(body))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["X-Ricevuta", "X-Trasporto", "Content-Type", "Subject", "Date", "Message-ID"]), WORDS)
)


@settings(**BUDGET)
@given(HEADERS, st.dictionaries(st.sampled_from(sorted(VALID)), WORDS))
def test_any_words_in_a_receipt_are_read_or_refused(headers: list[tuple[str, str]], changed: dict[str, str]) -> None:
    """Well-formed frames with arbitrary words in them."""
    head = "".join(f"{name}: {value}\n" for name, value in headers).encode()
    reads_or_refuses(attached(certification(**changed), head or b"A: b\n"))
