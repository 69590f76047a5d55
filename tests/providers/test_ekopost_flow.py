"""A message through Ekopost from the request to the last evidence, over real HTTP to the sandbox and from its webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.providers.ekopost.sandbox import Fault
from tests.adapters.conftest import TENANT, serving
from tests.postgres import Database
from tests.providers.ekopost_office import ACCOUNT, LETTER, SECRET, Office, opened, opened_here


@pytest.fixture
def office(sqlite_database: Database, tmp_path: Path) -> Iterator[Office]:
    """A ledger and the sandbox."""
    with opened(sqlite_database, tmp_path) as found:
        yield found


async def test_a_letter_from_the_request_to_the_webhook(database: Database, tmp_path: Path) -> None:
    """Accepted when the campaign is closed, in transit when it is completed; the webhook 46 times is one."""
    async with opened_here(database, tmp_path) as office, serving(office.system) as api:
        message = await asyncio.to_thread(office.send)
        assert ("sent", 1) == (office.state(message), len(office.service.campaigns))
        assert ("accepted", "closed", "E1") == await asyncio.to_thread(office.status, message)
        office.service.advance(hours=8)
        url = f"http://127.0.0.1:{api.port}/v1/hooks/{TENANT}/{ACCOUNT}/webhook"
        assert [200] * 46 == await office.sandbox.deliver(url, SECRET, times=46)
        assert ("in_transit", "completed", "E2") == await asyncio.to_thread(office.status, message)
        size = office.size()
        assert "" == await asyncio.to_thread(office.sweep)
        assert 1 == office.service.times_sent(message)
        again = office.size()
        assert "" == await asyncio.to_thread(office.sweep)
        assert (True, again) == (again >= size, office.size())


def test_the_chain_is_campaign_envelope_content_close_close(office: Office) -> None:
    """In this order, each once."""
    office.send(documents=(LETTER, LETTER))
    inside = "POST /campaigns/*/envelopes"
    content = f"{inside}/*/content"
    assert [
        "POST /campaigns",
        inside,
        content,
        content,
        f"{inside}/*/close",
        "POST /campaigns/*/close",
    ] == office.sandbox.calls


CALLS = (
    "POST /campaigns",
    "POST /campaigns/*/envelopes",
    "POST /campaigns/*/envelopes/*/content",
    "POST /campaigns/*/envelopes/*/close",
    "POST /campaigns/*/close",
)


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "garbage", "status"])
@pytest.mark.parametrize("call", CALLS)
def test_whatever_call_is_lost_one_letter_is_printed(office: Office, call: str, kind: str) -> None:
    """A lost answer at any step ends in one letter, without anybody's help."""
    office.sandbox.faults.add(call, Fault(kind=kind))  # type: ignore[arg-type]
    message = office.send()
    for _ in range(4):
        office.later(minutes=6)
    assert "sent" == office.state(message)
    office.later(hours=8)
    assert 1 == office.service.times_sent(message)
    office.sweep()
    assert ("in_transit", "E2") == office.status(message)[::2]
