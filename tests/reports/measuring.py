"""How fast rows are written, and how much memory that takes: `python -m tests.reports.measuring FORMAT ROWS`.

In a process of its own, on rows like those of a list of deliveries. Prints rows, seconds and the peak of its memory as JSON.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters.compliance.deliveries import COLUMNS
from adapters.reports import csv_, jsonl, xlsx
from tests.reports.answers import LOOK, header

WRITERS = {"csv": csv_.write, "jsonl": jsonl.write, "xlsx": xlsx.write}


def deliveries(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows of ten columns, of which some need care."""
    for number in range(count):
        yield (
            f"01a1fea5-0e68-72c1-a1fd-{number:012x}",
            number % 7,
            f"+3161234{number:06}" if number % 3 else f"anna.rossi.{number}@pec.colle.example",
            "pec_mailbox",
            "notices",
            f"2026-03-{1 + number % 28:02}T09:00:{number % 60:02}.{number % 1_000_000:06}Z",
            "delivered",
            "=avvenuta-consegna" if number % 50 == 0 else "avvenuta-consegna",
            None if number % 5 == 0 else f"2026-03-{1 + number % 28:02}T10:01:{number % 60:02}.000000Z",
            "E4",
        )


def peak_mib() -> float:
    """Of this process; on Linux `ru_maxrss` would begin with what the starting process had."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index]  # it is there
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(form: str, count: int) -> dict[str, float]:
    """Rows, seconds, and MiB at the peak, of this process."""
    with TemporaryDirectory() as folder:
        begun = time.monotonic()
        rows = WRITERS[form](Path(folder) / "report", header(COLUMNS), deliveries(count), LOOK)
        seconds = time.monotonic() - begun
        size = (Path(folder) / "report").stat().st_size
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "peak_mib": peak_mib(),
        "bytes": size,
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
