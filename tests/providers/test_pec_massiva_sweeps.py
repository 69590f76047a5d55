"""What is done for a mailbox of PEC Massiva by the clock: its rows, its new e-mails, its quota; at the desk of a real ledger."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.providers.calling import Answer, CallFailedError, Watched
from adapters.providers.pec_massiva import inbox, quota
from adapters.providers.pec_massiva.client import CLIENT
from ledger.events import Event
from tests.providers.pec_massiva_service import NOW, Email, Service, delivered, desk, failed, later
from tests.world import TENANT, World

ID = "2026030210150742"
OTHER = "2026030210160713"


def events(found: World) -> Counter[str]:
    return Counter(event.type for event in _all(found))


def _all(found: World) -> list[Event]:
    return found.ledger.feed(0, 1_000)


def watched(*names: str) -> Watched:
    return Watched(message="m", references={"message_id": names}, opened_at=NOW)


# --- the rows of one message


def test_a_poll_brings_the_receipts_of_each_message_id(tmp_path: Path) -> None:
    """One call for each; what was seen before adds nothing."""
    service = Service([delivered(ID, "a@pec.example"), delivered(OTHER, "b@pec.example")])
    with desk(tmp_path, service) as (mine, found):
        assert CLIENT.poll is not None
        CLIENT.poll(mine, watched(ID, OTHER))
        facts, size = events(found)["content.consigned"], found.ledger.head().size
        CLIENT.poll(mine, watched(ID, OTHER))
        assert (2, size) == (facts, found.ledger.head().size)
    assert [f"GET /send/{ID}", f"GET /send/{OTHER}"] * 2 == service.calls


def test_nothing_yet_writes_nothing(tmp_path: Path) -> None:
    """404 `Result empty` is an answer, not a failure."""
    with desk(tmp_path, Service()) as (mine, found):
        before = found.ledger.head().size
        assert CLIENT.poll is not None
        CLIENT.poll(mine, watched(ID))
        assert before == found.ledger.head().size


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        (failed(500, "MySQL Error 1"), 2),
        (failed(404, "Not Found"), 2),
        (failed(200, "something"), 2),
        (failed(401, "Authorization is not valid or empty"), 1),
        (failed(429), 1),
        (failed(failure="unreachable"), 1),
        (failed(failure="timeout"), 1),
    ],
)
def test_a_failed_poll_is_told_and_one_bad_id_does_not_keep_back_the_next(
    tmp_path: Path, fault: Answer, asked: int
) -> None:
    """What would fail for all is not asked again at once; nothing is written of a failure."""
    service = Service([delivered(OTHER, "b@pec.example")], faults={f"/send/{ID}": fault})
    with desk(tmp_path, service) as (mine, found):
        assert CLIENT.poll is not None
        with pytest.raises(CallFailedError, match=str(fault.failure or fault.status)):
            CLIENT.poll(mine, watched(ID, OTHER))
        assert (asked, asked - 1) == (len(service.calls), events(found)["content.consigned"])


def test_what_is_no_message_id_is_not_asked_for(tmp_path: Path) -> None:
    """A path is not built from a sentence."""
    service = Service()
    with desk(tmp_path, service) as (mine, _):
        assert CLIENT.poll is not None
        CLIENT.poll(mine, watched("error occurred connecting to SMTP", "../inbox", ""))
    assert [] == service.calls


# --- the inbox


def many(number: int) -> list[Email]:
    return [delivered(f"2026030210150{n:04}", f"r{n}@pec.example") for n in range(number)]


@pytest.mark.parametrize("first_page", [0, 1])
@pytest.mark.parametrize("number", [0, 1, 25, 26, 60])
def test_every_email_is_read_once_whatever_the_pages_are_called(tmp_path: Path, first_page: int, number: int) -> None:
    """Until a page is empty; the second time only the pages are read."""
    service = Service(many(number), first_page)
    with desk(tmp_path, service) as (mine, found):
        inbox.sweep(mine)
        assert number == events(found)["content.consigned"]
        service.calls.clear()
        inbox.sweep(mine)
        assert number == events(found)["content.consigned"]
    assert all(call.startswith("GET /inbox") and "/inbox/" not in call for call in service.calls)


def test_a_page_says_nothing_of_its_own(tmp_path: Path) -> None:
    """A row without a text names no recipient; the e-mail read for it does, and is one fact."""
    with desk(tmp_path, Service([delivered(ID, "a@pec.example")])) as (mine, found):
        inbox.sweep(mine)
        (consigned,) = (event for event in _all(found) if event.type == "content.consigned")
        assert ("recipient", 0) == (consigned.fields["about"], consigned.fields["recipient"])


def test_only_the_new_email_is_read_although_all_numbers_moved(tmp_path: Path) -> None:
    """A deletion moves them; what a row says does not."""
    service = Service(many(3))
    with desk(tmp_path, service) as (mine, found):
        inbox.sweep(mine)
        del service.emails[0]
        service.emails.append(delivered(ID, "new@pec.example"))
        service.calls.clear()
        inbox.sweep(mine)
        assert ["GET /inbox/3"] == [call for call in service.calls if "/inbox/" in call]
        assert 4 == events(found)["content.consigned"]


def test_an_email_that_moved_while_it_was_read_is_left_for_the_next_time(tmp_path: Path) -> None:
    """Another e-mail under its number is not taken for it; nothing is lost, nothing is read twice."""
    service = Service(many(3))

    def deleted_meanwhile(path: str) -> None:
        if path == "/inbox/2" and len(service.emails) == 3:
            del service.emails[0]

    service.between = deleted_meanwhile
    with desk(tmp_path, service) as (mine, found):
        with pytest.raises(CallFailedError, match="moved meanwhile"):
            inbox.sweep(mine)
        inbox.sweep(mine)
        assert 2 == events(found)["content.consigned"]
        assert len(service.emails) == len(mine.state["seen"])


def test_two_that_look_alike_in_the_list_are_two(tmp_path: Path) -> None:
    """Two deliveries of one second differ only in their texts."""
    service = Service([delivered(ID, "a@pec.example"), delivered(ID, "b@pec.example")])
    with desk(tmp_path, service) as (mine, found):
        inbox.sweep(mine)
        assert 2 == events(found)["content.consigned"]
        service.calls.clear()
        inbox.sweep(mine)
        assert not any("/inbox/" in call for call in service.calls)


def test_of_two_that_look_alike_none_is_taken_for_the_other(tmp_path: Path) -> None:
    """A deletion moves both while they are read, so the one shows under the number of the other; neither is left out."""
    service = Service([*many(1), delivered(ID, "a@pec.example"), delivered(ID, "b@pec.example"), *many(2)[1:]])

    def deleted_meanwhile(path: str) -> None:
        if path.startswith("/inbox/") and len(service.emails) == 4:
            del service.emails[0]

    service.between = deleted_meanwhile
    with desk(tmp_path, service) as (mine, found):
        with pytest.raises(CallFailedError):
            inbox.sweep(mine)
        inbox.sweep(mine)
        people = {view.address.address for view in found.deliveries()}
        assert {"a@pec.example", "b@pec.example", "r1@pec.example"} <= people


@pytest.mark.parametrize("fault", [failed(500, "MySQL Error 1"), failed(404, "Message not found"), failed(200, "no")])
def test_an_email_that_cannot_be_read_keeps_back_no_other(tmp_path: Path, fault: Answer) -> None:
    """It is told, tried again the next time, and then remembered."""
    service = Service(many(3), faults={"/inbox/2": fault})
    with desk(tmp_path, service) as (mine, found):
        with pytest.raises(CallFailedError, match="1 e-mails"):
            inbox.sweep(mine)
        assert 2 == events(found)["content.consigned"]
        service.faults.clear()
        inbox.sweep(mine)
        assert 3 == events(found)["content.consigned"]


@pytest.mark.parametrize("fault", [failed(401), failed(429), failed(failure="cut"), failed(failure="unreachable")])
def test_what_was_read_before_the_service_failed_is_remembered(tmp_path: Path, fault: Answer) -> None:
    """The rest is for the next time."""
    service = Service(many(3), faults={"/inbox/2": fault})
    with desk(tmp_path, service) as (mine, _):
        with pytest.raises(CallFailedError):
            inbox.sweep(mine)
        assert 1 == len(mine.state["seen"])
        service.faults.clear()
        service.calls.clear()
        inbox.sweep(mine)
        assert ["GET /inbox/2", "GET /inbox/1"] == [call for call in service.calls if "/inbox/" in call]


@pytest.mark.parametrize("answer", [b"<html>", b'{"data": {}}', b'{"data": [], "success": false}'])
def test_a_page_that_is_none_fails(tmp_path: Path, answer: bytes) -> None:
    """Silence is not taken for an empty mailbox."""
    service = Service(many(1), faults={"/inbox": Answer(at=NOW, status=200, body=answer)})
    with desk(tmp_path, service) as (mine, _), pytest.raises(CallFailedError):
        inbox.sweep(mine)


def test_a_service_that_gives_the_same_page_for_ever_is_left(tmp_path: Path) -> None:
    """It does not know the number of the page."""
    page = {"data": [{"object": "x", "date": "", "id": "../quota/1"}], "success": True}
    same = Answer(at=NOW, status=200, body=json.dumps(page).encode())
    service = Service(faults={"/inbox": same} | {f"/inbox?page={n}": same for n in range(1, 9)})
    with desk(tmp_path, service) as (mine, _), pytest.raises(CallFailedError, match="1 e-mails"):
        inbox.sweep(mine)
    assert ["GET /inbox", "GET /inbox?page=1", "GET /inbox?page=2"] == service.calls


# --- the quota


def test_the_quota_is_a_fact_only_when_it_passes_a_step(tmp_path: Path) -> None:
    """The numbers of each hour are in the state of the sweep; an event says each twentieth."""
    service = Service(usage=(100_000, 1_000_000))
    with desk(tmp_path, service) as (mine, found):
        for usage in (100_000, 120_000, 149_999, 150_000, 160_000, 90_000):
            service.usage = (usage, 1_000_000)
            quota.sweep(mine)
        said = [e.fields["numbers"]["percent"] for e in _all(found) if e.type == "account.setting_changed"]
        assert [10, 15, 5] == said
        assert (90_000, 1_000_000) == (mine.state["usage_kib"], mine.state["limit_kib"])


def test_the_forecast_says_when_the_mailbox_is_full(tmp_path: Path) -> None:
    """From the growth of up to thirty days; what was before a cleaning up does not count."""
    service = Service(usage=(100_000, 1_000_000))
    with desk(tmp_path, service) as (mine, _):
        for day in range(11):
            service.at, service.usage = later(day), (100_000 + 10_000 * day, 1_000_000)
            quota.sweep(mine)
        assert 10_000 == mine.state["per_day_kib"]
        assert later(10 + 80) == datetime.fromisoformat(mine.state["full_at"])
        service.at, service.usage = later(11), (50_000, 1_000_000)
        quota.sweep(mine)
        assert (0, "") == (mine.state["per_day_kib"], mine.state["full_at"])
        assert 1 == len(mine.state["history"])
        json.dumps(mine.state)


@pytest.mark.parametrize(
    ("usage", "days", "full"),
    [
        (quota.Usage(100, 100), 1, timedelta(0)),
        (quota.Usage(120, 100), 1, timedelta(0)),
        (quota.Usage(60, 100), 1, timedelta(days=4)),
        (quota.Usage(50, 100), 1, None),
        (quota.Usage(51, 10**15), 1, None),
        (quota.Usage(60, 100), 0, None),
    ],
)
def test_a_forecast_is_made_of_growth_only(usage: quota.Usage, days: float, full: timedelta | None) -> None:
    """From 50 KiB; a mailbox over its limit is full now, one that does not grow never."""
    said = quota.forecast([(NOW - timedelta(days=days), 50)], usage, NOW)
    assert ((NOW + full).isoformat() if full is not None else "") == said["full_at"]


@pytest.mark.parametrize(
    "answer",
    [
        failed(400, "An error occured: the requested mailbox might be unavailable"),
        failed(401),
        failed(failure="timeout"),
        Answer(at=NOW, status=200, body=b'{"data": {"usage": 1, "limit": 0}}'),
        Answer(at=NOW, status=200, body=b'{"data": {"usage": -1, "limit": 5}}'),
        Answer(at=NOW, status=200, body=b'{"data": {"usage": 1e300, "limit": 5}}'),
        Answer(at=NOW, status=200, body=b'{"data": {"usage": true, "limit": 5}}'),
        Answer(at=NOW, status=200, body=b'{"data": [1, 2]}'),
        Answer(at=NOW, status=200, body=b"<html>"),
    ],
)
def test_a_quota_without_numbers_is_a_failure(tmp_path: Path, answer: Answer) -> None:
    """Nothing is written, and what was known stays."""
    service = Service()
    with desk(tmp_path, service) as (mine, found):
        quota.sweep(mine)
        known, size = dict(mine.state), found.ledger.head().size
        service.faults[f"/quota/{quota.MAILBOX}"] = replace(answer, at=later(1))
        with pytest.raises(CallFailedError):
            quota.sweep(mine)
        assert (known, size) == (mine.state, found.ledger.head().size)


def test_nothing_of_the_credentials_is_in_the_ledger(tmp_path: Path) -> None:
    """Not in an event, an original, the state, or the database's files."""
    service = Service(many(3))
    with desk(tmp_path, service) as (mine, found):
        assert CLIENT.poll is not None
        inbox.sweep(mine)
        quota.sweep(mine)
        CLIENT.poll(mine, watched(f"2026030210150{1:04}"))
        artifacts = {a for e in _all(found) for a in e.fields.get("artifacts", ())}
        bodies = [found.ledger.artifact(each).body for each in artifacts]
        assert len(bodies) >= 4
        values = repr(found.ledger.values(_all(found)))
        state = json.dumps(mine.state)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = b"".join([*bodies, *files, values.encode(), state.encode()])
    assert b"CONSEGNA" in everything
    assert b"hush" not in everything
    assert TENANT.encode() in everything
