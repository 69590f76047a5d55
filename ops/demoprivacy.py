"""The fourth part of the demo: a person asks to be forgotten. A hold forbids it, then nothing does; what was proven stays proven."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import msgspec
from rich.console import Console

from adapters import keeping
from adapters.erasing.finding import Subject
from adapters.erasing.views import Numbers
from adapters.evidence import verify as verifier
from adapters.evidence.pack import Ask
from adapters.outbox import ActRefusedError
from ops.erasing import eraser
from ops.evidence import desk
from ops.show import plain
from ops.system import System
from projections.searching import Filters
from projections.views import DeliveryView

REASON = "the demo's: asked to be forgotten"


class Forgotten(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        message: one of the person's.
        refused: why nothing was erased while a hold was on the person.
        went: what was destroyed afterwards.
        found: deliveries that a search for the address finds then.
        is_proven: whether the pack that was handed out before still verifies.
    """

    message: str
    refused: str
    went: Numbers
    found: int
    is_proven: bool


def run(
    system: System, tenant: str, folder: Path, deliveries: Sequence[DeliveryView], out: Console | None
) -> Forgotten:
    """Hold, release and erase one person, and show it.

    Args:
        folder: where the pack goes that is handed out before.
        deliveries: the last that was delivered names the person.
        out: where people read; None shows nothing.
    """
    chosen = [delivery for delivery in deliveries if delivery.status == "delivered"][-1]
    address, whose = chosen.address.address, (system.accounts, system.queries, tenant)
    pack = desk(system).issue(Ask(tenant=tenant, message=chosen.message))
    path = folder / pack.name
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack.data)
    erasing, subject = eraser(system), Subject(recipient=address)
    hold, refused = keeping.place(*whose, "recipient", address, REASON), ""
    try:
        erasing.ask(tenant, subject, REASON)
    except ActRefusedError as error:
        refused = str(error)
    keeping.release(*whose, hold.hold, REASON)
    erased = erasing.carry_out(tenant, erasing.ask(tenant, subject, REASON).erasure)
    system.runner.run()
    forgotten = Forgotten(
        message=chosen.message,
        refused=refused,
        went=erased.numbers,
        found=len(system.queries.search(tenant, Filters(recipient=address)).deliveries),
        is_proven=_holds(system, path),
    )
    if out is not None:
        _show(out, forgotten)
    return forgotten


def _holds(system: System, pack: Path) -> bool:
    """Whether a pack verifies offline, with the log's key from elsewhere."""
    with redirect_stdout(io.StringIO()):
        return verifier.main([f"--log-key={system.leader.identity().keys[-1].vkey()}", str(pack)]) == 0


def _show(out: Console, found: Forgotten) -> None:
    went = msgspec.structs.asdict(found.went)
    held = "still verifies" if found.is_proven else "DOES NOT VERIFY ANY MORE"
    out.print("A person asks to be forgotten:")
    out.print(plain(f"  while a hold is on the person: {found.refused}"))
    out.print(f"  after its release went: {', '.join(f'{count} {name}' for name, count in went.items() if count)}")
    out.print(f"  a search for the address finds {found.found}; the pack handed out before {held}\n")
