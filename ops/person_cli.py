"""The command `person`: what is held about one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ops.console import Json, Tenant, bar, out, print_json, system
from ops.show import plain

person = App(
    name="person", help="What is held about one person: everything, as a folder of files, for a data-subject request"
)


@person.command
def export(
    *,
    recipient: str,
    to: Annotated[Path, Parameter(name="--out")],
    reason: str,
    kind: Literal["", "email", "phone", "fax", "postal", "person_number", "organisation", "other"] = "",
    language: Literal["en", "it", "nl", "sv"] = "en",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Write everything that is held about one person into a folder. That it was made, and why, is recorded.

    Statuses, trails, values, originals and who looked; nothing of other people. Of an address that nobody knows it is empty, and says so;
    so it is of a person whose identity is protected, unless it is asked for: delivery-ledger --protected --access-reason "…" person export.

    Args:
        recipient: an address of the person, in any spelling.
        to: the folder; must not exist, or be empty.
        reason: why; recorded.
        kind: of the address; default: whatever it may be.
        language: of the README.
    """
    from adapters.compliance import people  # noqa: PLC0415  so that --help is quick

    with system() as s, bar("messages", quiet=json) as progress:
        request = people.Request(
            tenant=tenant or s.settings.tenant, address=recipient, kind=kind, language=language, reason=reason
        )
        package = people.export(s.queries, s.accounts, request, to, progress)
    if json:
        print_json(package)
        return
    out.print(
        plain(f"{len(package.messages)} messages, {package.deliveries} deliveries, {package.originals} originals: {to}")
    )
    withheld = sum(package.withheld.values())
    if withheld:
        out.print(
            f"{withheld} originals stay out ({', '.join(package.withheld)}); each message's originals.json says which."
        )
    if not package.deliveries:
        out.print("Nothing is held under this address.")
