"""What goes on beside the requests, in one thread: read models follow the log, hourly counts and accesses are written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from eventsourcing.persistence import IntegrityError

from adapters.http.access import AccessLog
from adapters.http.services import Services
from projections.runner import GapError

LOG = logging.getLogger(__name__)
POLL_S = 0.05
CHORES_S = 1.0
"""Between two looks at what is counted in minutes and hours: each looks into the database."""
TROUBLED_POLL_S = 2.0


class Background:
    """Follows the log until it is stopped.

    Attributes:
        troubles: step -> why it does not go on; a step that works again leaves.
    """

    def __init__(self, services: Services, access: AccessLog) -> None:
        self._services = services
        self._access = access
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._size = -1
        self.troubles: dict[str, str] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, then write what was gathered."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._attempt("access", lambda: self._access.flush(everything=True))

    def _run(self) -> None:
        next_chores = 0.0
        while not self._stopping.wait(TROUBLED_POLL_S if self.troubles else POLL_S):
            self._attempt("read models", self._follow)
            if time.monotonic() >= next_chores:
                self._do_chores()
                next_chores = time.monotonic() + CHORES_S

    def step(self) -> None:
        """Do what is due; each for itself."""
        self._attempt("read models", self._follow)
        self._do_chores()

    def _do_chores(self) -> None:
        self._attempt("refused webhooks", self._services.quarantine.flush_counts)
        self._attempt("access", self._access.flush)
        self._attempt("key uses", self._services.api_keys.flush)

    def _follow(self) -> None:
        """Apply what is new, if the log has grown and no other process is at it."""
        size = self._services.ledger.head().size
        if size != self._size and self._services.runner.follow():
            self._size = size

    def _attempt(self, name: str, step: Callable[[], object]) -> None:
        """Do one step; whatever goes wrong is told, and tried again later: this thread must not die."""
        try:
            step()
        except IntegrityError:
            return  # another process was faster
        except GapError as error:
            self.troubles[name] = str(error)
            LOG.critical("%s", error)
        except Exception as error:  # noqa: BLE001  the text may be personal, so only its kind is told
            self.troubles[name] = type(error).__name__
            LOG.error("%s: %s", name, type(error).__name__)  # noqa: TRY400  a traceback ends with the text
        else:
            self.troubles.pop(name, None)
