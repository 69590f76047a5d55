"""What the sandbox does: users, tickets and their history, and the e-mails that tell senders of it. No network here.

The recipient acts by `act`, time by the clock: nothing is reminded of or expires by itself. Status codes other than 95 are the sandbox's
own numbers, since nobody has published any.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from random import Random
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from adapters.providers.sandboxing import Clock

PRODUCT_PATH = "/data/registeredemail/registeredemail"

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_REQUIRED = ("message_body", "sender_email", "sender_real_name", "subject", "recipient_email")
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

ACTS: dict[str, tuple[tuple[str, str], ...]] = {
    "announce": (("20", "Aankondiging aangetekende mail verstuurd"),),
    "bounce": (("21", "Aankondiging aangetekende mail niet afgeleverd"),),
    "remind": (("95", "Herinnering aangetekende mail verstuurd"),),
    "look": (("30", "Biljet bekeken"),),
    "accept": (("40", "Aangetekende mail geaccepteerd"), ("50", "Aangetekende mail afgeleverd")),
    "accept_undelivered": (("40", "Aangetekende mail geaccepteerd"), ("51", "Aangetekende mail niet afgeleverd")),
    "take": (("40", "Aangetekende mail geaccepteerd"),),
    "refuse": (("41", "Aangetekende mail geweigerd"),),
    "expire": (("42", "Aangetekende mail verlopen"),),
    "sign": (("60", "Aangetekende mail ondertekend"),),
    "decline": (("61", "Ondertekening aangetekende mail geweigerd"),),
}
"""What happens -> the rows that it adds, (code, words). Of `look` no description is known to the ledger, on purpose."""

_ACCEPTING = frozenset({"accept", "accept_undelivered", "take"})


class RefusedError(Exception):
    """The provider does not do this; the text says why."""


class Row(NamedTuple):
    """A line of a ticket's history."""

    at: str
    code: str
    words: str


@dataclass
class Ticket:
    """A registered e-mail."""

    token: str
    sender: str
    recipient: str
    subject: str
    language: str
    guid: str
    files: dict[str, bytes]
    must_sign: bool
    rows: list[Row] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)


@dataclass
class Service:
    """The provider.

    Attributes:
        users: address -> whether the account is activated.
        signers: recipients who must sign digitally, as agreed with the provider.
        mails: delivery e-mails to senders, oldest first.
        repeats: how often each row stands in a status document.
        disorder: rows stand in any order.
        spoilt_hash: the provider tells the hash of other bytes than were sent.
    """

    clock: Clock = field(default_factory=Clock)
    users: dict[str, bool] = field(default_factory=dict)
    signers: set[str] = field(default_factory=set)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    mails: list[bytes] = field(default_factory=list)
    web_user: str = "sandbox-web"
    web_password: str = "sandbox-web-secret"  # noqa: S105  of a sandbox
    environment_url: str = ""
    repeats: int = 1
    disorder: bool = False
    spoilt_hash: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311  tokens of a sandbox, repeatable on purpose

    # --- at KPN

    def create_user(self, said: Any) -> int:
        """Create a sender, who has yet to follow the link in an e-mail; the user's number.

        Raises:
            RefusedError: this is no address, or there is such a user.
        """
        address = str(said.get("email_address", "")) if isinstance(said, dict) else ""
        if not _ADDRESS.fullmatch(address) or address in self.users:
            msg = "email_address is not valid or in use"
            raise RefusedError(msg)
        self.users[address] = False
        return 153 + len(self.users)

    def activate(self, address: str) -> None:
        """Follow the link in the provider's e-mail."""
        self.users[address] = True

    def send(self, said: Any) -> Ticket:
        """Take a registered e-mail and announce it.

        Raises:
            RefusedError: something is missing, or this sender may not send.
        """
        if not isinstance(said, dict) or not all(isinstance(said.get(name), str) and said[name] for name in _REQUIRED):
            msg = "a required field is missing"
            raise RefusedError(msg)
        if not self.users.get(said["sender_email"]):
            msg = "sender_email is not an activated user"
            raise RefusedError(msg)
        if not _ADDRESS.fullmatch(said["recipient_email"]):
            msg = "recipient_email is not valid"
            raise RefusedError(msg)
        ticket = Ticket(
            token=self._token(),
            sender=said["sender_email"],
            recipient=said["recipient_email"],
            subject=said["subject"],
            language=said.get("recipient_language", "nl"),
            guid=said.get("x-own-guid", ""),
            files=_files(said.get("attachments")),
            must_sign=said["recipient_email"] in self.signers,
        )
        self.tickets[ticket.token] = ticket
        self.act(ticket.token, "announce")
        return ticket

    def _token(self) -> str:
        """Of the form of the published example."""
        return f"K.{''.join(self.random.choices(_LETTERS, k=5))}-{self.random.choice(_LETTERS)}"

    def sends(self) -> Counter[str]:
        """How often something was taken under each caller's id."""
        return Counter(ticket.guid for ticket in self.tickets.values())

    # --- at Aangetekend Mailen

    def act(self, token: str, what: str) -> None:
        """Let something happen to a ticket, and tell its sender.

        Args:
            what: one of ACTS.

        Raises:
            RefusedError: there is no such ticket or act.
        """
        ticket = self.tickets.get(token)
        if ticket is None or what not in ACTS:
            msg = f"no ticket, or no act {what!r}"
            raise RefusedError(msg)
        ticket.accepted |= set(ticket.files) if what in _ACCEPTING else set()
        for code, words in ACTS[what]:
            now = self.clock.now()
            ticket.rows.append(Row(f"{now:%Y-%m-%d %H:%M:%S}", code, words))
            self.mails.append(self._mail(ticket, words))

    def accept_one(self, token: str, name: str) -> None:
        """The recipient accepts one attachment."""
        self.tickets[token].accepted.add(name)

    def biljet(self, token: str) -> bytes:
        """The status document of a ticket; empty when there is none."""
        ticket = self.tickets.get(token)
        return tostring(self._document(ticket), encoding="utf-8", xml_declaration=True) if ticket else b""

    def _document(self, ticket: Ticket) -> Element:
        root = Element("biljetten")
        head = {
            "id": ticket.token,
            "afzender": ticket.sender,
            "ontvanger": ticket.recipient,
            "onderwerp": ticket.subject,
            "customer_id": "240017",
            "taal": ticket.language,
            "handtekening_nodig": "1" if ticket.must_sign else "0",
        }
        biljet = SubElement(root, "biljet", head)
        files = SubElement(biljet, "bijlagen")
        for name, data in ticket.files.items():
            digest = hashlib.sha256(data + b"?" * self.spoilt_hash).digest()
            said = {"bijlage": name, "hash": base64.b64encode(digest).decode()}
            SubElement(files, "bijlage", said | {"geaccepteerd": str(int(name in ticket.accepted))})
        history = SubElement(biljet, "statussen")
        rows = ticket.rows * self.repeats
        if self.disorder:
            self.random.shuffle(rows)
        for row in rows:
            line = {
                "statusdatumtijd": row.at,
                "statusomschrijving": row.words,
                "statuscode": row.code,
                "statusdetail": " ",
            }
            SubElement(history, "status", line)
        return root

    def _mail(self, ticket: Ticket, words: str) -> bytes:
        mail = EmailMessage()
        mail["From"] = "Aangetekend Mailen <biljet@omgeving.aangetekendmailen.example>"
        mail["To"] = ticket.sender
        mail["Date"] = format_datetime(self.clock.now())
        mail["Message-ID"] = f"<{len(self.mails) + 1}.{self.seed}@omgeving.aangetekendmailen.example>"
        mail["Subject"] = f"{words}: {ticket.subject}"
        address = f"{self.environment_url}/webservice/dashboard/?ticket_token={ticket.token}&action=ticket_html&lang=nl"
        mail.set_content(f"{words}.\n\nHet biljet: {address}\n")
        return mail.as_bytes()


def _files(said: Any) -> dict[str, bytes]:
    """The attachments by name.

    Raises:
        RefusedError: one lacks something, or is not base64.
    """
    if not isinstance(said, list):
        msg = "attachments is required"
        raise RefusedError(msg)
    try:
        return dict(map(_file, said))
    except (AttributeError, KeyError, TypeError, binascii.Error, ValueError) as wrong:
        msg = "an attachment is not valid"
        raise RefusedError(msg) from wrong


def _file(said: Mapping[str, str]) -> tuple[str, bytes]:
    if not said["attachment_type"]:
        raise KeyError
    return said["attachment_name"], base64.b64decode(said["attachment"], validate=True)
