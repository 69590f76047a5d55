"""The access log: a line for each request, however many are written at once."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from adapters.http.telemetry import ACCESS, AccessLines
from ops.logs import log_to_stderr


async def test_what_is_answered_in_one_turn_of_the_loop_is_written_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """And what is answered in the next is another record."""
    caplog.set_level(logging.INFO, ACCESS.name)
    lines = AccessLines()
    for turn in (("/a", "/b"), ("/c",)):
        for route in turn:
            lines.add(route=route, status=200)
        await asyncio.sleep(0)
    written = [_rendered(record) for record in caplog.records]
    assert [["/a", "/b"], ["/c"]] == [[line["route"] for line in each] for each in written]
    assert {("request", "info", ACCESS.name, 200)} == {
        (line["event"], line["level"], line["logger"], line["status"]) for each in written for line in each
    }


async def test_who_wants_no_access_log_has_none(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is kept for it either."""
    caplog.set_level(logging.WARNING, ACCESS.name)
    AccessLines().add(route="/a")
    await asyncio.sleep(0)
    assert [] == caplog.records


def _rendered(record: logging.LogRecord) -> list[dict[str, object]]:
    """A record as a server writes it, line by line."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    try:
        log_to_stderr()
        (handler,) = root.handlers
        return [json.loads(line) for line in handler.format(record).split("\n")]
    finally:
        root.handlers[:] = before
