"""The commands `keys kek`: the key-encryption keys, which wrap every other key that lies in the database."""

from __future__ import annotations

import time

from cyclopts import App

from adapters.accounts import CONSOLE
from ledger.application import OWN_TENANT
from ledger.errors import ConfigurationError, NotFoundError
from ledger.rewrapping import Rewrapped, rewrap, wrapped_by
from ops import keyfiles
from ops.console import Json, bar, operated, out, print_json, system
from ops.invoked import EXIT_WRONG
from ops.system import System

kek = App(name="kek", help="Key-encryption keys: they wrap every key in the database, and lie outside it.")
PSEUDO_ACCOUNT = "keks"
SETTLED_S = 3_600


@kek.command(name="list")
def list_(*, json: Json = False) -> None:
    """The key-encryption keys that are here, and how many keys each wraps; the last one wraps new keys."""
    with system(fresh=False) as s:
        found = [{"kek": name, "wraps": wrapped_by(s.ledger.database, name)} for name in s.ledger.keyring.keks]
    if json:
        print_json(found)
        return
    for each in found:
        counts = each["wraps"]
        out.print(f"{each['kek']}: {_told(counts) if isinstance(counts, dict) and counts else 'wraps nothing'}")


@kek.command
def rotate(*, make_only: bool = False, json: Json = False) -> int:
    """Make the next key-encryption key and wrap every key again by it; servers that are running take it up within seconds.

    Args:
        make_only: wrap nothing again yet: where several machines have key folders of their own, bring the new file to each first,
            then run `keys kek rewrap`.
    """
    with system(fresh=False) as s:
        _require_files(s)
        name = keyfiles.next_kek(s.settings.key_folder)
        s.accounts.record("key.added", OWN_TENANT, PSEUDO_ACCOUNT, CONSOLE, {"key_id": name})
        keyfiles.add_kek(s.settings.key_folder, name)
        if not json:
            out.print(f"{name} is made; it wraps new keys. Put a copy of its file where those of the other keys are.")
        return 0 if make_only else _rewrap(s, json=json)


@kek.command(name="rewrap")
def rewrap_(*, json: Json = False) -> int:
    """Wrap by the newest key-encryption key whatever an older one still wraps; goes on where it was broken off."""
    with system(fresh=False) as s:
        operated(s, "keys kek rewrap")
        return _rewrap(s, json=json)


def _rewrap(s: System, *, json: bool) -> int:
    keyring = keyfiles.load(s.settings.key_folder, may_create=False, keks=s.settings.keks.reveal())
    with bar("keys wrapped again", quiet=json) as say:
        found: Rewrapped = rewrap(s.ledger.database, keyring, say)
    if json:
        print_json(found._asdict())
    else:
        out.print(f"{found.done} keys are wrapped by {keyring.wraps_with} now.")
        if found.unreadable:
            out.print(
                f"{found.unreadable} could not be opened and stay as they are: altered, or their KEK is not here."
            )
    return EXIT_WRONG if found.unreadable else 0


@kek.command
def drop(name: str, /) -> None:
    """Destroy an old key-encryption key, for good: backups of the database from before it was replaced end with it.

    Args:
        name: as `keys kek list` prints it, for example kek-0001.
    """
    with system(fresh=False) as s:
        keyring = s.ledger.keyring
        if name not in keyring.keks:
            msg = f"there is no key-encryption key {name!r}"
            raise NotFoundError(msg)
        if name == keyring.wraps_with:
            msg = f"{name} wraps new keys; first: delivery-ledger keys kek rotate"
            raise ConfigurationError(msg)
        counts = wrapped_by(s.ledger.database, name)
        if counts:
            msg = f"{name} still wraps {_told(counts)}; first: delivery-ledger keys kek rewrap"
            raise ConfigurationError(msg)
        _require_files(s)
        age_s = time.time() - keyfiles.made_at(s.settings.key_folder, keyring.wraps_with)
        if age_s < SETTLED_S:
            msg = (
                f"{keyring.wraps_with} is in use for {age_s / 60:.0f} minutes only, and work begun before may still bring keys wrapped by "
                f"{name}; drop it after {SETTLED_S // 60} minutes"
            )
            raise ConfigurationError(msg)
        s.accounts.record("key.retired", OWN_TENANT, PSEUDO_ACCOUNT, CONSOLE, {"key_id": name})
        keyfiles.drop_kek(s.settings.key_folder, name)
    out.print(
        f"{name} is destroyed here. Backups of the database from before it was replaced can no longer be read with the keys that are left; "
        "destroy its copies too."
    )


def _require_files(s: System) -> None:
    if s.settings.keks.reveal():
        msg = (
            "the key-encryption keys come from the setting `keks` (LEDGER_KEKS): add or remove one there and start again; "
            "`keys kek rewrap` wraps by the last one, and `keys kek list` says what an old one still wraps"
        )
        raise ConfigurationError(msg)


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {table}" for table, count in counts.items())
