"""Settings: a TOML file, then environment variables `LEDGER_…`, then secret files; a bad one is named with its repair."""

from __future__ import annotations

import os
import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from ledger.errors import ConfigurationError

CONFIG_VARIABLE = "LEDGER_CONFIG"
DEFAULT_CONFIG = "delivery-ledger.toml"


class Settings(BaseSettings):
    """All settings of one installation."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_", extra="forbid", frozen=True)

    database_url: str = Field("sqlite:///var/ledger.db", description="sqlite:///path or postgresql://user@host/name")
    privacy_database_url: SecretStr = Field(
        SecretStr(""),
        description="the same database under a login of the privacy role, which may destroy what was erased; PostgreSQL only. Without it "
        "that is done by `delivery-ledger erase carry-out` under such a login",
    )
    key_folder: Path = Field(
        Path("var/keys"), description="where the key files lie; never beside a backup of the database"
    )
    keks: SecretStr = Field(
        SecretStr(""),
        description="key-encryption keys instead of kek-*.key files: NAME=64 hex characters, several with spaces between, of which the "
        "last by name wraps new keys. Better as a file of LEDGER_SECRETS_FOLDER than as a variable",
    )
    artifact_folder: Path = Field(Path("var/artifacts"), description="where originals above 256 KiB are kept, sealed")
    log_name: str = Field(
        "",
        description="origin of the log's checkpoints, for example ledger.example.org/main; for good once the log was begun. "
        "Default: delivery-ledger/ and 8 hex digits that tell these key files from others",
    )
    head_folder: Path = Field(
        Path("var/heads"),
        description="where signed heads are kept, a folder each log; never restored with the database, and shared by all who may sign",
    )
    public_log: bool = Field(
        default=False, description="show signed heads and hash tiles at /log/… to everyone, without a key"
    )
    push_targets: tuple[str, ...] = Field(
        (), description="folders and http(s) addresses that `serve` hands every signed head to"
    )
    push_every_s: float = Field(300.0, gt=0, description="how often")
    fsck_every_h: float = Field(
        24.0, gt=0, description="how often `serve` checks the whole log and records the verdict"
    )
    seal_file: Path | None = Field(
        None,
        description="PEM file with the private key, certificate and issuers of a bought seal. Default: a self-made one in the key folder",
    )
    tsa_url: str = Field(
        "", description="RFC 3161 authority that time-stamps checkpoints, signed originals and seals; none without it"
    )
    tsa_roots: Path | None = Field(None, description="PEM file of the root certificates that its tokens must lead to")
    tsa_every_s: float = Field(60.0, gt=0, description="how often `serve` asks for the tokens of new originals")
    tsa_checkpoint_every_h: float = Field(1.0, gt=0, description="how often `serve` has a checkpoint time-stamped")
    extra_ca: Path | None = Field(
        None, description="PEM file of authorities trusted in calls to providers, besides the system's"
    )
    trust_roots: Path | None = Field(
        None,
        description="PEM file, or folder of them, of the authorities whose signers' receipts count. Default: the system's",
    )
    keep_payloads_h: float = Field(
        0.0, ge=0, description="how long the content of a send is kept, sealed, after the provider took or refused it"
    )
    report_folder: Path | None = Field(
        None,
        description="where what came of tasks is kept, sealed; of this ledger alone, and shared by all who serve it. Default: `reports` "
        "beside the artifact folder",
    )
    keep_reports_days: float = Field(7.0, gt=0, description="how long that is")
    report_drop_folder: Path | None = Field(
        None, description="under it scheduled reports are put, in a folder for each organisation; none without it"
    )
    smtp_url: str = Field(
        "",
        description="mail server for scheduled reports: smtps://user@host or smtp+starttls://user@host; none without it",
    )
    smtp_password_file: Path | None = Field(None, description="file with the password of its user")
    smtp_from: str = Field("", description="address that reports are sent from")
    attach_max_bytes: int = Field(
        10 * 1024 * 1024,
        ge=0,
        description="a report that is larger is not attached; the e-mail says where it can be fetched",
    )
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="networks that may be called besides public addresses: providers, mail servers, webhooks about reports, "
        "time-stamp and revocation services, push targets. For example 127.0.0.0/8",
    )
    tenant: str = Field("default", description="the organisation the command line works for")
    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8440, ge=0, le=65535, description="port the API listens on; 0 picks a free one")
    public_url: str = Field(
        "", description="how providers reach the API, for the webhook URLs shown by `accounts check`"
    )
    tls_cert_file: Path | None = Field(
        None, description="PEM file with the certificate chain the API is served with; read when it starts"
    )
    tls_key_file: Path | None = Field(None, description="PEM file with its private key")
    behind_proxy: bool = Field(default=False, description="a proxy in front of the API adds TLS")
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="largest request body")
    request_timeout_s: float = Field(60.0, gt=0, description="longest a request may take")
    rate_per_minute: int = Field(
        60_000,
        ge=0,
        description="requests that one API key may make in a minute, in each process that serves: with four of them it may make four "
        "times as many; 0: no limit",
    )
    max_connections: int = Field(
        1_000, ge=1, description="connections open at one time, in each process that serves; further ones are closed"
    )
    max_connections_per_address: int = Field(
        250,
        ge=0,
        description="of them, from one address that is no trusted proxy, likewise in each process; 0: no limit. Behind a proxy it counts "
        "once LEDGER_TRUSTED_PROXIES names it",
    )
    idle_s: float = Field(
        60.0,
        gt=0,
        description="longest that a connection may stand without a whole request, headers that trickle in included",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description="origins whose pages browsers let use the API, for example https://desk.example.org; none without it",
    )
    failures_per_minute: int = Field(
        60,
        ge=0,
        description="API keys that are not good, from one address in a minute, in each process that serves, before it is told to wait; "
        "0: no limit",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description='networks of the proxies in front, whose X-Forwarded-For is believed, for example ["10.0.0.0/24"]; without it '
        "whatever comes through a proxy counts as one address",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the hook's signature; there is no .env file
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)
        toml = TomlConfigSettingsSource(settings_cls, Path(config))
        return init_settings, env_settings, file_secret_settings, toml


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
    try:
        return Settings(_secrets_dir=secrets, **overrides)  # type: ignore[call-arg]  # pydantic-settings takes it
    except tomllib.TOMLDecodeError as error:
        msg = f"{config or DEFAULT_CONFIG} is not TOML: {error}"
        raise ConfigurationError(msg) from error
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(e) for e in error.errors())) from error


def _explain(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"setting {name!r} does not exist; there are {', '.join(Settings.model_fields)}"
    described = Settings.model_fields[name].description if name in Settings.model_fields else ""
    return f"setting {name} (LEDGER_{name.upper()}): {error['msg']}; it is: {described}"
