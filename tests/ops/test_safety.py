"""What `serve` refuses to start with, and TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.providers.pec_mailbox.sandbox import authority
from ledger.errors import ConfigurationError
from ops import safety
from ops.serve import serve
from ops.settings import Settings, load


def _settings(folder: Path, **given: Any) -> Settings:
    folders = {f"{name}_folder": folder / name for name in ("key", "artifact", "head")}
    return load(database_url=f"sqlite:///{folder / 'ledger.db'}", **folders | given)


def _made(mode: int, name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).mkdir()
        (folder / name).chmod(mode)

    return make


def _database(folder: Path) -> None:
    (folder / "ledger.db").touch()
    (folder / "ledger.db").chmod(0o666)


UNSAFE: dict[str, tuple[dict[str, Any], Callable[[Path], None], str]] = {
    "all addresses": ({"host": "0.0.0.0"}, lambda _: None, "LEDGER_BEHIND_PROXY"),  # noqa: S104  refused
    "one address": ({"host": "192.0.2.1"}, lambda _: None, "LEDGER_TLS_CERT_FILE"),
    "all IPv6 addresses": ({"host": "::"}, lambda _: None, "without TLS"),
    "a name": ({"host": "ledger.example"}, lambda _: None, "without TLS"),
    "no TLS on the way": ({"public_url": "http://ledger.example"}, lambda _: None, "https://"),
    "keys for all": ({}, _made(0o755, "key"), "chmod 700"),
    "keys for a group": ({}, _made(0o750, "key"), "chmod 700"),
    "originals from all": ({}, _made(0o777, "artifact"), "chmod o-w"),
    "heads from all": ({}, _made(0o777, "head"), "chmod o-w"),
    "a database from all": ({}, _database, "chmod o-w"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_serve_refuses_to_start_unsafely_and_says_how_to_repair_it(tmp_path: Path, case: str) -> None:
    """Before it opens anything."""
    given, prepare, repair = UNSAFE[case]
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=repair):
        serve(_settings(tmp_path, **given))
    assert before == sorted(tmp_path.rglob("*"))


def test_what_is_unsafe_is_told_all_at_once(tmp_path: Path) -> None:
    """So nobody repairs one to meet the next."""
    given: dict[str, Any] = {}
    for more, prepare, _ in (UNSAFE["all addresses"], UNSAFE["no TLS on the way"], UNSAFE["keys for all"]):
        given |= more
        prepare(tmp_path)
    with pytest.raises(ConfigurationError) as refused:
        safety.check(_settings(tmp_path, **given))
    assert 3 == len(str(refused.value).splitlines())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "0.0.0.0", "behind_proxy": True},  # noqa: S104  as containers do
        {"public_url": "https://ledger.example"},
        {"public_url": "http://localhost:8440"},
    ],
)
def test_what_is_safe_is_not_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    """The defaults above all."""
    _made(0o700, "key")(tmp_path)
    safety.check(_settings(tmp_path, **given))


def pair(folder: Path) -> tuple[Path, Path]:
    """A certificate for `localhost` and its key, as files."""
    identity, cert, key = authority.tls(), folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(identity.pem())
    key.touch(mode=0o600)
    key.write_bytes(identity.key_pem())
    return cert, key


def test_the_api_is_served_with_tls_1_2_or_newer(tmp_path: Path) -> None:
    """And no certificate is asked of callers."""
    cert, key = pair(tmp_path)
    context = safety.tls(_settings(tmp_path, tls_cert_file=cert, tls_key_file=key))
    assert context is not None
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version
    assert not context.verify_mode


@pytest.mark.parametrize(
    "fault", ["only a certificate", "only a key", "an open key", "no file", "no PEM", "another key"]
)
def test_half_of_tls_is_refused(tmp_path: Path, fault: str) -> None:
    """Never served without it by mistake."""
    cert, key = pair(tmp_path)
    given = {"tls_cert_file": cert, "tls_key_file": key}
    if fault == "only a certificate":
        del given["tls_key_file"]
    elif fault == "only a key":
        del given["tls_cert_file"]
    elif fault == "an open key":
        key.chmod(0o644)
    elif fault == "no file":
        cert.unlink()
    elif fault == "no PEM":
        cert.write_text("nothing")
    else:
        key.write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"tls_|chmod"):
        safety.tls(_settings(tmp_path, **given))


def test_without_files_there_is_no_tls(tmp_path: Path) -> None:
    """Where a proxy adds it, or on this machine."""
    assert safety.tls(_settings(tmp_path)) is None
