"""How a server logs: lines of JSON on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import cast

import msgspec

ACCESS = "delivery_ledger.access"
"""As `adapters.http.telemetry` has it, which the parent of several servers does not load."""


def log_to_stderr() -> None:
    """All logs as lines of JSON on stderr, those of the libraries too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    # No line says which thread, process or task it comes from, and finding that out for each request costs.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _Lines(logging.Formatter):
    """Records as lines of JSON: what each says, and whatever stands in its `said` under a name."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        line = {"level": record.levelname.lower(), "logger": record.name, "timestamp": at}
        if record.name == ACCESS and isinstance(record.args, dict):  # some requests, in our own words
            line["event"] = record.msg
            said = cast("list[dict[str, object]]", record.args["requests"])
            return b"\n".join([msgspec.json.encode({**each, **line}) for each in said]).decode()
        line = {**getattr(record, "said", {}), "event": record.getMessage(), **line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
