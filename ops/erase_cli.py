"""The command `erase`: a person, found by an address, or a message; seen first, then done, with a certificate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from rich.table import Table

from ledger.errors import ConfigurationError
from ops import recovering
from ops.console import Json, Tenant, bar, looked, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.show import plain, when

if TYPE_CHECKING:
    from adapters.erasing.carrying import Eraser
    from adapters.erasing.finding import Subject
    from adapters.erasing.views import Erasure, Numbers, Preview, Stay
    from ops.system import System

erase = App(
    name="erase",
    help="Erase a person or a message: keys, sealed values, originals, look-ups. Proofs that were issued keep verifying.",
)
Kind = Literal["", "email", "phone", "fax", "postal", "person_number", "organisation", "other"]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="do it; without this it is only shown")]
THINGS_SHOWN = 20
PAGE = 100


def _eraser(s: System) -> Eraser:
    from ops.erasing import eraser  # noqa: PLC0415  so that --help is quick

    return eraser(s)


def _subject(recipient: str, kind: Kind, message: str) -> Subject:
    from adapters.erasing.finding import Subject  # noqa: PLC0415  as above

    return Subject(recipient=recipient, kind=kind, message=message)


@erase.command
def preview(*, recipient: str = "", kind: Kind = "", message: str = "", tenant: Tenant = "", json: Json = False) -> int:
    """What would go, what would stay and why, and what forbids it. Nothing is changed; that somebody looked is recorded.

    Args:
        recipient: an address of the person, in any spelling: every message to it, and whatever names it.
        kind: of the address; default: whatever it may be.
        message: the id of one message instead, with all its recipients.
    """
    with system() as s:
        found = _previewed(s, tenant or s.settings.tenant, _subject(recipient, kind, message), json=json)
    print_json(found) if json else _show(found)
    return EXIT_WRONG if found.forbidden_by or found.unsent else 0


def _previewed(s: System, tenant: str, subject: Subject, *, json: bool) -> Preview:
    """All pages as one."""
    from adapters.erasing import finding  # noqa: PLC0415  as above

    eraser = _eraser(s)
    with bar("looking", quiet=json) as progress:
        pages = [eraser.preview(tenant, subject, limit=PAGE)]
        while pages[-1].next:
            pages.append(eraser.preview(tenant, subject, pages[-1].next, PAGE))
            progress(sum(len(page.things) for page in pages), None)
    found = finding.together(pages, eraser.oldest_kek())
    looked(s, tenant, "erasure.preview", [t.id for t in found.things if t.what in {"message", "recipient"}])
    return found


def _show(found: Preview) -> None:
    table = Table("what", "id", "type", "goes", "stays", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "id", "fold"  # ids are copied whole
    for thing in found.things[:THINGS_SHOWN]:
        stays = ", ".join(f"{count} {why}" for why, count in thing.stays.items())
        table.add_row(thing.what, thing.id, plain(thing.type) or "-", _told(thing.goes) or "nothing", stays or "-")
    out.print(table if found.things else "Nothing is found.")
    if len(found.things) > THINGS_SHOWN:
        out.print(f"… and {len(found.things) - THINGS_SHOWN} more; --json lists them all")
    out.print(f"Goes: {_told(found.goes) or 'nothing'}.")
    _show_stays(found.stays)
    if not found.is_searchable:
        out.print("The address is too short to be looked for in texts; it is found by its keyed digest only.")
    for each in found.forbidden_by:
        out.print(f"Forbidden by hold {each.hold} (on a {each.scope}, since {when(each.placed_at)}).")
    for each_message in found.unsent:
        out.print(f"Still to be sent: {each_message}; first: delivery-ledger outbox cancel {each_message} --note WHY")


def _show_stays(stays: Iterable[Stay]) -> None:
    for stay in stays:
        count = f"{stay.count} " if stay.count is not None else ""
        since = f" (the oldest in use came {when(stay.since)})" if stay.since else ""
        out.print(plain(f"Stays: {count}{stay.why}{since}."))


def _told(numbers: Numbers) -> str:
    counts = ((name, getattr(numbers, name)) for name in numbers.__struct_fields__)
    return ", ".join(f"{count} {name}" for name, count in counts if count)


@erase.command
def run(
    *,
    reason: str,
    recipient: str = "",
    kind: Kind = "",
    message: str = "",
    yes: Yes = False,
    tenant: Tenant = "",
    json: Json = False,
) -> int:
    """Erase; refused while a legal hold is on any of it. Where it takes two people, it waits for the other one.

    Args:
        reason: why; sealed, and gone with the address at the end. Of a message it stays: name no one in it.
        recipient: an address of the person, in any spelling.
        kind: of the address; default: whatever it may be.
        message: the id of one message instead, with all its recipients.
    """
    subject = _subject(recipient, kind, message)
    with system() as s:
        whose = tenant or s.settings.tenant
        if not yes:
            found = _previewed(s, whose, subject, json=json)
            print_json(found) if json else _show(found)
            if not json:
                out.print("Nothing was erased; the same with --yes erases it.")
            return EXIT_WRONG if found.forbidden_by or found.unsent else 0
        asked = _eraser(s).ask(whose, subject, reason)
        _carry_out(s, whose, [asked], json=json)
    return 0


def _carry_out(s: System, tenant: str, asked: list[Erasure], *, json: bool) -> None:
    eraser = _eraser(s)
    done: list[Erasure] = []
    for each in asked:
        # One that is done may have been broken off before the address was taken away.
        if each.state in {"ready", "done"}:
            with bar("erasing", quiet=json) as progress:
                done.append(eraser.carry_out(tenant, each.erasure, progress))
        else:
            done.append(each)
    if json:
        print_json(done[0] if len(done) == 1 else done)
        return
    for each in done:
        _say(each)


def _say(each: Erasure) -> None:
    if each.state == "waiting":
        out.print(
            f"This takes two people here: erasure {each.erasure} waits until {when(each.expires_at)} for another one to agree, over "
            f"the API (POST /v1/acts/{each.erasure}/approve) with an API key."
        )
        return
    out.print(f"Erasure {each.erasure} {each.meaning}.")
    if each.state == "done":
        out.print(f"Went: {_told(each.numbers) or 'nothing'}.")


@erase.command(name="list")
def list_(*, tenant: Tenant = "", json: Json = False) -> None:
    """The erasures that were asked for, the newest first; they name no one."""
    with system() as s:
        whose, eraser = tenant or s.settings.tenant, _eraser(s)
        found, before = eraser.newest(whose)
        while before:
            more, before = eraser.newest(whose, before)
            found += more
    if json:
        print_json(found)
        return
    table = Table("erasure", "of", "state", "asked", "by", "done", "went", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "erasure", "fold"
    for each in found:
        times = (when(each.asked_at), plain(each.asked_by), when(each.done_at) if each.done_at else "-")
        table.add_row(each.erasure, each.of, each.state, *times, _told(each.numbers) or "-")
    out.print(table if found else "No erasures.")


@erase.command
def show(erasure: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """How far an erasure is.

    Args:
        erasure: its id, as `erase list` prints it.
    """
    with system() as s:
        found = _eraser(s).get(tenant or s.settings.tenant, erasure)
    print_json(found) if json else _say(found)


@erase.command
def certificate(
    erasure: str,
    /,
    *,
    to: Annotated[Path | None, Parameter(name="--out")] = None,
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """The certificate of an erasure that was carried out: what was erased, what remains and why, and where the log says so.

    Args:
        erasure: its id, as `erase list` prints it.
        to: a file, in place of the screen: .pdf with the operator's seal, anything else as JSON.
    """
    from adapters.erasing import certificates  # noqa: PLC0415  as above
    from ops.erasing import sealed  # noqa: PLC0415

    with system() as s:
        found = certificates.certificate(_eraser(s), tenant or s.settings.tenant, erasure)
        if to is not None:
            to.write_bytes(sealed(s, certificates.pdf(found)) if to.suffix == ".pdf" else certificates.encoded(found))
            out.print(plain(f"{to} is written."))
            return
    if json:
        print_json(found)
        return
    out.print(plain(certificates.CLAIM))
    out.print(f"Went: {_told(found.erased) or 'nothing'}.")
    _show_stays(found.remains)
    places = f"{found.events[0].position} to {found.events[-1].position}"
    out.print(
        f"Said by {len(found.events)} events at positions {places}; tree size {found.tree_size}, root {found.root}"
    )


@erase.command(name="carry-out")
def carry_out(erasure: str = "", /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Do what was asked for and agreed to, or go on where it was broken off; on PostgreSQL under a login that may destroy.

    Such a login is a member of the privacy role; it stands in the setting LEDGER_PRIVACY_DATABASE_URL.

    Args:
        erasure: its id; default: all that are ready.
    """
    with system() as s:
        whose, eraser = tenant or s.settings.tenant, _eraser(s)
        asked = [eraser.get(whose, erasure)] if erasure else list(eraser.ready(whose))
        if erasure and asked[0].state not in {"ready", "done"}:
            msg = f"erasure {erasure} {asked[0].meaning}"
            raise ConfigurationError(msg)
        s.runner.run()
        left = 0 if erasure else recovering.finish(s.settings, s.ledger, s.journal)
        if left and not json:
            out.print(f"What was left of {left} erasures is destroyed.")
        if not asked and not json:
            out.print("Nothing is to be carried out." if not left else "Nothing else is to be carried out.")
            return
        _carry_out(s, whose, asked, json=json)
