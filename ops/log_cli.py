"""Commands about the log itself: its signed heads, proofs, keys, recovery and export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from adapters import pushing
from ledger import exports, identity, proofs
from ledger.errors import ConfigurationError, ForkError
from ledger.notes import NoteKey
from ops import keyfiles, recovering
from ops.console import Json, bar, err, operated, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.system import System

checkpoint = cyclopts.App(
    name="checkpoint", help="Signed tree heads: what makes a rewritten history visible to others."
)
keys_log = cyclopts.App(name="log", help="The keys that sign this log's heads, for those who check them.")


# --- checkpoints


@checkpoint.command(name="show")
def checkpoint_show(*, json: Json = False) -> None:
    """Sign the newest head if this process may, and print it as a C2SP checkpoint with the cosignatures it was given."""
    with system(fresh=False) as s:
        head = s.signed_head()
        note = s.heads.cosigned(head).decode()
    of = head.checkpoint
    if json:
        print_json({"origin": of.origin, "tree_size": of.size, "root": of.root.hex(), "checkpoint": note})
    else:
        sys.stdout.write(note)


@checkpoint.command(name="push")
def checkpoint_push(
    targets: Annotated[list[str], Parameter(help="folders, or http(s) addresses that take a POST")], /
) -> int:
    """Hand the newest head to other places: whoever holds one can tell a rewritten history from the true one.

    A folder keeps every head it was given, and the tree is held against them first. `serve` does this by itself for the
    setting `push_targets`.
    """
    with system(fresh=False) as s:
        operated(s, "checkpoint push")
        return push_all(s, targets)


def push_all(s: System, targets: list[str]) -> int:
    """Push to each target; one that fails does not stop the others.

    Returns:
        The exit code.
    """
    head, failed = s.signed_head(), 0
    for target in targets:
        try:
            pushing.push(s.ledger, s.leader.identity(), head, s.heads.cosigned(head), target)
        except ForkError as error:
            s.ledger.freeze(str(error))
            raise
        except pushing.PushError as error:
            failed += 1
            err.print(f"delivery-ledger: {error}", markup=False)
        else:
            out.print(f"{target} has the head of {head.checkpoint.size} events.", markup=False)
    return EXIT_WRONG if failed else 0


def proof(event: str, /, *, out: Annotated[Path | None, Parameter(name="--out")] = None) -> None:
    """Prove that an event is in the log: a C2SP tlog-proof file with the newest signed head.

    Check it with `verify`, or with any verifier of that format, the event's exact bytes and the log's key from elsewhere.

    Args:
        event: its position or its id, as `trail` prints them.
        out: file to write; without it the proof is printed.
    """
    with system(fresh=False) as s:
        head = s.signed_head()
        position = int(event) if event.isdigit() else proofs.position_of(s.ledger, event)
        made = proofs.of_position(s.ledger, position, s.heads.cosigned(head))
    if out is None:
        sys.stdout.write(made.decode())
    else:
        out.write_bytes(made)


# --- keys


@keys_log.default
def keys_show(*, json: Json = False) -> None:
    """The verifier keys of this log and their fingerprints, for comparison by another way."""
    with system(fresh=False) as s:
        who = s.leader.identity()
    named = [("active", who.keys), ("revoked", who.revoked), ("recovery", (who.recovery,))]
    rows = [
        {"state": state, "vkey": key.vkey(), "key_id": key.key_id.hex(), "fingerprint": key.fingerprint()}
        for state, found in named
        for key in found
    ]
    if json:
        print_json({"origin": who.origin, "epoch": who.epoch, "keys": rows})
        return
    out.print(f"Origin {who.origin}, epoch {who.epoch}.", markup=False)
    for row in rows:
        out.print(
            f"\n{row['state']} {row['key_id']}\n  {row['vkey']}\n  fingerprint {row['fingerprint']}", markup=False
        )


@keys_log.command(name="rotate")
def keys_rotate() -> None:
    """Make a new log key and use it beside the one in use: every head carries both signatures until the old one is retired."""
    with system(fresh=False) as s:
        operated(s, "keys log rotate")
        added = identity.add_key(s.ledger, s.leader.identity(), keyfiles.add_log_key(s.settings.key_folder))
    out.print(f"{added.vkey()} is in use.", markup=False)
    out.print(
        "Give it to everyone who checks this log, then retire the old one: delivery-ledger keys log retire KEY-ID"
    )


@keys_log.command(name="retire")
def keys_retire(key_id: str, /) -> None:
    """Take a log key out of use; what it signed stays good.

    Args:
        key_id: the eight digits, as `keys log` prints them.
    """
    with system(fresh=False) as s:
        who = s.leader.identity()
        gone = _key(who, key_id)
        operated(s, "keys log retire")
        identity.retire_key(s.ledger, who, gone)
    out.print(f"{gone.vkey()} is out of use.", markup=False)


@keys_log.command(name="revoke")
def keys_revoke(key_id: str, /, *, recovery_key: Path) -> None:
    """End a stolen log key under the offline recovery key; nothing it signs is to be trusted any more.

    Args:
        key_id: the eight digits, as `keys log` prints them.
        recovery_key: the file `recovery.key`, wherever it was taken to.
    """
    with system(fresh=False) as s:
        who = s.leader.identity()
        gone = _key(who, key_id)
        operated(s, "keys log revoke")
        identity.revoke_key(s.ledger, who, gone, keyfiles.recovery_key(recovery_key))
    out.print(f"{gone.vkey()} is revoked. Tell everyone who checks this log.", markup=False)


def _key(who: identity.Identity, key_id: str) -> NoteKey:
    found = next((key for key in who.keys if key.key_id.hex() == key_id), None)
    if found is None:
        msg = f"no active log key has the id {key_id!r}; there are {', '.join(key.key_id.hex() for key in who.keys)}"
        raise ConfigurationError(msg)
    return found


# --- recovery and export


def recover(*, yes: bool = False) -> int:
    """Open the next epoch of a ledger whose database was restored, lost or rewritten; nothing of it passes for the old log.

    What was signed and is not in this database any more is lost; the first event of the new epoch says how much. Stop every
    other process of this ledger first.

    Args:
        yes: do it; without it only what would be lost is told.
    """
    with system(fresh=False) as s:
        latest = s.heads.latest()
        if latest is None or not s.ledger.frozen:
            msg = "this database fits every signed head; there is nothing to recover from"
            raise ConfigurationError(msg)
        size, signed = s.ledger.head().size, latest.checkpoint.size
        fits = identity.last_fitting(s.ledger, s.heads)
        out.print(s.ledger.frozen, markup=False)
        out.print(f"The database holds {size} events; up to {fits} it fits what was signed.")
        out.print(
            f"Lost: at least {max(0, signed - size)} acknowledged events"
            + ("." if fits == size else ", or others in their place.")
        )
        if not yes:
            out.print("To go on in the next epoch all the same: delivery-ledger recover --yes")
            return EXIT_WRONG
        with s.leader.leading():
            head = identity.succeed(s.ledger, s.heads, s.identity, s.log_keys)
            again = recovering.erase_again(s.settings, s.ledger, s.journal)
            operated(s, "recover")
    for line in again:
        out.print(line, markup=False)
    out.print(f"The log goes on as {head.checkpoint.origin}. Start every process of this ledger anew.", markup=False)
    out.print(
        "Proofs handed out before stay valid under the heads they carry. Tell those who check this log the new origin."
    )
    return 0


def export(
    folder: Path,
    /,
    *,
    format: Literal["jsonl", "tiles"] = "jsonl",  # noqa: A002  the option's name
    after: int = 0,
    only_tenant: str = "",
    only_type: tuple[str, ...] = (),
    json: Json = False,
) -> None:
    """Write the log to a new folder, up to the newest signed head, so that others can check it without us.

    An event holds commitments, no personal values. What is left out stands there as leaf hashes, so that nothing can be
    dropped silently.

    Args:
        format: `jsonl` (events, a signed manifest and what was left out) or `tiles` (the whole log as static C2SP tlog-tiles).
        after: only events after this position; an earlier export holds the others.
        only_tenant: only this organisation's events.
        only_type: only events of this type, for example content.consigned; may be repeated.
    """
    choice = exports.Choice(only_tenant, only_type)
    if format == "tiles" and (after or choice != exports.Choice()):
        msg = "--format tiles is the whole log; leave out --after, --only-tenant and --only-type"
        raise ConfigurationError(msg)
    with system(fresh=False) as s, bar("exporting", quiet=json) as progress:
        operated(s, "export", only_tenant)
        head = s.signed_head()
        if format == "tiles":
            files = exports.write_tiles(s.ledger, folder, head, progress)
            said = {"tree_size": head.checkpoint.size, "files": files}
        else:
            who, size = s.leader.identity(), head.checkpoint.size
            sign = lambda text: identity.sign_text(who, keyfiles.log_keys(s.settings.key_folder), text)  # noqa: E731
            made = exports.write(s.ledger, folder, head, sign, choice=choice, after=after, progress=progress)
            said = {"tree_size": size, "after": after, "events": made.events, "left_out": made.left_out}
        s.ledger.append(exports.recorded(s.ledger, said))
    if json:
        print_json({"folder": str(folder), **said})
    else:
        told = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in said.items())
        out.print(f"Exported to {folder}: {told}.", markup=False)
