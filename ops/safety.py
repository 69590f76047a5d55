"""What `serve` refuses to start with, because it would be unsafe for whoever did not mean it; each refusal names its repair.

The demo does not serve, and a newcomer's defaults (this machine only, folders of his own) pass. There are no default credentials.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from yarl import URL

from adapters import reaching
from ledger.errors import ConfigurationError
from ops.settings import Settings


def check(settings: Settings) -> None:
    """Refuse unsafe settings, all of them at once.

    Raises:
        ConfigurationError: one line for each.
    """
    found = [*_listening(settings), *_addresses(settings), *_folders(settings)]
    if found:
        raise ConfigurationError("\n".join(found))


def tls(settings: Settings) -> ssl.SSLContext | None:
    """What the API is served with; None: without TLS.

    Raises:
        ConfigurationError: half of it is set, or a file cannot be used.
    """
    if not settings.tls_cert_file and not settings.tls_key_file:
        return None
    if not settings.tls_cert_file or not settings.tls_key_file:
        msg = "set both tls_cert_file and tls_key_file (LEDGER_TLS_CERT_FILE, LEDGER_TLS_KEY_FILE), or neither"
        raise ConfigurationError(msg)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if settings.tls_key_file.stat().st_mode & 0o077:
            msg = f"{settings.tls_key_file} can be read by others; run: chmod 600 {settings.tls_key_file}"
            raise ConfigurationError(msg)
        made.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except OSError as error:
        msg = f"tls_cert_file and tls_key_file cannot be used: {error}"
        raise ConfigurationError(msg) from error
    return made


def _listening(settings: Settings) -> Iterator[str]:
    is_open = not reaching.is_loopback(settings.host)
    if is_open and not (settings.tls_cert_file or settings.behind_proxy):
        yield (
            f"host = {settings.host} listens to others without TLS, and API keys would be seen on the way: set LEDGER_TLS_CERT_FILE and "
            "LEDGER_TLS_KEY_FILE, or LEDGER_BEHIND_PROXY=true where a proxy in front adds TLS, or LEDGER_HOST=127.0.0.1"
        )


def _addresses(settings: Settings) -> Iterator[str]:
    parsed = URL(settings.public_url)
    if parsed.scheme == "http" and not reaching.is_loopback(parsed.host or ""):
        yield f"public_url = {parsed} has no TLS, and what is sent there would be seen on the way: write https://"


def _folders(settings: Settings) -> Iterator[str]:
    keys = settings.key_folder
    if keys.is_dir() and _mode(keys) & 0o077:
        yield f"key_folder {keys} can be entered by others: run: chmod 700 {keys}"
    folders = {
        "artifact_folder": settings.artifact_folder,
        "head_folder": settings.head_folder,
        "report_folder": settings.report_folder,
        "report_drop_folder": settings.report_drop_folder,
    }
    for name, folder in folders.items():
        if folder is not None and folder.is_dir() and _mode(folder) & 0o002:
            yield f"{name} {folder} can be written by everybody: run: chmod o-w {folder}"
    prefix = "sqlite:///"
    if settings.database_url.startswith(prefix):
        database = Path(settings.database_url.removeprefix(prefix))
        if database.is_file() and _mode(database) & 0o002:
            yield f"the database {database} can be written by everybody: run: chmod o-w {database}"


def _mode(path: Path) -> int:
    return path.stat().st_mode
