"""Acts that may take two people: who may agree, what stands in the log, and that a decision is made once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import acts, safeguards
from adapters.acts import Act
from adapters.apikeys import ApiKeys
from adapters.outbox import ActRefusedError
from adapters.safeguards import Safeguards
from adapters.strictjson import InvalidError
from ledger.errors import NotFoundError
from ledger.events import parse_time
from tests.postgres import Database
from tests.world import TENANT, World, world

ALL = Safeguards(four_eyes=tuple(safeguards.FOUR_EYES))
RULE = "erasure.recipient"
PERSON = "olga.berg@citizens.example"


class Clock:
    """The real clock, which a test may set forward where nothing is appended any more."""

    def __init__(self) -> None:
        self.forward = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.forward


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(database: Database, tmp_path: Path, clock: Clock) -> Iterator[World]:
    """A ledger whose organisation demands two people for everything."""
    with world(database.url, tmp_path, clock) as opened:
        safeguards.put(opened.accounts, TENANT, ALL.numbers(), "our rules", "")
        yield opened


def _ask(found: World, actor: str = "key_anna", **more: Any) -> Act:
    return acts.ask(found.accounts, found.queries, TENANT, RULE, "she asked for it", actor, **more)


def _approve(found: World, act: Act, actor: str) -> Act:
    return acts.approve(found.accounts, found.queries, TENANT, act.act, "checked her identity", actor)


def _decline(found: World, act: Act, actor: str) -> Act:
    return acts.decline(found.accounts, found.queries, TENANT, act.act, "not her address", actor)


def _events(found: World, *types: str) -> list[Any]:
    return [event for event in found.ledger.feed() if event.type in types]


def test_act_waits_until_another_person_agrees(found: World) -> None:
    """Read from the log and from the read model it is the same; what it is about is told as it was given."""
    asked = _ask(found, said={"recipient": PERSON}, clear={"numbers": {"messages": 3}})
    assert ("waiting", "key_anna", {"recipient": PERSON}, {"numbers": {"messages": 3}}, "she asked for it") == (
        *(asked.state, asked.asked_by, asked.said, asked.about, asked.reason),
    )
    assert timedelta(days=14) == parse_time(asked.expires_at) - parse_time(asked.asked_at)
    found.runner.run()
    approved = _approve(found, asked, "key_bert")
    assert ("approved", "key_bert", "checked her identity") == (
        *(approved.state, approved.decided_by, approved.decided_because),
    )
    assert [approved] == acts.acts(found.queries, TENANT)
    found.runner.run()
    assert [approved] == acts.acts(found.queries, TENANT)
    assert approved.may_go
    assert [] == found.runner.unapplied()


def test_act_says_nothing_of_the_person_in_the_clear(found: World) -> None:
    """Neither who is meant nor why stands in a leaf."""
    asked = _ask(found, said={"recipient": PERSON})
    _approve(found, asked, "key_bert")
    for event in _events(found, "act.asked", "act.approved"):
        assert event.stream.startswith(f"account/{TENANT}/acts/")
        assert not any(word in event.leaf for word in (b"olga", b"asked for", b"identity"))


def test_what_takes_no_second_person_is_ready_at_once(found: World) -> None:
    """Until that is demanded: what is not done by then waits for somebody else."""
    safeguards.put(found.accounts, TENANT, Safeguards().numbers(), "alone again", "")
    asked = _ask(found)
    assert ("ready", True) == (asked.state, asked.may_go)
    with pytest.raises(ActRefusedError, match="is ready"):
        _approve(found, asked, "key_bert")
    safeguards.put(found.accounts, TENANT, ALL.numbers(), "together again", "")
    assert "waiting" == acts.get(found.queries, TENANT, asked.act).state
    assert "approved" == _approve(found, asked, "key_bert").state


@pytest.mark.parametrize("read", [True, False])
def test_what_two_people_switch_at_the_same_time_is_both_switched(found: World, *, read: bool) -> None:
    """Whoever demands a reason has not seen that two people are demanded since, and takes nothing of it back."""
    safeguards.put(found.accounts, TENANT, Safeguards().numbers(), "alone again", "")
    safeguards.put(found.accounts, TENANT, Safeguards().changes_to(Safeguards(("erasure",))), "one", "key_anna")
    if read:
        found.runner.run()
    safeguards.put(found.accounts, TENANT, Safeguards().changes_to(Safeguards((), ("evidence",))), "other", "key_bert")
    both = Safeguards(("erasure",), ("evidence",))
    assert both == safeguards.of(found.queries, TENANT)
    found.runner.run()
    assert both == safeguards.of(found.queries, TENANT)


@pytest.mark.parametrize("read", [True, False])
def test_same_person_cannot_agree(found: World, *, read: bool) -> None:
    """The same key, one that took its place, one that it made, the one that made it, the console with itself: all refused."""
    keys = ApiKeys(found.accounts)
    chief = keys.create(TENANT, ["privacy", "operator"])[0].api_key_id
    own = keys.create(TENANT, ["privacy"], actor=chief)[0].api_key_id
    after = keys.rotate(TENANT, own, timedelta(days=1), actor=chief)[0].api_key_id
    again = keys.rotate(TENANT, own, timedelta(days=1))[0].api_key_id
    other = keys.create(TENANT, ["privacy"], actor=chief)[0].api_key_id
    free = keys.create(TENANT, ["privacy"])[0].api_key_id
    if read:
        found.runner.run()
    same = [(own, own), (own, after), (after, own), (after, again), (chief, own), (after, chief), (chief, again)]
    for one, two in [*same, ("", ""), ("", "console"), ("console", "")]:
        asked = _ask(found, one)
        with pytest.raises(ActRefusedError, match="another person must"):
            _approve(found, asked, two)
        assert "waiting" == acts.get(found.queries, TENANT, asked.act).state, (one, two)
    for one, two in ((own, other), (own, free), (chief, free), ("", chief), (own, ""), ("console", own)):
        assert "approved" == _approve(found, _ask(found, one), two).state, (one, two)


def test_asker_may_withdraw_and_anybody_may_decline(found: World) -> None:
    """What was declined stays declined, and says by whom and why."""
    for actor in ("key_anna", "key_bert"):
        declined = _decline(found, _ask(found), actor)
        assert ("declined", actor, "not her address", False) == (
            *(declined.state, declined.decided_by, declined.decided_because, declined.may_go),
        )
        with pytest.raises(ActRefusedError, match="is declined"):
            _approve(found, declined, "key_bert")
        assert declined == _decline(found, declined, "key_carl")
    assert 2 == len(_events(found, "act.declined"))


def test_agreeing_twice_is_agreeing_once(found: World) -> None:
    """The second is answered as the first was; declining afterwards is refused."""
    asked = _ask(found)
    first = _approve(found, asked, "key_bert")
    assert first == _approve(found, asked, "key_carl")
    with pytest.raises(ActRefusedError, match="is approved"):
        _decline(found, asked, "key_carl")
    assert 1 == len(_events(found, "act.approved", "act.declined"))


def test_decisions_at_the_same_time_give_one(found: World) -> None:
    """Whoever was second learns what was decided, or is told that it was decided otherwise."""
    asked = _ask(found)

    def decide(number: int) -> str:
        try:
            return (_approve if number % 2 else _decline)(found, asked, f"key_{number}").decided_by
        except ActRefusedError:
            return ""

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(decide, range(16)))
    (event,) = _events(found, "act.approved", "act.declined")
    assert event.fields["actor"] in told
    assert told <= {event.fields["actor"], ""}


def test_act_expires_after_fourteen_days(found: World, clock: Clock) -> None:
    """Nobody agrees to it then; the refusal says so."""
    asked = _ask(found)
    clock.forward = timedelta(days=13, hours=23)
    assert "waiting" == acts.get(found.queries, TENANT, asked.act).state
    clock.forward = timedelta(days=14)
    assert "expired" == acts.get(found.queries, TENANT, asked.act).state
    for decide in (_approve, _decline):
        with pytest.raises(ActRefusedError, match="is expired"):
            decide(found, asked, "key_bert")
    assert [] == _events(found, "act.approved", "act.declined")


def test_act_is_done_when_an_event_says_that_it_was_carried_out(found: World) -> None:
    """Whatever kind of event carries it out names it."""
    approved = _approve(found, _ask(found), "key_bert")
    found.accounts.record("erasure.completed", TENANT, "erasures", "", {"events": [approved.act]})
    for _ in range(2):
        done = acts.get(found.queries, TENANT, approved.act)
        assert ("done", False) == (done.state, done.may_go)
        found.runner.run()


def test_another_organisations_act_does_not_exist(found: World) -> None:
    """Not to be read, decided, or carried out."""
    asked = _ask(found)
    for decide in (acts.approve, acts.decline):
        with pytest.raises(NotFoundError, match="there is no act"):
            decide(found.accounts, found.queries, "other", asked.act, "x", "key_bert")
    found.accounts.record("erasure.completed", "other", "erasures", "", {"events": [asked.act]})
    found.accounts.record("act.approved", "other", "acts", "key_x", {"events": [asked.act]})
    found.runner.run()
    assert [] == acts.acts(found.queries, "other")
    assert "waiting" == acts.get(found.queries, TENANT, asked.act).state


def test_acts_are_listed_newest_first_in_pages(found: World) -> None:
    """Whether the read model has read them or not; by state, too."""
    asked = [_ask(found) for _ in range(3)]
    found.runner.run()
    asked += [_ask(found) for _ in range(2)]
    _decline(found, asked[3], "key_bert")
    ids = [each.act for each in reversed(asked)]
    assert ids == [each.act for each in acts.acts(found.queries, TENANT)]
    page = acts.acts(found.queries, TENANT, limit=2)
    assert ids[:2] == [each.act for each in page]
    assert ids[2:4] == [each.act for each in acts.acts(found.queries, TENANT, before=page[-1].position, limit=2)]
    assert [ids[0], *ids[2:]] == [each.act for each in acts.waiting(found.queries, TENANT)]


def test_what_waits_is_found_behind_many_that_do_not(
    found: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page after page, as far back as an act can wait."""
    monkeypatch.setattr(acts.acts, "__kwdefaults__", {"before": 0, "limit": 2})
    asked = [_ask(found) for _ in range(7)]
    for act in asked[1:]:
        _decline(found, act, "key_bert")
    assert [asked[0]] == list(acts.waiting(found.queries, TENANT))
    clock.forward = timedelta(days=15)
    assert [] == list(acts.waiting(found.queries, TENANT))


@pytest.mark.parametrize("reason", ["", " \n", "x" * 1001])
def test_act_without_a_reason_is_refused(found: World, reason: str) -> None:
    """Nothing is written then."""
    size = found.ledger.head().size
    with pytest.raises(InvalidError, match="reason"):
        acts.ask(found.accounts, found.queries, TENANT, RULE, reason, "key_anna")
    assert size == found.ledger.head().size


def test_event_of_another_shape_stops_nothing(found: World) -> None:
    """A decision on what is no act, an act that was asked for without a rule: passed over."""
    found.accounts.record("act.approved", TENANT, "acts", "", {"events": ["01a1fd8e-f93d-70a6-8da5-105f5469bc25"]})
    found.accounts.record("act.declined", TENANT, "acts", "", {})
    found.accounts.record("act.asked", TENANT, "acts", "", {})
    (strange,) = acts.acts(found.queries, TENANT)
    found.runner.run()
    assert [strange] == acts.acts(found.queries, TENANT)
    assert ("", "ready") == (strange.rule, strange.state)
