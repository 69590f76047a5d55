"""The whole flow is killed at any point, again and again: nothing is sent twice, nothing is lost, nothing is claimed that was not so.

A child process (`tests.flow.killed`) asks for sends and works, against PEC Massiva in this process, which alone knows what it accepted.
It is killed at chosen steps and at drawn moments, with answers that come late, or never. At the end all of it is let run to quiet.

    LEDGER_KILLS=500 python -m pytest tests/flow/test_kills.py -s

kills at least so many and shows where they struck; by default 40.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from adapters.outbox import OPEN, DispatchView
from adapters.providers.pec_mailbox.sandbox import behaviour
from adapters.providers.pec_massiva.sandbox import ACCOUNT as MAILBOX
from adapters.providers.pec_massiva.sandbox import PASSWORD, Fault, Manners, PecMassiva, Provider, Service, running
from ledger import fsck
from ledger.application import IN_DATABASE_BYTES
from projections.views import DeliveryView
from tests.flow.killed import ACCOUNT, Flow, Note, Wanted, flow, live
from tests.ledger.crashing import PIPE, child
from tests.postgres import Database
from tests.world import TENANT

A_ROUND = 20
KILLS = int(os.environ.get("LEDGER_KILLS", "40"))
ROUNDS = -(-KILLS // (2 * A_ROUND))
"""On each of the two databases; a round has a ledger and a mailbox of its own, so that late kills cost no more than early ones."""
PATIENCE_S = 5.0
"""For a step that may never come."""
PASSES = 20
HOUR = timedelta(milliseconds=20)
SECRETS = {"email": "conto@cliente.example", "api_key": "chiave-di-prova", "username": MAILBOX, "password": PASSWORD}
NAMES = (*["persona"] * 8, "refused", "unknown", "silent", "rejected")
STATUS = {"persona": "delivered"}
"""How a delivery ends that was accepted, by the name of its recipient; all others fail."""


class Moment(NamedTuple):
    """When a process is killed.

    Attributes:
        step: what must be told; "" = anything.
        times: how often; 0 = at once.
        delay_s: after that.
        fault: what goes wrong with the first send of this life.
    """

    step: str = ""
    times: int = 1
    delay_s: float = 0.0
    fault: Fault | None = None


CHOSEN = (
    Moment("before dispatch.attempted"),
    Moment("after dispatch.attempted"),
    Moment("before send"),
    Moment("before send", delay_s=0.1, fault=Fault("slow_before", seconds=0.2)),
    Moment("before send", delay_s=0.1, fault=Fault("slow_after", seconds=0.2)),
    Moment("after send"),
    Moment("before admit send"),
    Moment("after admit send"),
    Moment("before admit receipt", times=2),
    Moment("after admit receipt", times=2),
    Moment("after admit inbox", times=2),
    Moment("after admit send_status"),
)
"""Every step between the announcement of a call and its answer in the log, twice while the answer is waited for; and between what was
read and what is remembered of it."""
FAULTS = (
    *[None] * 5,
    Fault("slow_before", seconds=0.05),
    Fault("slow_after", seconds=0.05),
    Fault("cut_before"),
    Fault("cut_after"),
    *(Fault("status", status=status) for status in (400, 429, 500)),
)


class Story:
    """One ledger whose processes are killed, and the provider that outlives them.

    Attributes:
        wanted: every send that was asked for, by number.
        messages: number -> its message, as each answer to the question told.
        died: step that the outbox told of last -> how many processes died there.
        failed: what a process told of errors of its own.
    """

    def __init__(self, url: str, folder: Path, sandbox: PecMassiva, seed: int) -> None:
        self.url, self.folder, self.sandbox = url, folder, sandbox
        self.draw = Random(seed)  # noqa: S311  moments, no secrets
        self.wanted: dict[int, Wanted] = {}
        self.messages: dict[int, set[str]] = {}
        self.died: Counter[str] = Counter()
        self.failed: list[Note] = []

    def open_account(self) -> None:
        mail, url = self.sandbox.mail, self.sandbox.base_url
        (self.folder / "ca.pem").write_bytes(mail.ca_pem)
        settings: dict[str, object] = {"mailbox": MAILBOX, "base_url": url, "oauth_url": url}
        settings |= {"imap_host": mail.host, "imap_port": mail.imap_port, "ca_file": str(self.folder / "ca.pem")}
        with flow(self.url, self.folder) as here:
            here.world.accounts.add(TENANT, ACCOUNT, "pec_massiva")
            here.world.accounts.configure(TENANT, ACCOUNT, settings)
            here.world.accounts.set_credentials(TENANT, ACCOUNT, SECRETS)

    # --- killing

    def want(self) -> list[Wanted]:
        """One send more, and all whose answer never came."""
        number = len(self.wanted) + 1
        size = IN_DATABASE_BYTES if self.draw.random() < 0.1 else 100
        joint = self.draw.random() < 0.2
        names = self.draw.choices((*NAMES, "unsent"), k=self.draw.randint(1, 3))
        people = tuple(f"{name}.{number}.{index}@pec.comune.example" for index, name in enumerate(names))
        self.wanted[number] = Wanted(number, people, joint, self.draw.randbytes(size))
        return [each for each in self.wanted.values() if each.number not in self.messages]

    def drawn(self) -> Moment:
        """Any moment."""
        return Moment("", self.draw.randint(0, 60), 0.05 * self.draw.random(), self.draw.choice(FAULTS))

    def kill(self, moment: Moment) -> None:
        """Let a process live until that moment."""
        self.sandbox.faults.clear()
        if moment.fault:
            self.sandbox.faults.add("POST /send", moment.fault)
        at: dict[str, str] = {}
        with child(live, self.url, self.folder, self.want(), PIPE) as (process, pipe):
            self._wait(pipe, moment, at)
            time.sleep(moment.delay_s)  # nothing is waited for: any instant will do
            process.kill()
            process.join()
            with suppress(EOFError, OSError):  # the last note may be cut off
                while True:
                    self._hear(pipe.recv(), at)
        self.died[at.get("outbox", "before the first send")] += 1

    def _wait(self, pipe: Connection, moment: Moment, at: dict[str, str]) -> None:
        left, until = moment.times, time.monotonic() + PATIENCE_S
        while left and pipe.poll(max(0.0, until - time.monotonic())):
            note: Note = pipe.recv()
            self._hear(note, at)
            left -= note.step == moment.step if moment.step else 1

    def _hear(self, note: Note, at: dict[str, str]) -> None:
        thread = note.thread.partition("_")[0]
        at[thread] = note.step
        if note.step == "asked":
            number, message = note.said
            self.messages.setdefault(number, set()).add(message)
        if note.step == "failed":
            self.failed.append(note)

    # --- the end

    def settle(self, here: Flow) -> None:
        """Let everything run until nothing new comes; all that the provider has to say is said."""
        self.sandbox.faults.clear()
        for each in self.wanted.values():
            self.messages.setdefault(each.number, set()).add(here.ask(each))
        for _ in range(PASSES):
            if not any(self.look_again(here) for _ in range(2)):  # what one job found another may ask about
                return
        pytest.fail(f"something new comes even after {PASSES} passes")

    def look_again(self, here: Flow) -> int:
        """Everything that may be done, once; how many new facts it brought."""
        for row in here.outbox.list(TENANT, OPEN, limit=1_000):
            here.outbox.turn(row)
        self.sandbox.mail.advance(seconds=10)
        self.sandbox.mail.settle()
        here.world.runner.run()
        before = sum(row.found for row in here.board.rows.all().values())
        rows = [here.board.run(job, is_asked=True) for job in here.board.of(TENANT)]
        assert [""] * len(rows) == [row.last_error for row in rows if row]
        here.world.runner.run()
        return sum(row.found for row in rows if row) - before

    def accepted(self, wanted: Wanted, address: str) -> int:
        """How many sends to a recipient the provider took."""
        return sum(s.subject == wanted.subject and address in s.recipients for s in self.sandbox.service.sends)


@contextmanager
def story(database: Database, folder: Path, seed: int) -> Iterator[Story]:
    provider = Provider({MAILBOX: PASSWORD}, seed=seed, hour=HOUR)
    service = Service(provider, manners=Manners(gap=timedelta(0)))
    with running(service=service) as sandbox:
        found = Story(database.url, folder, sandbox, seed)
        found.open_account()
        yield found


def kept(here: Flow) -> Counter[bytes]:
    """Every e-mail of the mailbox that the log holds as an original."""
    events = (e for e in here.world.ledger.feed(0, 1_000_000) if e.fields.get("operation") == "receipt")
    names = {name for event in events for name in event.fields.get("artifacts", ())}
    return Counter(here.world.ledger.artifact(name).body for name in names)


def strangers(told: Story, here: Flow) -> list[str]:
    """Recipients of messages that only receipts have told of."""
    ours = set().union(*told.messages.values())
    return [each.address.address for each in here.world.deliveries() if each.message not in ours]


class Line(NamedTuple):
    """What became of a request for one recipient.

    Attributes:
        held: sent, refused or unclear, as the ledger shows it.
        accepted: sends that the provider took.
    """

    address: str
    held: str
    accepted: int


def check_send(told: Story, here: Flow, wanted: Wanted) -> list[Line]:
    """Hold what the ledger shows of a request against what the provider took."""
    (message,) = told.messages[wanted.number]
    shown = here.outbox.view(TENANT, message)
    lines = [Line(one, last(shown, i), told.accepted(wanted, one)) for i, one in enumerate(wanted.recipients)]
    for line, delivery in zip(lines, here.world.queries.deliveries(TENANT, message), strict=True):
        assert line.accepted <= 1, line
        assert line.held in ({"sent", "unclear"} if line.accepted else {"refused", "unclear"}), line
        check_delivery(line, delivery)
    verdicts = {line.held for line in lines}
    state = "unclear" if "unclear" in verdicts else "partly" if len(verdicts) > 1 else verdicts.pop()
    assert state == shown.state
    return lines


def last(shown: DispatchView, index: int) -> str:
    """What became of the one call for a recipient that was not to be tried again."""
    (verdict,) = [c.verdict for c in shown.calls if c.recipient in {None, index} and c.verdict != "later"]
    return verdict


def check_delivery(line: Line, shown: DeliveryView) -> None:
    """A send that is known has all its receipts; of one that is not, nothing is claimed."""
    ends = {"sent": STATUS.get(behaviour.word(line.address), "failed"), "refused": "failed", "unclear": "pending"}
    assert (line.address, ends[line.held]) == (shown.address.address, shown.status)


@pytest.mark.slow(reason=f"{ROUNDS * A_ROUND} processes are started and killed on each database")
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_kills_send_nothing_twice_and_lose_nothing(database: Database, seed: int, tmp_path: Path) -> None:
    """At most one accepted send for each recipient; what was not taken is shown as refused or unclear; every e-mail is kept once."""
    with story(database, tmp_path, seed) as told:
        moments = [*CHOSEN, *(told.drawn() for _ in range(A_ROUND - len(CHOSEN)))]
        told.draw.shuffle(moments)
        for moment in moments:
            told.kill(moment)
        with flow(told.url, told.folder) as here:
            told.settle(here)
            size = here.world.ledger.head().size
            told.look_again(here)  # the same again: counted, not stored
            assert size == here.world.ledger.head().size
            lines = [line for each in told.wanted.values() for line in check_send(told, here, each)]
            mails = Counter(mail.raw for mail in told.sandbox.mail.mailboxes[MAILBOX])
            assert mails == kept(here)
            assert {1} == set(mails.values())
            # The message_id of a send died with its answer: its receipts are known, and wait for a person.
            waiting = Counter(line.address for line in lines if line.held == "unclear" and line.accepted)
            assert waiting == Counter(strangers(told, here))
            assert waiting, "no kill struck between a send and its answer, so nothing was tried"
            assert [] == fsck.check(here.world.ledger).problems
    assert [] == told.failed
    print(f"\nkills: {len(moments)}, requests: {len(told.wanted)}, e-mails: {mails.total()}")
    shown = Counter(f"accepted {line.accepted}, shown {line.held}" for line in lines)
    for what, often in (shown + told.died).most_common():
        print(f"{often:5} {what}")
