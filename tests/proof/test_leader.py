"""The loop that signs: it follows the log, never dies of a trouble, and stops for good at a contradiction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partialmethod

import pytest

from ledger.checkpoints import HeadFile, SignedHead
from ops import leader
from tests.ledger.kit import item
from tests.proof.kit import Installation, other_code

LONG_S = 30.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "SIGN_EVERY_S", 0.01)


class Signal:
    """Stands in for a method, and tells when it was called to its end."""

    def __init__(self, method: Callable[..., object]) -> None:
        self.method = method
        self.called = threading.Event()

    def __call__(self, *arguments: object) -> None:
        self.method(*arguments)
        self.called.set()


class Logged(logging.Handler):
    """Waits for a line of a level."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.came = threading.Event()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
        self.came.set()


def test_head_follows_the_log_without_being_asked(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each head is in its file before anyone could see it, and covers what was committed."""
    signed = Signal(HeadFile.append)
    monkeypatch.setattr(HeadFile, "append", partialmethod(signed))
    with installation.opened() as system:
        system.leader.start()
        for _ in range(2):
            signed.called.clear()
            size = system.ledger.append(item(system.ledger)).tree_size
            assert signed.called.wait(LONG_S)
            newest = system.heads.latest()
            assert isinstance(newest, SignedHead)
            assert size == newest.checkpoint.size


def test_contradiction_ends_the_loop_and_freezes_the_ledger(
    on_sqlite: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told at the highest level, once; nobody tries again."""
    on_sqlite.grow(3)
    alarm = Logged(logging.CRITICAL)
    monkeypatch.setattr(leader.LOG, "handlers", [alarm])
    with on_sqlite.opened() as system:
        on_sqlite.rewrite(2, other_code)
        system.leader.start()
        assert alarm.came.wait(LONG_S)
        assert "its history was rewritten" in alarm.text
        assert system.ledger.frozen
        assert 1 == len(list(system.heads))


def test_trouble_with_the_disk_is_told_and_tried_again(
    on_sqlite: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that could not be made durable was never signed; the next turn signs one."""
    troubles = iter([OSError("no space left on device")])
    signed = Signal(HeadFile.append)

    def append(*arguments: object) -> None:
        for trouble in troubles:
            raise trouble
        signed(*arguments)

    monkeypatch.setattr(HeadFile, "append", append)
    told = Logged(logging.ERROR)
    monkeypatch.setattr(leader.LOG, "handlers", [told])
    monkeypatch.setattr(leader.LOG, "propagate", False)
    with on_sqlite.opened() as system:
        system.leader.start()
        assert told.came.wait(LONG_S)
        assert signed.called.wait(LONG_S)
        assert 1 == len(list(system.heads))
