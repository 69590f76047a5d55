"""What the commands share: the two consoles, JSON for programs, the opened system, a progress bar.

Only what draws is loaded with it; the rest when a command runs, so that --help is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.strictjson import InvalidError
from ledger.errors import ConfigurationError
from ops.invoked import ACCESS_REASON, PROTECTED

if TYPE_CHECKING:
    from ops.system import System

MAX_NOTE = 1000
MAX_ROWS = 1000
PIPED_WIDTH = 200
"""Columns of a table that no terminal shows: what is piped is searched, not looked at."""
out = Console(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, Parameter(name="--json", negative="", help="print JSON for programs")]
Tenant = Annotated[str, Parameter(help="the organisation; default: the setting `tenant`")]


def _said(_type: Any, note: str) -> None:
    if not 0 < len(note.strip()) <= MAX_NOTE:
        msg = f"--note: say why, in 1 to {MAX_NOTE} characters"
        raise ConfigurationError(msg)


Note = Annotated[str, Parameter(validator=_said)]
"""Kept with what a person decided; nobody learns anything from an empty one."""
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_ROWS))]


def print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


@contextmanager
def system(*, fresh: bool = True) -> Iterator[System]:
    """The opened ledger; `fresh` brings the read models up to the head first. What was typed wrong is said as such."""
    from ops.settings import load  # noqa: PLC0415  as said above
    from ops.system import opened  # noqa: PLC0415  likewise

    with opened(load()) as found:
        if found.ledger.frozen:
            err.print(f"delivery-ledger: appending is refused: {found.ledger.frozen}", markup=False)
        if fresh:
            found.runner.run()
        seen = _seeing_protected(found) if PROTECTED.get() else found
        try:
            yield seen
        except InvalidError as error:
            raise ConfigurationError(str(error)) from error


def _seeing_protected(s: System) -> System:
    """The system as somebody sees it who may see protected identities; that he does is written first.

    Raises:
        ConfigurationError: nobody said why.
    """
    if not ACCESS_REASON.get().strip():
        msg = 'say why you look at protected identities, before the command: delivery-ledger --protected --access-reason "…" COMMAND'
        raise ConfigurationError(msg)
    _saw_protected(s, s.settings.tenant)
    return replace(s, queries=s.queries.seeing_protected())


def _saw_protected(s: System, tenant: str, messages: Sequence[str] = ()) -> None:
    from adapters.accounts import CONSOLE  # noqa: PLC0415  likewise

    if not s.ledger.frozen:
        clear = {"rule": "access.protected", **({"streams": list(messages)} if messages else {})}
        s.accounts.record("access.recorded", tenant, CONSOLE, CONSOLE, clear, ACCESS_REASON.get().strip())


def operated(s: System, what: str, tenant: str = "", said: Mapping[str, object] | None = None) -> None:
    """Write that somebody has work done by hand, before it is done. A frozen ledger takes nothing, and is worked on all the same.

    Args:
        what: the command.
        tenant: whose work it is; "": the ledger's own.
        said: more of it; sealed.
    """
    from adapters import operations  # noqa: PLC0415  likewise
    from adapters.accounts import CONSOLE  # noqa: PLC0415  likewise

    if not s.ledger.frozen:
        operations.asked(s.accounts, CONSOLE, what, tenant, said=said)


def why(s: System, tenant: str, demands: str, reason: str = "") -> str:
    """Why somebody looks: as the command was told, or with `--access-reason` before it.

    Args:
        demands: for which of `safeguards.REASONS` a reason may be demanded.

    Raises:
        ConfigurationError: the organisation demands one, and none is given; or the database forgot whom it erased.
    """
    from adapters import safeguards  # noqa: PLC0415  likewise
    from ops.recovering import refuse_forgetful  # noqa: PLC0415  likewise

    refuse_forgetful(s.ledger, s.journal)
    found = reason.strip() or ACCESS_REASON.get().strip()
    if s.queries.shows_protected and tenant != s.settings.tenant:
        _saw_protected(s, tenant)
    if len(found) > MAX_NOTE:
        msg = f"--access-reason: at most {MAX_NOTE} characters"
        raise ConfigurationError(msg)
    if not found and demands in safeguards.of(s.queries, tenant).reasons:
        msg = (
            f"this organisation demands a reason for {safeguards.REASONS[demands]}: say why, before the command: "
            'delivery-ledger --access-reason "…" COMMAND'
        )
        raise ConfigurationError(msg)
    return found


def looked(  # noqa: PLR0917  as in `adapters.http.access`
    s: System, tenant: str, kind: str, messages: Iterable[str] = (), artifacts: Sequence[str] = (), reason: str = ""
) -> None:
    """Write who looked, before he sees anything; at the command line each look is an event.

    Args:
        messages: those that are shown.
        artifacts: originals that are shown.

    Raises:
        ConfigurationError: the organisation demands a reason, and none is given.
    """
    from adapters.accounts import CONSOLE  # noqa: PLC0415  likewise
    from adapters.http.access import MAX_STREAMS  # noqa: PLC0415  likewise
    from adapters.http.routes import DEMANDS  # noqa: PLC0415  likewise

    reason = why(s, tenant, DEMANDS.get(kind, "look-ups"), reason)
    shown = list(dict.fromkeys(messages))
    for part in [shown[i : i + MAX_STREAMS] for i in range(0, len(shown), MAX_STREAMS)] or [[]]:
        named = {"streams": part, "artifacts": list(artifacts)}
        clear = {"rule": f"access.{kind}", "numbers": {"looks": 1}, **{n: v for n, v in named.items() if v}}
        if not s.ledger.frozen:
            s.accounts.record("access.recorded", tenant, CONSOLE, CONSOLE, clear, reason)


@contextmanager
def bar(label: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr where a person watches; yields a function of (done, total; None: nobody knows)."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
