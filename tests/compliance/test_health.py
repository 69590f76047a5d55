"""The health of the ledger: every check in each of its states, on the fixed ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.compliance.health import CHECKS
from ledger import fsck, notes
from ledger.application import OWN_TENANT
from ledger.checkpoints import Checkpoint, SignedHead
from ledger.events import time_text
from ledger.observations import Arrival, ArrivalKind
from tests.compliance.golden import NOW, OTHER, TENANT, Golden, ask
from tests.compliance.test_looking import _advance_only

KEY = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
JOB = (
    "INSERT INTO jobs (tenant, account, job, next_at, asked_at, started_at, ended_at, ok_at, last_error, failures, runs, "
    "found, nothing_new, told, state) VALUES (?,?,?,'','','','',?,?,?,1,0,0,0,'{}')"
)
STAMP = "INSERT INTO timestamps VALUES ('checkpoint',?,'ledger','ledger','',?,'','',?,?,?,?)"


def ago(**how: float) -> str:
    return time_text(NOW - timedelta(**how))


def _sign(found: Golden, size: int, root: bytes = b"") -> None:
    head = Checkpoint("ledger.example/1", size, root or found.world.ledger.root_at(size))
    found.heads.append(SignedHead(head, notes.sign(head.text(), [("ledger.example/1", KEY)])))


def _execute(found: Golden, sql: str, *values: Any) -> None:
    with found.world.ledger.database.writing() as cursor:
        cursor.execute(sql, values)


def _check(found: Golden, name: str, tenant: str = TENANT) -> tuple[Any, ...]:
    """What one check finds: state, words, time, advice."""
    rows = ask(found, "health", tenant=tenant).column("check", "state", "found", "at", "advice")
    return next(row[1:] for row in rows if row[0] == name)


def test_health_of_the_fixed_ledger(found: Golden) -> None:
    """It was never signed, checked, pushed or time-stamped, and two forged webhooks lie in quarantine."""
    size, last = found.world.ledger.head().size, ask(found, "health").header["position"]
    assert size == last
    answer = ask(found, "health")
    assert [
        ("log", "ok", f"{size} events"),
        ("frozen", "ok", "events are appended"),
        ("signed_head", "bad", "no head was ever signed"),
        ("fsck", "warn", "never checked"),
        ("read_models", "ok", "all read models are at the head"),
        ("unapplied", "ok", "every event was applied"),
        ("quarantine", "warn", "2 webhooks of 364 bytes failed verification"),
        ("pushed", "warn", "no signed head is handed to another place"),
        ("time_stamped", "warn", "no head was ever time-stamped"),
        ("jobs", "ok", "no job fails"),
    ] == answer.column("check", "state", "found")
    assert list(CHECKS) == answer.column("check")
    assert all(bool(advice) == (state != "ok") for state, advice in answer.column("state", "advice"))
    assert ("2026-03-02T15:00:13.000000Z",) == tuple(
        at for check, at in answer.column("check", "at") if check == "quarantine"
    )


# --- heads


def test_signed_head_covers_everything_or_events_wait_for_one(found: Golden) -> None:
    """An event that waits some seconds is nothing; minutes are a warning; hours are bad."""
    size = found.world.ledger.head().size
    _sign(found, size)
    assert ("ok", f"the head of all {size} events is signed", None, None) == _check(found, "signed_head")
    found.world.accounts.record("access.recorded", TENANT, "x", "x", {"rule": "access.trail"})
    found.world.runner.run()
    assert ("ok", "1 events wait for a signed head", time_text(NOW), None) == _check(found, "signed_head")


@pytest.mark.parametrize(("behind", "state"), [(1, "bad"), (0, "ok")])
def test_events_that_waited_for_hours_are_bad(on_sqlite: Golden, behind: int, state: str) -> None:
    """The last event of the fixed ledger is three hours old."""
    _sign(on_sqlite, on_sqlite.world.ledger.head().size - behind)
    assert state == _check(on_sqlite, "signed_head")[0]


def test_head_of_another_tree_is_bad(on_sqlite: Golden) -> None:
    """Both roots are named, and what to do."""
    _sign(on_sqlite, 10, bytes(32))
    state, said, _, advice = _check(on_sqlite, "signed_head")
    assert ("bad", "delivery-ledger fsck") == (state, advice)
    assert "00" * 32 in said
    assert on_sqlite.world.ledger.root_at(10).hex() in said


def test_head_signed_since_is_no_fork(on_sqlite: Golden) -> None:
    """The answer is as of a snapshot; a head of a larger tree may have been signed meanwhile, unless the ledger is frozen."""
    size = on_sqlite.world.ledger.head().size
    _sign(on_sqlite, size + 1, bytes(32))
    assert ("ok", f"a head of {size + 1} events is signed") == _check(on_sqlite, "signed_head")[:2]
    on_sqlite.world.ledger.freeze("a head was signed that this database does not hold")
    assert "bad" == _check(on_sqlite, "signed_head")[0]
    state, said, _, advice = _check(on_sqlite, "frozen")
    assert ("bad", "a head was signed that this database does not hold") == (state, said)
    assert "delivery-ledger recover" in advice


# --- checks


def test_verdict_of_the_last_full_check(found: Golden) -> None:
    """Clean is well; problems are bad, and stay so until a later check finds none."""
    ledger = found.world.ledger
    clean = fsck.check(ledger)
    fsck.record(ledger, clean)
    assert ("ok", f"{clean.size} events checked, no problem", time_text(NOW), None) == _check(found, "fsck")
    wrong = fsck.check(ledger)
    wrong.problems.append(fsck.Problem("event", 3, "stored ab, computed cd"))
    fsck.record(ledger, wrong)
    assert ("bad", f"1 problems in {wrong.size} events") == _check(found, "fsck")[:2]
    fsck.record(ledger, fsck.check(ledger))
    assert "ok" == _check(found, "fsck")[0]


def test_old_verdict_is_a_warning(on_sqlite: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three days without a check somebody should look."""
    fsck.record(on_sqlite.world.ledger, fsck.check(on_sqlite.world.ledger))
    for days, state in ((3, "ok"), (3.01, "warn")):
        monkeypatch.setattr(on_sqlite.world.ledger, "clock", lambda days=days: NOW + timedelta(days=days))
        assert state == _check(on_sqlite, "fsck")[0]


def test_read_models_that_are_behind(on_sqlite: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is furthest behind is named; how far is too far is a number."""
    on_sqlite.world.accounts.record("access.recorded", TENANT, "x", "x", {"rule": "access.trail"})
    _advance_only(on_sqlite, "status")
    assert ("ok", "lanes is 1 events behind") == _check(on_sqlite, "read_models")[:2]
    for name, state in (("LAG_WARN", "warn"), ("LAG_BAD", "bad")):
        monkeypatch.setattr(f"adapters.compliance.health.{name}", 0)
        assert state == _check(on_sqlite, "read_models")[0]


def test_events_that_could_not_be_applied(found: Golden) -> None:
    """How many; of which organisation they are is nobody's business here."""
    table = f"{'delivery_read.' if found.world.ledger.database.kind == 'postgresql' else ''}read_unapplied"
    _execute(found, f"INSERT INTO {table} VALUES ('status', 3, 'ValueError in content.consigned')")
    assert ("warn", "1 events could not be applied to a read model") == _check(found, "unapplied")[:2]


def test_quarantine_is_the_organisations_own(found: Golden) -> None:
    """A webhook that nobody's key verifies is seen by the one it was meant for."""
    arrival = Arrival(
        provider="kpn_sms",
        account="sms",
        operation="webhook.dlr",
        kind=ArrivalKind.WEBHOOK,
        observed_at=NOW,
        body=b"forged",
    )
    assert ("ok", "no webhook failed verification", None, None) == _check(found, "quarantine", OTHER)
    found.world.quarantine.keep(OTHER, arrival, "no key fits")
    assert ("warn", "1 webhooks of 6 bytes failed verification") == _check(found, "quarantine", OTHER)[:2]


# --- jobs, other places, authorities


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("ledger", "", "check_log", ago(minutes=1), "", 0)], ("ok", "no job fails")),
        ([(OTHER, "sms", "poll", "", "refused", 9)], ("ok", "no job fails")),
        ([(TENANT, "sms", "poll", ago(hours=2), "refused", 1)], ("warn", "failing: poll sms")),
        ([(TENANT, "sms", "poll", ago(hours=25), "refused", 9)], ("bad", "failing: poll sms")),
        ([(TENANT, "sms", "poll", "", "refused", 1)], ("bad", "failing: poll sms")),
        (
            [(TENANT, f"sms-{n}", "poll", ago(hours=2), "refused", 1) for n in range(7)],
            ("warn", "failing: poll sms-0, poll sms-1, poll sms-2, poll sms-3, poll sms-4 and 2 more"),
        ),
    ],
)
def test_jobs_that_fail(found: Golden, rows: list[tuple[Any, ...]], expected: tuple[str, str]) -> None:
    """Those of the organisation and the ledger's own; since more than a day, or ever since, is bad."""
    for row in rows:
        _execute(found, JOB, *row)
    assert expected == _check(found, "jobs")[:2]


@pytest.mark.parametrize(
    ("ok_at", "error", "failures", "state"),
    [
        (ago(minutes=5), "", 0, "ok"),
        (ago(hours=25), "", 0, "warn"),
        ("", "", 0, "warn"),
        (ago(minutes=5), "PushError: refused", 2, "warn"),
    ],
)
def test_heads_that_are_handed_elsewhere(found: Golden, ok_at: str, error: str, failures: int, state: str) -> None:
    """Lately and without an error, or somebody should look."""
    _execute(found, JOB, OWN_TENANT, "", "push_heads", ok_at, error, failures)
    told = _check(found, "pushed")
    assert (state, ok_at or None) == (told[0], told[2])
    assert not error or error == told[1]


def _finished(found: Golden) -> None:
    _execute(found, STAMP, "000000000000010/aa", b"", 0, b"token", ago(minutes=50), 11)
    _execute(found, STAMP, "000000000000020/bb", b"", 0, b"token", ago(minutes=5), 21)
    _execute(found, STAMP, "000000000000030/cc", b"", 0, None, "", 0)


def _late(found: Golden) -> None:
    _finished(found)
    _execute(found, STAMP, "000000000000040/dd", b"", 3, None, "", 0)


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (_finished, ("ok", "heads are time-stamped", ago(minutes=5))),
        (_late, ("warn", "1 tokens are late: the authority does not answer", ago(minutes=5))),
    ],
)
def test_time_stamps_of_heads(found: Golden, done: Callable[[Golden], None], expected: tuple[str, ...]) -> None:
    """What waits for its first turn is not late; what an authority did not answer is."""
    done(found)
    assert expected == _check(found, "time_stamped")[:3]


# --- cursors, parameters, others


def test_health_goes_on_after_any_row(on_sqlite: Golden) -> None:
    """After each check come those behind it."""
    whole = ask(on_sqlite, "health")
    for number, cursor in enumerate(whole.cursors, 1):
        assert whole.rows[number:] == ask(on_sqlite, "health", cursor).rows
    with pytest.raises(ValueError, match="not one of this answer"):
        ask(on_sqlite, "health", "health:elsewhere")


def test_health_takes_nothing(on_sqlite: Golden) -> None:
    """There is nothing to choose."""
    with pytest.raises(ValueError, match="its parameters are: none"):
        ask(on_sqlite, "health", check="log")


def test_empty_ledger_of_nobody_is_told_of_the_log_all_the_same(on_sqlite: Golden) -> None:
    """The log is one for all organisations; nothing of another's quarantine or jobs is shown."""
    size = on_sqlite.world.ledger.head().size
    told = dict(ask(on_sqlite, "health", tenant="nobody").column("check", "found"))
    assert (f"{size} events", "no webhook failed verification") == (told["log"], told["quarantine"])
