"""The command `sample`: deliveries for an auditor to look at, drawn by a number that neither side can choose."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.table import Table

from ledger.errors import ConfigurationError
from ops.console import Json, Tenant, bar, looked, out, print_json, system
from ops.query_cli import parsed
from ops.show import plain

if TYPE_CHECKING:
    from adapters.sampling import Sample, Sampling
    from ops.system import System

sample = App(name="sample", help="Audit samples: drawn by a number that neither side can choose, and repeatable.")

Where = Annotated[
    tuple[str, ...],
    Parameter(
        consume_multiple=True, negative="", help="NAME=VALUE, a filter of `search`: status, provider, since, label …"
    ),
]


@sample.default
def now(*, size: int, where: Where = (), note: str = "", tenant: Tenant = "", json: Json = False) -> None:
    """Ask for a sample and draw it at once, by the first checkpoint after the question.

    Args:
        size: how many deliveries.
        note: why; kept with the question.
    """
    with system() as s:
        _show(
            _drawn(s, tenant or s.settings.tenant, _asked(s, tenant, size, where, note, ""), "", json=json), json=json
        )


@sample.command
def ask(
    *, size: int, where: Where = (), commitment: str = "", note: str = "", tenant: Tenant = "", json: Json = False
) -> None:
    """Only ask; draw it later, when the auditor tells the secret behind his commitment.

    Args:
        size: how many deliveries.
        commitment: SHA-256 of a secret of the auditor's, hex: `printf %s "$SECRET" | sha256sum`.
        note: why; kept with the question.
    """
    with system() as s:
        number = _asked(s, tenant, size, where, note, commitment)
        head = s.signed_head().checkpoint
    if json:
        print_json({"sample": number, "checkpoint": head.text()})
        return
    out.print(f"Sample {number} is asked for. Checkpoint after the question:\n{head.text()}", markup=False)
    out.print(f"Draw it: delivery-ledger sample draw {number}{' --secret-file FILE' if commitment else ''}")


@sample.command
def draw(number: int, /, *, secret_file: Path | None = None, tenant: Tenant = "", json: Json = False) -> None:
    """Draw a sample, or draw it again: the answer is always the same.

    Args:
        number: as `sample ask` printed it.
        secret_file: file that holds the auditor's secret, when he committed to one; `-` reads standard input.
    """
    secret = ""
    if secret_file is not None:
        secret = (sys.stdin.read() if str(secret_file) == "-" else secret_file.read_text()).rstrip("\n")
    with system() as s:
        _show(_drawn(s, tenant or s.settings.tenant, number, secret, json=json), json=json)


def _sampling(s: System) -> Sampling:
    from adapters.sampling import Sampling  # noqa: PLC0415  so that --help is quick

    return Sampling(s.accounts, s.queries, s.heads, s.signed_head)


def _asked(  # noqa: PLR0917  as the command line has them
    s: System, tenant: str, size: int, where: tuple[str, ...], note: str, commitment: str
) -> int:
    from projections.searching import Filters  # noqa: PLC0415  as above

    given, known = parsed(where, "--where"), {field.name for field in fields(Filters)}
    if given.keys() - known:
        msg = f"--where {min(given.keys() - known)}: there is no such filter; there are {', '.join(sorted(known))}"
        raise ConfigurationError(msg)
    return _sampling(s).ask(tenant or s.settings.tenant, size, Filters(**given), note=note, commitment=commitment)


def _drawn(s: System, tenant: str, number: int, secret: str, *, json: bool) -> Sample:
    s.runner.run()  # up to the question, whoever wrote meanwhile
    with bar("drawing", quiet=json) as progress:
        found = _sampling(s).draw(tenant, number, secret, progress=progress)
    looked(s, tenant, "sample", (each.message for each in found.drawn))
    return found


def _show(found: Sample, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    if not found.drawn:
        out.print("No delivery fitted, so nothing was drawn.")
    table = Table("message", "recipient", "rank", box=None, show_header=bool(found.drawn))
    for each in found.drawn:
        table.add_row(plain(each.message), str(each.recipient), f"{each.rank[:16]}…")
    out.print(table)
    out.print(
        f"Sample {found.sample}: {len(found.drawn)} of {found.population} deliveries as known at position {found.sample}."
    )
    out.print(f"seed {found.seed}, from the checkpoint\n{found.checkpoint}", markup=False)
    out.print(f"Recorded at position {found.position}; to repeat the draw: delivery-ledger sample draw {found.sample}")
