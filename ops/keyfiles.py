"""The key files of a ledger: made once, readable by their owner only, kept apart from the database.

One file a key, 64 hex characters: `lookups.key`, `duplicates.key`, and one or more `kek-NAME.key`, of which the last by
name wraps new keys; the setting `keks` may give those instead. A process that is running takes up a new one, and forgets one that is
gone, within seconds. Beside them `log-NNNN.key`, Ed25519 seeds that sign heads, and `recovery.key`, the seed that alone may revoke
those: it is to be taken offline, which is why `recovery.pub` stays.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import ConfigurationError
from ledger.sealing import KEY_BYTES, Keyring

LOG = logging.getLogger(__name__)
FIRST_KEK = "kek-0001"
RELOAD_S = 5.0
RECOVERY = "recovery"


class KekFolder(Mapping[str, bytes]):
    """The key-encryption keys of a folder, as they are: looked for again after a few seconds, and when one is missing.

    What cannot be read then leaves everything as it was: a process that works is not stopped by a file that is being written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keks = self._read()
        self._read_at = time.monotonic()

    def _read(self) -> dict[str, bytes]:
        return {path.stem: _read(path) for path in sorted(self._folder.glob("kek-*.key"))}

    def _now(self, name: object = None) -> dict[str, bytes]:
        is_missing = name is not None and name not in self._keks
        if is_missing or time.monotonic() - self._read_at > RELOAD_S:
            try:
                self._keks = self._read() or self._keks
            except ConfigurationError as error:
                LOG.error("key-encryption keys: %s", error)  # noqa: TRY400  the text says it all
            self._read_at = time.monotonic()
        return self._keks

    def __getitem__(self, name: str) -> bytes:
        return self._now(name)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


def load(folder: Path, *, may_create: bool, keks: str = "") -> Keyring:
    """Read the keyring; make it when the folder is empty and `may_create` says that this is a new ledger.

    Args:
        keks: key-encryption keys instead of those in the folder: NAME=64 hex characters, with spaces between.

    Raises:
        ConfigurationError: a file is missing, unreadable or readable by others.
    """
    if not any(folder.glob("*.key")):
        if not may_create:
            msg = f"{folder} holds no key files, but this database was begun with some; restore them or set LEDGER_KEY_FOLDER"
            raise ConfigurationError(msg)
        create(folder, with_kek=not keks)
    found = _given(keks) if keks else KekFolder(folder)
    if not found:
        msg = f"{folder} holds no kek-*.key file; restore it"
        raise ConfigurationError(msg)
    return Keyring(found, "", _read(folder / "lookups.key"), _read(folder / "duplicates.key"))


def _given(keks: str) -> dict[str, bytes]:
    """The key-encryption keys of the setting; a mistake is told without the value."""
    found = {}
    for each in keks.split():
        name, _, text = each.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", name) or not re.fullmatch(
            rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}", text
        ):
            msg = "setting keks (LEDGER_KEKS): write NAME=64 hex characters, several with spaces between; the last by name wraps new keys"
            raise ConfigurationError(msg)
        found[name] = bytes.fromhex(text)
    return found


def next_kek(folder: Path) -> str:
    """The name of the key-encryption key after the last."""
    found = (re.fullmatch(r"kek-(\d{4,})", path.stem) for path in folder.glob("kek-*.key"))
    return f"kek-{max((int(match[1]) for match in found if match), default=0) + 1:04}"


def add_kek(folder: Path, name: str) -> None:
    """Make a key-encryption key; it is there as a whole or not at all."""
    partial = folder / f"{name}.new"
    partial.unlink(missing_ok=True)
    _write(partial, secrets.token_hex(KEY_BYTES))
    os.link(partial, folder / f"{name}.key")  # never over one that is there
    partial.unlink()
    _sync(folder)


def made_at(folder: Path, name: str) -> float:
    """When a key-encryption key came here, in seconds since 1970."""
    return (folder / f"{name}.key").stat().st_mtime


def drop_kek(folder: Path, name: str) -> None:
    """Remove the file of a key-encryption key, durably."""
    (folder / f"{name}.key").unlink()
    _sync(folder)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def create(folder: Path, *, with_kek: bool = True) -> None:
    """Make the files of a new keyring; each is durable before the next is made, and none is ever overwritten."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("lookups", "duplicates", *([FIRST_KEK] if with_kek else [])):
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
