"""How often: token buckets by name. What is refused is told when to come again; nobody is locked out, and nothing grows without bound."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

MAX_BUCKETS = 10_000
WINDOW_S = 60
IPV6_NETWORK_BITS = 64


class Taken(NamedTuple):
    """What became of one request's token.

    Attributes:
        most: tokens of a full bucket.
        left: how many are left.
        full_s: when the bucket is full again.
        wait_s: 0 when the token was there, else when the next one is.
    """

    most: int
    left: int
    full_s: int
    wait_s: int

    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy, of the draft draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"key";q={self.most};w={WINDOW_S}',
            "RateLimit": f'"key";r={self.left};t={self.full_s}',
        }


class Buckets:
    """A bucket for each name, full at first and filled evenly; for one thread.

    A bucket is the time at which it will be full. Of more than MAX_BUCKETS the one longest untouched is forgotten, which fills it.

    Args:
        per_minute: tokens that come back in a minute, and that fit in; 0: there is no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._most = per_minute
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> Taken | None:
        """Take a token; None where there is no limit."""
        if not self._most:
            return None
        now, one = self._clock(), WINDOW_S / self._most
        full_s = max(self._full_at.get(name, now) - now, 0.0)
        wait_s = full_s + one - WINDOW_S
        if wait_s > one * 1e-6:  # a rounding error is no reason to wait
            return Taken(self._most, 0, math.ceil(full_s), max(math.ceil(wait_s), 1))
        self._full_at[name] = now + full_s + one
        self._full_at.move_to_end(name)
        while len(self._full_at) > MAX_BUCKETS:
            self._full_at.popitem(last=False)
        left = self._most - math.ceil((full_s + one) / one - 1e-6)
        return Taken(self._most, max(left, 0), math.ceil(full_s + one), 0)


def origin(remote: str | None, forwarded: str, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address that a request comes from, as far as it can be believed.

    Args:
        remote: the other end of the connection.
        forwarded: X-Forwarded-For; what a proxy of ours added stands last, and what stands before that anybody may have written.
        proxies: whose word counts.
    """
    found = remote or ""
    for said in reversed(forwarded.split(",") if forwarded else []):
        if not is_in(found, proxies):
            break
        try:
            found = str(ip_address(said.strip()))
        except ValueError:  # a port, a name, nonsense: the proxy itself is the last that is known
            break
    return found


def is_in(address: str | None, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is of one of these networks."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    real = (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
    return any(real in network for network in networks if network.version == real.version)


def peer(address: str | None) -> str:
    """Whose guesses are counted together: an IPv4 address, or the /64 that one subscriber of IPv6 has."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return str(found.ipv4_mapped)
    bits = int(found) >> IPV6_NETWORK_BITS << IPV6_NETWORK_BITS if isinstance(found, IPv6Address) else int(found)
    return str(type(found)(bits))
