"""The key files of a ledger: made once, readable by their owner only, kept apart from the database.

One file a key, 64 hex characters: `lookups.key`, `duplicates.key`, and one or more `kek-NAME.key`, of which the last by
name wraps new keys.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ledger.errors import ConfigurationError
from ledger.sealing import KEY_BYTES, Keyring

FIRST_KEK = "kek-0001"


def load(folder: Path, *, may_create: bool) -> Keyring:
    """Read the keyring; make it when the folder is empty and `may_create` says that this is a new ledger.

    Raises:
        ConfigurationError: a file is missing, unreadable or readable by others.
    """
    if not any(folder.glob("*.key")):
        if not may_create:
            msg = f"{folder} holds no key files, but this database was begun with some; restore them or set LEDGER_KEY_FOLDER"
            raise ConfigurationError(msg)
        create(folder)
    keks = {path.stem: _read(path) for path in sorted(folder.glob("kek-*.key"))}
    if not keks:
        msg = f"{folder} holds no kek-*.key file; restore it"
        raise ConfigurationError(msg)
    return Keyring(keks, max(keks), _read(folder / "lookups.key"), _read(folder / "duplicates.key"))


def create(folder: Path) -> None:
    """Make the files of a new keyring; each is durable before the next is made, and none is ever overwritten."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("lookups", "duplicates", FIRST_KEK):
        _write(folder / f"{name}.key", secrets.token_hex(KEY_BYTES))


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            msg = f"{path} can be read by others; repair: chmod 600 {path}"
            raise ConfigurationError(msg)
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        msg = f"{path} is not a readable key file of 64 hex characters"
        raise ConfigurationError(msg) from error
    if len(key) != KEY_BYTES:
        msg = f"{path} holds {len(key)} bytes, not {KEY_BYTES}"
        raise ConfigurationError(msg)
    return key
