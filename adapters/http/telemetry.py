"""Metrics and the access log: routes, statuses and times; never a path, a query, a tenant or anything a person said."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable

from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.http.services import Services

ACCESS = logging.getLogger("delivery_ledger.access")
UNMATCHED = "no such path"
NAMED = "delivery_ledger"


class AccessLines:
    """The access log of one event loop: what was answered in one turn of it is one record, and written at once.

    Writing lets go of the interpreter: once for each request, some thread would take it each time, and the loop wait.
    """

    def __init__(self) -> None:
        self._said: list[dict[str, object]] = []

    def add(self, **said: object) -> None:
        """One line."""
        if not ACCESS.isEnabledFor(logging.INFO):
            return
        if not self._said:
            asyncio.get_running_loop().call_soon(self._write)
        self._said.append(said)

    def _write(self) -> None:
        """What the lines say is the record's `args`; where the code is that says it nobody asks."""
        said, self._said = {"requests": self._said}, []
        ACCESS.handle(ACCESS.makeRecord(ACCESS.name, logging.INFO, "", 0, "request", (said,), None))


class Metrics:
    """The metrics of one app, in a registry of their own.

    Args:
        under_way: how many requests are worked on; asked by any thread.
    """

    def __init__(self, services: Services, under_way: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            f"{NAMED}_http_requests", "Requests answered", ("method", "route", "status"), registry=None
        )
        self.seconds = Histogram(f"{NAMED}_http_request_seconds", "Time to answer", ("route",), registry=None)
        busy = Gauge(f"{NAMED}_http_requests_under_way", "Requests being worked on", registry=None)
        busy.set_function(under_way)
        self.arrivals = Counter(f"{NAMED}_arrivals", "Arrivals handed in", ("provider", "way", "result"), registry=None)
        for each in (self.requests, self.seconds, busy, self.arrivals, _LedgerCollector(services)):
            self.registry.register(each)
        # Finding a child by its labels costs more than counting in it; there are as many as methods, routes and statuses.
        self.requests_of = functools.cache(self.requests.labels)
        self.seconds_of = functools.cache(self.seconds.labels)


class _LedgerCollector(Collector):
    """Size of the log and lag of the read models, read when somebody asks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: registering must not read the database."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        size = GaugeMetricFamily(f"{NAMED}_tree_size", "Events in the log")
        size.add_metric((), self._services.ledger.head().size)
        yield size
        lag = GaugeMetricFamily(f"{NAMED}_read_model_lag_events", "Events a read model is behind", labels=("model",))
        for model, behind in self._services.runner.lag().items():
            lag.add_metric((model,), behind)
        yield lag
        unapplied = GaugeMetricFamily(f"{NAMED}_unapplied_events", "Events that some read model could not apply")
        unapplied.add_metric((), len(self._services.runner.unapplied()))
        yield unapplied


class ServerLogger(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp itself logs, without the text of a request that it could not read: that may hold anything."""

    def log(self, level: int, msg: object, *args: object, **kwargs: object) -> None:
        error = kwargs.get("exc_info")
        if isinstance(error, HttpProcessingError):
            kwargs["exc_info"] = None
            level, msg, args = logging.INFO, "refused a request that is not HTTP: %s", (type(error).__name__,)
        super().log(level, msg, *args, **kwargs)  # type: ignore[arg-type]  # as given
