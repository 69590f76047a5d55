"""Submitting to a real SMTP server: what it is told, what its replies mean, and that an unclear end is never taken for another."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.providers.calling import Access, Answer, Document, Exchange, Judged, Submission, judge
from adapters.providers.pec_mailbox import mime, smtp
from adapters.providers.pec_mailbox.client import CLIENT, transport
from adapters.providers.pec_mailbox.settings import Settings
from adapters.sending import fingerprint
from ledger.observations import Address, Arrival, ArrivalKind, Reference, UnreadableError
from tests.mail.authority import server_certificate
from tests.mail.dovecot import PASSWORD
from tests.mail.submission import CUT, SILENCE, Office, running
from tests.mail.wires import wire

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANNA, BRUNO, CARLA = "anna@pec.example", "bruno@cert.example", "carla@pec.example"


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def plain_port(office: Office) -> Iterator[int]:
    with running(office) as port:
        yield port


def access(port: int = 25, security: str = "plain", **settings: Any) -> Access:
    given = {"address": "ufficio@pec.example", "smtp_host": "localhost", "smtp_port": port, "smtp_security": security}
    secrets = {"imap_user": "ufficio@pec.example", "imap_password": PASSWORD}
    return Access(settings=Settings(**given | settings), secrets=secrets, now=NOW)


def submission(*addresses: str, **said: Any) -> Submission:
    usual = {
        "message": "01959f2e-7b1c-7e55-9c5b-3d3a5f0c1a77",
        "recipients": tuple(Address("email", each) for each in addresses or (ANNA, BRUNO)),
        "subject": "Diffida di pagamento: città",
        "text": "Si comunica quanto segue.\n.\nCordiali saluti\n",
        "options": smtp.Options(),
        "requested_at": NOW - timedelta(minutes=5),
    }
    return Submission(**usual | said)


def send(given: Access, what: Submission | None = None) -> tuple[Answer, Judged]:
    """The answer to the one step of a send, and what it means."""
    request = CLIENT.next_request(what or submission(), [], given)
    assert request is not None
    answer = transport(request, given)
    return answer, judge(CLIENT, request, answer)


def arrival(what: Submission, given: Access, answer: Answer) -> Arrival:
    request = CLIENT.next_request(what, [], given)
    assert request is not None
    return Arrival(
        provider="pec_mailbox",
        account="ufficio",
        operation="submission",
        kind=ArrivalKind.POLL,
        observed_at=NOW,
        body=answer.body,
        status=answer.status,
        request=request.body,
    )


class TestMessage:
    """What goes out."""

    def test_a_repeat_is_the_same_message(self) -> None:
        """The same bytes each time, Message-ID and boundary included."""
        what = submission(documents=(Document("a.pdf", "application/pdf", b"%PDF-1.7"),))
        assert smtp.compose(what, access()) == smtp.compose(what, access())

    def test_another_message_has_another_message_id(self) -> None:
        """It follows from the id of the message alone and does not show it."""
        one, other = submission(), submission(message="01959f2e-7b1c-7e55-9c5b-3d3a5f0c1a78", subject="")
        names = {smtp.msgid(each, "ufficio@PEC.example") for each in (one, other, replace(one, subject="x"))}
        assert 2 == len(names)
        assert all(
            name.endswith("@pec.example") and each.message not in name for name in names for each in (one, other)
        )

    def test_the_header_says_what_was_asked_for(self) -> None:
        """Sender, all recipients in To or Cc, subject, the time of the request, and the kind of receipt."""
        options = smtp.Options(cc=(1,), receipt="breve")
        mail = message_from_bytes(smtp.compose(submission(ANNA, BRUNO, CARLA, options=options), access()), policy=SMTP)
        expected = {
            "From": "ufficio@pec.example",
            "To": f"{ANNA}, {CARLA}",
            "Cc": BRUNO,
            "Bcc": None,
            "Subject": "Diffida di pagamento: città",
            "Date": "Mon, 02 Mar 2026 08:55:00 +0000",
            "X-TipoRicevuta": "breve",
        }
        assert expected == {name: mail[name] for name in expected}

    def test_text_and_documents_arrive_as_they_are(self) -> None:
        """Bytes of every kind, and names in other letters than ASCII."""
        documents = (
            Document("fattura è.pdf", "application/pdf", bytes(range(256)) * 300),
            Document("note.txt", "text/plain", b".\r\nuna riga\n\rdue"),
        )
        mail = message_from_bytes(smtp.compose(submission(documents=documents), access()), policy=SMTP)
        body = mail.get_body()
        assert body is not None
        assert submission().text == body.get_content().replace("\r\n", "\n")
        assert [(d.name, d.media_type, d.data) for d in documents] == [
            (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
            for part in mail.iter_attachments()
        ]

    def test_a_document_goes_out_as_it_was_fingerprinted(self) -> None:
        """In a brief receipt stands the SHA-1 of the part as it went out, of its base64 lines (RFC 6109 section 3.3.2.2)."""
        document = Document("fattura.pdf", "application/pdf", bytes(range(256)) * 3)
        raw = smtp.compose(submission(documents=(document,)), access())
        part = mime.read(raw).parts[1]
        expected = fingerprint(document, "certified_email")
        assert expected.sha1_base64 == hashlib.sha1(raw[part.body : part.end], usedforsecurity=False).hexdigest()

    def test_lines_are_short_and_end_in_cr_lf(self) -> None:
        """ASCII only, at most 998 characters, no bare CR or LF (RFC 5321 section 4.5.3.1.6): nothing a server could rewrite."""
        documents = (Document("x" * 200 + "è.bin", "application/octet-stream", b"\n" * 10_000),)
        addresses = [f"{'a' * 60}{number}@{'lungo-dominio.' * 8}example" for number in range(300)]
        what = submission(
            *addresses, subject="è" * 600 + "y" * 1500, text="x" * 5000 + "\r\r\n\n.", documents=documents
        )
        mail = smtp.compose(what, access())
        lines = mail.split(b"\r\n")
        assert mail.isascii()
        assert not any(b"\r" in line or b"\n" in line for line in lines)
        assert max(map(len, lines)) <= 998
        assert tuple(addresses) == smtp.envelope(mail).recipients

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"recipients": ()}, "no recipient stands in To"),
            ({"recipients": (Address("phone", "+390612345"),)}, r"recipients \[0\] are no e-mail"),
            ({"recipients": (Address("email", ANNA), Address("email", "a b@c.example"))}, r"recipients \[1\]"),
            ({"recipients": (Address("email", f"{ANNA}>\r\nRCPT TO:<{BRUNO}"),)}, r"recipients \[0\]"),
            ({"recipients": (Address("email", ANNA), Address("email", ANNA.upper()))}, "twice"),
            ({"sender": "Ufficio"}, "`address`"),
            ({"subject": f"x\r\nBcc: {CARLA}"}, "line break"),
            ({"subject": "\ud800"}, "cannot be written"),
            ({"text": "\ud800"}, "half a character"),
            ({"text_type": "text/markdown"}, "text/plain, text/html"),
            ({"options": smtp.Options(cc=(2,))}, "cc names"),
            ({"options": smtp.Options(cc=(0, 1))}, "no recipient stands in To"),
            ({"documents": (Document("", "text/plain", b""),)}, r"documents \[0\]"),
            ({"documents": (Document("a\nb", "text/plain", b""),)}, r"documents \[0\]"),
            ({"documents": (Document("a", "message/rfc822", b""),)}, r"documents \[0\]"),
            ({"documents": (Document("a", "text", b""),)}, r"documents \[0\]"),
        ],
    )
    def test_what_cannot_be_sent_is_said_before(self, change: dict[str, Any], reason: str) -> None:
        """No header, address or document gets into a message that would make it another one."""
        assert re.search(reason, CLIENT.check(submission(**change), access()))

    def test_an_account_without_a_server_sends_nothing(self) -> None:
        """It only reads."""
        assert "smtp_host" in CLIENT.check(submission(), access(smtp_host=""))

    def test_what_can_be_sent_has_no_objection(self) -> None:
        """Also with a blank subject, blanks that are none in ASCII, and no text."""
        assert "" == CLIENT.check(submission(subject="", text=""), access())
        assert "" == CLIENT.check(submission(subject="art.\u00a01"), access())

    def test_an_answered_step_is_the_last(self) -> None:
        """Sent, refused or unclear: nothing more is asked."""
        done = [Exchange(operation="submission", recipient=None, verdict="unclear", answer=None)]
        assert CLIENT.next_request(submission(), done, access()) is None

    def test_options_are_known_by_name(self) -> None:
        """Any other kind of receipt is refused."""
        assert smtp.Options(cc=(1,), receipt="sintetica") == msgspec.convert(
            {"cc": [1], "receipt": "sintetica"}, CLIENT.options
        )
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"receipt": "lunga"}, CLIENT.options)


class TestDialogue:
    """What the server hears, and what its replies mean."""

    def test_a_message_is_submitted_to_all_at_once(self, office: Office, plain_port: int) -> None:
        """One message, byte for byte, with all recipients of To and Cc in the envelope."""
        what = submission(ANNA, BRUNO, CARLA, options=smtp.Options(cc=(2,)))
        answer, judged = send(access(plain_port), what)
        assert "sent" == judged.verdict
        assert (250, b"DATA\r\n250 2.0.0 accodato come 4C2F\r\n") == (answer.status, answer.body)
        assert [("ufficio@pec.example", (ANNA, BRUNO, CARLA))] == [each[:2] for each in office.taken]
        assert smtp.compose(what, access()) == office.taken[0].mail

    @pytest.mark.parametrize("security", ["tls", "starttls"])
    def test_the_way_is_encrypted(self, office: Office, tmp_path: Path, security: str) -> None:
        """With TLS from the first byte or by STARTTLS, against a private authority."""
        ca_file = server_certificate(tmp_path)
        with running(office, security, tmp_path) as port:
            _, judged = send(access(port, security, ca_file=str(ca_file)))
        assert "sent" == judged.verdict
        assert [True] == [each.was_encrypted for each in office.taken]

    @pytest.mark.parametrize(
        ("host", "with_ca"), [("localhost", False), ("127.0.0.1", True)], ids=["authority", "name"]
    )
    @pytest.mark.parametrize("security", ["tls", "starttls"])
    def test_a_wrong_certificate_gets_neither_password_nor_message(
        self, office: Office, tmp_path: Path, security: str, host: str, *, with_ca: bool
    ) -> None:
        """Of another authority, or for another name: nothing is sent, and it may be tried again."""
        ca_file = str(server_certificate(tmp_path))
        with running(office, security, tmp_path) as port:
            answer, judged = send(access(port, security, smtp_host=host, ca_file=ca_file if with_ca else ""))
        assert ("unreachable", "later") == (answer.failure, judged.verdict)
        assert [] == office.commands

    def test_without_starttls_nothing_is_said(self, office: Office, plain_port: int) -> None:
        """A server, or somebody between, that does not offer it gets no password."""
        answer, judged = send(access(plain_port, "starttls"))
        assert ("unreachable", "later") == (answer.failure, judged.verdict)
        assert [] == office.commands

    def test_a_wrong_password_is_no_refusal_of_the_message(self, office: Office, plain_port: int) -> None:
        """It may be sent when the password is right; the password is not in what is kept."""
        given = replace(access(plain_port), secrets={"imap_user": "ufficio", "imap_password": "sbagliata"})
        answer, judged = send(given)
        assert (535, "later") == (answer.status, judged.verdict)
        assert judged.retry_at is not None
        assert datetime(2026, 3, 2, 10, tzinfo=UTC) == judged.retry_at
        assert answer.body.startswith(b"AUTH\r\n535 ")
        assert b"sbagliata" not in answer.body
        assert ["AUTH"] == office.commands

    @pytest.mark.parametrize(
        ("command", "reply", "verdict"),
        [
            ("MAIL", "451 4.3.0 riprovare", "later"),
            ("MAIL", "550 5.7.1 mittente non ammesso", "refused"),
            ("MAIL", "530 5.7.0 autenticarsi", "later"),
            ("RCPT", "452 4.5.3 troppi destinatari", "later"),
            ("RCPT", "550 5.1.1 sconosciuto", "refused"),
            ("DATA", "452 4.2.2 casella piena", "later"),
            ("DATA", "554 5.6.0 rifiutato", "refused"),
            ("DATA", "421 4.3.2 chiusura", "later"),
        ],
    )
    def test_a_reply_of_no_sends_nothing(
        self, office: Office, plain_port: int, command: str, reply: str, verdict: str
    ) -> None:
        """4xx: later; 5xx about the message: refused; about us: later. The reply is kept under the command it answers."""
        office.replies = {command: reply}
        answer, judged = send(access(plain_port))
        assert (verdict, reply.encode()) == (judged.verdict, answer.body.split(b"\r\n")[1])
        assert answer.body.startswith(command.encode())
        assert [] == office.taken

    def test_one_refused_recipient_keeps_back_the_message_from_all(self, office: Office, plain_port: int) -> None:
        """Its header would name somebody who does not get it; the answer says who it was."""
        office.replies = {f"RCPT {BRUNO}": "550 5.1.1 sconosciuto"}
        answer, judged = send(access(plain_port), submission(ANNA, BRUNO, CARLA))
        assert "refused" == judged.verdict
        assert f"RCPT TO:<{BRUNO}>\r\n550 5.1.1 sconosciuto\r\n".encode() == answer.body
        assert ["AUTH", "MAIL", "RCPT", "RCPT"] == office.commands
        assert [] == office.taken

    def test_a_message_over_the_servers_limit_is_refused_before_it_is_sent(self, office: Office) -> None:
        """Its size is told with the sender (RFC 1870)."""
        with running(office, data_size_limit=2000) as port:
            answer, judged = send(access(port), submission(text="x" * 3000))
        assert (552, "refused") == (answer.status, judged.verdict)

    def test_nobody_there_is_later(self) -> None:
        """No connection, nothing sent."""
        with running(Office()) as port:
            pass
        answer, judged = send(access(port))
        assert ("unreachable", "later", NOW + timedelta(minutes=1)) == (answer.failure, judged.verdict, judged.retry_at)

    @pytest.mark.parametrize("command", ["MAIL", "RCPT"])
    def test_a_cut_before_the_message_is_later(self, office: Office, plain_port: int, command: str) -> None:
        """Nothing was sent, whatever the server heard before."""
        office.replies = {command: CUT}
        answer, judged = send(access(plain_port))
        assert ("unreachable", "later") == (answer.failure, judged.verdict)

    def test_a_cut_within_the_message_is_later(self, office: Office, plain_port: int) -> None:
        """Without its last line a server does not take it (RFC 5321 section 4.1.1.4).

        It is larger than all that the kernel buffers for us: what fits in there has left, as far as anybody can tell.
        """
        large = submission(documents=(Document("a.bin", "application/octet-stream", b"x" * 20_000_000),))
        with wire(plain_port, lambda _connection, _said, up, _down: up > 1_000_000) as between:
            answer, judged = send(access(between.port), large)
        assert ("unreachable", "later") == (answer.failure, judged.verdict)
        assert [] == office.taken

    @pytest.mark.parametrize(("reply", "failure"), [(CUT, "cut"), (SILENCE, "timeout")])
    def test_no_reply_after_the_message_is_unclear(
        self, office: Office, plain_port: int, reply: str, failure: str
    ) -> None:
        """The server has it, and we do not know: it is never sent again by itself."""
        office.replies = {"DATA": reply}
        given = access(plain_port)
        request = CLIENT.next_request(submission(), [], given)
        assert request is not None
        answer = transport(replace(request, timeout_s=0.3), given)
        assert (failure, "unclear") == (answer.failure, judge(CLIENT, request, answer).verdict)
        assert 1 == len(office.taken)

    def test_credentials_are_nowhere_in_what_is_kept_or_logged(
        self, office: Office, plain_port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not even when the server repeats them."""
        office.replies = {"MAIL": f"550 la password {PASSWORD} non va"}
        request = CLIENT.next_request(submission(), [], access(plain_port))
        assert request is not None
        with caplog.at_level(logging.DEBUG):
            answer = transport(request, access(plain_port))
        assert b"550 la password *** non va\r\n" == answer.body.partition(b"\r\n")[2]
        assert PASSWORD not in caplog.text
        assert PASSWORD.encode() not in request.body
        assert request.kept is None

    def test_a_time_is_our_clock(self, plain_port: int) -> None:
        """The clock of the call, and how long it took."""
        answer, _ = send(access(plain_port))
        assert NOW <= answer.at < NOW + timedelta(minutes=1)


class TestSubmitted:
    """What is read from the last reply."""

    def test_a_taken_message_is_known_by_its_message_id(self, plain_port: int) -> None:
        """As the receipts name it; it is no acceptance yet."""
        given, what = access(plain_port), submission()
        answer, _ = send(given, what)
        (seen,) = smtp.submitted(arrival(what, given, answer))
        name = smtp.msgid(what, "ufficio@pec.example")
        assert ("production.advanced", "250", (Reference("msgid", name),)) == (seen.type, seen.code, seen.references)

    def test_a_refused_message_is_rejected(self) -> None:
        """In the server's own words."""
        answer = Answer(at=NOW, status=554, body=b"DATA\r\n554 5.6.0 rifiutato\r\n")
        (seen,) = smtp.submitted(arrival(submission(), access(), answer))
        assert ("submission.rejected", "5xx", "DATA\r\n554 5.6.0 rifiutato\r\n") == (
            seen.type,
            seen.code,
            seen.texts["text"],
        )

    @pytest.mark.parametrize(
        ("status", "command"), [(451, "DATA"), (535, "AUTH"), (530, "MAIL FROM:<a@b.example>"), (554, "CONNECT")]
    )
    def test_what_may_be_tried_again_says_nothing_of_the_message(self, status: int, command: str) -> None:
        """Not now, or not with these credentials."""
        answer = Answer(at=NOW, status=status, body=f"{command}\r\n{status} no\r\n".encode())
        assert () == smtp.submitted(arrival(submission(), access(), answer))

    @pytest.mark.parametrize("change", [{"status": 354}, {"status": None}, {"request": None}, {"request": b"x"}])
    def test_what_is_no_reply_to_a_submission_is_unreadable(self, change: dict[str, Any]) -> None:
        """Without our message nobody knows what it is about."""
        answer = Answer(at=NOW, status=250, body=b"DATA\r\n250 ok\r\n")
        with pytest.raises(UnreadableError):
            smtp.submitted(replace(arrival(submission(), access(), answer), **change))
