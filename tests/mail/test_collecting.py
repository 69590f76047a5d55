"""Reading a real mailbox: each message once and byte for byte, nothing changed in it, nothing lost whatever breaks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.providers import mailbox
from adapters.providers.calling import Access, CallFailedError
from adapters.providers.mailbox import mailbox_sweep
from adapters.providers.pec_mailbox.settings import Settings
from ledger.errors import BusyError, InvalidEventError
from ledger.observations import ArrivalKind
from tests.mail.desk import FakeDesk, Handed
from tests.mail.dovecot import LIMIT_KIB, PASSWORD, Dovecot
from tests.mail.wires import Cut, wire

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SWEEP = mailbox_sweep()


def mail(number: int, size: int = 0) -> bytes:
    """A message of its own."""
    filling = b"".join(b"%076d\r\n" % line for line in range(size // 78))
    return b"From: posta-certificata@pec.example\r\nSubject: CONSEGNA: %d\r\n\r\n%s" % (number, filling)


def access(dovecot: Dovecot, user: str, port: int = 0, **settings: object) -> Access:
    """The account of a mailbox on the plain port, or behind a wire."""
    given = {"imap_host": "localhost", "imap_port": port or dovecot.plain, "imap_security": "plain", **settings}
    return Access(
        settings=Settings(**given),  # type: ignore[arg-type]
        secrets={"imap_user": user, "imap_password": PASSWORD},
        now=NOW,
    )


def later(desk: FakeDesk, days: int = 0) -> FakeDesk:
    """The desk of the next run, in a new process that finds what was saved at the end of this one."""
    return FakeDesk(
        replace(desk.access, now=desk.access.now + timedelta(days=days)), state=json.loads(json.dumps(desk.state))
    )


def cut_at(command: bytes, times: int) -> Cut:
    """Cut when the client says this, so many times."""
    left = [times]

    def cut(_connection: int, said: bytes, _up: int, _down: int) -> bool:
        left[0] -= command in said
        return command in said and left[0] >= 0

    return cut


class TestReading:
    """What is handed in."""

    def test_each_message_is_handed_in_byte_for_byte_in_order(self, dovecot: Dovecot, user: str) -> None:
        """The bytes are those that were delivered, and the name says where they lie (RFC 5092)."""
        mails = [mail(1), mail(2, 1000), mail(3)]
        dovecot.deliver(user, mails)
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        validity = desk.state["folders"]["INBOX"]["uidvalidity"]
        expected = [
            Handed(
                "receipt",
                ArrivalKind.MAILBOX,
                body,
                f"/INBOX;UIDVALIDITY={validity}/;UID={uid}",
                {"content-type": "message/rfc822"},
            )
            for uid, body in enumerate(mails, start=1)
        ]
        assert expected == desk.handed

    def test_what_was_read_is_not_read_again(self, dovecot: Dovecot, user: str) -> None:
        """The next run finds only what came since."""
        dovecot.deliver(user, [mail(1), mail(2)])
        first = FakeDesk(access(dovecot, user))
        SWEEP.run(first)
        dovecot.deliver(user, [mail(3)])
        second = later(first)
        SWEEP.run(second)
        assert [mail(3)] == second.bodies()

    def test_an_empty_folder_is_read(self, dovecot: Dovecot, user: str) -> None:
        """Nothing in it is nothing handed in."""
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        assert [] == desk.handed

    def test_nothing_in_the_mailbox_changes(self, dovecot: Dovecot, user: str) -> None:
        r"""Neither \Seen nor any other flag is set, whoever looks afterwards; what a person has read is read all the same."""
        dovecot.deliver(user, [mail(1), mail(2)])
        with dovecot.person(user) as client:
            client.add_flags([2], [b"\\Seen"])
            before = client.get_flags([1, 2])
            with wire(dovecot.plain) as between:
                desk = FakeDesk(access(dovecot, user, between.port))
                SWEEP.run(desk)
            client.noop()
            after = client.get_flags([1, 2])
        assert {1: (), 2: (b"\\Seen",)} == {
            uid: tuple(f for f in flags if f != b"\\Recent") for uid, flags in after.items()
        }
        assert before == after
        assert 2 == len(desk.handed)
        assert b"EXAMINE" in between.said
        assert b"SELECT" not in between.said

    def test_all_named_folders_are_read(self, dovecot: Dovecot, user: str) -> None:
        """A folder with blanks and other letters than ASCII too; one that is not named is left alone."""
        folder = "Ricevute dell'anno così"
        dovecot.deliver(user, [mail(1)])
        dovecot.deliver(user, [mail(2)], folder)
        dovecot.deliver(user, [mail(3)], "Altro")
        desk = FakeDesk(access(dovecot, user, imap_folders=("INBOX", folder)))
        SWEEP.run(desk)
        assert [mail(1), mail(2)] == desk.bodies()
        assert desk.handed[1].name.startswith("/Ricevute%20dell%27anno%20cos%C3%AC;UIDVALIDITY=")

    def test_a_folder_that_is_not_there_keeps_back_no_other(self, dovecot: Dovecot, user: str) -> None:
        """The others are read, and the error names the one."""
        dovecot.deliver(user, [mail(1)], "Ricevute")
        with wire(dovecot.plain) as between:
            desk = FakeDesk(access(dovecot, user, between.port, imap_folders=("Cestino", "Ricevute")))
            with pytest.raises(CallFailedError, match=r"^Cestino: .*doesn't exist"):
                SWEEP.run(desk)
        assert [mail(1)] == desk.bodies()
        assert 2 == between.connections

    def test_another_uidvalidity_has_everything_read_again(self, dovecot: Dovecot, user: str) -> None:
        """The same UIDs name other messages in a folder that was made anew."""
        dovecot.deliver(user, [mail(1), mail(2)], "Ricevute")
        first = FakeDesk(access(dovecot, user, imap_folders=("Ricevute",)))
        SWEEP.run(first)
        with dovecot.person(user) as client:
            client.delete_folder("Ricevute")
        dovecot.deliver(user, [mail(8), mail(9)], "Ricevute")
        second = later(first)
        SWEEP.run(second)
        assert [mail(8), mail(9)] == second.bodies()
        assert first.state["folders"]["Ricevute"]["uidvalidity"] != second.state["folders"]["Ricevute"]["uidvalidity"]

    def test_a_thousand_messages_are_read(self, dovecot: Dovecot, user: str) -> None:
        """All of them, once, in order."""
        dovecot.deliver(user, [mail(number) for number in range(1000)])
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        assert [mail(number) for number in range(1000)] == desk.bodies()

    def test_a_run_is_bounded_and_the_next_goes_on(
        self, dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However full a mailbox is, a run reads so many messages, and none is left out or doubled in the end."""
        monkeypatch.setattr(mailbox, "MESSAGES_PER_RUN", 3)
        dovecot.deliver(user, [mail(number) for number in range(7)])
        desk, read = FakeDesk(access(dovecot, user)), []
        SWEEP.run(desk)
        while desk.handed:
            read.append(desk.bodies())
            desk = later(desk)
            SWEEP.run(desk)
        assert [[mail(n) for n in numbers] for numbers in ((0, 1, 2), (3, 4, 5), (6,))] == read

    def test_gaps_between_uids_are_passed(self, dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A window of UIDs in which nothing is left ends nothing."""
        monkeypatch.setattr(mailbox, "WINDOW", 3)
        dovecot.deliver(user, [mail(number) for number in range(1, 21)])
        with dovecot.person(user) as client:
            client.delete_messages(range(3, 19))
            client.expunge()
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        assert [mail(1), mail(2), mail(19), mail(20)] == desk.bodies()

    @pytest.mark.slow(reason="moves 30 MB through a real server")
    def test_a_message_of_30_mb_is_read(self, dovecot: Dovecot, user: str) -> None:
        """The size that every provider must take."""
        large = mail(1, 30_000_000)
        dovecot.deliver(user, [large, mail(2)])
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        assert [hashlib.sha256(each).hexdigest() for each in (large, mail(2))] == [
            hashlib.sha256(each).hexdigest() for each in desk.bodies()
        ]

    @pytest.mark.parametrize(
        "broken",
        [
            b"no header at all\r\n",
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n--y",
            b"Subject: =?utf-8?b?////?=\r\nContent-Type: text/plain; charset=klingon\r\n\r\n\xff\xfe\x80\r\n",
            b"\r\n\r\n) BAD {12}\r\n* BYE\r\n",
            b"Subject: " + b"x" * 100_000 + b"\r\n\r\n",
        ],
        ids=["no-header", "torn-multipart", "wrong-charset", "protocol-in-body", "long-line"],
    )
    def test_a_broken_message_is_handed_in_as_it_is(self, dovecot: Dovecot, user: str, broken: bytes) -> None:
        """What is in a message is not looked at here."""
        dovecot.deliver(user, [broken, mail(2)])
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        assert [broken, mail(2)] == desk.bodies()

    def test_the_quota_is_remembered(self, dovecot: Dovecot, user: str) -> None:
        """Used and allowed KiB and when (RFC 9208), for the forecast of how long evidence stays there."""
        dovecot.deliver(user, [mail(1, 100_000)])
        desk = FakeDesk(access(dovecot, user))
        SWEEP.run(desk)
        assert {"usage_kib": 98, "limit_kib": LIMIT_KIB, "at": NOW.isoformat()} == desk.state["quota"]


class TestDurability:
    """What a crash, a lost connection or a person in the mailbox may do."""

    def test_a_message_is_remembered_after_it_is_durable(self, dovecot: Dovecot, user: str) -> None:
        """What is saved when a message was stored never counts that message yet."""
        dovecot.deliver(user, [mail(number) for number in range(1, 6)])
        desk = FakeDesk(access(dovecot, user))
        saved = []
        desk.before = lambda _handed: saved.append(desk.state.get("folders", {}).get("INBOX", {}).get("uid", 0))
        SWEEP.run(desk)
        assert [0, 1, 2, 3, 4] == saved
        assert 4 == desk.saved["folders"]["INBOX"]["uid"]

    def test_a_killed_run_is_gone_on_with(self, dovecot: Dovecot, user: str) -> None:
        """From the last message that was remembered; the one after it may come twice, none is missed."""
        dovecot.deliver(user, [mail(number) for number in range(1, 6)])
        desk = FakeDesk(access(dovecot, user))

        def die(handed: Handed) -> None:
            if handed.body == mail(4):
                raise KeyboardInterrupt

        desk.before = die
        with pytest.raises(KeyboardInterrupt):
            SWEEP.run(desk)
        second = FakeDesk(desk.access, state=desk.saved)
        SWEEP.run(second)
        assert [mail(1), mail(2), mail(3)] == desk.bodies()
        assert [mail(3), mail(4), mail(5)] == second.bodies()

    def test_what_is_expunged_while_we_read_is_passed(self, dovecot: Dovecot, user: str) -> None:
        """Somebody empties the folder under our hands: all that is left is read."""
        dovecot.deliver(user, [mail(number) for number in range(1, 161)])
        desk = FakeDesk(access(dovecot, user))

        def empty(handed: Handed) -> None:
            if handed.body == mail(1):
                with dovecot.person(user) as client:
                    client.delete_messages([*range(60, 71), 101, 160])
                    client.expunge()

        desk.before = empty
        SWEEP.run(desk)
        gone = {*range(60, 71), 101, 160}
        assert [mail(number) for number in range(1, 161) if number not in gone] == desk.bodies()
        assert 160 == desk.state["folders"]["INBOX"]["uid"]

    def test_a_cut_in_the_middle_of_a_fetch_is_gone_over(self, dovecot: Dovecot, user: str) -> None:
        """A new connection goes on; no half message is handed in and none is lost."""
        mails = [mail(number, 60_000) for number in range(10)]
        dovecot.deliver(user, mails)

        def cut(connection: int, _said: bytes, _up: int, down: int) -> bool:
            return connection == 1 and down > 200_000

        with wire(dovecot.plain, cut) as between:
            desk = FakeDesk(access(dovecot, user, between.port))
            SWEEP.run(desk)
        assert mails == desk.bodies()
        assert 2 == between.connections

    def test_a_server_that_always_breaks_off_is_given_up(self, dovecot: Dovecot, user: str) -> None:
        """After three connections, with an error; nothing is noted against any message."""
        dovecot.deliver(user, [mail(1)])
        with wire(dovecot.plain, cut_at(b"EXAMINE", 99)) as between:
            desk = FakeDesk(access(dovecot, user, between.port))
            with pytest.raises(CallFailedError, match=r"^INBOX: "):
                SWEEP.run(desk)
        assert 3 == between.connections - 1  # the quota is asked for over one more
        assert [] == desk.handed

    def test_one_message_that_breaks_the_connection_is_noted_and_passed(self, dovecot: Dovecot, user: str) -> None:
        """It does not keep back the others, waits for a person, and is tried again the next day."""
        dovecot.deliver(user, [mail(1), mail(2), mail(3)])

        def cut(_connection: int, said: bytes, _up: int, _down: int) -> bool:
            return b"FETCH 2 (BODY" in said or b"FETCH 1,2,3 (BODY" in said

        with wire(dovecot.plain, cut) as between:
            desk = FakeDesk(access(dovecot, user, between.port))
            SWEEP.run(desk)
            same_day = later(desk)
            SWEEP.run(same_day)
        assert [mail(1), mail(3)] == desk.bodies()
        note = json.loads(desk.bodies("skipped")[0])
        assert ("INBOX", 2) == (note["folder"], note["uid"])
        assert "abort" in note["why"]
        assert [] == same_day.handed
        next_day = later(FakeDesk(access(dovecot, user), state=desk.state), days=1)
        SWEEP.run(next_day)
        assert [mail(2)] == next_day.bodies()
        assert {} == next_day.state["folders"]["INBOX"]["skipped"]

    def test_a_server_that_hands_out_nothing_is_not_laid_to_its_messages(self, dovecot: Dovecot, user: str) -> None:
        """Two messages in a row that cannot be fetched are the server's fault: the second is not noted."""
        dovecot.deliver(user, [mail(number) for number in range(1, 6)])
        with wire(dovecot.plain, cut_at(b"BODY.PEEK", 999)) as between:
            desk = FakeDesk(access(dovecot, user, between.port))
            with pytest.raises(CallFailedError):
                SWEEP.run(desk)
        assert [1] == [json.loads(body)["uid"] for body in desk.bodies("skipped")]

    def test_a_message_over_the_limit_is_noted_and_passed(self, dovecot: Dovecot, user: str) -> None:
        """It is not fetched at all; with a higher limit it is read the next day."""
        dovecot.deliver(user, [mail(1), mail(2, 50_000), mail(3)])
        desk = FakeDesk(access(dovecot, user, imap_message_bytes=10_000))
        SWEEP.run(desk)
        assert [mail(1), mail(3)] == desk.bodies()
        assert [f"it has {len(mail(2, 50_000))} bytes; at most 10000 are read"] == [
            json.loads(b)["why"] for b in desk.bodies("skipped")
        ]
        next_day = later(FakeDesk(access(dovecot, user), state=desk.state), days=1)
        SWEEP.run(next_day)
        assert [mail(2, 50_000)] == next_day.bodies()

    def test_a_message_is_passed_over_after_those_before_it_are_durable(self, dovecot: Dovecot, user: str) -> None:
        """Otherwise a crash between the two would lose them."""
        dovecot.deliver(user, [mail(1), mail(2, 50_000)])

        def die(handed: Handed) -> None:
            if handed.body == mail(1):
                raise KeyboardInterrupt

        desk = FakeDesk(access(dovecot, user, imap_message_bytes=10_000), before=die)
        with pytest.raises(KeyboardInterrupt):
            SWEEP.run(desk)
        assert {} == desk.state
        assert [] == desk.handed

    def test_a_message_that_was_passed_and_is_gone_is_forgotten(self, dovecot: Dovecot, user: str) -> None:
        """It is not asked for every day for ever."""
        dovecot.deliver(user, [mail(1), mail(2, 50_000)])
        desk = FakeDesk(access(dovecot, user, imap_message_bytes=10_000))
        SWEEP.run(desk)
        with dovecot.person(user) as client:
            client.delete_messages([2])
            client.expunge()
        dovecot.deliver(user, [mail(3)])
        next_day = later(desk, days=1)
        SWEEP.run(next_day)
        assert [mail(3)] == next_day.bodies()
        assert {} == next_day.state["folders"]["INBOX"]["skipped"]

    def test_a_message_that_the_ledger_does_not_take_is_noted_and_passed(self, dovecot: Dovecot, user: str) -> None:
        """The others are stored, and the note says what kind of error it was and quotes nothing."""
        dovecot.deliver(user, [mail(1), mail(2), mail(3)])

        def refuse(handed: Handed) -> None:
            if handed.body == mail(2):
                msg = "Mario Rossi"
                raise InvalidEventError(msg)

        desk = FakeDesk(access(dovecot, user), before=refuse)
        SWEEP.run(desk)
        assert [mail(1), mail(3)] == desk.bodies()
        assert ["the ledger does not take it: InvalidEventError"] == [
            json.loads(b)["why"] for b in desk.bodies("skipped")
        ]
        assert ["2"] == list(desk.state["folders"]["INBOX"]["skipped"])

    @pytest.mark.parametrize(
        ("error", "refused"),
        [(BusyError(), {"receipt"}), (OSError("the disk is full"), {"receipt", "skipped"})],
        ids=["busy", "broken"],
    )
    def test_a_ledger_that_takes_nothing_loses_nothing(
        self, dovecot: Dovecot, user: str, error: Exception, refused: set[str]
    ) -> None:
        """The run ends with its error, no message is to blame, and the next reads all from there on."""
        dovecot.deliver(user, [mail(1), mail(2), mail(3)])

        def refuse(handed: Handed) -> None:
            if handed.body != mail(1) and handed.operation in refused:
                raise error

        desk = FakeDesk(access(dovecot, user), before=refuse)
        with pytest.raises(type(error)):
            SWEEP.run(desk)
        assert 1 == desk.state["folders"]["INBOX"]["uid"]
        second = later(desk)
        SWEEP.run(second)
        assert [mail(2), mail(3)] == second.bodies()
