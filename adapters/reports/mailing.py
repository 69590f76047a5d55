"""Reports by e-mail, over SMTP with TLS (RFC 3207, RFC 8314); plain SMTP only to this machine.

A message has the same Message-ID at every try, so that a mailbox that got it twice can tell. What the server answers is told by its code
only: its text may quote addresses.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from yarl import URL

from adapters import reaching
from ledger.errors import ConfigurationError, LedgerError

TIMEOUT_S = 60.0
ATTACH_BYTES = 10 * 1024 * 1024
PORTS = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}


class MailError(LedgerError):
    """The mail server did not take the message; it may at another time."""


class MailRefusedError(MailError):
    """The mail server refused the message for good."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mails are handed in.

    Attributes:
        password: reads it, when it is needed.
        tls: makes the context of a connection.
    """

    scheme: str
    host: str
    port: int
    user: str
    sender: Address
    password: Callable[[], str]
    tls: Callable[[], ssl.SSLContext] = reaching.context


def server(url: str, password_file: Path | None, sender: str, tls: Callable[[], ssl.SSLContext]) -> MailServer:
    """A mail server, from the settings.

    Args:
        url: smtps://user@host, smtp+starttls://user@host, or smtp://localhost.

    Raises:
        ConfigurationError: names the setting and its repair.
    """
    parsed = URL(url)
    if parsed.scheme not in PORTS or not parsed.host or parsed.raw_password is not None or parsed.path not in {"", "/"}:
        msg = "smtp_url (LEDGER_SMTP_URL): write smtps://user@host or smtp+starttls://user@host, the password in LEDGER_SMTP_PASSWORD_FILE"
        raise ConfigurationError(msg)
    if parsed.scheme == "smtp" and not reaching.is_loopback(parsed.host):
        msg = "smtp_url (LEDGER_SMTP_URL): smtp:// is for this machine only; write smtps:// or smtp+starttls://"
        raise ConfigurationError(msg)
    if parsed.user and password_file is None:
        msg = "smtp_url names a user: set LEDGER_SMTP_PASSWORD_FILE to a file with the password"
        raise ConfigurationError(msg)
    try:
        address = Address(addr_spec=sender)
    except (ValueError, IndexError) as error:
        msg = "smtp_from (LEDGER_SMTP_FROM): write one address, for example reports@example.org"
        raise ConfigurationError(msg) from error

    def password() -> str:
        return password_file.read_text().rstrip("\r\n") if password_file else ""

    port = parsed.explicit_port or PORTS[parsed.scheme]
    return MailServer(parsed.scheme, parsed.host, port, parsed.user or "", address, password, tls)


class Letter(NamedTuple):
    """An e-mail to one recipient.

    Attributes:
        number: what tells it from every other; the same for every try.
        attached: name and bytes of a zip file.
    """

    number: str
    to: str
    subject: str
    text: str
    language: str
    at: datetime
    attached: tuple[str, bytes] | None = None


def written(letter: Letter, sender: Address) -> bytes:
    """The message as it leaves; headers take no line breaks."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=letter.to)
    message["Subject"] = " ".join("".join(c if c.isprintable() else " " for c in letter.subject).split())
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.number}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = letter.language
    message.set_content(letter.text)
    if letter.attached:
        name, data = letter.attached
        message.add_attachment(data, maintype="application", subtype="zip", filename=name)
    return message.as_bytes()


def send(mail: MailServer, to: str, data: bytes) -> None:
    """Hand in a message; blocks until the server took it.

    Raises:
        MailRefusedError: refused for good.
        MailError: not taken now.
    """
    try:
        with _connected(mail) as connection:
            if mail.user:
                connection.login(mail.user, mail.password())
            connection.sendmail(mail.sender.addr_spec, [to], data)
    except smtplib.SMTPRecipientsRefused as error:
        code = min(code for code, _ in error.recipients.values())
        raise _told(code) from error
    except smtplib.SMTPResponseException as error:
        # A password that is wrong today may be right tomorrow: only what concerns the message itself is for good.
        is_ours = isinstance(error, smtplib.SMTPDataError | smtplib.SMTPSenderRefused)
        raise _told(error.smtp_code if is_ours else 0, error.smtp_code) from error
    except reaching.RefusedAddressError as error:
        msg = f"the mail server was not called: {error.strerror}"
        raise MailError(msg) from error
    except (smtplib.SMTPException, OSError) as error:
        msg = f"the mail server did not take the message: {type(error).__name__}"
        raise MailError(msg) from error


def _connected(mail: MailServer) -> smtplib.SMTP:
    if mail.scheme == "smtps":
        return reaching.SmtpTls(mail.host, mail.port, timeout=TIMEOUT_S, context=mail.tls())
    connection = reaching.Smtp(mail.host, mail.port, timeout=TIMEOUT_S)
    if mail.scheme == "smtp+starttls":
        try:
            connection.starttls(context=mail.tls())
        except BaseException:
            connection.close()
            raise
    return connection


def _told(code: int, shown: int = 0) -> MailError:
    kind = MailRefusedError if 500 <= code < 600 else MailError
    return kind(f"the mail server answered {shown or code}")
