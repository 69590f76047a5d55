"""Speaks to the servers of a PEC mailbox: submits a message by SMTP; IMAP is in imap.py and in adapters/providers/mailbox.py.

Up to its last line a message has not been sent, whatever happens; from then on only the server's reply tells. A recipient that the server
refuses ends the dialogue before the message: it goes to all of them or to nobody. What replies mean is in smtp.py.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import re
import smtplib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from socket import socket
from typing import cast

from adapters import reaching
from adapters.providers.calling import Access, Answer, Client, Failure, Request
from adapters.providers.mailbox import mailbox_sweep
from adapters.providers.mailbox_settings import SECRETS, Login, login_of, tls_context
from adapters.providers.pec_mailbox import imap, smtp
from adapters.providers.pec_mailbox.settings import SMTP_PORTS, Settings

LOG = logging.getLogger(__name__)

STEP_TIMEOUT_S = 60.0
MAX_REPLY_BYTES = 64 * 1024

_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)

Reply = tuple[int, bytes]
"""Code, and text with its lines parted by LF."""


@dataclass(slots=True)
class _Progress:
    """How far a dialogue came.

    Attributes:
        command: the last one; never with credentials.
        is_whole: set just before the last line of the message goes out; a failure before is proof that nothing was sent.
    """

    command: str = "CONNECT"
    is_whole: bool = False


def transport(request: Request, access: Access) -> Answer:
    """Make the call that the request's method names."""
    by_method: Mapping[str, Callable[[Request, Access], Answer]] = {"SMTP": submit, "IMAP": imap.search}
    return by_method[request.method](request, access)


def submit(request: Request, access: Access) -> Answer:
    """Hand a message to the submission server.

    Returns:
        The reply that decided; without one a failure: `unreachable` as long as nothing can have been sent, then `timeout` or `cut`.
    """
    began, progress, login = time.monotonic(), _Progress(), login_of(access.secrets)
    failure: Failure = ""
    status, said = 0, b""
    try:
        status, said = _dialogue(request, access.settings, login, progress)
    except (OSError, ValueError) as error:  # also all that smtplib raises, but for a reply
        failure = _failure(error, progress)
        # A letter that cannot be written may be one of the password; a command may name a recipient.
        detail = "" if isinstance(error, UnicodeError) else login.hidden(str(error))
        LOG.warning("%s at %s: %s %s", failure, progress.command.partition(" ")[0], type(error).__name__, detail)
    at = access.now + timedelta(seconds=time.monotonic() - began)
    if failure:
        return Answer(at=at, failure=failure)
    body = login.hidden(_written(progress.command, status, said))
    return Answer(at=at, status=status, body=body.encode()[:MAX_REPLY_BYTES])


def _dialogue(request: Request, settings: Settings, login: Login, progress: _Progress) -> Reply:
    """The reply to the message, or the first that is not the one hoped for."""
    envelope = smtp.envelope(request.body)
    try:
        with _connected(settings, envelope.sender) as server:
            _greet(server, settings, progress)
            progress.command = "AUTH"
            _want(2, _authenticate(server, login))
            size = f" SIZE={len(request.body)}" if server.has_extn("size") else ""
            _say(server, f"MAIL FROM:<{envelope.sender}>{size}", progress)
            for recipient in envelope.recipients:
                _say(server, f"RCPT TO:<{recipient}>", progress)
            _say(server, "DATA", progress, hoped=3)
            return _hand_over(server, request, progress)
    except smtplib.SMTPResponseException as error:
        said, lowest = error.smtp_error, 200 if progress.is_whole else 400
        if isinstance(said, bytes) and lowest <= error.smtp_code < 600:  # the library's own words are text
            return error.smtp_code, said
        msg = "a reply that SMTP does not know there"
        raise smtplib.SMTPException(msg) from error


@contextlib.contextmanager
def _connected(settings: Settings, sender: str) -> Iterator[smtplib.SMTP]:
    port = settings.smtp_port or SMTP_PORTS[settings.smtp_security]
    name = sender.rpartition("@")[2]  # what EHLO says; the name of this machine is nobody's business
    if settings.smtp_security == "tls":
        context = tls_context(settings)
        server: smtplib.SMTP = reaching.SmtpTls(settings.smtp_host, port, name, timeout=STEP_TIMEOUT_S, context=context)
    else:
        server = reaching.Smtp(settings.smtp_host, port, name, timeout=STEP_TIMEOUT_S)
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.quit()
        server.close()


def _greet(server: smtplib.SMTP, settings: Settings, progress: _Progress) -> None:
    progress.command = "EHLO"
    _want(2, server.ehlo())
    if settings.smtp_security == "starttls":
        progress.command = "STARTTLS"
        server.starttls(context=tls_context(settings))
        progress.command = "EHLO"
        _want(2, server.ehlo())


def _authenticate(server: smtplib.SMTP, login: Login) -> Reply:
    if (
        "PLAIN" in server.esmtp_features.get("auth", "").upper().split()
    ):  # smtplib's own has no other letters than ASCII
        said = base64.b64encode(f"\0{login.user}\0{login.password}".encode()).decode()
        return server.docmd("AUTH", f"PLAIN {said}")
    return server.login(login.user, login.password)


def _hand_over(server: smtplib.SMTP, request: Request, progress: _Progress) -> Reply:
    cast(socket, server.sock).settimeout(request.timeout_s)
    server.send(_LEADING_DOT.sub(b"..", request.body))
    progress.is_whole = True
    server.send(b".\r\n")
    reply = server.getreply()
    _want(2, reply)
    return reply


def _say(server: smtplib.SMTP, command: str, progress: _Progress, hoped: int = 2) -> None:
    progress.command = command
    _want(hoped, server.docmd(command))


def _want(hoped: int, reply: Reply) -> None:
    """Leave the dialogue for any other class of reply."""
    if reply[0] // 100 != hoped:
        raise smtplib.SMTPResponseException(*reply)


def _failure(error: Exception, progress: _Progress) -> Failure:
    if not progress.is_whole:
        return "unreachable"
    timed_out = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
    return "timeout" if timed_out else "cut"


def _written(command: str, status: int, said: bytes) -> str:
    """Command and reply as they stood on the wire, lines ending in CR LF."""
    *lines, last = said.decode("utf-8", "replace").split("\n")
    return "".join(f"{line}\r\n" for line in (command, *(f"{status}-{line}" for line in lines), f"{status} {last}"))


CLIENT = Client(
    settings=Settings,
    secrets=SECRETS,
    options=smtp.Options,
    check=smtp.check,
    next_request=smtp.next_request,
    answers=smtp.ANSWERS,
    code=smtp.code,
    ask=smtp.ask,
    found=smtp.found,
    sweeps=(mailbox_sweep(),),
    transport=transport,
)
