"""What the API is given to work with; constructed in `ops`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from adapters.accounts import Accounts
from adapters.apikeys import ApiKeys
from adapters.erasing.carrying import Eraser
from adapters.evidence.desk import Desk
from adapters.jobs.board import Board
from adapters.lanes import Lanes
from adapters.outbox import Outbox
from adapters.quarantine import Quarantine
from adapters.reports.schedules import Schedules
from adapters.tasks.store import Tasks
from ledger.application import Ledger
from ledger.checkpoints import HeadFile, SignedHead
from ledger.identity import Identity
from ledger.intake import Intake
from projections.queries import Queries
from projections.runner import Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one installation allows.

    Attributes:
        body_bytes: largest request body, and largest line of a stream.
        request_timeout_s: longest wait for the next part of a body, and longest for an answer.
        position_wait_s: longest wait for `min_position`.
        threads: how many requests work at the same time; more wait.
        requests_per_caller: how many of one API key, or for one webhook account, may wait or be worked on; more are told to come again.
        streams: of arrivals, taken in at the same time; further ones are told to come again.
        streams_per_caller: of them, of one API key.
        stream_turns: chunks of streams that are decided at the same time. Two take in a fifth more, and whoever sends a single arrival
            then waits twice as long: the interpreter goes round among all of them.
        key_cache_s: how long an API key is believed without asking the database; one that another process revoked works as long.
        rate_per_minute: requests of one API key in a minute, in this process; 0: no limit.
        failures_per_minute: requests of one address with a key that is not good, before they are told to wait; 0: no limit. A good key is
            never refused for them.
        connections: open at one time; further ones are closed unheard.
        connections_per_address: of them, from one address (of IPv6, one /64) that is no proxy of ours; 0: no limit.
        idle_s: longest that no request is under way on a connection, so also longest for the headers of one.
        first_look_s: how long the record of a first look at a message may wait to be written, together with others.
        body_bytes_per_s: a body that comes slower than this, beyond `request_timeout_s` of waiting for it, is given up, streams too.
    """

    body_bytes: int = 32 * 1024 * 1024
    request_timeout_s: float = 60.0
    position_wait_s: float = 5.0
    threads: int = 16
    requests_per_caller: int = 256
    streams: int = 16
    streams_per_caller: int = 8
    stream_turns: int = 1
    key_cache_s: float = 2.0
    rate_per_minute: int = 60_000
    failures_per_minute: int = 60
    connections: int = 1_000
    connections_per_address: int = 250
    idle_s: float = 60.0
    body_bytes_per_s: int = 1_024
    first_look_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the log shows to those who check it.

    Attributes:
        heads: the signed heads.
        signed_head: one over everything committed by now.
        identity: who the log is now.
        is_public: heads and hash tiles are open to everyone.
    """

    heads: HeadFile
    signed_head: Callable[[], SignedHead]
    identity: Callable[[], Identity]
    is_public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The opened system, as far as the API needs it.

    Attributes:
        seal: puts the operator's seal on a PDF.
        evidence: hands out packs; None where the log's keys are not.
        public_url: how providers reach this API; "" when nobody said.
        cors_origins: whose pages browsers let use this API.
        trusted_proxies: networks of the proxies that are believed when they say whom a request comes from.
    """

    ledger: Ledger
    intake: Intake
    runner: Runner
    queries: Queries
    accounts: Accounts
    api_keys: ApiKeys
    quarantine: Quarantine
    lanes: Lanes
    outbox: Outbox
    jobs: Board
    tasks: Tasks
    schedules: Schedules
    eraser: Eraser
    seal: Callable[[bytes], bytes]
    log: Log
    evidence: Desk | None = None
    limits: Limits = Limits()
    public_url: str = ""
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
