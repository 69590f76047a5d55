"""What the tests of reports share: a ledger with a story, the desk that makes reports of it, and synthetic answers."""

from __future__ import annotations

from pathlib import Path

from adapters.reports.contract import Made, ReportAsk
from adapters.reports.making import make
from ops.reports import desk
from ops.system import System
from tests.evidence.packs import TENANT

__all__ = ["TENANT", "desk", "made"]


def made(system: System, folder: Path, **asked: object) -> Made:
    """A report of the messages of the story, or of what is asked."""
    return make(desk(system), ReportAsk(**({"tenant": TENANT} | asked)), folder)  # type: ignore[arg-type]
