"""Where this process may connect to: a table of addresses, every way a connection is made, and that there is no other way."""

from __future__ import annotations

import ast
import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters import reaching
from adapters.calls import check_base_url
from adapters.providers.calling import CallFailedError
from adapters.providers.mailbox_imap import Session
from adapters.providers.mailbox_settings import Login, Mailbox
from ops.settings import Settings, load
from ops.system import opened
from tests.postgres import Database

ROOT = Path(__file__).parents[2]

PUBLIC = (
    "93.184.216.34",
    "1.1.1.1",
    "9.9.9.9",
    "2606:2800:220:1::1",
    "2a00:1450::1",
    "::ffff:93.184.216.34",
    "64:ff9b::5db8:d822",
)
INSIDE = (
    *("0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3", "168.63.129.16"),  # noqa: S104  nothing listens there
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
    ),
    *(
        "64:ff9b:1::7f00:1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:5db8:d822::",
        "3fff::1",
    ),
    *("5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
)
"""Private, loopback, link-local, multicast, of carriers, metadata services, and IPv6 that stands for such: RFC 6890 and its registries."""


@pytest.fixture(autouse=True)
def _nothing_allowed() -> Iterator[None]:
    with reaching.allowing(()):
        yield


def _ip(text: str) -> reaching.Address:
    return ipaddress.ip_address(text)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    """Whichever way they are written."""
    assert reaching.is_allowed(_ip(address))
    assert "" == reaching.why_not(address)


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_called_and_each_network_may_be_allowed(address: str) -> None:
    """An operator opens one network, and no other with it."""
    assert not reaching.is_allowed(_ip(address))
    assert "LEDGER_ALLOW_NETWORKS" in reaching.why_not(address)
    real = _ip(address)
    network = ipaddress.ip_network(reaching._unwrapped(real))  # noqa: SLF001  what the address stands for
    with reaching.allowing([network]):
        assert reaching.is_allowed(real)
        assert [] == [other for other in ("10.9.9.9", "fd99::9", "127.9.9.9") if reaching.is_allowed(_ip(other))]
    assert not reaching.is_allowed(real)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "localhost."])
def test_this_machine_by_name_is_inside(host: str) -> None:
    """It is told as soon as it is named."""
    assert reaching.why_not(host)
    with reaching.allowing(reaching.LOOPBACK):
        assert "" == reaching.why_not(host)


# --- every way a connection is made


@contextmanager
def _listening() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A port on this machine, and whether anybody connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)

        def came() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield server.getsockname()[1], came


def _by_http(host: str, port: int) -> None:
    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(total=2)
        async with (
            aiohttp.ClientSession(connector=reaching.connector(), timeout=timeout) as session,
            session.get(f"http://{host}:{port}/"),
        ):
            pass

    asyncio.run(ask())


def _by_imap(host: str, port: int) -> None:
    settings = Mailbox(imap_host=host, imap_port=port, imap_security="tls")
    with Session(settings, Login("anna", "hush-hush")) as session:
        session.examine("INBOX")


WAYS: dict[str, Callable[[str, int], Any]] = {
    "http": _by_http,
    "imap": _by_imap,
    "smtp": lambda host, port: reaching.Smtp(host, port, timeout=2),
    "smtps": lambda host, port: reaching.SmtpTls(host, port, timeout=2, context=reaching.context()),
}
SPELLINGS = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", SPELLINGS)
def test_no_way_leads_inside_in_any_spelling(way: str, host: str) -> None:
    """By number, by name, or by a number that only the resolver understands."""
    with _listening() as (port, came):
        with pytest.raises((OSError, aiohttp.ClientError, CallFailedError)) as refused:
            WAYS[way](host, port)
        assert any(why in str(refused.value) for why in ("no public address", "not a canonical IPv4 address"))
        assert not came()


@pytest.mark.parametrize("way", WAYS)
def test_a_name_is_looked_up_once_and_its_address_is_the_one_that_is_called(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to another place at the second question (DNS rebinding) is never asked a second time."""
    asked: list[str] = []
    true = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *how: Any, **more: Any) -> Any:
        if host != "rebind.example":
            return true(host, port, *how, **more)
        asked.append(host)
        where = "192.0.2.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with _listening() as (port, came), reaching.allowing(reaching.LOOPBACK):
        with pytest.raises((OSError, aiohttp.ClientError, CallFailedError)):
            WAYS[way]("rebind.example", port)
        assert (["rebind.example"], False) == (asked, came())


def test_an_address_that_may_not_be_called_does_not_hide_one_that_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of several addresses is called at the first that is allowed."""
    with _listening() as (port, came):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("10.0.0.1", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_how: found)
        with reaching.allowing(reaching.LOOPBACK):
            reaching.connected("two.example", port, 2).close()
        assert came()


def test_the_base_url_of_an_account_is_told_to_be_inside_when_it_is_set() -> None:
    """Not only when the first call fails."""

    class Given:
        base_url = "https://169.254.169.254/latest/meta-data"

    assert "not public" in check_base_url(Given())


def test_the_setting_holds_as_long_as_the_ledger_is_open(sqlite_database: Database, tmp_path: Path) -> None:
    """It is read from the settings and nowhere else."""
    folders = {f"{name}_folder": tmp_path / name for name in ("key", "artifact", "head")}
    settings: Settings = load(database_url=sqlite_database.url, **folders, allow_networks=("10.1.0.0/16",))
    with opened(settings):
        assert [True, False] == [reaching.is_allowed(_ip(text)) for text in ("10.1.2.3", "127.0.0.1")]
    assert not reaching.is_allowed(_ip("10.1.2.3"))


# --- there is no other way

ELSEWHERE = {
    "ClientSession": "connector",  # allowed with a connector of ours
    "TCPConnector": "",
    "create_connection": "",
    "open_connection": "",
    "create_default_context": "",
    "SMTP_SSL": "",
    "SMTP": "",
    "IMAP4_SSL": "",
    "IMAPClient": "",
    "urlopen": "",
    "HTTPConnection": "",
    "HTTPSConnection": "",
    "UnixConnector": "",
}
"""What connects, or says whom a connection trusts -> the argument with which it is all right."""
SERVERS = ("sandbox", "demo", "authority", "ops/bench")
"""Parts of paths: stand-ins of providers for demos and tests, and measurements, which only talk to this machine."""


def test_nothing_else_in_the_program_makes_a_connection() -> None:
    """Whoever adds a call goes through `adapters.reaching`, or this fails."""
    found: list[str] = []
    seen = 0
    for file in [f for room in ("ledger", "projections", "adapters", "ops") for f in (ROOT / room).rglob("*.py")]:
        name = str(file.relative_to(ROOT))
        if name == "adapters/reaching.py" or any(part in name for part in SERVERS):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            needed = ELSEWHERE.get(called)
            if needed is None:
                continue
            given = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg}
            seen += 1
            is_ours = bool(needed) and given.get(needed, "").startswith(("reaching.connector(", "connector"))
            if not is_ours:
                found.append(f"{name}:{node.lineno}: {called}")
    assert [] == found
    assert seen >= 5


# --- whom a connection trusts


def test_tls_is_1_2_or_newer_and_checks_certificates_and_names(tmp_path: Path) -> None:
    """With the system's authorities, with others in their place, and with others beside them."""
    for made in (reaching.context(), reaching.context(beside=None)):
        assert ssl.TLSVersion.TLSv1_2 <= made.minimum_version
        assert (True, ssl.CERT_REQUIRED) == (made.check_hostname, made.verify_mode)
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(OSError, match=r"PEM|certificate"):
        reaching.context(str(tmp_path / "none.pem"))
