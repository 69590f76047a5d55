"""Hands signed heads to places that this ledger cannot change later: a folder elsewhere, or an address that takes them.

A folder remembers what it was given, so before each push the tree is held against it: a ledger that was restored together with its own
file of heads is still caught there.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiohttp

from adapters import reaching
from ledger.application import Ledger
from ledger.checkpoints import HeadFile, SignedHead, compare
from ledger.errors import ForkError, LedgerError
from ledger.identity import Identity

TIMEOUT_S = 30.0
MEDIA_TYPE = "text/plain"


class PushError(LedgerError):
    """The target did not take the head; it is pushed again with the next one."""


def push(ledger: Ledger, identity: Identity, head: SignedHead, note: bytes, target: str) -> None:
    """Hand a head to one target.

    Args:
        note: of the head, with the cosignatures it was given.
        target: an http or https address, which gets the note by POST, or a folder, which keeps all heads in `heads.jsonl` and the
            newest as a note in `checkpoint`.

    Raises:
        ForkError: the tree contradicts what the folder was given before.
        PushError: the target does not take it.
    """
    try:
        if target.startswith(("http://", "https://")):
            asyncio.run(_post(target, note))
        else:
            _keep(ledger, identity, head, note, Path(target))
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        msg = (
            f"{target} did not take the head of {head.checkpoint.size} events: {type(error).__name__} {error}".rstrip()
        )
        raise PushError(msg) from error


async def _post(address: str, note: bytes) -> None:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=reaching.connector()) as session,
        session.post(address, data=note, headers={"Content-Type": MEDIA_TYPE}, allow_redirects=False) as answer,
    ):
        if not 200 <= answer.status < 300:
            msg = f"{address} answered {answer.status}"
            raise PushError(msg)


def _keep(ledger: Ledger, identity: Identity, head: SignedHead, note: bytes, folder: Path) -> None:
    held = HeadFile(folder)
    latest = held.latest()
    if latest is not None:
        epoch = identity.epoch_of(latest.checkpoint.origin)
        if not epoch:
            msg = f"{folder} holds heads of {latest.checkpoint.origin}, not of {identity.base}; give each log a folder of its own"
            raise PushError(msg)
        if epoch > identity.epoch:
            msg = f"{folder} holds a head of epoch {epoch}, this database is in epoch {identity.epoch}; run `delivery-ledger recover`"
            raise ForkError(msg)
        if epoch == identity.epoch:
            compare(ledger, latest)
    if latest is None or latest.checkpoint != head.checkpoint:
        held.append(head)
    part = folder / "checkpoint.part"
    with part.open("wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / "checkpoint")
