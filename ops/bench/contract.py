"""What a measurement is: a figure, the limit it is held against, the goal, and what was measured in each round."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ops.postgres import Server

Unit = Literal["events/s", "requests/s", "rows/s", "ms", "s", "bytes", "MiB"]
MORE_IS_BETTER = frozenset({"events/s", "requests/s", "rows/s"})


class Scale(NamedTuple):
    """How much is done.

    Attributes:
        seconds: of each timed load.
        streams: messages that events are appended to.
        events: of a ledger that is read, checked or built again.
        rounds: how often each figure is taken; the median counts.
    """

    seconds: float
    streams: int
    events: int
    rounds: int


SMOKE = Scale(seconds=0.3, streams=200, events=2_000, rounds=1)
QUICK = Scale(seconds=2.0, streams=5_000, events=50_000, rounds=3)
FULL = Scale(seconds=5.0, streams=20_000, events=1_000_000, rounds=5)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a measurement works with.

    Attributes:
        server: a private PostgreSQL with the durability of its defaults.
        folder: for what it writes; removed afterwards.
        samples: of a figure, what is to be plotted as a distribution; in the figure's unit.
        curves: of a figure, (size of the ledger, value) to be plotted as a line.
        kept: what was made for several figures, by name: the URL of a filled ledger, for example.
        tell: called with a line for people about what is being prepared, where that takes long.
    """

    server: Server
    folder: Path
    scale: Scale
    seed: int = 20260301
    samples: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda _: None

    def random(self, name: str) -> random.Random:
        """Numbers that are the same in every run."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311  no secret


Measure = Callable[[Bench], float]


class Figure(NamedTuple):
    """A row of the table.

    Attributes:
        unit: of what is measured.
        limit: name of the figure it is divided by; "" where the goal is absolute.
        goal: least ratio to the limit, or the figure itself; of times and sizes the most it may be. None: a limit only.
    """

    name: str
    title: str
    unit: Unit
    measure: Measure
    limit: str = ""
    goal: float | None = None


class Measured(msgspec.Struct, frozen=True):
    """What came of a figure.

    Attributes:
        rounds: one value each, in order.
        ratio: of the median to the limit's median; None without a limit.
        is_met: None where there is no goal.
    """

    name: str
    title: str
    unit: str
    rounds: tuple[float, ...]
    median: float
    spread: float
    limit: str = ""
    ratio: float | None = None
    goal: float | None = None
    is_met: bool | None = None


def judged(figure: Figure, rounds: Sequence[float], limits: dict[str, float]) -> Measured:
    """The median of the rounds against the goal.

    Args:
        limits: median by name, of what was measured beside it.
    """
    median = statistics.median(rounds)
    spread = (max(rounds) - min(rounds)) / median if median else 0.0
    ratio = median / limits[figure.limit] if figure.limit in limits else None
    value = median if not figure.limit else ratio
    met = None
    if figure.goal is not None and value is not None:
        met = value >= figure.goal if figure.unit in MORE_IS_BETTER else value <= figure.goal
    return Measured(
        figure.name, figure.title, figure.unit, tuple(rounds), median, spread, figure.limit, ratio, figure.goal, met
    )
