"""What an account says about a mailbox that is read; nothing secret. Leaves out: connecting."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from adapters import reaching
from ledger.application import MAX_ARTIFACT_BYTES

Security = Literal["tls", "starttls", "plain"]
"""tls = from the first byte on; starttls = asked for before anything else is said, and nothing is said without it; plain = none,
which shows the password to everybody on the way."""

Port = Annotated[int, Meta(ge=0, le=65_535)]

IMAP_PORTS: dict[Security, int] = {"tls": 993, "starttls": 143, "plain": 143}

SECRETS = {
    "imap_user": "user name of the mailbox, mostly its address; also for sending",
    "imap_password": "password of the mailbox; also for sending",
}


class Login(NamedTuple):
    """User and password of a mailbox."""

    user: str
    password: str

    def hidden(self, said: str) -> str:
        """What a server said, without the password in any form it was sent in: nothing keeps a server from repeating it."""
        for form in (f"\0{self.user}\0{self.password}", self.password) if self.password else ():
            said = said.replace(b64encode(form.encode()).decode(), "***").replace(form, "***")
        return said


def login_of(secrets: Mapping[str, str], names: Iterable[str] = SECRETS) -> Login:
    """The login among an account's credentials, which another provider may name in its own way; "" for what is missing."""
    return Login(*(secrets.get(name, "") for name in names))


class Mailbox(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the provider's e-mails are.

    Attributes:
        imap_host: "" = the mailbox is not read.
        imap_port: 0 = the usual one of `imap_security`.
        imap_folders: all that they may be moved to.
        imap_message_bytes: a larger message is noted and passed over.
        ca_file: PEM file of the authorities that vouch for the mail servers, in place of the system's; "" = the system's.
        allow_plain_mail: `plain` is for this machine only, unless this says that the way to the server is safe otherwise.
    """

    imap_host: str = ""
    imap_port: Port = 0
    imap_security: Security = "tls"
    imap_folders: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)] = ("INBOX",)
    imap_message_bytes: Annotated[int, Meta(ge=1, le=MAX_ARTIFACT_BYTES)] = MAX_ARTIFACT_BYTES
    ca_file: str = ""
    allow_plain_mail: bool = False

    def __post_init__(self) -> None:
        """Refuse an unprotected way to the mailbox."""
        check_way("imap", self.imap_host, self.imap_security, is_allowed=self.allow_plain_mail)


def tls_context(settings: Mailbox) -> ssl.SSLContext:
    """Certificates and host names are checked; against `ca_file` alone where there is one. Raises OSError."""
    return reaching.context(settings.ca_file)


def check_way(protocol: str, host: str, security: Security, *, is_allowed: bool) -> None:
    """Refuse settings that would show the password.

    Raises:
        ValueError: names the settings and the repair.
    """
    if host and security == "plain" and not (is_allowed or reaching.is_loopback(host)):
        msg = (
            f"{protocol}_security = plain shows the password to everybody on the way to {host}; "
            "use tls or starttls, or say allow_plain_mail = true"
        )
        raise ValueError(msg)
