"""Who looked at what, on the fixed ledger: by key, by message, by kind, and as soon as the log says it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.compliance import asking
from ledger.appender import Item
from ledger.errors import NotFoundError
from ledger.events import time_text
from projections.queries import Filters
from tests.compliance.golden import NOW, OTHER, TENANT, Golden, ask

CLERK_READ = ("2026-04-01T09:00:00.000000Z", "key_clerk", "access.message", 2, 3, 0, "by hand")
CLERK_OPENED = ("2026-04-02T09:00:00.000000Z", "key_clerk", "access.original", 1, 3, 0, "by hand")
AUDITOR_READ = ("2026-04-02T10:00:00.000000Z", "key_auditor", "access.message", 1, 3, 0, "by hand")
SHOWN = ("at", "actor", "kind", "looks", "together", "originals", "reason")


def _messages(found: Golden, recipient: str) -> list[str]:
    page = found.world.queries.search(TENANT, Filters(recipient=recipient), limit=500)
    return [view.message for view in page.deliveries]


def _look(found: Golden, actor: str, rule: str, kind: str = "access.recorded", note: str = "", **more: Any) -> None:
    clear = {"rule": rule, **more}
    found.world.accounts.record(kind, TENANT, actor or "clock", actor, clear, note)


def test_who_looked_in_the_fixed_ledger(found: Golden) -> None:
    """Newest first, a row for each message that was looked at; why is shown."""
    answer = ask(found, "access")
    assert [*[AUDITOR_READ] * 3, *[CLERK_OPENED] * 3, *[CLERK_READ] * 3] == answer.column(*SHOWN)
    letters, texts = set(_messages(found, "anna@pec.uno.example")), set(_messages(found, "+31612349001"))
    told = answer.column("message")
    assert [texts, letters, letters] == [set(told[start : start + 3]) for start in (0, 3, 6)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"actor": "key_auditor"}, [AUDITOR_READ] * 3),
        ({"kind": "access.message"}, [*[AUDITOR_READ] * 3, *[CLERK_READ] * 3]),
        ({"kind": "access.message", "actor": "key_clerk"}, [CLERK_READ] * 3),
        ({"since": "2026-04-02T09:00:00.000001Z"}, [AUDITOR_READ] * 3),
        ({"since": "2026-04-01T11:00:00+02:00", "until": "2026-04-02"}, [CLERK_READ] * 3),
        ({"actor": "console"}, []),
        ({"kind": "access"}, []),
    ],
)
def test_looking_is_found_by_key_kind_and_time(found: Golden, chosen: dict[str, str], expected: list[Any]) -> None:
    """Each by itself and together."""
    assert expected == ask(found, "access", **chosen).column(*SHOWN)


def test_looking_is_found_by_message(found: Golden) -> None:
    """Also under the message that another was joined into afterwards."""
    first, second = _messages(found, "anna@pec.uno.example")[:2]
    assert [CLERK_OPENED, CLERK_READ] == ask(found, "access", message=first).column(*SHOWN)
    ledger = found.world.ledger
    fields = {"streams": [second], "recipients": [[0, 0]], "rule": "reference_exact"}
    ledger.append(Item([ledger.draft("streams.joined", TENANT, first, fields)]))
    found.world.runner.run()
    for asked in (first, second):
        rows = ask(found, "access", message=asked)
        assert [*[CLERK_OPENED] * 2, *[CLERK_READ] * 2] == rows.column(*SHOWN)
        assert {first, second} == set(rows.column("message"))


@pytest.mark.parametrize("is_behind", [True, False])
def test_exports_queries_and_the_command_line(found: Golden, is_behind: bool) -> None:  # noqa: FBT001
    """What left and what was asked, with why; whether the read model has come so far or not makes no difference."""
    (message,) = _messages(found, "silent@pec.uno.example")
    _look(found, "key_officer", "export.pack", "evidence.exported", "court", streams=[message], artifacts=[message])
    _look(found, "console", "export.pack", "evidence.exported", streams=[f"{message}/0", f"{message}/1"])
    header = _header(found)
    asking.record(found.world.accounts, "key_officer", header, "monthly")
    if not is_behind:
        found.world.runner.run()
    else:  # what the query reflects is what the statuses reflect
        _advance_only(found, "status")
    rows = ask(found, "access", since="2026-04-15").column(
        "at", "actor", "kind", "query", "message", "originals", "reason"
    )
    at = time_text(NOW)
    assert [
        (at, "key_officer", "access.query", "disputed/1", None, 0, "monthly"),
        (at, "console", "export.pack", None, message, 0, None),
        (at, "key_officer", "export.pack", None, message, 1, "court"),
    ] == rows
    only = ask(found, "access", actor="console").column("kind", "together")
    assert [("export.pack", 1)] == only
    assert ["yes", "yes"] == ask(found, "access", message=message).column("shown")
    positions = ask(found, "access").column("position")
    assert sorted(positions, reverse=True) == positions


@pytest.mark.parametrize("is_behind", [True, False])
def test_who_looked_at_a_person_is_found_by_address(found: Golden, is_behind: bool) -> None:  # noqa: FBT001
    """At any message to it, however it is written; a list that names no message and came later may have shown it, and is told so."""
    messages = _messages(found, "anna@pec.uno.example")
    texts = set(_messages(found, "+31612349001"))
    _look(found, "key_system", "access.feed")
    _look(found, "key_system", "access.query", code="scorecard/1")
    _look(found, "key_system", "access.search")
    _look(found, "key_clerk", "access.search", streams=[messages[0], *texts])
    _look(found, "key_officer", "export.person", "evidence.exported", "her request", streams=messages)
    if not is_behind:
        found.world.runner.run()
    else:
        _advance_only(found, "status")
    told = ask(found, "access", recipient="ANNA@pec.uno.example", since="2026-04-15")
    assert [
        *[("key_officer", "export.person", "yes", "her request")] * len(messages),
        ("key_clerk", "access.search", "yes", None),
        ("key_system", "access.feed", "perhaps", None),
    ] == told.column("actor", "kind", "shown", "reason")
    assert set(messages) == {message for message in told.column("message") if message}
    for number, cursor in enumerate(told.cursors, 1):
        again = ask(found, "access", cursor, recipient="anna@pec.uno.example", since="2026-04-15")
        assert told.rows[number:] == again.rows
    assert [] == ask(found, "access", recipient="nobody@pec.uno.example").rows
    both = ask(found, "access", recipient="anna@pec.uno.example", message=messages[0], kind="access.search")
    assert [messages[0]] == both.column("message")


def test_a_list_from_before_a_message_was_known_did_not_show_it(on_sqlite: Golden) -> None:
    """Only what came later may have."""
    ledger, message = on_sqlite.world.ledger, "01a1fd8e-f93d-70a6-8da5-105f5469bc25"
    _look(on_sqlite, "key_system", "access.feed")
    said = {"account": "sms", "provider": "kpn_sms", "arrival": "poll", "about": "message"}
    ledger.append(Item([ledger.draft("submission.accepted", TENANT, message, said)]))
    for expected in ([], [("key_clerk", "access.feed", "perhaps")]):
        on_sqlite.world.runner.run()
        assert expected == ask(on_sqlite, "access", message=message).column("actor", "kind", "shown")
        _look(on_sqlite, "key_clerk", "access.feed")


def test_erasing_is_found_by_message(found: Golden) -> None:
    """Who erased it and when; what was done by the clock names nobody."""
    (message,) = _messages(found, "silent@pec.uno.example")
    ledger = found.world.ledger
    for actor in ("key_officer", ""):
        said = {"rule": "erasure.message", "about": "message", **({"actor": actor} if actor else {})}
        ledger.append(Item([ledger.draft("evidence.erased", TENANT, message, said)]))
    found.world.runner.run()
    told = ask(found, "access", message=message, kind="erasure.message").column("actor", "message", "shown")
    assert [(None, message, "yes"), ("key_officer", message, "yes")] == told


def _header(found: Golden) -> Any:
    with asking.asked(found.world.queries, found.heads, TENANT, "disputed", {}) as answer:
        return answer.header


def _advance_only(found: Golden, name: str) -> None:
    """One read model follows the log; the others have not got there yet."""
    runner = found.world.runner
    (model,) = (each for each in runner.models if each.name == name)
    sum(runner._advance([model], ""))  # noqa: SLF001  as a process that is stopped in between leaves it


@pytest.mark.parametrize("is_behind", [True, False])
def test_access_goes_on_after_any_row(found: Golden, is_behind: bool) -> None:  # noqa: FBT001
    """After each row come the rows behind it, within a record and over the border of what is read already."""
    messages = _messages(found, "anna@pec.uno.example")
    for named in ({"streams": messages}, {"streams": messages[:1]}, {}):
        found.world.accounts.record("access.recorded", TENANT, "x", "key_clerk", {"rule": "access.trail", **named})
    _advance_only(found, "status")
    if not is_behind:
        found.world.runner.run()
    whole = ask(found, "access")
    assert 9 + 3 + 1 + 1 == len(whole.rows)
    for number, cursor in enumerate(whole.cursors, 1):
        assert whole.rows[number:] == ask(found, "access", cursor).rows
    for wrong in ("elsewhere", "access:elsewhere", "access:1", "access:x.y"):
        with pytest.raises(ValueError, match="not a cursor"):
            ask(found, "access", wrong)


def test_looking_later_than_the_answer_is_left_out(on_sqlite: Golden) -> None:
    """A record that came after the position that the header names is not in the answer."""
    before = ask(on_sqlite, "access")
    _look(on_sqlite, "key_clerk", "access.trail")
    runner = on_sqlite.world.runner
    (model,) = (each for each in runner.models if each.name == "accessed")
    sum(runner._advance([model], ""))  # noqa: SLF001  this read model is ahead of the statuses
    assert before.rows == ask(on_sqlite, "access").rows
    runner.run()
    assert len(before.rows) + 1 == len(ask(on_sqlite, "access").rows)


def test_access_is_what_a_recount_finds(on_sqlite: Golden) -> None:
    """From the events themselves, one after the other."""
    ledger = on_sqlite.world.ledger
    kinds = ("access.recorded", "evidence.exported", "report.delivered")
    expected = [
        (event.position, message, event.fields["rule"], event.fields.get("actor"))
        for event in ledger.feed(0, 10_000)
        if event.type in kinds and event.tenant == TENANT
        for message in event.fields.get("streams", [None])
    ]
    assert len(expected) == 9
    assert sorted(expected) == sorted(ask(on_sqlite, "access").column("position", "message", "kind", "actor"))


@pytest.mark.parametrize("wrong", [{"actor": "x" * 64}, {"since": "soon"}, {"until": "2026-13-01"}, {"who": "me"}])
def test_access_refuses_what_it_does_not_take(on_sqlite: Golden, wrong: dict[str, str]) -> None:
    """The text names the parameter."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ask(on_sqlite, "access", **wrong)


def test_each_organisation_sees_who_looked_at_its_own(found: Golden) -> None:
    """Nobody has looked at anything of the other one; its keys and messages find nothing either."""
    (message,) = _messages(found, "silent@pec.uno.example")
    assert [] == ask(found, "access", tenant=OTHER).rows
    assert [] == ask(found, "access", tenant=OTHER, actor="key_clerk").rows
    with pytest.raises(NotFoundError, match="no message"):
        ask(found, "access", tenant=OTHER, message=message)
