"""The provider on the network: SMTP submission by aiosmtpd, the mailboxes by IMAP with pymap. Both on the loopback only.

Faults of the SMTP side are named by command: `AUTH`, `MAIL`, `RCPT`, `DATA`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from argparse import Namespace
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from proxyprotocol.noop import ProxyProtocolNoop
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Identity, Login
from pymap.backend.dict.mailbox import MailboxData
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import UserMetadata
from pysasl.hashing import Cleartext

from adapters.providers.pec_mailbox.sandbox import authority
from adapters.providers.pec_mailbox.sandbox.original import MAX_TOTAL_BYTES
from adapters.providers.pec_mailbox.sandbox.provider import Mail, Provider
from adapters.providers.sandboxing import Fault, Faults

HOST = "127.0.0.1"


def tls_context() -> ssl.SSLContext:
    """A server's, with the sandbox's own certificate."""
    identity = authority.tls()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads certificates from files only
        path = Path(folder) / "tls.pem"
        path.touch(mode=0o600)
        path.write_bytes(identity.key_pem() + identity.pem())
        context.load_cert_chain(path)
    return context


class Submission:
    """What aiosmtpd asks: who may send, and what becomes of a message."""

    def __init__(self, provider: Provider, faults: Faults) -> None:
        self._provider, self._faults = provider, faults

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, login: Any) -> AuthResult:
        """Check a log-in; user names are addresses."""
        fault = self._faults.take("AUTH")
        if fault:
            return AuthResult(success=False, handled=False, message=f"{fault.status} {fault.text or 'sandbox fault'}")
        is_ours = isinstance(login, LoginPassword) and self._provider.is_customer(
            login.login.decode("utf-8", "replace"), login.password.decode("utf-8", "replace")
        )
        return AuthResult(success=is_ours, handled=False, auth_data=login if is_ours else None)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Only who is authenticated may send, and only from the own address."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        login = cast(LoginPassword, session.auth_data)
        if address.casefold() != login.login.decode("utf-8", "replace").casefold():
            return "553 5.7.1 Sender address rejected: not owned by user"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._answered(server, "MAIL", "250 2.1.0 Ok")

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Any recipient is taken; what it is like is seen later."""
        answer = await self._answered(server, "RCPT", "250 2.1.5 Ok")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the message over."""
        fault = self._faults.take("DATA")
        refusal = await self._before(server, fault)
        if refusal:
            return refusal
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        sending = self._provider.submit(envelope.mail_from or "", tuple(envelope.rcpt_tos), content)
        return await self._after(server, fault, f"250 2.0.0 Ok: queued as {sending.identifier}")

    async def _answered(self, server: SMTP, command: str, answer: str) -> str:
        fault = self._faults.take(command)
        return await self._before(server, fault) or await self._after(server, fault, answer)

    async def _before(self, server: SMTP, fault: Fault | None) -> str:
        """The answer of a call that does nothing, or ""."""
        match fault:
            case Fault(kind="status"):
                return f"{fault.status} {fault.text or 'sandbox fault'}"
            case Fault(kind="cut_before"):
                return _cut(server)
            case Fault(kind="slow_before"):
                await asyncio.sleep(fault.seconds)
        return ""

    async def _after(self, server: SMTP, fault: Fault | None, answer: str) -> str:
        match fault:
            case Fault(kind="cut_after"):
                return _cut(server)
            case Fault(kind="slow_after"):
                await asyncio.sleep(fault.seconds)
            case Fault(kind="garbage"):
                return fault.text or "999 what"
        return answer


def _cut(server: SMTP) -> str:
    """End the connection without an answer; what aiosmtpd then writes goes nowhere."""
    transport = server.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()
    return "421 4.4.2 Connection cut"


class Postbox:
    """The mailboxes as pymap serves them: a copy of each mail, in order of arrival."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        self._provider, self._loop = provider, loop
        self._config = Config(
            Namespace(passlib_cfg=None, proxy_protocol=""),
            host=HOST,
            port=0,
            hash_context=Cleartext(),
            cpu_subsystem=Subsystem.for_asyncio(),
            tls_enabled=False,
            invalid_user_sleep=0.0,
            demo_data=False,
            demo_user="",
            demo_password="",
        )
        self._login = Login(self._config)
        self._pending: set[Future[None]] = set()
        self._order = asyncio.Lock()

    async def start(self, port: int, tls: ssl.SSLContext, stack: AsyncExitStack) -> int:
        """Serve with implicit TLS until the stack closes; returns the port."""
        self._config.apply_context()
        for address, password in self._provider.accounts.items():
            self._login.users_dict[address] = UserMetadata(self._config, address, password=password)
        for address, mails in self._provider.mailboxes.items():
            for mail in mails:
                await self._append(address, mail)
        self._provider.listeners.append(self.tell)
        stack.callback(self._provider.listeners.remove, self.tell)
        connected = ProxyProtocolReader(ProxyProtocolNoop()).get_callback(IMAPServer(self._login, self._config))
        server = await asyncio.start_server(connected, HOST, port, ssl=tls)
        stack.callback(server.close)
        return _port(server)

    def tell(self, address: str, mail: Mail) -> None:
        """The provider's listener; it must not wait here, because the loop may be waiting for the provider's lock."""
        told = asyncio.run_coroutine_threadsafe(self._append(address, mail), self._loop)
        self._pending.add(told)
        told.add_done_callback(self._pending.discard)

    async def settled(self) -> None:
        """Return when all that was told is there."""
        await asyncio.gather(*map(asyncio.wrap_future, tuple(self._pending)))

    def settle(self) -> None:
        """The same, for another thread than the loop's."""
        asyncio.run_coroutine_threadsafe(self.settled(), self._loop).result()

    async def _append(self, address: str, mail: Mail) -> None:
        if address not in self._login.users_dict:
            return
        self._config.apply_context()
        async with self._order:
            box = await self._inbox(address)
            await box.append(AppendMessage(mail.raw, mail.at), recent=True)

    async def _inbox(self, address: str) -> MailboxData:
        async with Identity(address, self._login, None, frozenset()).new_session() as session:
            return await session.mailbox_set.get_mailbox("INBOX")


async def start_smtp(
    provider: Provider, faults: Faults, port: int, tls: ssl.SSLContext, stack: AsyncExitStack, *, implicit: bool
) -> int:
    """Serve SMTP submission until the stack closes, with implicit TLS or STARTTLS; returns the port."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of its own use of its own attributes
    handler, loop = Submission(provider, faults), asyncio.get_running_loop()

    def connected() -> SMTP:
        # aiosmtpd takes only STARTTLS for encryption; behind implicit TLS, handle_MAIL asks for AUTH itself.
        return SMTP(
            handler,
            hostname="localhost",
            loop=loop,
            data_size_limit=MAX_TOTAL_BYTES + 1024 * 1024,
            tls_context=None if implicit else tls,
            require_starttls=not implicit,
            auth_require_tls=not implicit,
            auth_required=not implicit,
            authenticator=handler.authenticate,
        )

    server = await loop.create_server(connected, HOST, port, ssl=tls if implicit else None)
    stack.callback(server.close)
    return _port(server)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
