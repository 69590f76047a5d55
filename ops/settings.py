"""Settings: a TOML file, then secret files, then environment variables `LEDGER_…`; a bad one is named with its repair."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec

from ledger.errors import ConfigurationError

CONFIG_VARIABLE = "LEDGER_CONFIG"
DEFAULT_CONFIG = "delivery-ledger.toml"
PREFIX = "LEDGER_"
Network = IPv4Network | IPv6Network


class Secret:
    """A text that is not shown with what holds it."""

    def __init__(self, text: str = "") -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        return self._text


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one installation. Made by `load`, which checks them."""

    database_url: str = field(
        default="sqlite:///var/ledger.db", metadata={"is": "sqlite:///path or postgresql://user@host/name"}
    )
    privacy_database_url: Secret = field(
        default=Secret(),
        metadata={
            "is": "the same database under a login of the privacy role, which may destroy what was erased; PostgreSQL only. Without it "
            "that is done by `delivery-ledger erase carry-out` under such a login",
        },
    )
    key_folder: Path = field(
        default=Path("var/keys"), metadata={"is": "where the key files lie; never beside a backup of the database"}
    )
    keks: Secret = field(
        default=Secret(),
        metadata={
            "is": "key-encryption keys instead of kek-*.key files: NAME=64 hex characters, several with spaces between, of which the "
            "last by name wraps new keys. Better as a file of LEDGER_SECRETS_FOLDER than as a variable",
        },
    )
    artifact_folder: Path = field(
        default=Path("var/artifacts"), metadata={"is": "where originals above 256 KiB are kept, sealed"}
    )
    log_name: str = field(
        default="",
        metadata={
            "is": "origin of the log's checkpoints, for example ledger.example.org/main; for good once the log was begun. Default: "
            "delivery-ledger/ and 8 hex digits that tell these key files from others",
        },
    )
    head_folder: Path = field(
        default=Path("var/heads"),
        metadata={
            "is": "where signed heads are kept, a folder each log; never restored with the database, and shared by all who may sign"
        },
    )
    public_log: bool = field(
        default=False, metadata={"is": "show signed heads and hash tiles at /log/… to everyone, without a key"}
    )
    push_targets: tuple[str, ...] = field(
        default=(), metadata={"is": "folders and http(s) addresses that `serve` hands every signed head to"}
    )
    push_every_s: float = field(default=300.0, metadata={"is": "how often", "gt": 0})
    fsck_every_h: float = field(
        default=24.0, metadata={"is": "how often `serve` checks the whole log and records the verdict", "gt": 0}
    )
    seal_file: Path | None = field(
        default=None,
        metadata={
            "is": "PEM file with the private key, certificate and issuers of a bought seal. Default: a self-made one in the key folder"
        },
    )
    tsa_url: str = field(
        default="",
        metadata={"is": "RFC 3161 authority that time-stamps checkpoints, signed originals and seals; none without it"},
    )
    tsa_roots: Path | None = field(
        default=None, metadata={"is": "PEM file of the root certificates that its tokens must lead to"}
    )
    tsa_every_s: float = field(
        default=60.0, metadata={"is": "how often `serve` asks for the tokens of new originals", "gt": 0}
    )
    tsa_checkpoint_every_h: float = field(
        default=1.0, metadata={"is": "how often `serve` has a checkpoint time-stamped", "gt": 0}
    )
    extra_ca: Path | None = field(
        default=None, metadata={"is": "PEM file of authorities trusted in calls to providers, besides the system's"}
    )
    trust_roots: Path | None = field(
        default=None,
        metadata={
            "is": "PEM file, or folder of them, of the authorities whose signers' receipts count. Default: the system's"
        },
    )
    keep_payloads_h: float = field(
        default=0.0,
        metadata={
            "is": "how long the content of a send is kept, sealed, after the provider took or refused it",
            "ge": 0,
        },
    )
    report_folder: Path | None = field(
        default=None,
        metadata={
            "is": "where what came of tasks is kept, sealed; of this ledger alone, and shared by all who serve it. Default: `reports` "
            "beside the artifact folder",
        },
    )
    keep_reports_days: float = field(default=7.0, metadata={"is": "how long that is", "gt": 0})
    report_drop_folder: Path | None = field(
        default=None,
        metadata={"is": "under it scheduled reports are put, in a folder for each organisation; none without it"},
    )
    smtp_url: str = field(
        default="",
        metadata={
            "is": "mail server for scheduled reports: smtps://user@host or smtp+starttls://user@host; none without it"
        },
    )
    smtp_password_file: Path | None = field(default=None, metadata={"is": "file with the password of its user"})
    smtp_from: str = field(default="", metadata={"is": "address that reports are sent from"})
    attach_max_bytes: int = field(
        default=10 * 1024 * 1024,
        metadata={"is": "a report that is larger is not attached; the e-mail says where it can be fetched", "ge": 0},
    )
    allow_networks: tuple[Network, ...] = field(
        default=(),
        metadata={
            "is": "networks that may be called besides public addresses: providers, mail servers, webhooks about reports, time-stamp and "
            "revocation services, push targets. For example 127.0.0.0/8",
        },
    )
    tenant: str = field(default="default", metadata={"is": "the organisation the command line works for"})
    host: str = field(default="127.0.0.1", metadata={"is": "address the API listens on"})
    port: int = field(
        default=8440, metadata={"is": "port the API listens on; 0 picks a free one", "ge": 0, "le": 65535}
    )
    public_url: str = field(
        default="", metadata={"is": "how providers reach the API, for the webhook URLs shown by `accounts check`"}
    )
    tls_cert_file: Path | None = field(
        default=None, metadata={"is": "PEM file with the certificate chain the API is served with; read when it starts"}
    )
    tls_key_file: Path | None = field(default=None, metadata={"is": "PEM file with its private key"})
    behind_proxy: bool = field(default=False, metadata={"is": "a proxy in front of the API adds TLS"})
    max_body_bytes: int = field(default=32 * 1024 * 1024, metadata={"is": "largest request body", "ge": 1024})
    request_timeout_s: float = field(default=60.0, metadata={"is": "longest a request may take", "gt": 0})
    rate_per_minute: int = field(
        default=60000,
        metadata={
            "is": "requests that one API key may make in a minute, in each process that serves: with four of them it may make four times "
            "as many; 0: no limit",
            "ge": 0,
        },
    )
    max_connections: int = field(
        default=1000,
        metadata={"is": "connections open at one time, in each process that serves; further ones are closed", "ge": 1},
    )
    max_connections_per_address: int = field(
        default=250,
        metadata={
            "is": "of them, from one address that is no trusted proxy, likewise in each process; 0: no limit. Behind a proxy it counts "
            "once LEDGER_TRUSTED_PROXIES names it",
            "ge": 0,
        },
    )
    idle_s: float = field(
        default=60.0,
        metadata={
            "is": "longest that a connection may stand without a whole request, headers that trickle in included",
            "gt": 0,
        },
    )
    cors_origins: tuple[str, ...] = field(
        default=(),
        metadata={
            "is": "origins whose pages browsers let use the API, for example https://desk.example.org; none without it"
        },
    )
    failures_per_minute: int = field(
        default=60,
        metadata={
            "is": "API keys that are not good, from one address in a minute, in each process that serves, before it is told to wait; 0: "
            "no limit",
            "ge": 0,
        },
    )
    trusted_proxies: tuple[Network, ...] = field(
        default=(),
        metadata={
            "is": 'networks of the proxies in front, whose X-Forwarded-For is believed, for example ["10.0.0.0/24"]; without it whatever '
            "comes through a proxy counts as one address",
        },
    )


def load(**overrides: Any) -> Settings:
    """Read the settings.

    `LEDGER_SECRETS_FOLDER` names a folder with one file per setting (`ledger_database_url`), as container platforms mount them.

    Raises:
        ConfigurationError: names the setting, what is wrong and how to repair it.
    """
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        msg = f"{CONFIG_VARIABLE}={config}: there is no such file"
        raise ConfigurationError(msg)
    secrets = os.environ.get("LEDGER_SECRETS_FOLDER")
    if secrets and not Path(secrets).is_dir():
        msg = f"LEDGER_SECRETS_FOLDER={secrets}: there is no such folder"
        raise ConfigurationError(msg)
    given = {
        **_from_toml(Path(config or DEFAULT_CONFIG)),
        **(_from_files(Path(secrets)) if secrets else {}),
        **_named(os.environ),
        **overrides,
    }
    known, kinds = {each.name: each for each in fields(Settings)}, get_type_hints(Settings)
    wrong = [f"setting {name!r} does not exist; there are {', '.join(known)}" for name in given.keys() - known.keys()]
    values: dict[str, Any] = {}
    for name in given.keys() & known.keys():
        try:
            values[name] = _read(known[name], kinds[name], given[name])
        except (ValueError, msgspec.MsgspecError) as error:
            wrong.append(f"setting {name} ({PREFIX}{name.upper()}): {error}; it is: {known[name].metadata['is']}")
    if wrong:
        raise ConfigurationError("\n".join(sorted(wrong)))
    return Settings(**values)


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
        raise ConfigurationError(msg) from error


def _from_files(folder: Path) -> dict[str, str]:
    return _named({path.name: path.read_text("utf-8").strip() for path in folder.iterdir() if path.is_file()})


def _named(given: Mapping[str, str]) -> dict[str, str]:
    """Those that are settings, by their names; of what else begins like one nothing is said: it may be another program's."""
    found = {
        name.upper().removeprefix(PREFIX).lower(): text
        for name, text in given.items()
        if name.upper().startswith(PREFIX)
    }
    return {each.name: found[each.name] for each in fields(Settings) if each.name in found}


def _read(setting: Field[Any], kind: Any, given: Any) -> Any:
    """A setting as its type has it: a text is read as what it is to be, a list as JSON.

    Raises:
        ValueError, msgspec.MsgspecError: it is none; the text says what was expected.
    """
    if get_origin(kind) is tuple and isinstance(given, str):
        given = msgspec.json.decode(given)
    if kind == tuple[Network, ...]:
        return tuple(ip_network(each) for each in msgspec.convert(given, list[Any]))
    bounds = {name: value for name, value in setting.metadata.items() if name != "is"}
    bounded = Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind
    return msgspec.convert(given, bounded, strict=False, dec_hook=_made)


def _made(kind: type[Path | Secret], given: object) -> Path | Secret:
    if isinstance(given, str):
        return kind(given)
    if not isinstance(given, kind):
        msg = f"Expected `str`, got `{type(given).__name__}`"
        raise TypeError(msg)
    return given
