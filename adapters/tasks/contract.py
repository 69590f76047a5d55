"""What a kind of long work is, and what one try of it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ledger.errors import LedgerError


class TaskStoppedError(LedgerError):
    """The work was cancelled, or this process ends or no longer leads; nothing of it is kept."""


class GiveUpError(LedgerError):
    """Trying again would end the same way; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One try.

    Attributes:
        task: id of the task.
        owner: id of the API key that asked, `console`, or "" when the clock did.
        number: of the try, from 1.
        request: what was asked, as JSON values.
        folder: empty, for plain files; gone when the try ends.
        progress: told (done, total); a total of None is not known.
        is_stopped: whether to leave off; cheap enough to be asked for every row.
    """

    task: str
    tenant: str
    owner: str
    number: int
    request: Mapping[str, Any]
    folder: Path
    progress: Callable[[int, int | None], None]
    is_stopped: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a task.

    Attributes:
        files: plain files in the folder of the try, to be kept sealed; their names are shown.
        said: JSON values that tell of it.
    """

    files: tuple[Path, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of long work.

    Attributes:
        name: token.
        title: for people.
        run: does it. Raises GiveUpError where trying again is of no use, TaskStoppedError when it was stopped.
        finished: told of what came of it before it counts as done; told again if the process dies just then.
        failed: told of each try that failed, with our own words, and whether it was the last.
        pauses: before each further try.
    """

    name: str
    title: str
    run: Callable[[Work], Made]
    finished: Callable[[Work, Mapping[str, Any]], None] = lambda _work, _said: None
    failed: Callable[[Work, str, bool], None] = lambda _work, _why, _is_last: None
    pauses: tuple[timedelta, ...] = ()
