"""A submission server for tests (aiosmtpd): with credentials, TLS in each way, and replies that a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.mail.dovecot import PASSWORD

CUT = "cut"
"""In place of a reply: the server closes the connection without one."""
SILENCE = "silence"
"""In place of a reply: none comes until the server stops."""


class Submitted(NamedTuple):
    """A message the server took."""

    sender: str
    recipients: tuple[str, ...]
    mail: bytes
    was_encrypted: bool


@dataclass
class Office:
    """Answers commands.

    Attributes:
        replies: command (`MAIL`, `RCPT`, `DATA`, or `RCPT <address>`) -> what is answered instead of the usual.
        taken: what was accepted; also with CUT and SILENCE, as happens in life.
        commands: what came, in order.
    """

    replies: Mapping[str, str] = field(default_factory=dict)
    taken: list[Submitted] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def _reply(self, server: SMTP, usual: str, *names: str) -> str:
        self.commands.append(names[-1])
        reply = next((self.replies[name] for name in names if name in self.replies), usual)
        if reply == CUT:
            server.transport.abort()
        if reply == SILENCE:
            await self.closing.wait()
        return reply

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        usual = "250 2.1.0 ok" if session.authenticated else "530 5.7.0 autenticarsi prima"
        return await self._reply(server, usual, "MAIL")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._reply(server, "250 2.1.5 ok", f"RCPT {address}", "RCPT")

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = self.replies.get("DATA", "250 2.0.0 accodato come 4C2F")
        if reply[0] in "2cs":
            content = envelope.original_content or b""
            encrypted = server.transport.get_extra_info("ssl_object") is not None
            taken = Submitted(str(envelope.mail_from), tuple(envelope.rcpt_tos), content, encrypted)
            self.taken.append(taken)
        return await self._reply(server, reply, "DATA")

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.commands.append("AUTH")
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@contextlib.contextmanager
def running(office: Office, security: str = "plain", folder: Path | None = None, **options: Any) -> Iterator[int]:
    """Run it on 127.0.0.1; gives the port.

    Args:
        security: as in the settings.
        folder: with `server.pem` and `server.key`.
    """
    context = None
    if folder is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "starttls": {"tls_context": context, "require_starttls": True},
        "tls": {"ssl_context": context},
    }
    usual = {"authenticator": office.authenticate, "auth_require_tls": security == "starttls"}
    controller = _Controller(office, hostname="127.0.0.1", port=_free_port(), **{**usual, **ways[security], **options})
    controller.start()
    try:
        yield controller.port
    finally:
        controller.loop.call_soon_threadsafe(office.closing.set)
        controller.stop()


class _Controller(Controller):
    """One whose start does not need an encrypted connection of its own to be believed."""

    def _trigger_server(self) -> None:
        with socket.create_connection((self.hostname, self.port), timeout=5):
            pass


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
