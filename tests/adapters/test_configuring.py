"""Settings and credentials of accounts: what may be set, what is kept, what is told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from adapters import accounts as module
from adapters.accounts import Accounts
from adapters.configuring import Change
from adapters.providers import registry
from adapters.providers.calling import Access, Client
from adapters.providers.contract import Provider
from adapters.strictjson import InvalidError
from ledger.errors import ConfigurationError, NotFoundError
from ops.system import System
from tests.adapters.conftest import TENANT

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
SECRET = "correct horse battery staple"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a provider of our own making."""

    base_url: str
    mailbox: str = ""
    is_joint: bool = False
    page_rows: Annotated[int, Meta(ge=1, le=100)] = 25
    folders: tuple[str, ...] = ("INBOX",)
    allow_plain_http: bool = False


CLIENT = Client(settings=Settings, secrets={"username": "of the mailbox", "password": "of the mailbox"})
GIVEN = {"base_url": "https://api.example.net/v1", "mailbox": "post@example.net"}


def provider() -> Provider:
    """A provider that is called with these settings, under the name of a real one."""
    return replace(registry()["kpn_sms"], client=CLIENT)


@contextmanager
def known_providers(**changed: Provider) -> Iterator[None]:
    """The registry with this provider in it, and with one that is never called."""
    silent = replace(registry()["kpn_cloud_fax"], client=None)
    known = {**registry(), "kpn_sms": provider(), "kpn_cloud_fax": silent, **changed}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "registry", lambda: known)
        yield


@pytest.fixture(autouse=True)
def _providers() -> Iterator[None]:
    with known_providers():
        yield


@pytest.fixture
def accounts(system: System) -> Accounts:
    return opened(system)


@pytest.fixture
def sqlite_accounts(sqlite_system: System) -> Accounts:
    return opened(sqlite_system)


def opened(system: System) -> Accounts:
    system.accounts.add(TENANT, "sms", "kpn_sms")
    system.accounts.add(TENANT, "fax", "kpn_cloud_fax")
    return system.accounts


def events(accounts: Accounts, *types: str) -> list[Any]:
    return [e for e in accounts.ledger.feed() if e.type in types]


def test_settings_and_credentials_become_the_access_of_a_call(accounts: Accounts) -> None:
    """Validated settings with their defaults, and the credentials in the clear; there is no token yet."""
    accounts.configure(TENANT, "sms", {**GIVEN, "page_rows": "50", "is_joint": "true"})
    accounts.set_credentials(TENANT, "sms", {"username": "acme", "password": SECRET})
    expected = Settings(base_url=GIVEN["base_url"], mailbox=GIVEN["mailbox"], is_joint=True, page_rows=50)
    secrets = {"username": "acme", "password": SECRET}
    assert Access(settings=expected, secrets=secrets, now=NOW) == accounts.access(TENANT, "sms", NOW)


def test_each_change_is_an_event_that_says_what_was_and_what_is(accounts: Accounts) -> None:
    """Names stand in the clear as paths; values are committed and sealed; the same again changes nothing."""
    accounts.configure(TENANT, "sms", GIVEN, "key_1")
    changed = accounts.configure(TENANT, "sms", {"base_url": GIVEN["base_url"], "page_rows": 50})
    assert (Change("mailbox", "post@example.net", None), Change("page_rows", None, 50)) == changed
    assert () == accounts.configure(TENANT, "sms", {"page_rows": "50", "base_url": GIVEN["base_url"]})
    first, second = events(accounts, "account.setting_changed")
    assert ("key_1", 2) == (first.fields["actor"], first.fields["count"])
    assert b"example.net" not in first.leaf + second.leaf
    values = accounts.ledger.values([first, second])
    assert {"after": "post@example.net"} == values[first.position]["setting.mailbox"]
    assert {"before": "post@example.net"} == values[second.position]["setting.mailbox"]
    assert {"after": "50"} == values[second.position]["setting.page_rows"]


@pytest.mark.parametrize(
    ("values", "field", "why"),
    [
        ({**GIVEN, "mailbx": "x"}, "mailbx", "there are base_url, mailbox"),
        ({"mailbox": "x"}, "base_url", "must be set"),
        ({**GIVEN, "page_rows": 0}, "page_rows", ">= 1"),
        ({**GIVEN, "page_rows": "many"}, "page_rows", "int"),
        ({**GIVEN, "folders": [1]}, "folders[0]", "str"),
        ({**GIVEN, "mailbox": "a\0b"}, "mailbox", "U+0000"),
        ({**GIVEN, "mailbox": "x" * 70_000}, "", "more than 65536 bytes"),
        ({"base_url": "http://api.example.net"}, "base_url", "use https://"),
        ({"base_url": "https://acme:secret@api.example.net"}, "base_url", "must not hold credentials"),
        ({"base_url": "https://api.example.net/?a=b"}, "base_url", "no query"),
        ({"base_url": "ftp://api.example.net"}, "base_url", "not an https:// URL"),
        ({"base_url": "api.example.net"}, "base_url", "not an https:// URL"),
        ({"base_url": "https://api.example.net:port"}, "base_url", "not a URL"),
        ({"base_url": "https://api.example.net\r\n"}, "base_url", "not an https:// URL"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_setting_that_cannot_be_is_refused_by_name(
    sqlite_accounts: Accounts, values: dict[str, Any], field: str, why: str
) -> None:
    """The error names the setting and what may stand there; nothing is kept and nothing written."""
    sqlite_accounts.configure(TENANT, "sms", GIVEN)
    with pytest.raises(InvalidError) as refused:
        sqlite_accounts.configure(TENANT, "sms", values)
    assert field == refused.value.field
    assert why in refused.value.why
    assert "secret" not in str(refused.value)
    assert GIVEN == sqlite_accounts.settings(TENANT, "sms").settings
    assert 1 == len(events(sqlite_accounts, "account.setting_changed"))


@pytest.mark.parametrize(
    "base_url", ["http://localhost:8080", "http://127.0.0.1:8080/v1", "http://[::1]:8080", "https://api.example.net/"]
)
def test_plain_http_is_for_this_machine(sqlite_accounts: Accounts, base_url: str) -> None:
    """A sandbox beside us needs no certificate."""
    sqlite_accounts.configure(TENANT, "sms", {"base_url": base_url})
    assert base_url == sqlite_accounts.access(TENANT, "sms", NOW).settings.base_url


def test_plain_http_elsewhere_must_be_allowed_in_so_many_words(sqlite_accounts: Accounts) -> None:
    """And the event of that setting says who allowed it."""
    values = {"base_url": "http://gateway.example.net", "allow_plain_http": True}
    sqlite_accounts.configure(TENANT, "sms", values)
    assert values == sqlite_accounts.settings(TENANT, "sms").settings


def test_credentials_are_sealed_and_never_shown(accounts: Accounts) -> None:
    """Neither the view nor the database nor the log holds them in the clear; another one takes the place of the old."""
    accounts.configure(TENANT, "sms", GIVEN)
    accounts.set_credentials(TENANT, "sms", {"password": "the old one"}, "key_1")
    accounts.set_credentials(TENANT, "sms", {"password": SECRET})
    assert {"password": SECRET} == accounts.access(TENANT, "sms", NOW).secrets
    assert SECRET.encode() not in msgspec.json.encode(accounts.settings(TENANT, "sms"))
    rows = accounts.ledger.database.read("SELECT name, wrapped, sealed FROM account_credentials")
    assert ["password"] == [name for name, _, _ in rows]
    assert SECRET.encode() not in bytes(rows[0][1]) + bytes(rows[0][2])
    added = events(accounts, "account.key_added")
    assert [("password", "key_1"), ("password", "console")] == [
        (e.fields["key_id"], e.fields.get("actor")) for e in added
    ]
    assert not any(SECRET.encode() in e.leaf for e in accounts.ledger.feed())
    assert SECRET not in repr(accounts.ledger.values(accounts.ledger.feed()))


def test_two_who_set_the_same_at_once_both_succeed(accounts: Accounts) -> None:
    """The last event says what is in force; nobody gets an error of the database."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(accounts.configure, TENANT, "sms", {**GIVEN, "page_rows": n}) for n in range(1, 9)]:
            assert done.result()
        list(pool.map(lambda n: accounts.set_credentials(TENANT, "sms", {"password": str(n)}), range(8)))
    found = accounts.access(TENANT, "sms", NOW)
    last = events(accounts, "account.setting_changed")[-1]
    assert str(found.settings.page_rows) == accounts.ledger.values([last])[last.position]["setting.page_rows"]["after"]
    assert found.secrets["password"] in map(str, range(8))


def test_credential_that_cannot_be_is_refused_without_quoting_it(sqlite_accounts: Accounts) -> None:
    """All are checked before the first is kept."""
    for name, value in (("pin", SECRET), ("password", " \n"), ("password", "\udcff"), ("password", "x" * 70_000)):
        with pytest.raises(InvalidError) as refused:
            sqlite_accounts.set_credentials(TENANT, "sms", {"username": "acme", name: value})
        assert name == refused.value.field
        assert SECRET not in str(refused.value)
    assert [] == [c.name for c in sqlite_accounts.settings(TENANT, "sms").credentials if c.added_at]
    assert [] == events(sqlite_accounts, "account.key_added")


def test_retired_credential_is_gone(accounts: Accounts) -> None:
    """A second time there is none of that name."""
    accounts.configure(TENANT, "sms", GIVEN)
    accounts.set_credentials(TENANT, "sms", {"username": "acme", "password": SECRET})
    accounts.retire_credential(TENANT, "sms", "password", "key_1")
    assert {"username": "acme"} == accounts.access(TENANT, "sms", NOW).secrets
    with pytest.raises(NotFoundError, match="no credential 'password'"):
        accounts.retire_credential(TENANT, "sms", "password")
    retired = events(accounts, "account.key_retired")
    assert [("password", "key_1")] == [(e.fields["key_id"], e.fields["actor"]) for e in retired]


def test_view_says_what_is_missing(sqlite_accounts: Accounts) -> None:
    """Before anything is set: the settings that must be, the defaults of the others, the credentials."""
    found = sqlite_accounts.settings(TENANT, "sms")
    assert ({}, 25, ["INBOX"]) == (found.settings, found.defaults["page_rows"], list(found.defaults["folders"]))
    assert [("username", ""), ("password", "")] == [(c.name, c.added_at) for c in found.credentials]
    assert (
        "setting base_url must be set: --set base_url=VALUE",
        "credential username is not set (of the mailbox): --secret username=@FILE",
        "credential password is not set (of the mailbox): --secret password=@FILE",
    ) == found.advice
    sqlite_accounts.configure(TENANT, "sms", GIVEN)
    sqlite_accounts.set_credentials(TENANT, "sms", {"username": "acme", "password": SECRET})
    assert () == sqlite_accounts.settings(TENANT, "sms").advice


def test_account_that_cannot_be_called_says_why(sqlite_accounts: Accounts) -> None:
    """Not configured, closed, or at a provider that is never called."""
    with pytest.raises(
        ConfigurationError, match=r"base_url: must be set; set it with: delivery-ledger accounts configure sms"
    ):
        sqlite_accounts.access(TENANT, "sms", NOW)
    sqlite_accounts.configure(TENANT, "sms", GIVEN)
    sqlite_accounts.disable(TENANT, "sms", "contract ended")
    with pytest.raises(ConfigurationError, match="closed"):
        sqlite_accounts.access(TENANT, "sms", NOW)
    with pytest.raises(ConfigurationError, match="nothing is called at kpn_cloud_fax"):
        sqlite_accounts.access(TENANT, "fax", NOW)
    assert ("nothing is called at this provider, so it has no settings",) == sqlite_accounts.settings(
        TENANT, "fax"
    ).advice
    with pytest.raises(NotFoundError):
        sqlite_accounts.access("other", "sms", NOW)


def test_setting_that_a_newer_program_does_not_know_is_told(sqlite_accounts: Accounts) -> None:
    """The account says so instead of being called with half of what was meant; setting it anew repairs it."""
    sqlite_accounts.configure(TENANT, "sms", {**GIVEN, "is_joint": True})
    newer = msgspec.defstruct("Newer", [("base_url", str), ("mailbox", str, "")], forbid_unknown_fields=True)
    with known_providers(kpn_sms=replace(provider(), client=replace(CLIENT, settings=newer))):
        with pytest.raises(ConfigurationError, match="is_joint: there is no such setting"):
            sqlite_accounts.access(TENANT, "sms", NOW)
        advice = sqlite_accounts.settings(TENANT, "sms").advice
        assert "setting is_joint is not known any more: --unset is_joint" in advice
        assert (Change("is_joint", before=True, after=None),) == sqlite_accounts.configure(TENANT, "sms", GIVEN)
