"""A connection to a mailbox by IMAP that changes nothing in it: folders are examined, not selected, and no message is marked as seen.

What is read, and what is remembered of it, is in mailbox.py.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from datetime import date
from types import TracebackType
from typing import Self

from imapclient import IMAPClient, SocketTimeout, imap4, tls  # type: ignore[import-untyped]
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError  # type: ignore[import-untyped]
from imapclient.imapclient import SENT  # type: ignore[import-untyped]

from adapters import reaching
from adapters.providers.calling import CallFailedError
from adapters.providers.mailbox_settings import IMAP_PORTS, Login, Mailbox, tls_context

TIMEOUT = SocketTimeout(connect=30, read=120)


class BrokenError(Exception):
    """The server broke off, refused, or answered what is no IMAP; the text holds no password.

    Attributes:
        is_refusal: it answered, and the answer was no.
    """

    def __init__(self, said: str, *, is_refusal: bool = False) -> None:
        super().__init__(said)
        self.is_refusal = is_refusal


class _Plain(imap4.IMAP4WithTimeout):  # type: ignore[misc]
    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return reaching.connected(self.host, self.port, timeout if timeout is not None else self._timeout)


class _Tls(tls.IMAP4_TLS):  # type: ignore[misc]
    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        plain = reaching.connected(self.host, self.port, timeout if timeout is not None else self._timeout)
        try:
            return self.ssl_context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[no-any-return]
        except BaseException:
            plain.close()
            raise


class _Client(IMAPClient):  # type: ignore[misc]
    """The library's client over judged connections; see `adapters.reaching`."""

    def _create_IMAP4(self) -> _Plain | _Tls:  # noqa: N802  the library's name
        if self.ssl:
            return _Tls(self.host, self.port, self.ssl_context, TIMEOUT.connect)
        return _Plain(self.host, self.port, TIMEOUT.connect)


class Session:
    """A connection to the mailbox that is made when it is needed, and again after it was dropped.

    Raises, on entering and on every use: CallFailedError when no connection comes about; nothing is worth trying then.
    """

    def __init__(self, settings: Mailbox, login: Login) -> None:
        self._settings = settings
        self._login = login
        self._client: IMAPClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None and error is None:
            with contextlib.suppress(OSError, IMAPClientError):
                self._client.logout()
        self.drop()

    def drop(self) -> None:
        """Let go of the connection, whatever its state."""
        _shut(self._client)
        self._client = None

    def examine(self, folder: str) -> tuple[int, int]:
        """Open a folder for reading only.

        Returns:
            Its UIDVALIDITY (0: it has none), and the highest UID in it.
        """
        with self._using() as client:
            said = client.select_folder(folder, readonly=True)
            found = client.search(["UID", "*"]) if said[b"EXISTS"] else ()
            return int(said.get(b"UIDVALIDITY", 0)), max(found, default=0)

    def search(self, *criteria: str | date) -> list[int]:
        """UIDs in the open folder, ascending."""
        with self._using() as client:
            return sorted(client.search(list(criteria)))

    def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Bytes of each message that is still there."""
        with self._using() as client:
            return {uid: int(said[b"RFC822.SIZE"]) for uid, said in client.fetch(uids, ["RFC822.SIZE"]).items()}

    def bodies(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The messages of these that the server hands out; nothing is marked as seen."""
        with self._using() as client:
            said = client.fetch(uids, ["BODY.PEEK[]"])
            return {uid: fields[b"BODY[]"] for uid, fields in said.items() if fields.get(b"BODY[]") is not None}

    def quota(self, folder: str) -> tuple[int, int] | None:
        """(KiB used, KiB allowed) of the fullest quota on storage; None when there is none (RFC 9208)."""
        with self._using() as client:
            if not client.has_capability("QUOTA"):
                return None
            found = [each for each in client.get_quota_root(folder)[1] if each.resource == "STORAGE" and each.limit > 0]
            fullest = max(found, key=lambda each: each.usage / each.limit, default=None)
            return (int(fullest.usage), int(fullest.limit)) if fullest else None

    def sent_folder(self) -> tuple[str, ...]:
        """Where the provider keeps copies of what was sent, if anywhere."""
        with self._using() as client:
            name = client.find_special_folder(SENT)
            return (str(name),) if name else ()

    @contextlib.contextmanager
    def _using(self) -> Iterator[IMAPClient]:
        if self._client is None:
            self._client = self._connected()
        try:
            yield self._client
        except Exception as error:  # whatever the library stumbles over in what a stranger wrote is the server's fault
            is_refusal = isinstance(error, IMAPClientError) and not isinstance(error, IMAPClientAbortError)
            raise BrokenError(self._told(error), is_refusal=is_refusal) from error

    def _connected(self) -> IMAPClient:
        settings = self._settings
        port, security = settings.imap_port or IMAP_PORTS[settings.imap_security], settings.imap_security
        where = f"the mailbox at {settings.imap_host}:{port}"
        client = None
        try:
            context = tls_context(settings)
            client = _Client(settings.imap_host, port, ssl=security == "tls", ssl_context=context, timeout=TIMEOUT)
            if security == "starttls":
                client.starttls(context)
        except (OSError, IMAPClientError, ValueError) as error:
            _shut(client)
            msg = f"{where} cannot be reached: {self._told(error)}"
            raise CallFailedError(msg) from error
        try:
            self._log_in(client)
        except (OSError, IMAPClientError, ValueError) as error:
            _shut(client)
            # Not `from error`: what it quotes may be the password.
            msg = f"{where} does not let us in with its credentials: {self._told(error)}"
            raise CallFailedError(msg) from None
        return client

    def _log_in(self, client: IMAPClient) -> None:
        user, password = self._login
        if client.has_capability("AUTH=PLAIN"):  # LOGIN has no other letters than ASCII
            client.plain_login(user, password)
        else:
            client.login(user, password)

    def _told(self, error: Exception) -> str:
        # A letter that cannot be written may be one of the password.
        detail = "" if isinstance(error, UnicodeError) else f": {error}"
        return self._login.hidden(f"{type(error).__name__}{detail}")[:500]


def _shut(client: IMAPClient | None) -> None:
    if client is not None:
        with contextlib.suppress(OSError):
            client.shutdown()
