"""A server that speaks IMAP badly on purpose: it answers each command with what a test says, and never checks anything."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping

Says = Callable[[str, bytes], bytes]
"""(tag, arguments) -> the bytes of the answer."""


def no(text: str) -> Says:
    return lambda tag, _arguments: f"{tag} NO {text}\r\n".encode()


def ok(*untagged: str) -> Says:
    return lambda tag, _arguments: (
        "".join(f"* {line}\r\n" for line in untagged).encode() + f"{tag} OK done\r\n".encode()
    )


USUAL: Mapping[str, Says] = {
    "CAPABILITY": ok("CAPABILITY IMAP4rev1"),
    "LOGIN": ok(),
    "LOGOUT": ok("BYE"),
    "EXAMINE": ok("1 EXISTS", "OK [UIDVALIDITY 7] x"),
    "UID SEARCH": ok("SEARCH 1"),
}


@contextlib.contextmanager
def rogue(says: Mapping[str, Says], greeting: bytes = b"* OK hi\r\n") -> Iterator[int]:
    """Run it on 127.0.0.1; gives the port."""
    answers = {**USUAL, **says}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(greeting)
            with contextlib.suppress(OSError):
                while line := self.rfile.readline():
                    tag, _, rest = line.strip().decode("latin-1").partition(" ")
                    found = next((name for name in sorted(answers, key=len, reverse=True) if rest.startswith(name)), "")
                    self.wfile.write(
                        answers[found](tag, rest.encode("latin-1")) if found else f"{tag} BAD\r\n".encode()
                    )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
