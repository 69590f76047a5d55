"""Those who receive reports: a mail server and a webhook's address, real ones, on this machine."""

from __future__ import annotations

import asyncio
import base64
import hmac
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from queue import Queue
from typing import Any, NamedTuple, TypeVar, cast

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from adapters.providers.pec_mailbox.sandbox.servers import tls_context

HOST = "127.0.0.1"
USER, PASSWORD = "reports", "a password of tests"

Stop = Callable[[], Awaitable[None]]


class Mailbox:
    """Takes every message, unless it is told to answer something else.

    Attributes:
        answers: of the next messages; after them all are taken.
        letters: what was taken, with recipients.
    """

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.letters: list[tuple[list[str], bytes]] = []
        self.users: list[str] = []

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's
        if self.answers:
            return self.answers.pop(0)
        if session.authenticated:
            self.users.append(cast("LoginPassword", session.auth_data).login.decode())
        self.letters.append((envelope.rcpt_tos, cast("bytes", envelope.original_content)))
        return "250 taken"

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, login: Any) -> AuthResult:
        given = (login.login.decode(), login.password.decode())
        return AuthResult(success=given == (USER, PASSWORD), auth_data=login)

    def opened(self) -> list[EmailMessage]:
        return [message_from_bytes(data, policy=policy.SMTP) for _, data in self.letters]


@contextmanager
def mail_server(scheme: str = "smtp") -> Iterator[tuple[Mailbox, str]]:
    """A mail server and its URL; with TLS it wants a log-in."""
    box = Mailbox()
    tls = tls_context() if scheme != "smtp" else None
    # aiosmtpd takes only STARTTLS for encryption; behind implicit TLS it does not insist on a log-in.
    starts = {"tls_context": tls, "require_starttls": True, "auth_required": True}
    how: dict[str, Any] = starts if scheme == "smtp+starttls" else {"auth_require_tls": False}
    how |= {"authenticator": box.authenticate} if tls else {}

    async def start() -> tuple[int, Stop]:
        loop = asyncio.get_running_loop()
        made: list[SMTP] = []

        def connected() -> SMTP:
            made.append(SMTP(box, hostname=HOST, loop=loop, **how))
            return made[-1]

        server = await loop.create_server(connected, HOST, 0, ssl=tls if scheme == "smtps" else None)

        async def stop() -> None:
            server.close()
            await server.wait_closed()
            for each in made:
                if isinstance(each.transport, asyncio.WriteTransport):
                    each.transport.abort()
            await asyncio.sleep(0)

        return int(server.sockets[0].getsockname()[1]), stop

    with _serving(start) as port:
        yield box, f"{scheme}://{f'{USER}@' if tls else ''}{HOST}:{port}"


class Post(NamedTuple):
    """A webhook as it came."""

    headers: dict[str, str]
    body: bytes

    def is_signed(self, secret: str) -> bool:
        """As the Standard Webhooks specification verifies it."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        said = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = f"v1,{base64.b64encode(hmac.digest(key, said, 'sha256')).decode()}"
        return any(hmac.compare_digest(expected, each) for each in self.headers["webhook-signature"].split(" "))


class Hook:
    """An address that takes webhooks.

    Attributes:
        statuses: of the next answers; after them 200.
    """

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.posts: list[Post] = []

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.posts.append(Post(headers, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})


AnyHook = TypeVar("AnyHook", bound=Hook)


@contextmanager
def hook_server(hook: AnyHook, *, tls: bool = False) -> Iterator[AnyHook]:
    """A webhook's address, over HTTP or HTTPS."""

    async def start() -> tuple[int, Stop]:
        app = web.Application()
        app.router.add_post("/{any:.*}", hook.handle)
        server = web.AppRunner(app)
        await server.setup()
        await web.TCPSite(server, HOST, 0, ssl_context=tls_context() if tls else None).start()
        return int(server.addresses[0][1]), server.cleanup

    with _serving(start) as port:
        hook.url = f"http{'s' if tls else ''}://{HOST}:{port}/reports"
        yield hook


@contextmanager
def _serving(start: Callable[[], Awaitable[tuple[int, Stop]]]) -> Iterator[int]:
    """A server in a thread of its own; its port."""
    ready: Queue[tuple[int, Callable[[], object]]] = Queue()

    async def serve() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        port, stop = await start()
        ready.put((port, partial(loop.call_soon_threadsafe, ended.set)))
        await ended.wait()
        await stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, end = ready.get(timeout=20)
    try:
        yield port
    finally:
        end()
        thread.join(20)
