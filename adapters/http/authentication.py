"""Who asks: the API key of a request, its scope, and how many of its requests are under way."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from adapters.apikeys import AUDITED, ApiKey
from adapters.http.errors import CrowdedError, ForbiddenError
from adapters.http.routes import ANY_KEY

MAX_CACHED_KEYS = 10_000


def presented(headers: Mapping[str, str]) -> str:
    """The key that a request carries, or ""."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def reading(key: ApiKey, *, reads_only: bool) -> ApiKey:
    """The key as it counts for a route: an auditor's reads what others read, where nothing is changed, and may nothing elsewhere."""
    if reads_only and "auditor" in key.scopes:
        return replace(key, scopes=tuple(dict.fromkeys((*key.scopes, *AUDITED))))
    return key


def require_scope(key: ApiKey, scopes: tuple[str, ...]) -> None:
    """Refuse a key that has none of the scopes.

    Raises:
        ForbiddenError: names what is needed.
    """
    if scopes != ANY_KEY and not set(scopes) & set(key.scopes):
        msg = f"this needs a key with the scope {' or '.join(scopes)}; make one with: delivery-ledger keys create {scopes[0]}"
        raise ForbiddenError(msg)


class KeyCache:
    """Good keys for a few seconds, under a digest, so that a request costs no look-up; bad ones are never remembered.

    Args:
        clock: seconds, monotonic.
        revision: grows when this process ends a key; what was found before is not believed any more.
    """

    def __init__(self, believed_s: float, clock: Callable[[], float], revision: Callable[[], int]) -> None:
        self._believed_s = believed_s
        self._clock = clock
        self.revision = revision
        self._found: OrderedDict[bytes, tuple[float, int, ApiKey]] = OrderedDict()

    def get(self, text: str) -> ApiKey | None:
        found = self._found.get(_digest(text))
        if found is None or self._clock() >= found[0] or found[1] != self.revision():
            return None
        return found[2]

    def put(self, text: str, key: ApiKey, revision: int) -> None:
        """Remember a key that was looked up at a revision: what ended since then ended it too."""
        self._found[_digest(text)] = (self._clock() + self._believed_s, revision, key)
        while len(self._found) > MAX_CACHED_KEYS:
            self._found.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


class Crowd:
    """Counts the requests under way per caller, so that one cannot fill the queue before the threads for all others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: dict[str, int] = {}

    @contextmanager
    def entered(self, caller: str) -> Iterator[int]:
        """Count one request in and out; says how many of this caller are inside.

        Raises:
            CrowdedError: the caller has as many under way as it may.
        """
        inside = self.enter(caller)
        try:
            yield inside
        finally:
            self.leave(caller)

    def enter(self, caller: str) -> int:
        """Count one request in, as `entered`; it must leave."""
        inside = self._inside.get(caller, 0)
        if inside >= self._most:
            raise CrowdedError
        self._inside[caller] = inside + 1
        return inside + 1

    def leave(self, caller: str) -> None:
        """Count one request out."""
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]
