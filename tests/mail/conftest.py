"""Fixtures for the tests of mailboxes: one Dovecot for the run of a process, a new mailbox for each test."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator

import pytest

from tests.mail.dovecot import NO_DOVECOT, Dovecot, private_dovecot

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    if not (shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")):
        pytest.skip(NO_DOVECOT)
    with private_dovecot() as server:
        yield server


@pytest.fixture
def user() -> str:
    """Whose mailbox is empty."""
    return f"ufficio{next(_numbers)}"
