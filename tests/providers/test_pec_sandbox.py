"""The simulated certified-mail provider: what it writes is what RFC 6109 says, and our reader takes it as it was meant."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import imaplib
import re
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import parsedate_to_datetime
from pathlib import Path
from shutil import which

import pytest

from adapters.providers.contract import Trust
from adapters.providers.pec_mailbox import PROVIDER
from adapters.providers.pec_mailbox import sandbox as package
from adapters.providers.pec_mailbox.sandbox import (
    ACCOUNT,
    PASSWORD,
    Clock,
    Fault,
    Mail,
    Provider,
    Sandbox,
    authority,
    maildir,
    running,
    simulator,
)
from adapters.providers.pec_mailbox.sandbox.behaviour import BEHAVIOUR
from adapters.providers.pec_mailbox.sandbox.original import VIRUS
from adapters.providers.pec_mailbox.sandbox.receipts import FORMS, SERVICE_MAILBOX
from ledger.observations import Arrival, ArrivalKind, Observation, UnreadableError

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT = b"%PDF-1.7 diffida " * 40
MSGID = "<diffida-7@cliente.example>"


def address(name: str) -> str:
    return f"{name}@pec.altro.example"


def message(*to: str, cc: tuple[str, ...] = (), **fields: str) -> bytes:
    """A message with a document; a field given as "" is left out."""
    mail = EmailMessage(SMTP)
    told = {
        "From": ACCOUNT,
        "To": ", ".join(to),
        "Cc": ", ".join(cc),
        "Subject": "Diffida n. 7, più",
        "Message-ID": MSGID,
    }
    for name, value in {**told, **{name.replace("_", "-"): value for name, value in fields.items()}}.items():
        if value:
            mail[name] = value
    mail.set_content("In allegato, così come inviato.")
    mail.add_attachment(DOCUMENT, maintype="application", subtype="pdf", filename="diffida.pdf")
    return mail.as_bytes()


def opened(**options: object) -> Provider:
    return Provider({ACCOUNT: PASSWORD}, clock=Clock(START), **options)  # type: ignore[arg-type]


def sent(*to: str, cc: tuple[str, ...] = (), hours: float = 48, **fields: str) -> list[bytes]:
    """All that comes back to the sender of a message within some hours."""
    provider = opened()
    provider.submit(ACCOUNT, (*to, *cc), message(*to, cc=cc, **fields))
    provider.advance(timedelta(hours=hours))
    return [mail.raw for mail in provider.mailboxes[ACCOUNT]]


def arrival(mail: bytes) -> Arrival:
    return Arrival(
        provider="pec_mailbox",
        account="a",
        operation="receipt",
        kind=ArrivalKind.MAILBOX,
        observed_at=START + timedelta(hours=48),
        body=mail,
    )


def read(mail: bytes) -> list[Observation]:
    return list(PROVIDER.parse(arrival(mail)))


def told(mails: list[bytes]) -> list[tuple[str, str, str]]:
    """What our reader sees after the acceptance: (type, reason, recipient)."""
    seen = [one for mail in mails for one in read(mail) if one.code != "accettazione"]
    return [(one.type, one.reason, one.recipient.value if one.recipient else "") for one in seen]


def part(mail: bytes, name: str) -> Message:
    return next(one for one in message_from_bytes(mail).walk() if one.get_filename() == name)


def xml(mail: bytes) -> str:
    raw = part(mail, "daticert.xml").get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw.decode()


# --- each kind is read as it was meant

DELIVERED = (("content.consigned", ""),)
WARNED, EXPIRED = ("relay.delayed", "warning_12h"), ("relay.failed", "final_24h")
FAILED = "content.consignment_failed"
MEANT: dict[str, tuple[tuple[str, str], ...]] = {
    "anybody": DELIVERED,
    "refused": ((FAILED, "altro"),),
    "unknown": ((FAILED, "no-dest"),),
    "nobody": ((FAILED, "altro"),),
    "nodomain": ((FAILED, "no-dominio"),),
    "virus": ((FAILED, "virus"),),
    "silent": (WARNED, EXPIRED),
    "slow": (WARNED, EXPIRED),
    "taken": (EXPIRED,),
    "delayed": (WARNED, *DELIVERED),
    "late": (WARNED, EXPIRED, *DELIVERED),
    "nothing": (),
    "esterno": (),
    "bounced": ((FAILED, "ordinary_mail"),),
    "wrapped": ((FAILED, "ordinary_mail"),),
    "talkative": (("relay.accepted", ""), *DELIVERED),
    "twice": DELIVERED * 2,
    "contradicted": (*DELIVERED, (FAILED, "altro")),
    "early": DELIVERED,
    "strange": (("channel.unmapped", ""),),
    **dict.fromkeys(("sha1", "html", "decoded", "shouting", "whispering", "certdata", "stray", "mojibake"), DELIVERED),
    **dict.fromkeys(("rewritten", "unixed", "unsigned", "stripped", "cut", "altered", "resigned"), DELIVERED),
    **dict.fromkeys(("expired", "impostor"), DELIVERED),
}


@pytest.mark.parametrize("word", MEANT)
def test_each_behaviour_is_read_as_it_was_meant(word: str) -> None:
    """What comes back for a recipient says what the table of behaviours says, about that recipient."""
    assert [(*each, address(word)) for each in MEANT[word]] == told(sent(address(word)))


def test_every_behaviour_is_tried() -> None:
    """No word of the table is left without a test."""
    apart = {"nameless", "nodata", "torn"}
    assert set(BEHAVIOUR) | {"anybody"} == set(MEANT) | apart


def test_a_receipt_that_cannot_be_read_is_not_taken_for_another() -> None:
    """Torn certification data is refused; none at all, or no recipient in it, claims nothing about anybody."""
    (_, torn) = sent(address("torn"))
    with pytest.raises(UnreadableError):
        read(torn)
    assert [("channel.unmapped", "", "")] == told(sent(address("nodata"))[1:])
    assert [("content.consigned", "", "")] == told(sent(address("nameless"))[1:])


@pytest.mark.parametrize("word", [word for word in MEANT if word not in {"bounced", "wrapped", "strange", "stray"}])
def test_certification_data_keeps_to_the_dtd(word: str) -> None:
    """Nothing but what is meant to break the DTD breaks it."""
    assert not [one.notes for mail in sent(address(word)) for one in read(mail) if "daticert_invalid" in one.notes]


def test_the_acceptance_lists_every_recipient_and_says_who_is_ordinary() -> None:
    """RFC 6109 section 3.1.4: certificato or esterno for each address, To and Cc alike."""
    (accepted, *_) = sent(address("rossi"), address("esterno"), cc=(address("bianchi"),))
    one, outside = read(accepted)
    assert [address(name) for name in ("rossi", "esterno", "bianchi")] == [each.value for each in one.declares]
    assert ("nonerds.relayed", address("esterno")) == (outside.type, outside.recipient and outside.recipient.value)


def test_every_form_is_issued_by_some_behaviour_or_call() -> None:
    """The table of forms has no row that nobody can ask for."""
    issued = {step.form for steps in BEHAVIOUR.values() for step in steps}
    assert set(FORMS) == issued & set(FORMS) | {"accepted", "not_accepted", "not_accepted_virus", "envelope"}


def test_what_providers_tell_each_other_goes_to_the_service_mailbox() -> None:
    """RFC 6109 sections 3.2.1 and 3.2.3: users see neither presa-in-carico nor rilevazione-virus."""
    provider = opened()
    provider.submit(ACCOUNT, (address("rossi"), address("virus")), message(address("rossi"), address("virus")))
    provider.advance(timedelta(hours=1))
    between = [one.type for mail in provider.mailboxes[SERVICE_MAILBOX] for one in read(mail.raw)]
    assert ["relay.accepted", "relay.rejected"] == sorted(between)


def test_one_receipt_tells_all_whom_a_provider_took_a_message_for() -> None:
    """RFC 6109 section 3.2.1: `ricezione` names each; our reader sees one fact for each."""
    to = (address("talkative1"), address("talkative2"))
    (_, taken, *_) = sent(*to)
    assert [("relay.accepted", one) for one in to] == [
        (one.type, one.recipient and one.recipient.value) for one in read(taken)
    ]


# --- signatures

GOOD = ("anybody", "sha1", "html", "shouting", "whispering", "stray", "mojibake", "rewritten", "talkative")


def verified(mail: bytes, tmp_path: Path) -> bool:
    """Whether openssl takes the signature, by our root and at the time of signing."""
    (tmp_path / "mail.eml").write_bytes(mail)
    (tmp_path / "ca.pem").write_bytes(authority.root(authority.ROOT).pem())
    command = ["openssl", "cms", "-verify", "-in", "mail.eml", "-inform", "SMIME", "-CAfile", "ca.pem"]
    at = str(int((START + timedelta(hours=1)).timestamp()))
    done = subprocess.run(
        [*command, "-purpose", "smimesign", "-attime", at, "-out", "/dev/null"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("word", GOOD)
def test_openssl_takes_the_signatures(word: str, tmp_path: Path) -> None:
    """The signature is over the very bytes and leads to our root, with SHA-256 and with SHA-1."""
    assert all(verified(mail, tmp_path) for mail in sent(address(word)))


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("word", ["unsigned", "stripped", "cut", "altered", "resigned", "expired"])
def test_openssl_refuses_what_is_not_to_be_believed(word: str, tmp_path: Path) -> None:
    """The acceptance is good; the receipt that was tampered with, or signed by the wrong one, is not."""
    assert [True, False] == [verified(mail, tmp_path) for mail in sent(address(word))]


ATTESTED = {
    **dict.fromkeys((*GOOD, "unixed"), (True, "")),
    "altered": (False, "integrity_broken"),
    "resigned": (False, "signer_untrusted"),
    "expired": (False, "signer_expired"),
    "impostor": (False, "signer_other_address"),
    "unsigned": (None, "signature_absent"),
    "stripped": (None, "signature_absent"),
    "cut": (None, "signature"),
}


@pytest.mark.parametrize("word", ATTESTED)
def test_our_check_sees_each_signature_for_what_it_is(word: str) -> None:
    """Good, proven wrong, or missing: the three verdicts of the product's own check."""
    holds, verdict = ATTESTED[word]
    assert PROVIDER.attest is not None
    found = PROVIDER.attest(arrival(sent(address(word))[-1]), Trust((authority.root(authority.ROOT).der(),), START))
    assert found is not None
    assert holds is found.holds
    assert any(one.startswith(verdict) for one in found.verdicts)


def test_sha_1_is_said_and_seen() -> None:
    """The weak algorithm stands in the header and is noticed."""
    (_, receipt) = sent(address("sha1"))
    assert b'micalg="sha1"' in receipt
    assert PROVIDER.attest is not None
    found = PROVIDER.attest(arrival(receipt), Trust((authority.root(authority.ROOT).der(),), START))
    assert found is not None
    assert "algorithm_weak" in found.verdicts


# --- what a delivery receipt holds


@pytest.mark.parametrize(
    ("wanted", "to", "copy"),
    [("", "completa", "sintetica"), ("completa", "completa", "sintetica"), ("breve", "breve", "sintetica"),
     ("sintetica", "sintetica", "sintetica"), ("QUALCOSA", "completa", "sintetica")],
)  # fmt: skip
def test_who_is_in_cc_only_gets_the_concise_kind(wanted: str, to: str, copy: str) -> None:
    """RFC 6109 section 3.3.2: X-TipoRicevuta holds for To; complete is the default."""
    _, first, second = sent(address("rossi"), cc=(address("bianchi"),), X_TipoRicevuta=wanted)
    found = [re.search(r'<ricevuta tipo="(\w+)"/>', xml(mail)) for mail in (first, second)]
    assert [to, copy] == [each and each[1] for each in found]
    assert [kind != "sintetica" for kind in (to, copy)] == [b"postacert.eml" in mail for mail in (first, second)]


def test_a_complete_receipt_holds_the_document_as_it_was_sent() -> None:
    """The original inside has the same attachment, the PEC message id, and the sender's own id beside it."""
    (_, receipt) = sent(address("rossi"))
    inside = part(receipt, "postacert.eml").get_payload()
    assert isinstance(inside, list)
    (original,) = inside
    assert isinstance(original, Message)
    assert DOCUMENT == next(one for one in original.walk() if one.get_filename() == "diffida.pdf").get_payload(
        decode=True
    )
    assert MSGID == original["X-Riferimento-Message-ID"]
    identifier = re.search("<identificativo>(.*)</identificativo>", xml(receipt))
    assert identifier is not None
    assert f"<{identifier[1]}>" == original["Message-ID"]


@pytest.mark.parametrize("word", ["rossi", "decoded"])
def test_a_brief_receipt_quotes_the_digest_of_one_of_the_two_forms(word: str) -> None:
    """RFC 6109 section 3.3.2.2: 40 hex digits in `<name>.hash`, over the base64 text as sent, or over what it means."""
    mail = message(address(word), X_TipoRicevuta="breve")
    encoded = part(mail, "diffida.pdf").get_payload()
    assert isinstance(encoded, str)
    forms = {"rossi": encoded.encode(), "decoded": DOCUMENT}
    (_, receipt) = sent(address(word), X_TipoRicevuta="breve")
    assert hashlib.sha1(forms[word]).hexdigest() == part(receipt, "diffida.pdf.hash").get_payload()  # noqa: S324
    assert DOCUMENT[:20] not in receipt


def test_an_encrypted_original_stays_whole_in_a_brief_receipt() -> None:
    """What cannot be looked into cannot be shortened."""
    body = f"From: {ACCOUNT}\nTo: {address('rossi')}\nX-TipoRicevuta: breve\n"
    body += "Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\nMIIB\n"
    provider = opened()
    provider.submit(ACCOUNT, (address("rossi"),), body.encode())
    provider.advance(timedelta(hours=1))
    assert b"smime.p7m" in provider.mailboxes[ACCOUNT][-1].raw
    assert b".hash" not in provider.mailboxes[ACCOUNT][-1].raw


# --- when


@pytest.mark.parametrize(("hours", "expected"), [(11.99, 1), (12, 2), (23.99, 2), (24, 3), (48, 3)])
def test_the_notices_come_after_twelve_and_twenty_four_hours(hours: float, expected: int) -> None:
    """RFC 6109 section 3.1.6; with the acceptance that makes three mails."""
    assert expected == len(sent(address("silent"), hours=hours))


def test_only_the_final_notice_has_the_permanent_status() -> None:
    """Both have the same header and subject; errore-esteso 5.4.1 tells them apart."""
    _, first, second = (message_from_bytes(mail) for mail in sent(address("silent")))
    assert first["Subject"] == second["Subject"]
    assert first["X-Ricevuta"] == second["X-Ricevuta"] == "preavviso-errore-consegna"
    assert [False, False, True] == ["<errore-esteso>5.4.1" in xml(mail) for mail in sent(address("silent"))]


def test_a_receipt_is_dated_by_its_own_time() -> None:
    """However late the clock is looked at."""
    dates = [parsedate_to_datetime(message_from_bytes(mail)["Date"]) for mail in sent(address("late"))]
    assert [START + timedelta(hours=hours) for hours in (0, 12, 24, 30)] == dates


def test_an_hour_may_last_a_second() -> None:
    """For demonstrations: the same story, faster, on a true clock."""
    provider = opened(hour=timedelta(seconds=1))
    provider.submit(ACCOUNT, (address("silent"),), message(address("silent")))
    provider.advance(timedelta(seconds=24))
    assert [
        ("relay.delayed", "warning_12h", address("silent")),
        ("relay.failed", "final_24h", address("silent")),
    ] == told([mail.raw for mail in provider.mailboxes[ACCOUNT]])


def test_the_same_seed_tells_the_same_story() -> None:
    """Ids, doublings and disorder are drawn from the seed alone; another seed tells another story."""

    def story(seed: int) -> list[str]:
        provider = opened(seed=seed, doubling=0.4, disorder=0.6)
        to = tuple(address(f"rossi{n}") for n in range(12))
        provider.submit(ACCOUNT, to, message(*to))
        provider.advance(timedelta(hours=2))
        return [message_from_bytes(mail.raw)["Message-ID"] for mail in provider.mailboxes[ACCOUNT]]

    first = story(1)
    assert first == story(1)
    assert first != story(2)
    assert 13 < len(first)
    assert sorted(first) != first


# --- what is not accepted


@pytest.mark.parametrize(
    ("fields", "routed"),
    [
        ({"From": "altro@pec.fornitore.example"}, ("rossi",)),
        ({"To": ""}, ("rossi",)),
        ({}, ("rossi", "nascosto")),
        ({}, ("altro",)),
        ({"Bcc": address("rossi")}, ("rossi",)),
        ({}, ("rejected",)),
    ],
)
def test_a_formal_objection_is_answered_with_one_receipt(fields: dict[str, str], routed: tuple[str, ...]) -> None:
    """RFC 6109 sections 3.1.1 and 3.1.2: nothing is passed on, and the original is not given back."""
    provider, to = opened(), address("rejected" if routed == ("rejected",) else "rossi")
    provider.submit(ACCOUNT, tuple(map(address, routed)), message(to, cc=(), **fields))
    provider.advance(timedelta(hours=48))
    (mail,) = provider.mailboxes[ACCOUNT]
    (seen,) = read(mail.raw)
    assert ("submission.rejected", "altro") == (seen.type, seen.reason)
    assert b"postacert.eml" not in mail.raw
    assert [False] == [one.is_certified for one in provider.accepted]


def test_a_message_that_is_too_large_for_its_recipients_is_refused() -> None:
    """Size times recipients is what must stay within 30 MB."""
    provider, to = opened(), tuple(address(f"rossi{n}") for n in range(4))
    mail = message(*to) + b"A" * (8 * 1024 * 1024)
    provider.submit(ACCOUNT, to, mail)
    assert ["submission.rejected"] == [one.type for mail in provider.mailboxes[ACCOUNT] for one in read(mail.raw)]


def test_a_virus_is_refused_even_in_base64() -> None:
    """RFC 6109 section 3.1.3: its own subject and header field."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = ACCOUNT, address("rossi"), "Fattura"
    mail.add_attachment(VIRUS, maintype="application", subtype="octet-stream", filename="fattura.exe")
    provider = opened()
    provider.submit(ACCOUNT, (address("rossi"),), mail.as_bytes())
    (refused,) = provider.mailboxes[ACCOUNT]
    (seen,) = read(refused.raw)
    assert ("submission.rejected", "virus") == (seen.type, seen.reason)
    fields = message_from_bytes(refused.raw)
    assert "errore" == fields["X-VerificaSicurezza"]
    assert fields["Subject"].startswith("AVVISO DI NON ACCETTAZIONE PER VIRUS: ")


@pytest.mark.parametrize(
    "subject", ["=?utf-8?q?=0D=0AX-Ricevuta=3A_accettazione?=", "=?unknown?q?x?=", "\x01]]>&<a>", ""]
)
def test_no_subject_breaks_a_receipt(subject: str) -> None:
    """Whatever a sender writes there, the header stays a header and the certification data stays XML."""
    raw = f"From: {ACCOUNT}\r\nTo: {address('rossi')}\r\nSubject: {subject}\r\n\r\nTesto\r\n".encode()
    provider = opened()
    provider.submit(ACCOUNT, (address("rossi"),), raw)
    provider.advance(timedelta(hours=1))
    seen = [
        (one.type, "daticert_invalid" in one.notes) for mail in provider.mailboxes[ACCOUNT] for one in read(mail.raw)
    ]
    assert [("submission.accepted", False), ("content.consigned", False)] == seen


# --- what comes in


def test_a_customer_gets_the_envelope_of_what_is_delivered_to_it() -> None:
    """RFC 6109 section 3.4: the same steps when both belong to one provider."""
    mails = sent(ACCOUNT)
    seen = [(one.type, one.reason) for mail in mails for one in read(mail)]
    assert [("submission.accepted", ""), ("content.consigned", ""), ("inbound.received", "certified")] == seen
    envelope = message_from_bytes(mails[-1])
    assert f'"Per conto di: {ACCOUNT}" <{authority.MAILBOX}>' == envelope["From"]
    assert ACCOUNT == envelope["Reply-To"]
    assert "completa" == envelope["X-TipoRicevuta"]


def test_certified_and_ordinary_mail_from_outside_are_told_apart() -> None:
    """A transport envelope with certification data, an anomaly envelope without."""
    provider = opened()
    provider.receive_certified("comune@pec.altro.example", ACCOUNT, message(ACCOUNT, From="comune@pec.altro.example"))
    provider.receive_ordinary(ACCOUNT, b"From: chiunque@esempio.example\r\nSubject: Ciao\r\n\r\nCiao\r\n")
    seen = [(one.type, one.reason) for mail in provider.mailboxes[ACCOUNT] for one in read(mail.raw)]
    assert [("inbound.received", "certified"), ("inbound.received", "anomaly")] == seen
    assert [True, False] == [b"daticert.xml" in mail.raw for mail in provider.mailboxes[ACCOUNT]]


def test_an_ordinary_bounce_is_a_delivery_status_notification() -> None:
    """RFC 3464: machine-readable, with the header of what was sent."""
    (_, bounce) = sent(address("bounced"))
    report = message_from_bytes(bounce)
    assert "multipart/report" == report.get_content_type()
    assert address("bounced").encode() in bounce
    assert MSGID.encode() in bounce


def test_a_full_mailbox_takes_no_receipts() -> None:
    """What does not fit is lost, and only the provider knows."""
    provider = opened(mailbox_bytes=6000)
    provider.submit(ACCOUNT, (address("rossi"),), message(address("rossi")))
    provider.advance(timedelta(hours=1))
    assert [1, 1] == [len(provider.mailboxes[ACCOUNT]), len(provider.lost)]
    provider.remove(ACCOUNT, provider.mailboxes[ACCOUNT][0])
    assert 0 == provider.usage(ACCOUNT)


# --- on the network


@pytest.fixture(scope="module")
def service() -> Iterator[Sandbox]:
    """A sandbox whose clock stands still, for all tests of this module."""
    with running(provider=opened()) as sandbox:
        yield sandbox


def tls(sandbox: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=sandbox.ca_pem.decode())


def starttls(sandbox: Sandbox) -> smtplib.SMTP:
    client = smtplib.SMTP("localhost", sandbox.smtp_port, timeout=20)
    client.starttls(context=tls(sandbox))
    return client


def implicit(sandbox: Sandbox) -> smtplib.SMTP:
    return smtplib.SMTP_SSL("localhost", sandbox.smtps_port, timeout=20, context=tls(sandbox))


@pytest.mark.parametrize("connect", [starttls, implicit])
def test_a_message_goes_in_by_smtp_and_its_receipts_come_out_by_imap(
    connect: type[smtplib.SMTP], service: Sandbox
) -> None:
    """Both ways of TLS; IMAP gives back every byte."""
    accepted = len(service.provider.accepted)
    with connect(service) as client:  # type: ignore[arg-type]
        client.login(ACCOUNT, PASSWORD)
        assert {} == client.sendmail(ACCOUNT, [address("rossi")], message(address("rossi")))
    service.advance(minutes=1)
    service.settle()
    assert accepted + 1 == len(service.provider.accepted)
    with imaplib.IMAP4_SSL("localhost", service.imap_port, ssl_context=tls(service), timeout=20) as mailbox:
        mailbox.login(ACCOUNT, PASSWORD)
        mailbox.select("INBOX")
        _, answer = mailbox.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
    bodies = [item[1] for item in answer if isinstance(item, tuple)]
    assert [mail.raw for mail in service.mailboxes[ACCOUNT]] == bodies
    assert ["submission.accepted", "content.consigned"] == [read(body)[0].type for body in bodies[-2:]]


@pytest.mark.parametrize("connect", [starttls, implicit])
def test_nobody_sends_without_logging_in_or_for_somebody_else(connect: type[smtplib.SMTP], service: Sandbox) -> None:
    """Wrong passwords, none at all, and other people's addresses are refused, and nothing is accepted."""
    accepted = len(service.provider.accepted)
    with connect(service) as client:  # type: ignore[arg-type]
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(ACCOUNT, [address("rossi")], message(address("rossi")))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(ACCOUNT, "falsa")
        client.login(ACCOUNT, PASSWORD)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("altro@pec.fornitore.example", [address("rossi")], message(address("rossi")))
    assert accepted == len(service.provider.accepted)


def test_no_password_is_taken_before_tls(service: Sandbox) -> None:
    """AUTH is not even offered."""
    with smtplib.SMTP("localhost", service.smtp_port, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("auth")


@pytest.mark.parametrize(
    ("operation", "fault", "error", "is_accepted"),
    [
        ("DATA", Fault("cut_after"), smtplib.SMTPServerDisconnected, True),
        ("DATA", Fault("cut_before"), smtplib.SMTPServerDisconnected, False),
        ("DATA", Fault("status", 451), smtplib.SMTPDataError, False),
        ("DATA", Fault("status", 554, "5.7.1 no"), smtplib.SMTPDataError, False),
        ("DATA", Fault("garbage"), smtplib.SMTPDataError, True),
        ("RCPT", Fault("status", 550), smtplib.SMTPRecipientsRefused, False),
        ("MAIL", Fault("status", 452), smtplib.SMTPSenderRefused, False),
        ("DATA", Fault("slow_after"), smtplib.SMTPServerDisconnected, True),
        ("DATA", Fault("slow_before"), smtplib.SMTPServerDisconnected, False),
    ],
)
def test_a_fault_strikes_once_and_the_sandbox_knows_what_was_accepted(
    operation: str, fault: Fault, error: type[Exception], *, is_accepted: bool, service: Sandbox
) -> None:
    """An unclear answer to the client is a clear number here."""
    accepted = len(service.provider.accepted)
    service.faults.add(operation, fault)

    def send() -> None:
        with starttls(service) as client:
            client.login(ACCOUNT, PASSWORD)
            client.sock.settimeout(0.3 if fault.kind.startswith("slow") else 20)  # type: ignore[union-attr]
            client.sendmail(ACCOUNT, [address("rossi")], message(address("rossi")))

    with pytest.raises(error):
        send()
    assert accepted + is_accepted == len(service.provider.accepted)
    send()
    assert accepted + is_accepted + 1 == len(service.provider.accepted)


def test_a_log_in_may_fail_for_a_while(service: Sandbox) -> None:
    """A client that tries both mechanisms fails twice; a fault that was ordered twice strikes twice."""
    service.faults.add("AUTH", Fault("status", 454, "4.7.0 Temporary authentication failure"), times=2)
    with starttls(service) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError, match="454"):
            client.login(ACCOUNT, PASSWORD)
        assert (235, b"2.7.0 Authentication successful") == client.login(ACCOUNT, PASSWORD)


async def test_it_runs_in_the_callers_own_event_loop() -> None:
    """And what fell due is there to be read when it has settled."""
    async with simulator(opened(), tick_s=0.01) as sandbox:
        sandbox.provider.submit(ACCOUNT, (address("rossi"),), message(address("rossi")))
        sandbox.advance(hours=1)
        await sandbox.settled()
        assert 2 == len(sandbox.mailboxes[ACCOUNT])


async def test_notices_come_by_themselves_as_time_passes() -> None:
    """On the real clock, with hours of a millisecond, nobody needs to advance anything."""
    final, loop = asyncio.Event(), asyncio.get_running_loop()
    provider = Provider({ACCOUNT: PASSWORD}, hour=timedelta(milliseconds=1))

    def tell(_to: str, mail: Mail) -> None:
        if b"<errore-esteso>5.4.1" in xml(mail.raw).encode():
            loop.call_soon_threadsafe(final.set)

    provider.listeners.append(tell)
    async with simulator(provider, tick_s=0.001):
        provider.submit(ACCOUNT, (address("silent"),), message(address("silent")))
        await asyncio.wait_for(final.wait(), 60)
    assert 3 == len(provider.mailboxes[ACCOUNT])


def test_a_sandbox_that_cannot_start_says_so() -> None:
    """A port that is taken is an error of the caller's, not of a thread's."""
    with running() as first, pytest.raises(OSError, match="address already in use"), running(smtp_port=first.smtp_port):
        pass


def test_mail_may_go_into_maildir_folders(tmp_path: Path) -> None:
    """For other IMAP servers: every byte, in `new`, nothing left in `tmp`."""
    provider = opened()
    provider.listeners.append(maildir.into(tmp_path))
    provider.submit(ACCOUNT, (address("rossi"),), message(address("rossi")))
    provider.advance(timedelta(hours=1))
    laid = sorted((tmp_path / ACCOUNT / "new").iterdir())
    assert [mail.raw for mail in provider.mailboxes[ACCOUNT]] == [path.read_bytes() for path in laid]
    assert [] == list((tmp_path / ACCOUNT / "tmp").iterdir())


def test_the_sandbox_does_not_know_the_reader() -> None:
    """What the provider writes and what we read are two readings of the RFC: they share no code."""
    folder = Path(package.__file__).parent
    trees = [ast.parse(path.read_text("utf-8")) for path in folder.glob("*.py")]
    names = {node.module or "" for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in names if name.startswith(("adapters", "ledger"))}
    shared = {name for name in ours if not name.startswith("adapters.providers.pec_mailbox.sandbox")}
    assert {"adapters.providers.sandboxing"} == shared
