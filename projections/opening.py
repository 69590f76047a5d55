"""Opens addresses as they were declared: of a page of them here, or of a long list in one process beside this one.

Opening takes as long as everything else that is done for a row of a list. The other process is this module run as a program: it knows no
database and keeps nothing. It gets the key-encryption keys through its standard input, which only it can read, then one page after the
other. It is a help and no authority: what it cannot open is opened here again, and an error is raised here.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from ledger.canonical import decode
from ledger.commitments import Revealed, from_text, open_together
from ledger.errors import CorruptError
from ledger.sealing import Keyring, unseal

Kept = Mapping[str, Any]
"""An address as it is sealed."""

LONG = 20_000
"""Addresses after which it is worth starting another process."""
AHEAD = 3
"""Pages that wait for it."""
FORMAT = 2
"""Of `marshal`, without a search for what was written before."""
_SIZE_BYTES = 8


class Held(NamedTuple):
    """What is held of some addresses, still sealed.

    Attributes:
        recipients: the index of each in its message.
        values: which of them, where it was declared, the key, the same wrapped, and what it seals; an address that has several forms was
            filed under each.
        events: that declared them, position -> stored bytes.
    """

    recipients: list[int]
    values: list[tuple[int, int, bytes, bytes, bytes]]
    events: dict[int, bytes]


class _Declared(msgspec.Struct, gc=False):
    """What of an event is needed."""

    id: str
    commit: dict[str, str]


_declared = msgspec.json.Decoder(_Declared)


def opened(keyring: Keyring, held: Held) -> list[Kept | None]:
    """The addresses, each checked against its commitment; nobody else's are opened.

    Raises:
        CorruptError: a value does not open its commitment.
    """
    events = {position: _declared.decode(state) for position, state in held.events.items()}
    found: list[Kept | None] = [None] * len(held.recipients)
    revealed: list[tuple[int, Revealed]] = []
    for number, position, key_id, wrapped, sealed in held.values:
        if found[number] is None:
            event = events[position]
            said = decode(unseal(keyring.unwrap(key_id, wrapped), sealed, event.id.encode() + key_id))
            revealed.append((position, (event.commit, from_text(said["secret"]), event.id, said["values"])))
            found[number] = said["values"].get(f"recipient.{held.recipients[number]}")
    if not open_together(each for _, each in revealed):
        wrong = next(position for position, each in revealed if not open_together([each]))
        msg = f"position {wrong}: a value does not open its commitment"
        raise CorruptError(msg)
    return found


class Told(NamedTuple):
    """Of each address its kind and itself, "" where there is none."""

    kinds: list[str]
    addresses: list[str]


def _told(keyring: Keyring, held: Held) -> Told:
    found = opened(keyring, held)
    return Told([each["kind"] if each else "" for each in found], [each["address"] if each else "" for each in found])


def each(keyring: Keyring, pages: Iterator[tuple[Any, Held]]) -> Iterator[tuple[Any, Told]]:
    """The addresses of many pages, in order; whatever stands beside what is held of them comes along.

    Raises:
        CorruptError: as `opened`; no address of that page is given.
    """
    done = 0
    waiting: deque[tuple[Any, Held, _Beside | None]] = deque()
    with ExitStack() as stack:
        beside: _Beside | None = None
        for page, held in pages:
            if done < LONG <= (done := done + len(held.recipients)):
                beside = stack.enter_context(_beside(keyring))
            waiting.append((page, held, beside if beside and beside.ask(held) else None))
            while waiting and (len(waiting) > AHEAD or not waiting[0][2]):
                yield _finished(keyring, *waiting.popleft())
        while waiting:
            yield _finished(keyring, *waiting.popleft())


def _finished(keyring: Keyring, page: Any, held: Held, asked: _Beside | None) -> tuple[Any, Told]:
    told = asked.answer() if asked else None
    return page, told or _told(keyring, held)


# --- the other process, as this one sees it


_turn = threading.Lock()
"""One at a time beside this process, whoever asks: the other processors are for other work. Who comes second has none."""


@contextmanager
def _beside(keyring: Keyring) -> Iterator[_Beside | None]:
    if (os.cpu_count() or 1) < 2 or not _turn.acquire(blocking=False):
        yield None
        return
    beside = None
    try:
        with suppress(OSError):  # no other process is to be had
            beside = _Beside(keyring)
        yield beside
    finally:
        if beside is not None:
            beside.end()
        _turn.release()


class _Beside:
    """A process that opens what it is given, in order."""

    def __init__(self, keyring: Keyring) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe)
        assert self._process.stdin is not None  # noqa: S101  it was asked for
        assert self._process.stdout is not None  # noqa: S101  likewise
        self._asks, self._answers = self._process.stdin, self._process.stdout
        self._is_there, self._answered = False, select.poll()
        self._answered.register(self._answers, select.POLLIN)
        # What is asked for is more than a pipe holds: while a page is opened, the next one is being handed over.
        self._asking = ThreadPoolExecutor(1, "opening")
        self._asking.submit(_send, self._asks, _framed(dict(keyring.keks)))

    def ask(self, held: Held) -> bool:
        """Let it open a page, if it is there by now; `answer` tells what became of it."""
        if not self._is_there and self._answered.poll(0):
            self._is_there = _answer(self._answers) is not None
        if self._is_there:
            self._asking.submit(_send, self._asks, _framed(tuple(held)))
        return self._is_there

    def answer(self) -> Told | None:
        """The addresses of the page that was asked for first; None if it did not open them."""
        said = _answer(self._answers)
        return None if said is None else Told(*said)

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._asking.shutdown(cancel_futures=True)
        with suppress(BrokenPipeError), self._process:  # what was not read by it is lost
            pass


def _answer(file: IO[bytes]) -> Any:
    """None also if it has ended."""
    try:
        return _read(file)
    except (OSError, EOFError, ValueError):
        return None


def _framed(said: Any) -> tuple[bytes, bytes]:
    data = marshal.dumps(said, FORMAT)
    return len(data).to_bytes(_SIZE_BYTES, "big"), data


def _send(file: IO[bytes], said: tuple[bytes, bytes]) -> None:
    file.writelines(said)
    file.flush()


def _read(file: IO[bytes]) -> Any:
    size = file.read(_SIZE_BYTES)
    if len(size) < _SIZE_BYTES:
        raise EOFError
    return marshal.loads(file.read(int.from_bytes(size, "big")))  # noqa: S302  from a process of our own


# --- the other process itself


def serve(asks: IO[bytes], answers: IO[bytes]) -> None:
    """Open page after page until there are no more; None stands for one that could not be opened."""
    with suppress(EOFError, BrokenPipeError):
        keyring = Keyring(_read(asks), "", b"", b"")
        _send(answers, _framed({}))
        while True:
            held = Held(*_read(asks))
            try:
                answer: Any = tuple(_told(keyring, held))
            except Exception:  # noqa: BLE001  whoever asked opens it himself, and says what is wrong
                answer = None
            _send(answers, _framed(answer))


if __name__ == "__main__":
    import gc

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    gc.disable()  # nothing here refers to itself
    serve(sys.stdin.buffer, sys.stdout.buffer)
