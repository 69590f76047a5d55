"""Options of the commands that look things up: as of an earlier moment; and what such an answer says of itself first."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ops import show
from ops.console import out
from ops.system import System
from projections.asof import AsOf, Past, Rules
from projections.queries import Queries
from projections.views import Known

_TIME = "2026-03-01T09:00Z or 2026-03-01T10:00+01:00; UTC if nothing is said"
KnownAt = Annotated[str, Parameter(help=f"as it was known at this recorded time ({_TIME})")]
AtPosition = Annotated[int, Parameter(help="as it was known when the log had come so far")]
OccurredAt = Annotated[str, Parameter(help="without what happened after this time, as far as it is known")]
ByRules = Annotated[
    Rules, Parameter(help="of such an answer: judged by the tables in force then, or by those of today")
]


def reader(s: System, position: int, known_at: str, occurred_at: str, rules: Rules) -> Queries | Past:
    """What answers: the read models, or the log up to an earlier moment.

    Raises:
        NotFoundError: nothing was recorded by then.
        ValueError: the moment is none or not over yet.
    """
    asof = AsOf(position=position, known_at=known_at, occurred_at=occurred_at, rules=rules)
    return Past(s.queries, asof) if asof.is_past else s.queries


def say(known: Known | None) -> None:
    """Print as of when an answer is, and by which rules."""
    if known is not None:
        out.print(f"{sentence(known)}\n", markup=False)


def sentence(known: Known) -> str:
    """As of when an answer is, and by which rules, in plain words.

    >>> then = Known(9, "2026-03-02T09:00:01.000000Z", "", "", "then", ("grade/1",), ("grade/1",), ("grade/2",), True, ())
    >>> sentence(then)
    "As known at 2026-03-02 09:00:01Z (position 9) under the rules in force then (grade/1); today's rules differ: grade/2."
    """
    said = f"As known at {show.when(known.known_at or known.recorded_at)} (position {known.position})"
    if known.occurred_at:
        said += f", without what happened after {show.when(known.occurred_at)},"
    in_force, used, today = (", ".join(ids) for ids in (known.in_force, known.used, known.today))
    if known.rules == "today":
        differ = f"those in force then differ: {in_force}" if known.differ else "those in force then were the same"
        return f"{said} under today's rules ({used}); {differ}."
    if known.used != known.in_force:
        return f"{said} under today's rules ({used}): those in force then ({in_force}) are not known to this version."
    differ = f"today's rules differ: {today}" if known.differ else "today's rules are the same"
    return f"{said} under the rules in force then ({used}); {differ}."
