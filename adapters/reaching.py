"""Where this process may connect to, and the only way it does: public addresses, and the networks that an operator allows.

Addresses to call stand in settings of accounts, recipients of reports and certificates, so strangers may choose them. A name is resolved
once and each address it leads to is judged; the connection goes to the very address that was judged, so that a name which leads elsewhere
a moment later (DNS rebinding) gains nothing. What is allowed holds for the whole process, as a firewall would: a connection that nobody
thought of is refused, not forgotten. Redirects are never followed; that, and what goes over a connection, is the caller's business.
"""

from __future__ import annotations

import errno
import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own (RFC 6598)
        "127.0.0.0/8",
        "168.63.129.16/32",  # the host of a virtual machine, at one cloud
        "169.254.0.0/16",  # link-local; metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation, as the two below
        "192.88.99.0/24",  # former relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments; Teredo
        "2001:db8::/32",  # documentation, as 3fff::/20
        "2002::/16",  # 6to4: stands for an IPv4 address behind somebody's relay
        "3fff::/20",
    )
)
"""Addresses of the two spaces below that are nobody's on the internet (the IANA special-purpose registries, RFC 6890)."""
GLOBAL: tuple[Network, ...] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("2000::/3"))
"""All of IPv6 outside 2000::/3 is local, multicast, a translation, or not given to anybody."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_allowed: tuple[Network, ...] = ()


class RefusedAddressError(OSError):
    """A connection to an address that is not public and not allowed; it quotes no address."""

    def __init__(self) -> None:
        why = "it leads to no public address; an operator may allow its network with LEDGER_ALLOW_NETWORKS"
        super().__init__(errno.EACCES, why)


# --- what is allowed


@contextmanager
def allowing(networks: Sequence[Network]) -> Iterator[None]:
    """Let this process reach these networks besides public addresses, as long as this lasts; they replace those before."""
    global _allowed  # noqa: PLW0603  one firewall for the process, as the module says
    before, _allowed = _allowed, tuple(networks)
    try:
        yield
    finally:
        _allowed = before


def is_allowed(address: Address) -> bool:
    """Whether a connection may go to an address."""
    real = _unwrapped(address)
    if _is_in(real, _allowed):
        return True
    return _is_in(real, GLOBAL) and not _is_in(real, REFUSED)


def why_not(host: str) -> str:
    """Why a host cannot be reached, as far as can be told without asking for its address; "" when it may be."""
    literal = address_of("127.0.0.1" if host.rstrip(".").lower() == "localhost" else host)
    if literal is None or is_allowed(literal):
        return ""
    return "an address that is not public; an operator may allow its network with LEDGER_ALLOW_NETWORKS"


def address_of(host: str) -> Address | None:
    """The address that a host is written as, in its usual form; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    literal = address_of(host)
    return host == "localhost" or (literal is not None and literal.is_loopback)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for on every machine (mapped, RFC 4291; NAT64, RFC 6052), else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


# --- connections


def judged(info: tuple[Any, ...]) -> socket.socket:
    """A socket for one entry of `getaddrinfo`, which is where it will be connected to.

    Raises:
        RefusedAddressError: it may not.
    """
    family, kind, protocol, _, where = info
    literal = address_of(str(where[0]))
    if literal is None or not is_allowed(literal):
        raise RefusedAddressError
    return socket.socket(family, kind, protocol)


def connector(tls: ssl.SSLContext | None = None, **how: Any) -> aiohttp.TCPConnector:
    """What an HTTP session connects by; literal addresses are judged as well as those of names."""
    return aiohttp.TCPConnector(ssl=tls or context(), socket_factory=judged, use_dns_cache=False, **how)


def connected(host: str, port: int, timeout_s: float | None) -> socket.socket:
    """A connection for what speaks no HTTP.

    Args:
        timeout_s: for each address; also what the socket has from then on.

    Raises:
        OSError: of the last address that was tried.
    """
    problem: OSError = RefusedAddressError()
    for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            found = judged(info)
        except OSError as error:
            problem = error
            continue
        try:
            found.settimeout(timeout_s)
            found.connect(info[4])
            return found
        except OSError as error:
            found.close()
            problem = error
    raise problem


class Smtp(smtplib.SMTP):
    """SMTP over a judged connection."""

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        return connected(host, port, timeout)


class SmtpTls(smtplib.SMTP_SSL):
    """SMTP over TLS over a judged connection."""

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        plain = connected(host, port, timeout)
        try:
            return self.context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


def context(only: str = "", beside: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, with certificates and host names checked.

    Args:
        only: PEM file of the authorities that count, in place of the system's.
        beside: PEM file of further ones.

    Raises:
        OSError: a file cannot be read; ssl.SSLError is one.
    """
    made = ssl.create_default_context(cafile=only or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if beside is not None:
        made.load_verify_locations(beside)
    return made
