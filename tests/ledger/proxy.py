"""A proxy before PostgreSQL that cuts connections while a commit is under way.

It reads the client's side of the protocol (PostgreSQL documentation, "Frontend/Backend Protocol", Message Formats) just far
enough to know which message makes the server commit an append.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

APPEND = b"append_batch"
CHUNK = 1 << 16


class Proxy:
    """Listens on a port of this machine and forwards to the server behind a URL.

    A commit is cut in one of two ways, by lot: `unheard`, when the server has answered and the client does not hear it;
    `in flight`, when everything was sent and nobody waits for what the server makes of it.

    Attributes:
        url: by which clients reach the server.
        cut: how often each way.
        is_done: all cuts were made; from then on everything passes.
    """

    def __init__(self, url: str, cuts: int, seed: int) -> None:
        parts = conninfo_to_dict(url)
        self._server = f"{parts['host']}/.s.PGSQL.5432"
        self._left = cuts
        self._choose = random.Random(seed)  # noqa: S311  moments, no secrets
        self._lock = threading.Lock()
        self.cut: Counter[str] = Counter()
        self.is_done = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        port = self._listener.getsockname()[1]
        user = quote(str(parts["user"]))
        self.url = f"postgresql://{user}@127.0.0.1:{port}/{parts['dbname']}?sslmode=disable&gssencmode=disable"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(_Connection(self, client, self._server).run)

    def draw(self) -> str:
        """How the commit that is under way is cut; "" when it passes."""
        with self._lock:
            if not self._left or self._choose.random() < 0.1:
                return ""
            self._left -= 1
            way = self._choose.choice(("unheard", "in flight"))
            self.cut[way] += 1
            if not self._left:
                self.is_done.set()
            return way


class _Connection:
    """One client and its connection to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, path: str) -> None:
        self.proxy = proxy
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(path)
        self.pending = b""
        self.is_started = self.is_in_transaction = self.has_append = False
        self.appends: set[bytes] = set()
        self.way = ""

    def run(self) -> None:
        answers = threading.Thread(target=self._answers)
        answers.start()
        with contextlib.suppress(OSError):
            while data := self.client.recv(CHUNK):
                is_commit = self._is_commit(data)
                if is_commit:
                    self.way = self.proxy.draw()
                self.server.sendall(data)
                if self.way == "in flight":
                    break
        if self.way != "unheard":
            self._end()
        answers.join()
        self._end()

    def _answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.server.recv(CHUNK):
                if self.way:
                    break
                self.client.sendall(data)
        self._end()

    def _end(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _is_commit(self, data: bytes) -> bool:
        """Whether these bytes end the message that makes the server run and commit an append."""
        self.pending += data
        found = False
        while len(self.pending) >= (5 if self.is_started else 4):
            kind = self.pending[:1] if self.is_started else b""
            length = len(kind) + int.from_bytes(self.pending[len(kind) : len(kind) + 4], "big")
            if len(self.pending) < length:
                break
            found |= self._commits_append(kind, self.pending[len(kind) + 4 : length])
            self.pending = self.pending[length:]
            self.is_started = True
        return found

    def _commits_append(self, kind: bytes, body: bytes) -> bool:
        """An append by itself, or the end of a transaction that holds one."""
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            (self.appends.add if APPEND in rest else self.appends.discard)(name)
        elif kind == b"B" and body.partition(b"\0")[2].partition(b"\0")[0] in self.appends:
            self.has_append = True
            return not self.is_in_transaction
        elif kind == b"Q":
            self.is_in_transaction = body.startswith(b"BEGIN")
            found = self.has_append and body.startswith(b"COMMIT")
            self.has_append = False
            return found
        return False
