"""What all commands have: how they end, and what is said before them."""

from __future__ import annotations

from contextvars import ContextVar

EXIT_WRONG, EXIT_USAGE, EXIT_NOT_FOUND = 1, 2, 3
ACCESS_REASON: ContextVar[str] = ContextVar("access_reason", default="")
"""Why whatever this command shows is looked at."""
PROTECTED: ContextVar[bool] = ContextVar("protected", default=False)
"""Whether the command was told to show recipients whose identity is protected, too."""
