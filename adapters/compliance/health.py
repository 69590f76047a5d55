"""Whether the ledger itself is well: its log, its heads, its checks, its read models and its jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

from adapters.compliance import scan
from adapters.compliance.contract import Column, ComplianceQuery, Context, Parameters, Row
from ledger.application import OWN_STREAM, OWN_TENANT
from ledger.checkpoints import compare
from ledger.errors import ForkError
from ledger.events import parse_time, read, time_text

OK, WARN, BAD = "ok", "warn", "bad"
UNSIGNED_WARN, UNSIGNED_BAD = timedelta(minutes=5), timedelta(hours=1)
"""How long an event may wait for a signed head that covers it."""
CHECKED_WITHIN = timedelta(days=3)
"""How old the verdict of the last full check may be; `serve` makes one a day."""
ELSEWHERE_WITHIN = timedelta(days=1)
"""How long ago a head may last have been handed elsewhere, or time-stamped."""
LAG_WARN, LAG_BAD = 1_000, 50_000
"""How many events read models may be behind."""
NAMED = 5
"""Jobs that are named where more fail."""


class Asked(Parameters, frozen=True):
    """Nothing can be chosen."""


class _Found(NamedTuple):
    """What a check found.

    Attributes:
        at: of what it speaks; "" when of no time.
        advice: what to do; "" when nothing needs to be done.
    """

    state: str
    found: str
    at: str = ""
    advice: str = ""


def _age(context: Context, at: str) -> timedelta:
    return context.now - parse_time(at)


def _log(context: Context) -> _Found:
    size = context.queries.ledger.head().size
    if not size:
        return _Found(OK, "no events yet")
    return _Found(OK, f"{size} events", context.queries.ledger.recorded_at(size))


def _frozen(context: Context) -> _Found:
    why = context.queries.ledger.frozen
    if not why:
        return _Found(OK, "events are appended")
    return _Found(BAD, why, advice="find out why the tree contradicts a signed head, then: delivery-ledger recover")


def _signed_head(context: Context) -> _Found:
    ledger, signed = context.queries.ledger, context.heads.latest()
    size = ledger.head().size
    if signed is None:
        advice = "let `delivery-ledger serve` run with the log's key, or: delivery-ledger checkpoint"
        return _Found(BAD if size else OK, "no head was ever signed", advice=advice if size else "")
    try:
        compare(ledger, signed)
    except ForkError as error:
        # It may have been signed after this snapshot was taken; then nothing can be said of it here.
        if signed.checkpoint.size > size and not ledger.frozen:
            return _Found(OK, f"a head of {signed.checkpoint.size} events is signed")
        return _Found(BAD, str(error), advice="delivery-ledger fsck")
    waiting = size - signed.checkpoint.size
    if not waiting:
        return _Found(OK, f"the head of all {size} events is signed")
    at = ledger.recorded_at(signed.checkpoint.size + 1)
    age = _age(context, at)
    state = BAD if age > UNSIGNED_BAD else WARN if age > UNSIGNED_WARN else OK
    advice = "no process signs heads: look whether `delivery-ledger serve` runs, and which one leads"
    return _Found(state, f"{waiting} events wait for a signed head", at, advice if state != OK else "")


def _fsck(context: Context) -> _Found:
    ledger = context.queries.ledger
    sql = (
        f"SELECT {ledger.position_column}, state FROM stored_events WHERE originator_id = ? AND topic = 'ledger.checked/1' "
        "ORDER BY originator_version DESC LIMIT 1"
    )
    rows = ledger.database.read(sql, (OWN_STREAM,))
    advice = "delivery-ledger fsck --record"
    if not rows:
        return _Found(WARN, "never checked", advice=advice)
    fields = read(rows[0][0], bytes(rows[0][1])).fields
    at, problems = str(fields["recorded_at"]), fields["numbers"]["problems"]
    if problems:
        return _Found(
            BAD, f"{problems} problems in {fields['tree_size']} events", at, "delivery-ledger fsck says which"
        )
    is_old = _age(context, at) > CHECKED_WITHIN
    said = f"{fields['tree_size']} events checked, no problem"
    return _Found(WARN if is_old else OK, said, at, advice if is_old else "")


def _read_models(context: Context) -> _Found:
    queries = context.queries
    size, reads = queries.ledger.head().size, queries.ledger.database
    behind = {model.name: size - queries.runner.position_in(reads, model) for model in queries.runner.models}
    worst = max(behind, key=lambda name: behind[name])
    lag = behind[worst]
    state = BAD if lag > LAG_BAD else WARN if lag > LAG_WARN else OK
    advice = "look whether `delivery-ledger serve` runs, and what it logs about read models"
    said = f"{worst} is {lag} events behind" if lag else "all read models are at the head"
    return _Found(state, said, advice=advice if state != OK else "")


def _unapplied(context: Context) -> _Found:
    count = context.queries.ledger.database.read("SELECT count(*) FROM read_unapplied")[0][0]
    if not count:
        return _Found(OK, "every event was applied")
    return _Found(
        WARN, f"{count} events could not be applied to a read model", advice="delivery-ledger fsck lists them"
    )


def _quarantine(context: Context) -> _Found:
    sql = (
        "SELECT count(*), coalesce(sum(body_bytes), 0), coalesce(min(received_at), '') FROM quarantine WHERE tenant = ?"
    )
    count, size, oldest = context.queries.ledger.database.read(sql, (context.tenant,))[0]
    if not count:
        return _Found(OK, "no webhook failed verification")
    advice = "add the key they were signed with: delivery-ledger accounts rotate ACCOUNT --key-id ID --secret-file FILE"
    return _Found(WARN, f"{count} webhooks of {size} bytes failed verification", str(oldest), advice)


def _pushed(context: Context) -> _Found:
    sql = "SELECT ok_at, last_error, failures FROM jobs WHERE tenant = ? AND job = 'push_heads'"
    rows = context.queries.ledger.database.read(sql, (OWN_TENANT,))
    if not rows:
        advice = "set LEDGER_PUSH_TARGETS to places that this ledger cannot change later"
        return _Found(WARN, "no signed head is handed to another place", advice=advice)
    ok_at, error, failures = rows[0]
    if failures or not ok_at or _age(context, ok_at) > ELSEWHERE_WITHIN:
        return _Found(WARN, error or "not handed to another place lately", ok_at, "delivery-ledger jobs run push_heads")
    return _Found(OK, "signed heads are handed to other places", ok_at)


def _stamped(context: Context) -> _Found:
    sql = "SELECT coalesce(max(gen_time), '') FROM timestamps WHERE kind = 'checkpoint' AND position > 0"
    last = str(context.queries.ledger.database.read(sql)[0][0])
    sql = "SELECT count(*) FROM timestamps WHERE position = 0 AND tries > 0 AND (tenant = ? OR kind = 'checkpoint')"
    late = context.queries.ledger.database.read(sql, (context.tenant,))[0][0]
    if late:
        return _Found(WARN, f"{late} tokens are late: the authority does not answer", last, "look at LEDGER_TSA_URL")
    if not last:
        return _Found(WARN, "no head was ever time-stamped", advice="set LEDGER_TSA_URL and LEDGER_TSA_ROOTS")
    return _Found(OK, "heads are time-stamped", last)


def _jobs(context: Context) -> _Found:
    sql = "SELECT job, account, ok_at FROM jobs WHERE tenant IN (?, ?) AND failures > 0 ORDER BY tenant, account, job"
    rows = context.queries.ledger.database.read(sql, (context.tenant, OWN_TENANT))
    if not rows:
        return _Found(OK, "no job fails")
    names = [" ".join(filter(None, (job, account))) for job, account, _ in rows]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    oldest = min(str(ok_at) for _, _, ok_at in rows)
    is_long = oldest < time_text(context.now - ELSEWHERE_WITHIN)
    said = f"failing: {', '.join(names[:NAMED])}{more}"
    return _Found(BAD if is_long else WARN, said, oldest, "delivery-ledger jobs says what went wrong")


CHECKS: dict[str, Callable[[Context], _Found]] = {
    "log": _log,
    "frozen": _frozen,
    "signed_head": _signed_head,
    "fsck": _fsck,
    "read_models": _read_models,
    "unapplied": _unapplied,
    "quarantine": _quarantine,
    "pushed": _pushed,
    "time_stamped": _stamped,
    "jobs": _jobs,
}
"""Check -> what it finds, in the order of the rows."""


def _health(context: Context, _asked: Asked, after: str) -> Iterator[Row]:
    def rows() -> Iterator[Row]:
        for name, check in CHECKS.items():
            found = check(context)
            yield Row((name, found.state, found.found, found.at or None, found.advice or None), name)

    return scan.onwards(rows(), after)


HEALTH = ComplianceQuery(
    name="health",
    version=1,
    title="Log and checkpoint health",
    counts="One row per check, always all of them. Of quarantined webhooks and jobs, this organisation's count (and the ledger's own "
    "jobs); everything else concerns the whole log. `ok` says that this check found nothing, not that nothing is wrong: whether the "
    "past was changed is what the last full check (fsck) says, as of its own time.",
    parameters=Asked,
    columns=(
        Column("check", "text", "what was looked at"),
        Column("state", "text", "ok, warn: somebody should look at it, or bad: somebody must"),
        Column("found", "text", "what was found"),
        Column("at", "time", "of what was found: the last event, verdict, token or success, or the oldest that waits"),
        Column("advice", "text", "what to do; empty: nothing"),
    ),
    rows=_health,
    scopes=("compliance", "operator"),
)
