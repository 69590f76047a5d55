"""Rules of ordinary bounces in a mailbox of certified e-mail: whom they are about, and how little they are believed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.providers.pec_mailbox import PROVIDER, bounces
from ledger.observations import Address, Arrival, ArrivalKind, Observation, Reference, UnreadableError

FAILED = b"Final-Recipient: rfc822;a@posta.example\nAction: failed\nStatus: 5.1.1\n"
RETURNED = b"Content-Type: message/rfc822\n\nMessage-ID: <m1@client.example>\nSubject: x\n\ntext"

ENVELOPE = b"Content-Type: text/rfc822-headers\n\nX-Trasporto: posta-certificata\nMessage-ID: <p1@pec.example>\n"


def report(*groups: bytes, returned: bytes = RETURNED, kind: bytes = b"message/delivery-status") -> bytes:
    """A report by RFC 3464."""
    return (
        b"Date: Fri, 13 Mar 2026 08:15:02 +0000\nMessage-ID: <b1@mx.example>\nFrom: mailer-daemon@mx.example\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\n\nIt failed.\n"
        b"--r\nContent-Type: " + kind + b"\n\n" + b"\n".join((b"Reporting-MTA: dns; mx.example\n", *groups))
        + b"\n--r\n" + returned + b"\n--r--\n"
    )  # fmt: skip


def read(mail: bytes) -> tuple[Observation, ...]:
    return PROVIDER.parse(
        Arrival(
            provider="pec_mailbox",
            account="a",
            operation="receipt",
            kind=ArrivalKind.MAILBOX,
            observed_at=datetime(2026, 3, 13, tzinfo=UTC),
            body=mail,
        )
    )


def test_each_recipient_of_a_report_is_one_fact() -> None:
    """One of them may have failed while another is still tried."""
    other = FAILED.replace(b"a@", b"b@").replace(b"failed", b"delayed").replace(b"5.1.1", b"4.4.7")
    seen = read(report(FAILED, other))
    told = [(o.type, o.recipient) for o in seen]
    assert [
        ("content.consignment_failed", Address("email", "a@posta.example")),
        ("relay.delayed", Address("email", "b@posta.example")),
    ] == told
    assert 2 == len({o.identity for o in seen})


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_a_good_end_is_not_believed_of_ordinary_mail(action: str) -> None:
    """Only a delivery receipt says that it was delivered; a mail server's word is that it went on."""
    (seen,) = read(report(FAILED.replace(b"failed", action.encode())))
    assert ("nonerds.relayed", action) == (seen.type, seen.code)
    assert "ordinary_mail" in seen.notes


def test_an_unknown_action_is_kept_and_claims_nothing() -> None:
    """The word stands in the texts as it was written."""
    (seen,) = read(report(FAILED.replace(b"failed", b"Vaporised")))
    assert ("channel.unmapped", "", "Vaporised") == (seen.type, seen.code, seen.texts["code"])


def test_the_senders_own_spelling_of_the_address_names_the_recipient() -> None:
    """The final address may be one that the sender never wrote to; it is kept beside it."""
    (seen,) = read(report(b"Original-Recipient: rfc822;capo@posta.example\n" + FAILED))
    assert Address("email", "capo@posta.example") == seen.recipient
    assert "a@posta.example" == seen.texts["final_recipient"]


@pytest.mark.parametrize(
    "field", [b"rfc822;a@posta.example", b"rfc822; <a@posta.example>", b"utf-8;a@posta.example", b"a@posta.example"]
)
def test_an_address_is_read_without_its_type(field: bytes) -> None:
    """RFC 3464 and RFC 6533 put a type before it, some servers none."""
    (seen,) = read(report(b"Final-Recipient: " + field + b"\nAction: failed\n"))
    assert Address("email", "a@posta.example") == seen.recipient


# --- which message


@pytest.mark.parametrize(
    ("returned", "references"),
    [
        (RETURNED, [("msgid", "m1@client.example")]),
        (RETURNED.replace(b"message/rfc822", b"text/rfc822-headers"), [("msgid", "m1@client.example")]),
        (RETURNED.replace(b"message/rfc822", b"message/global"), [("msgid", "m1@client.example")]),
        (
            ENVELOPE + b"X-Riferimento-Message-ID: <m1@client.example>\n",
            [("msgid", "m1@client.example"), ("identificativo", "p1@pec.example")],
        ),
        (
            (ENVELOPE + b"X-Riferimento-Message-ID: <m1@client.example>\n").replace(b"X-Trasporto", b"X-Other"),
            [("msgid", "m1@client.example"), ("identificativo", "p1@pec.example")],
        ),
        (ENVELOPE, [("identificativo", "p1@pec.example")]),
        (b"Content-Type: text/plain\n\nMessage-ID: <m1@client.example>\n", []),
        (b"Content-Type: message/rfc822\n\nSubject: Message-ID <m1@client.example>\n\nMessage-ID: <m1@x>\n", []),
    ],
)
def test_only_the_returned_header_names_the_message(returned: bytes, references: list[tuple[str, str]]) -> None:
    """Never a text or subject that mentions an id; a transport envelope has the provider's id and refers to the sender's."""
    (seen,) = read(report(FAILED, returned=returned))
    assert tuple(Reference(*pair) for pair in references) == seen.references


def test_a_report_without_the_returned_message_names_none() -> None:
    """It then waits for a person, known by its bytes alone."""
    (seen,) = read(report(FAILED, returned=b"Content-Type: text/plain\n\nno more"))
    assert ((), ()) == (seen.references, seen.identity)


# --- the same report


def test_a_report_in_an_anomaly_envelope_is_the_same_fact() -> None:
    """Certified mailboxes get ordinary mail wrapped; the wrapper adds a note and nothing else."""
    (bare,) = read(report(FAILED))
    (wrapped,) = read(b"X-Trasporto: errore\nContent-Type: message/rfc822\n\n" + report(FAILED))
    assert (bare.identity, bare.content, bare.references) == (wrapped.identity, wrapped.content, wrapped.references)
    assert {"anomaly_envelope"} == set(wrapped.notes) - set(bare.notes)


def test_a_report_that_somebody_forwards_is_no_report() -> None:
    """Only an anomaly envelope is looked into."""
    with pytest.raises(UnreadableError):
        read(b"Subject: Fwd\nContent-Type: message/rfc822\n\n" + report(FAILED))


def test_a_report_without_an_id_of_its_own_is_known_by_its_bytes() -> None:
    """Two nameless reports must not pass for one."""
    (seen,) = read(report(FAILED).replace(b"Message-ID: <b1@mx.example>\n", b""))
    assert () == seen.identity


def test_certification_data_beats_a_report_around_it() -> None:
    """A receipt stays a receipt, however its mail is called."""
    cert = (
        b"Content-Type: application/xml; name=daticert.xml\n\n<postacert tipo='avvenuta-consegna'><dati>"
        b"<identificativo>i</identificativo><consegna>a@pec.example</consegna></dati></postacert>"
    )
    (seen,) = read(report(FAILED, returned=cert))
    assert "content.consigned" == seen.type


# --- times, damage


@pytest.mark.parametrize(
    ("attempt", "at"),
    [
        (b"", datetime(2026, 3, 13, 8, 15, 2, tzinfo=UTC)),
        (b"Last-Attempt-Date: Fri, 13 Mar 2026 10:00:00 +0200\n", datetime(2026, 3, 13, 8, tzinfo=UTC)),
        (b"Last-Attempt-Date: yesterday\n", datetime(2026, 3, 13, 8, 15, 2, tzinfo=UTC)),
    ],
)
def test_it_happened_at_the_last_attempt_or_else_when_it_was_reported(attempt: bytes, at: datetime) -> None:
    """RFC 3464 section 2.3.7; a time that cannot be read is passed over."""
    (seen,) = read(report(FAILED + attempt))
    assert seen.occurred is not None
    assert (at, ("ordinary_mail",)) == (seen.occurred.at, seen.notes)


def test_a_report_without_a_time_is_noted() -> None:
    """What was written stands in the texts."""
    (seen,) = read(report(FAILED).replace(b"Fri, 13 Mar 2026 08:15:02 +0000", b"ieri"))
    assert (None, "ieri") == (seen.occurred, seen.texts["time"])
    assert "time_unreadable" in seen.notes


def test_a_report_that_is_cut_off_is_read_and_noted() -> None:
    """What stands there is kept; the returned header is lost, so it names no message."""
    mail = report(FAILED)
    (seen,) = read(mail[: mail.rindex(b"Content-Type: message/rfc822")])
    assert ("content.consignment_failed", ()) == (seen.type, seen.references)
    assert "mime_damaged" in seen.notes


@pytest.mark.parametrize(
    "mail",
    [
        report(),
        report(b"Action: failed\n"),
        report(FAILED, kind=b"text/plain"),
        report(FAILED).replace(b"multipart/report", b"multipart/mixed"),
        report(FAILED + b"X: " + b"x" * bounces.MAX_BYTES + b"\n"),
    ],
)
def test_what_is_no_report_about_a_recipient_is_unreadable(mail: bytes) -> None:
    """Nobody named, another kind of mail, or more than is read: a person looks at it."""
    with pytest.raises(UnreadableError):
        read(mail)
