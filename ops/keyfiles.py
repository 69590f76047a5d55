"""The key files of a ledger: made once, readable by their owner only, kept apart from the database.

One file a key, 64 hex characters: `lookups.key`, `duplicates.key`, and one or more `kek-NAME.key`, of which the last by
name wraps new keys. Beside them `log-NNNN.key`, Ed25519 seeds that sign heads, and `recovery.key`, the seed that alone may revoke
those: it is to be taken offline, which is why `recovery.pub` stays.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import ConfigurationError
from ledger.sealing import KEY_BYTES, Keyring

LOG = logging.getLogger(__name__)
FIRST_KEK = "kek-0001"
RECOVERY = "recovery"


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


def create_log_keys(folder: Path) -> None:
    """Make the first log key and the recovery key, unless they were made before."""
    if not (folder / f"{RECOVERY}.pub").exists():
        seed = secrets.token_bytes(KEY_BYTES)
        _write(folder / f"{RECOVERY}.key", seed.hex())
        _write(
            folder / f"{RECOVERY}.pub", Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()
        )
        LOG.warning(
            "%s was made: it alone can revoke a stolen log key, so move it to a place that no server reaches",
            folder / f"{RECOVERY}.key",
        )
    if not any(folder.glob("log-*.key")):
        add_log_key(folder)


def add_log_key(folder: Path) -> Ed25519PrivateKey:
    """Make the next log key."""
    seed = secrets.token_bytes(KEY_BYTES)
    last = max((int(path.stem.removeprefix("log-")) for path in folder.glob("log-*.key")), default=0)
    _write(folder / f"log-{last + 1:04}.key", seed.hex())
    return Ed25519PrivateKey.from_private_bytes(seed)


def log_keys(folder: Path) -> tuple[Ed25519PrivateKey, ...]:
    """The private log keys that are here, oldest first; a process that has none can read but not sign."""
    return tuple(Ed25519PrivateKey.from_private_bytes(_read(path)) for path in sorted(folder.glob("log-*.key")))


def recovery_public(folder: Path) -> bytes:
    """The public half of the recovery key."""
    return _read(folder / f"{RECOVERY}.pub")


def recovery_key(path: Path) -> Ed25519PrivateKey:
    """The recovery key, from wherever it was taken to."""
    return Ed25519PrivateKey.from_private_bytes(_read(path))


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
