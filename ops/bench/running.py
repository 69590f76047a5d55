"""Runs figures: group by group, each beside its limits, round after round, so that what changes on the machine changes for all of them.

A group is what one module of `ops.bench` measures, with the limits that its figures are held against; these are measured again in each
group. A figure that fails is told and left out of the further rounds; the others go on.
"""

from __future__ import annotations

import difflib
import statistics
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ledger.errors import ConfigurationError
from ops.bench import durability
from ops.bench.contract import Bench, Figure, Measured, judged
from ops.bench.machine import Machine

FORMAT = "delivery-ledger-bench/1"
MAX_SAMPLES = 1_000
MS = {"s": 1_000}
"""Milliseconds of a unit of time."""

Groups = Mapping[str, Sequence[Figure]]
Progress = Callable[[str, int, int], None]
"""Called with the title of what is measured next, how many measurements are done, and of how many."""


class Results(msgspec.Struct, frozen=True):
    """What a run found.

    Attributes:
        format: of this document.
        groups: figures with their limits, as they were measured together.
        failures: figure -> what went wrong, in a line, and the traceback.
        samples: figure -> milliseconds of single requests, spread evenly over all.
        curves: figure -> (size of the ledger, value).
    """

    started_at: str
    took_s: float
    scale: dict[str, float]
    seed: int
    machine: Machine
    groups: dict[str, tuple[Measured, ...]]
    failures: dict[str, str] = {}
    samples: dict[str, tuple[float, ...]] = {}
    curves: dict[str, tuple[tuple[int, float], ...]] = {}
    format: str = FORMAT

    @property
    def missed(self) -> list[Measured]:
        """The figures that do not meet their goal."""
        return [each for group in self.groups.values() for each in group if each.is_met is False]


def group_of(figure: Figure) -> str:
    """The module that measures it."""
    function: Any = figure.measure
    return str(getattr(function, "func", function).__module__).rpartition(".")[2]


def chosen(names: Sequence[str], known: Sequence[Figure], by_name: Iterable[Figure] = ()) -> dict[str, list[Figure]]:
    """The figures of these names or groups, each group with the limits that it needs.

    Args:
        names: none: all that are known, apart from groups of nothing but limits.
        by_name: figures that are measured only when they are asked for by their own names.

    Raises:
        ConfigurationError: there is no such figure or group; the text says what there is.
    """
    every = [*known, *by_name]
    answering = [(figure, {figure.name, *({group_of(figure)} if figure in known else ())}) for figure in every]
    if unknown := set(names).difference(*(called for _, called in answering)):
        raise ConfigurationError(_unknown(min(unknown), every))
    asked = [figure for figure, called in answering if called & set(names)] if names else list(known)
    groups: dict[str, list[Figure]] = {}
    for figure in asked:
        groups.setdefault(group_of(figure), []).append(figure)
    limits = {figure.name: figure for figure in every}
    held = {figure.limit for figure in asked}
    needed = {g: figures for g, figures in groups.items() if names or any(f.name not in held for f in figures)}
    return {group: _with_limits(figures, limits) for group, figures in needed.items()}


def _with_limits(figures: Sequence[Figure], limits: Mapping[str, Figure]) -> list[Figure]:
    needed = dict.fromkeys(figure.limit for figure in figures if figure.limit)
    own = {figure.name for figure in figures}
    return [*(limits[name] for name in needed if name not in own), *figures]


def _unknown(name: str, every: Sequence[Figure]) -> str:
    names = dict.fromkeys([*map(group_of, every), *(figure.name for figure in every)])
    near = ", ".join(difflib.get_close_matches(name, names, 3))
    return f"no figure or group is called {name!r}; {f'near it: {near}; ' if near else ''}see: bench --list"


def run(
    bench: Bench,
    groups: Groups,
    machine: Machine,
    progress: Progress = lambda *_: None,
    told: Callable[[str, tuple[Measured, ...]], None] = lambda *_: None,
) -> Results:
    """Measure.

    Args:
        told: called with each group once it is done.

    Raises:
        WeakenedError: commits are not durable.
    """
    begun, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    total = sum(map(len, groups.values())) * bench.scale.rounds
    units = {figure.name: figure.unit for figures in groups.values() for figure in figures}
    failures: dict[str, str] = {}
    found: dict[str, tuple[Measured, ...]] = {}
    done = 0
    for group, figures in groups.items():
        values: dict[str, list[float]] = {figure.name: [] for figure in figures}
        for _ in range(bench.scale.rounds):
            durability.require(bench)
            for figure in figures:
                progress(figure.title, done, total)
                _measure(bench, figure, values[figure.name], failures)
                done += 1
        found[group] = _judged([f for f in figures if f.name not in failures], values)
        told(group, found[group])
    durability.require(bench)  # nobody weakened it meanwhile
    return Results(
        started_at,
        round(time.monotonic() - begun, 1),
        bench.scale._asdict(),
        bench.seed,
        machine,
        found,
        failures,
        {name: _thinned(samples, MS.get(units.get(name, ""), 1)) for name, samples in bench.samples.items()},
        {name: _by_size(curve) for name, curve in bench.curves.items()},
    )


def _measure(bench: Bench, figure: Figure, values: list[float], failures: dict[str, str]) -> None:
    if figure.name in failures:
        return
    try:
        values.append(figure.measure(bench))
    except Exception as error:  # noqa: BLE001  the others are measured all the same; what went wrong stands in the results
        first = next(iter(str(error).splitlines()), "")
        failures[figure.name] = f"{type(error).__name__}: {first}\n{traceback.format_exc()}"


def _judged(figures: Sequence[Figure], values: Mapping[str, list[float]]) -> tuple[Measured, ...]:
    medians = {figure.name: statistics.median(values[figure.name]) for figure in figures}
    return tuple(judged(figure, values[figure.name], medians) for figure in figures)


def _thinned(samples: Sequence[float], times: float) -> tuple[float, ...]:
    """At most so many of them, with the least and the greatest, each so many times as much."""
    ordered = [value * times for value in sorted(samples)]
    if len(ordered) <= MAX_SAMPLES:
        return tuple(ordered)
    last = len(ordered) - 1
    return tuple(ordered[round(i * last / (MAX_SAMPLES - 1))] for i in range(MAX_SAMPLES))


def _by_size(curve: Sequence[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """The median of the rounds at each size."""
    values: dict[int, list[float]] = {}
    for size, value in curve:
        values.setdefault(size, []).append(value)
    return tuple((size, statistics.median(each)) for size, each in sorted(values.items()))
