"""The way to a mailbox: encrypted and to the right server, or not at all; and looking for the trace of a message in it."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from adapters.providers.calling import Access, Answer, CallFailedError, Submission
from adapters.providers.mailbox import mailbox_sweep
from adapters.providers.mailbox_settings import Mailbox
from adapters.providers.pec_mailbox import smtp
from adapters.providers.pec_mailbox.client import CLIENT, transport
from adapters.providers.pec_mailbox.settings import Settings
from ledger.observations import Address, Arrival, ArrivalKind, Reference, UnreadableError
from tests.mail.desk import FakeDesk
from tests.mail.dovecot import PASSWORD, Dovecot
from tests.mail.rogue import Says, no, ok, rogue
from tests.mail.wires import wire

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SWEEP = mailbox_sweep()
MAIL = b"Subject: CONSEGNA: 1\r\n\r\n"


def desk(user: str = "ufficio", password: str = PASSWORD, **settings: Any) -> FakeDesk:
    given = {"imap_host": "localhost", "imap_security": "plain", "address": "ufficio@pec.example", **settings}
    secrets = {"imap_user": user, "imap_password": password}
    return FakeDesk(Access(settings=Settings(**given), secrets=secrets, now=NOW))


class TestTheWay:
    """Who gets to see a password."""

    def test_tls_is_spoken_to_the_server_that_a_private_authority_vouches_for(
        self, dovecot: Dovecot, user: str
    ) -> None:
        """From the first byte on."""
        dovecot.deliver(user, [MAIL])
        one = desk(user, imap_security="tls", imap_port=dovecot.tls, ca_file=dovecot.ca_file)
        SWEEP.run(one)
        assert [MAIL] == one.bodies()

    def test_starttls_comes_before_the_password(self, dovecot: Dovecot, user: str) -> None:
        """What is said before it holds no credential."""
        dovecot.deliver(user, [MAIL])
        with wire(dovecot.plain) as between:
            one = desk(user, imap_security="starttls", imap_port=between.port, ca_file=dovecot.ca_file)
            SWEEP.run(one)
        assert [MAIL] == one.bodies()
        assert b"STARTTLS" in between.said
        assert b"LOGIN" not in between.said
        assert b"AUTHENTICATE" not in between.said

    @pytest.mark.parametrize("security", ["tls", "starttls"])
    @pytest.mark.parametrize("change", [{"ca_file": ""}, {"imap_host": "127.0.0.1"}], ids=["authority", "name"])
    def test_a_wrong_certificate_ends_the_connection(
        self, dovecot: Dovecot, user: str, security: str, change: dict[str, Any]
    ) -> None:
        """Of another authority, or for another name."""
        port = dovecot.tls if security == "tls" else dovecot.plain
        one = desk(user, **{"imap_security": security, "imap_port": port, "ca_file": dovecot.ca_file, **change})
        with pytest.raises(CallFailedError, match=r"cannot be reached.*certificate verify failed"):
            SWEEP.run(one)

    def test_without_starttls_nothing_is_said(self) -> None:
        """A server, or somebody between, that does not offer it gets no password."""
        heard: list[bytes] = []

        def login(tag: str, arguments: bytes) -> bytes:
            heard.append(arguments)
            return ok()(tag, arguments)

        with rogue({"LOGIN": login}) as port, pytest.raises(CallFailedError, match="STARTTLS"):
            SWEEP.run(desk(imap_security="starttls", imap_port=port))
        assert [] == heard

    @pytest.mark.parametrize("protocol", ["imap", "smtp"])
    def test_an_unprotected_way_is_for_this_machine_only(self, protocol: str) -> None:
        """Unless the settings say that it is safe."""
        plain = {f"{protocol}_host": "mail.pec.example", f"{protocol}_security": "plain"}
        with pytest.raises(msgspec.ValidationError, match=f"{protocol}_security = plain"):
            msgspec.convert(plain, Settings)
        allowed = ({"allow_plain_mail": True}, {f"{protocol}_host": "127.0.0.1"}, {f"{protocol}_host": "localhost"})
        assert 3 == len([msgspec.convert(plain | change, Settings) for change in allowed])

    def test_another_provider_may_have_the_settings_of_a_mailbox(self) -> None:
        """They are a type of their own, with the same rule."""
        with pytest.raises(msgspec.ValidationError, match="imap_security = plain"):
            msgspec.convert({"imap_host": "mail.pec.example", "imap_security": "plain"}, Mailbox)

    def test_another_provider_may_name_credentials_and_operation_itself(self, dovecot: Dovecot, user: str) -> None:
        """A sweep is made for each."""
        dovecot.deliver(user, [MAIL])
        one = desk(imap_port=dovecot.plain)
        one.access = replace(one.access, secrets={"username": user, "password": PASSWORD})
        mailbox_sweep("mail", "passed_over", ("username", "password")).run(one)
        assert [MAIL] == one.bodies("mail")


class TestCredentials:
    """A password is told to the server, and to nobody else."""

    def test_a_wrong_password_is_said_and_not_shown(
        self, dovecot: Dovecot, user: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Asked once, not once for each folder: the server might lock the account."""
        with caplog.at_level(logging.DEBUG), wire(dovecot.plain) as between:
            one = desk(user, "sbagliata", imap_port=between.port, imap_folders=("INBOX", "Ricevute"))
            with pytest.raises(CallFailedError, match="does not let us in with its credentials") as told:
                SWEEP.run(one)
        assert 1 == between.connections
        assert "sbagliata" not in str(told.value) + caplog.text
        assert told.value.__cause__ is None
        assert told.value.__suppress_context__

    @pytest.mark.parametrize("shown", [PASSWORD, base64.b64encode(f"\0ufficio\0{PASSWORD}".encode()).decode()])
    def test_a_server_that_repeats_the_password_does_not_spread_it(self, shown: str) -> None:
        """In clear letters or as it was sent."""
        login = no(f"user ufficio, password {shown}, unknown")
        with (
            rogue({"CAPABILITY": ok("CAPABILITY IMAP4rev1 AUTH=PLAIN"), "AUTHENTICATE": login, "LOGIN": login}) as port,
            pytest.raises(CallFailedError, match=r"password \*\*\*, unknown"),
        ):
            SWEEP.run(desk(imap_port=port))

    def test_a_password_with_other_letters_than_ascii_fails_softly_where_only_login_is_known(self) -> None:
        """LOGIN cannot carry it; the error does not quote it."""
        with rogue({}) as port, pytest.raises(CallFailedError, match=r"UnicodeEncodeError$"):
            SWEEP.run(desk(imap_port=port))

    def test_login_serves_where_plain_is_not_offered(self) -> None:
        """With a password in ASCII."""
        heard: list[bytes] = []

        def login(tag: str, arguments: bytes) -> bytes:
            heard.append(arguments)
            return ok()(tag, arguments)

        with rogue({"LOGIN": login, "EXAMINE": ok("0 EXISTS")}) as port:
            SWEEP.run(desk(password='segreta "1"', imap_port=port))
        assert [b'LOGIN ufficio "segreta \\"1\\""'] == [each.replace(b'"ufficio"', b"ufficio") for each in heard]


class TestRogues:
    """What a server may say, and what comes of it: an error that names the folder, and nothing handed in."""

    @pytest.mark.parametrize(
        "says",
        [
            {"EXAMINE": no("[SERVERBUG] boh")},
            {"EXAMINE": lambda tag, _: f"* {'9' * 50} EXISTS\r\n* OK [UIDVALIDITY x]\r\n{tag} OK done\r\n".encode()},
            {"UID SEARCH": ok("SEARCH 1 b 3")},
            {"UID SEARCH": ok("SEARCH 1" + " 1" * 600_000)},
            {"UID FETCH": ok("1 FETCH (UID 1 RFC822.SIZE")},
            {"UID FETCH": ok("1 FETCH (UID 1 RFC822.SIZE {3}", "xx")},
            {"UID FETCH": lambda *_: b"\xff\xfe\0 ??\r\n"},
            {"UID FETCH": lambda *_: b"* 1 FETCH (UID 1 BODY[] {99999999999999}\r\nx"},
        ],
        ids=["no", "numbers", "search", "too-long", "torn", "torn-literal", "noise", "endless-literal"],
    )
    def test_nonsense_is_an_error(self, says: dict[str, Says]) -> None:
        """Never a message, never another exception."""
        with rogue(says) as port:
            one = desk(password="segreta", imap_port=port)
            with pytest.raises(CallFailedError, match="INBOX: "):
                SWEEP.run(one)
        assert [] == one.bodies()

    def test_a_size_that_is_a_lie_is_found_out(self) -> None:
        """A message larger than the server said, and than the limit, is noted and passed over."""

        def fetch(tag: str, arguments: bytes) -> bytes:
            if b"SIZE" in arguments:
                return ok("1 FETCH (UID 1 RFC822.SIZE 10)")(tag, arguments)
            return b"* 1 FETCH (UID 1 BODY[] {2000}\r\n" + b"x" * 2000 + f")\r\n{tag} OK done\r\n".encode()

        with rogue({"UID FETCH": fetch}) as port:
            one = desk(password="segreta", imap_port=port, imap_message_bytes=1000)
            SWEEP.run(one)
        assert [] == one.bodies()
        assert "2000 bytes" in json.loads(one.bodies("skipped")[0])["why"]

    @pytest.mark.parametrize("greeting", [b"* BYE go away\r\n", b"220 mail.example ESMTP\r\n", b"\xff" * 2_000_000])
    def test_another_greeting_is_an_error(self, greeting: bytes) -> None:
        """A server that is none of IMAP, or that is closing."""
        with rogue({}, greeting) as port, pytest.raises(CallFailedError, match="cannot be reached"):
            SWEEP.run(desk(imap_port=port))

    @pytest.mark.parametrize("host", ["a" * 70, "nowhere.invalid", "127.0.0.1"])
    def test_a_host_that_is_not_there_is_an_error(self, host: str) -> None:
        """Also one that cannot be a name."""
        with rogue({}) as port:
            pass
        with pytest.raises(CallFailedError, match=f"the mailbox at {host}:{port} cannot be reached"):
            SWEEP.run(desk(imap_host=host, imap_port=port, allow_plain_mail=True))


class TestTrace:
    """What became of a message whose submission was not answered."""

    WHAT = Submission(
        message="01959f2e-7b1c-7e55-9c5b-3d3a5f0c1a77",
        recipients=(Address("email", "anna@pec.example"),),
        options=smtp.Options(),
        requested_at=NOW,
    )
    NAME = smtp.msgid(WHAT, "ufficio@pec.example")

    def ask(self, one: FakeDesk) -> Answer:
        request = CLIENT.ask(self.WHAT, [], one.access)
        assert request is not None
        assert not request.may_send
        return transport(request, one.access)

    def arrival(self, answer: Answer, **change: Any) -> Arrival:
        """The answer as the ledger gets it."""
        request = CLIENT.ask(self.WHAT, [], desk().access)
        assert request is not None
        given = {"kind": ArrivalKind.POLL, "observed_at": NOW, "body": answer.body, "request": request.body, **change}
        return Arrival(provider="pec_mailbox", account="ufficio", operation=request.operation, **given)

    @pytest.mark.parametrize("change", [{"body": b"\xff"}, {"body": b"{}"}, {"request": None}, {"request": b"[]"}])
    def test_what_is_no_search_is_unreadable(self, change: dict[str, Any]) -> None:
        """Neither question nor answer."""
        with pytest.raises(UnreadableError):
            smtp.traced(self.arrival(Answer(at=NOW, status=200, body=b"[]"), **change))

    def test_a_receipt_that_names_it_says_that_it_was_taken(self, dovecot: Dovecot, user: str) -> None:
        """In any of the folders."""
        receipt = f"X-Ricevuta: accettazione\r\nX-Riferimento-Message-ID: <{self.NAME}>\r\n\r\n".encode()
        dovecot.deliver(user, [MAIL, receipt], "Ricevute")
        answer = self.ask(desk(user, imap_port=dovecot.plain, imap_folders=("INBOX", "Ricevute")))
        assert [{"folder": "Ricevute", "uid": 2, "field": "X-Riferimento-Message-ID"}] == json.loads(answer.body)
        assert "sent" == CLIENT.found(self.WHAT, answer)
        (seen,) = smtp.traced(self.arrival(answer))
        expected = (
            "production.advanced",
            "trace",
            (Reference("msgid", self.NAME),),
            "X-Riferimento-Message-ID in Ricevute",
        )
        assert expected == (seen.type, seen.code, seen.references, seen.texts["text"])

    def test_a_copy_among_the_sent_says_that_it_was_taken(self, dovecot: Dovecot, user: str) -> None:
        """Some providers keep one; the folder is found by its use, whatever its name."""
        one = desk(user, imap_port=dovecot.plain)
        dovecot.deliver(user, [smtp.compose(self.WHAT, one.access)], "Inviata")
        answer = self.ask(one)
        assert [{"folder": "Inviata", "uid": 1, "field": "Message-ID"}] == json.loads(answer.body)
        assert "sent" == CLIENT.found(self.WHAT, answer)

    def test_no_trace_proves_nothing(self, dovecot: Dovecot, user: str) -> None:
        """A receipt may still come, or a person may have moved it."""
        dovecot.deliver(user, [MAIL])
        answer = self.ask(desk(user, imap_port=dovecot.plain))
        assert (200, b"[]") == (answer.status, answer.body)
        assert () == smtp.traced(self.arrival(answer))
        assert "unclear" == CLIENT.found(self.WHAT, answer)

    def test_a_mailbox_that_cannot_be_searched_proves_nothing(self, dovecot: Dovecot, user: str) -> None:
        """Not all of it, not with this password."""
        for one in (
            desk(user, "sbagliata", imap_port=dovecot.plain),
            desk(user, imap_port=dovecot.plain, imap_folders=("Cestino",)),
        ):
            answer = self.ask(one)
            assert ("unreachable", "unclear") == (answer.failure, CLIENT.found(self.WHAT, answer))

    def test_an_account_that_reads_no_mailbox_asks_nothing(self) -> None:
        """There is nobody to ask."""
        assert CLIENT.ask(self.WHAT, [], desk(imap_host="").access) is None
