"""The commands `send` and `outbox`: what goes out through providers, and what a person does about it."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter
from rich.table import Table

from adapters.accounts import CONSOLE
from adapters.providers.calling import Document, Submission
from ledger.addresses import guess
from ledger.observations import Address, Reference
from ledger.streams import Registration
from ops.console import Json, Note, Tenant, err, looked, operated, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.show import when

outbox = App(name="outbox", help="Sends through providers: what waits, what is unclear, and what to do about it.")
UNKNOWN = "application/octet-stream"
Many = Parameter(consume_multiple=True, negative="")


def send(
    account: str,
    /,
    *,
    to: Annotated[tuple[str, ...], Many],
    kind: str = "",
    sender: str = "",
    subject: str = "",
    text: str = "",
    attach: Annotated[tuple[Path, ...], Many] = (),
    reference: str = "",
    label: Annotated[tuple[str, ...], Many] = (),
    option: Annotated[tuple[str, ...], Many] = (),
    idempotency_key: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Send a message through an account, and wait until the provider answered. The request is durable before it is called.

    Args:
        account: the account to send through.
        to: recipients' addresses.
        kind: of the addresses: email, phone, fax, postal … Default: guessed from their form.
        attach: files to be sent; their digests are kept, so that a receipt can be compared with them.
        reference: your own name of it.
        option: NAME=VALUE of the provider's own kind; VALUE may be JSON.
        idempotency_key: sent again with the same key it is answered as the first time.
    """
    from adapters import sending  # noqa: PLC0415  so that --help is quick

    files = [Document(p.name, mimetypes.guess_type(p.name)[0] or UNKNOWN, p.read_bytes()) for p in attach]
    with system() as s:
        whose = tenant or s.settings.tenant
        found = s.accounts.get(whose, account)
        recipients = tuple(Address(kind, each) if kind else guess(each)[0] for each in to)
        registration = Registration(
            account=account,
            provider=found.provider,
            recipients=recipients,
            references=(Reference("own_reference", reference, exclusive=False),) if reference else (),
            labels=label,
            texts={name: said for name, said in (("subject", subject), ("sender", sender)) if said},
        )
        submission = Submission(
            message="",
            recipients=recipients,
            sender=sender,
            subject=subject,
            text=text,
            documents=tuple(files),
            options=dict(map(_option, option)),
            requested_at=s.ledger.clock(),
        )
        key = (idempotency_key, hashlib.sha256(sending.encode(submission)).hexdigest())
        clear = {"arrival": "api", "actor": CONSOLE}
        done = sending.dispatch(s.intake, s.accounts, whose, registration, submission, clear=clear, idempotency=key)
        s.outbox.turn(s.outbox.row(whose, done.message))
        view = s.outbox.view(whose, done.message)
    _show(view, json=json)


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


@outbox.command(name="list")
def list_(*, state: str = "open", tenant: Tenant = "", json: Json = False) -> None:
    """Sends that are not at their end, or those in one state.

    Args:
        state: open, queued, waiting, unclear, sent, partly, refused, cancelled or erased.
    """
    from adapters.outbox import OPEN, STATES  # noqa: PLC0415  so that --help is quick

    with system() as s:
        rows = s.outbox.list(tenant or s.settings.tenant, OPEN if state == "open" else (state,), limit=500)
    if json:
        print_json([r._asdict() for r in rows])
        return
    table = Table("message", "account", "state", "next look", "meaning", box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header == "message", "fold"  # ids are copied whole
    for row in rows:
        table.add_row(row.message, row.account, row.state, when(row.due_at), STATES[row.state])
    out.print(table if rows else "Nothing waits to be sent.")


@outbox.command
def show(message: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """How far the send of a message is, call by call."""
    with system() as s:
        view = s.outbox.view(tenant or s.settings.tenant, message)
        looked(s, tenant or s.settings.tenant, "dispatch", [message])
    _show(view, json=json)


@outbox.command
def run(*, json: Json = False) -> None:
    """Send what is due now; `serve` does it by itself."""
    with system() as s:
        operated(s, "outbox run")
        count = s.outbox.run()
    if json:
        print_json({"looked_at": count})
    else:
        out.print(f"Looked at {count} sends.")


@outbox.command
def resolve(
    message: str, call: int, was: Literal["sent", "not-sent"], /, *, note: Note, tenant: Tenant = "", json: Json = False
) -> None:
    """Say what became of an unclear call, for example after asking the provider. One that was not sent is made again.

    Args:
        call: its number, as `outbox show` lists it.
        note: how you know; kept with the event.
    """
    with system() as s:
        whose = tenant or s.settings.tenant
        s.outbox.resolve(whose, message, call, note, was_sent=was == "sent", actor=CONSOLE)
        view = s.outbox.view(whose, message)
    _show(view, json=json)


@outbox.command
def cancel(message: str, /, *, note: Note, tenant: Tenant = "", json: Json = False) -> None:
    """Withdraw a send of which nothing was taken yet.

    Args:
        note: why; kept with the event.
    """
    with system() as s:
        whose = tenant or s.settings.tenant
        s.outbox.cancel(whose, message, note, actor=CONSOLE)
        view = s.outbox.view(whose, message)
    _show(view, json=json)


def _show(view: Any, *, json: bool) -> None:
    if json:
        print_json(view)
        return
    out.print(f"Message {view.message} through {view.account}: {view.state} ({view.meaning})")
    if view.due_at:
        out.print(f"Looked at again at {when(view.due_at)}")
    table = Table("call", "at", "operation", "for", "verdict", "status", "why", box=None)
    for c in view.calls:
        whom = "all" if c.recipient is None else str(c.recipient)
        table.add_row(str(c.number), when(c.at), c.operation, whom, c.verdict, str(c.status or ""), c.why)
    if view.calls:
        out.print(table)
    if view.state == "unclear":
        err.print(
            f"Ask the provider, then: delivery-ledger outbox resolve {view.message} CALL sent|not-sent --note HOW",
            markup=False,
        )
    if view.state == "refused":
        raise SystemExit(EXIT_WRONG)
