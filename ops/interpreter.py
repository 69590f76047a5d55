"""How the interpreter shares itself out among the threads of a server, and how often it looks for cycles in memory."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005
"""A tenth of the default. Whoever answers a single webhook takes the interpreter back some twenty times, each time from an import that does
not let go before this is over."""
MADE_BEFORE_LOOKING = 50_000
"""Objects. With the default of 700 a fifth of an import of messages is spent looking through its chunk again and again, and a tenth of
a start through what was just loaded, and nothing is found."""


def look_rarely() -> None:
    """Look for cycles less often in this process."""
    gc.set_threshold(MADE_BEFORE_LOOKING)


def share_out() -> None:
    """Set both for this process; what it holds by now stays, and is not looked through any more."""
    sys.setswitchinterval(SWITCH_S)
    look_rarely()
    gc.freeze()
