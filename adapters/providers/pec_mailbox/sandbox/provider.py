"""The provider itself: takes messages, issues what RFC 6109 says at the time it says, fills mailboxes. No network.

Everything drawn at random comes from one seed; keys and signatures differ from run to run. Safe to use from several
threads. Leaves out: the second provider (its receipts are written here too), spam, and mail that leaves this world.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from threading import RLock

from adapters.providers.pec_mailbox.sandbox import behaviour, original, receipts
from adapters.providers.pec_mailbox.sandbox.behaviour import Step
from adapters.providers.pec_mailbox.sandbox.original import Original
from adapters.providers.pec_mailbox.sandbox.receipts import SERVICE_MAILBOX, Receipt, Recipient, Sending
from adapters.providers.sandboxing import Clock

HOUR = timedelta(hours=1)
ORDINARY = "messaggio di posta ordinaria"


@dataclass(frozen=True)
class Mail:
    """An e-mail in a mailbox.

    Attributes:
        number: unique in the whole sandbox, in order of arrival.
    """

    number: int
    at: datetime
    raw: bytes


@dataclass(frozen=True)
class Accepted:
    """A message that was taken over from a sender, whether it was certified or refused by a receipt."""

    sending: Sending
    is_certified: bool


Listener = Callable[[str, Mail], None]
"""Told of each mail that arrives: (mailbox, mail)."""


class Provider:
    """A certified-mail provider with its customers.

    Attributes:
        accounts: address -> password; each has a mailbox.
        mailboxes: address -> mails, in order of arrival.
        accepted: every message that was handed in, in order.
        lost: what a full mailbox did not take: (mailbox, bytes).
        listeners: called under the lock, one mail after the other.
    """

    def __init__(
        self,
        accounts: dict[str, str],
        *,
        seed: int = 1,
        clock: Clock | None = None,
        hour: timedelta = HOUR,
        doubling: float = 0.0,
        disorder: float = 0.0,
        mailbox_bytes: int = 1 << 30,
    ) -> None:
        """Open for business.

        Args:
            hour: how long one of the provider's hours lasts on the clock.
            doubling: share of mails that arrive twice.
            disorder: share of mails that arrive up to an hour after others that were written later.
            mailbox_bytes: what a mailbox holds; a mail that does not fit any more is lost.
        """
        self.clock, self.hour = clock or Clock(), hour
        self.accounts = accounts
        self.mailboxes: dict[str, list[Mail]] = {address: [] for address in (*accounts, SERVICE_MAILBOX)}
        self.accepted: list[Accepted] = []
        self.lost: list[tuple[str, bytes]] = []
        self.listeners: list[Listener] = []
        self._draw, self._lock = Random(seed), RLock()  # noqa: S311 - repeatable on purpose
        self._doubling, self._disorder, self.mailbox_bytes = doubling, disorder, mailbox_bytes
        self._counter = itertools.count(1)
        self._usage: Counter[str] = Counter()
        self._due: list[tuple[datetime, int, Callable[[datetime], None]]] = []

    def is_customer(self, address: str, password: str) -> bool:
        return self.accounts.get(address) == password

    def submit(self, sender: str, recipients: tuple[str, ...], mail: bytes) -> Sending:
        """Take a message over; what comes of it arrives by mail.

        Args:
            sender: a customer's address, as authenticated.
            recipients: of the envelope.
        """
        with self._lock:
            now, told = self.clock.now(), original.read(mail)
            listed = tuple(Recipient(one, _kind(one)) for one in dict.fromkeys(recipients))
            sending = Sending(told, sender, listed, receipts.new_id(now, self._draw), now)
            refusal = _refusal(told, sender, recipients)
            self.accepted.append(Accepted(sending, refusal is None))
            self._schedule(sending, refusal or Step(0, "accepted"), ())
            if refusal is None:
                self._promise(sending)
            self.deliver_due()
            return sending

    def advance(self, by: timedelta) -> None:
        """Put the clock forward and do what falls due."""
        with self._lock:
            self.clock.advance(by)
            self.deliver_due()

    def deliver_due(self) -> None:
        """Write and deliver everything whose time has come; it is dated by its own time, not by this call's."""
        with self._lock:
            while self._due and self._due[0][0] <= self.clock.now():
                at, _, act = heapq.heappop(self._due)
                act(at)

    def receive_ordinary(self, to: str, mail: bytes, why: str = ORDINARY) -> None:
        """An ordinary e-mail comes in from outside: it is delivered in an anomaly envelope."""
        with self._lock:
            now = self.clock.now()
            self._put(to, receipts.anomaly(mail, to, why, now, self._draw), now)

    def receive_certified(self, sender: str, to: str, mail: bytes) -> None:
        """A certified e-mail comes in from another provider's customer."""
        with self._lock:
            now = self.clock.now()
            identifier = receipts.new_id(now, self._draw)
            sending = Sending(original.read(mail), sender, (Recipient(to, "certificato"),), identifier, now)
            self._put(to, receipts.write(sending, Receipt("envelope", now), self._draw), now)

    def put(self, to: str, raw: bytes) -> None:
        """Lay any bytes into a mailbox, as a broken server would."""
        with self._lock:
            self._put(to, raw, self.clock.now())

    def remove(self, address: str, mail: Mail) -> None:
        """Delete a mail; a mailbox that is served by IMAP keeps its own copy."""
        with self._lock:
            self.mailboxes[address].remove(mail)
            self._usage[address] -= len(mail.raw)

    def usage(self, address: str) -> int:
        """Bytes in a mailbox."""
        return self._usage[address]

    def _promise(self, sending: Sending) -> None:
        together: dict[Step, list[str]] = {}
        for address, _ in sending.recipients:
            steps = behaviour.steps(address)
            for step in steps:
                if step.form == "taken":  # one receipt for all whom a provider took it for (RFC 6109 section 3.2.1)
                    together.setdefault(step, []).append(address)
                else:
                    self._schedule(sending, step, (address,))
            if any(step.form == "delivered" for step in steps) and address in self.mailboxes:
                self._schedule(sending, Step(behaviour.SOON, "envelope"), (address,))
        for step, taken in together.items():
            self._schedule(sending, step, tuple(taken))

    def _schedule(self, sending: Sending, step: Step, about: tuple[str, ...]) -> None:
        at = sending.at + step.after_h * self.hour
        self._at(at, lambda due: self._issue(sending, step, about, due))

    def _issue(self, sending: Sending, step: Step, about: tuple[str, ...], at: datetime) -> None:
        mail = self._written(sending, step, about, at)
        to = about[0] if step.form == "envelope" else sending.sender
        if step.form in {"taken", "virus_found"} and not step.to_user:
            to = SERVICE_MAILBOX
        copies = step.copies + (self._draw.random() < self._doubling)
        wait = self._draw.random() * self.hour if self._draw.random() < self._disorder else timedelta()
        for _ in range(copies):
            if wait:
                self._at(at + wait, lambda due: self._put(to, mail, due))
            else:
                self._put(to, mail, at)

    def _written(self, sending: Sending, step: Step, about: tuple[str, ...], at: datetime) -> bytes:
        names_one = len(about) == 1 and step.form not in {"taken", "envelope"}
        receipt = Receipt(
            form=step.form,
            at=at,
            recipient=about[0] if names_one else "",
            received=about if step.form == "taken" else (),
            error=step.error,
            error_text=step.error_text,
            style=step.style,
        )
        if step.form in {"bounce", "wrapped_bounce"}:
            mail = receipts.bounce(sending, receipt, self._draw)
            return mail if step.form == "bounce" else receipts.anomaly(mail, sending.sender, ORDINARY, at, self._draw)
        return receipts.write(sending, receipt, self._draw)

    def _at(self, at: datetime, act: Callable[[datetime], None]) -> None:
        heapq.heappush(self._due, (at, next(self._counter), act))

    def _put(self, to: str, raw: bytes, at: datetime) -> None:
        if to not in self.mailboxes:
            return
        if self.usage(to) + len(raw) > self.mailbox_bytes:
            self.lost.append((to, raw))
            return
        mail = Mail(next(self._counter), at, raw)
        self.mailboxes[to].append(mail)
        self._usage[to] += len(raw)
        for tell in self.listeners:
            tell(to, mail)


def _kind(address: str) -> str:
    return "esterno" if behaviour.word(address) in behaviour.ORDINARY else "certificato"


def _refusal(told: Original, sender: str, recipients: tuple[str, ...]) -> Step | None:
    if original.has_virus(told):
        return Step(0, "not_accepted_virus", "virus", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE")
    why = original.objection(told, sender, recipients)
    if not why and behaviour.REJECTED in map(behaviour.word, recipients):
        why = "5.7.1 - Fornitore di prova - invio non consentito"
    return Step(0, "not_accepted", "altro", why) if why else None
